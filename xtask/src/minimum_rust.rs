//! The oldest Rust that the workspace promises, `rust-version`.
//!
//! Clippy's lint `incompatible_msrv` finds what the standard library got later, and `dependencies` finds
//! crates that need a newer one. Where that toolchain is installed the pure crates are compiled by it.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layers::PURE;
use crate::workspace::Workspace;

/// Compiles the pure crates by the oldest promised toolchain, if it is there.
///
/// # Errors
/// If they do not compile.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let Ok(output) = Command::new("rustup").args(["toolchain", "list"]).output() else {
        eprintln!("xtask: rustup is not installed; nothing was compiled by Rust {oldest}");
        return Ok(());
    };
    let installed = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(toolchain) = of_version(&installed, oldest) else {
        eprintln!(
            "xtask: the toolchain {oldest} is not installed; nothing was compiled by it (to have it: \
             `rustup toolchain install {oldest} --profile minimal`)"
        );
        return Ok(());
    };
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "cargo", "check", "--locked"]).current_dir(workspace.root());
    // A folder of its own: the two compilers would replace each other's files.
    command.arg("--target-dir").arg(workspace.root().join("target/minimum-rust"));
    command.args(PURE.map(|package| format!("--package={package}")));
    // This program's own toolchain must not stand before the other.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    if !command.status().context("cannot start rustup")?.success() {
        bail!("the pure crates do not compile by Rust {oldest}");
    }
    Ok(())
}

/// The first toolchain of a version, such as `1.90-x86_64-…` or `1.90.0-x86_64-…` for `1.90`.
fn of_version<'a>(installed: &'a str, version: &str) -> Option<&'a str> {
    let mut names = installed.lines().filter_map(|line| line.split_whitespace().next());
    names.find(|name| {
        name.strip_prefix(version)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_found_by_its_version() {
        let list = "stable-x (default)\n1.9-x\n1.90.0-x (active)\n";
        assert_eq!(of_version(list, "1.90"), Some("1.90.0-x"));
        assert_eq!(of_version(list, "1.9"), Some("1.9-x"));
        assert_eq!(of_version("stable-x", "1.90"), None);
    }
}
