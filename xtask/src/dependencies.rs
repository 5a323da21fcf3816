//! What is depended on: licences, sources, bans and Rust versions.
//!
//! The rules of licences and bans are those of `deny.toml`, which cargo-deny reads. It is not a part of a
//! fresh machine and takes minutes to compile, so its three checks that can go wrong here are made over
//! `cargo metadata`, and by cargo-deny besides where that is installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::spdx;
use crate::workspace::cargo;

/// The only place that packages come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The rules of `deny.toml` that are checked here.
#[derive(Debug)]
struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
}

/// Checks all that the workspace in `root` depends on, with all features.
///
/// # Errors
/// Every package that breaks a rule, with the rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    let path = root.join("deny.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let rules = Rules::parse(&text)?;
    let host = format!("--filter-platform={}", host()?);
    let args = ["metadata", "--format-version=1", "--all-features", "--locked", &host];
    let output = cargo(root).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed:\n{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    let wrong = broken(&metadata, &rules)?;
    if !wrong.is_empty() {
        bail!("dependencies break the rules of deny.toml\n  {}", wrong.join("\n  "));
    }
    if !is_installed("cargo-deny") {
        eprintln!("xtask: cargo-deny is not installed; its checks were made by xtask alone");
        return Ok(());
    }
    let args = ["deny", "--locked", "check", "licenses", "bans", "sources"];
    let status = cargo(root).args(args).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} found something", args.join(" "));
    }
    Ok(())
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let rules: toml::Table = text.parse().context("deny.toml is no TOML")?;
        let list = |table: &str, key: &str| {
            let list = rules.get(table).and_then(|table| table.get(key)?.as_array());
            list.with_context(|| format!("deny.toml has no list `{key}` in `[{table}]`"))
        };
        let text = |value: &toml::Value| value.as_str().map(str::to_owned);
        let name = |value: &toml::Value| text(value.get("crate")?);
        let licences = list("licenses", "allow")?.iter().map(text).collect::<Option<_>>();
        let banned = list("bans", "deny")?.iter().map(name).collect::<Option<_>>();
        Ok(Self {
            licences: licences.context("a licence in deny.toml is no text")?,
            banned: banned.context("a ban in deny.toml does not name its `crate`")?,
        })
    }
}

/// What is wrong with the packages that are compiled for this machine, one line each.
fn broken(metadata: &Value, rules: &Rules) -> Result<Vec<String>> {
    let nodes =
        metadata["resolve"]["nodes"].as_array().context("cargo metadata resolves nothing")?;
    let used: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let is_used = |package: &&Value| package["id"].as_str().is_some_and(|id| used.contains(id));
    let is_own = |package: &&Value| package["source"].is_null();
    let own = packages.iter().filter(is_own).find_map(|package| package["rust_version"].as_str());
    let own = version(own.context("no crate of the workspace says its `rust-version`")?)?;
    let mut lines = Vec::new();
    for package in packages.iter().filter(is_used) {
        let name = package["name"].as_str().context("a package has no name")?;
        let mut refuse = |what: String| lines.push(format!("{name}: {what}"));
        match package["license"].as_str() {
            None => refuse("it names no licence".to_owned()),
            Some(licence) => match spdx::allows(licence, &rules.licences) {
                Ok(true) => {}
                Ok(false) => refuse(format!("its licence is `{licence}`")),
                Err(error) => refuse(format!("its licence `{licence}` cannot be read: {error}")),
            },
        }
        match package["source"].as_str() {
            None | Some(CRATES_IO) => {}
            Some(source) => refuse(format!("it comes from `{source}`")),
        }
        if rules.banned.iter().any(|banned| banned == name) {
            refuse("it is banned".to_owned());
        }
        if let Some(needed) = package["rust_version"].as_str()
            && version(needed)? > own
        {
            refuse(format!("it needs Rust {needed}, above the workspace's `rust-version`"));
        }
        let edges = package["dependencies"].as_array().filter(|_| package["source"].is_null());
        let any = |edge: &&Value| edge["req"] == "*" && edge["path"].is_null();
        for edge in edges.into_iter().flatten().filter(any) {
            refuse(format!("it takes any version of {}", edge["name"]));
        }
    }
    Ok(lines)
}

/// `1.90` or `1.90.0` as numbers.
fn version(text: &str) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = text
        .split('.')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("`{text}` is no version of Rust"))?;
    numbers.resize(3, 0);
    Ok(numbers)
}

/// The platform that the compiler compiles for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// Whether a subcommand of cargo is there.
fn is_installed(program: &str) -> bool {
    let quiet =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: &str = "[licenses]\nallow = ['MIT']\n[bans]\ndeny = [{ crate = 'openssl-sys' }]\n";

    #[test]
    fn every_broken_rule_is_named_and_what_is_not_compiled_is_left_out() {
        let own = json!({
            "id": "own", "name": "own", "license": "MIT", "source": null, "rust_version": "1.90",
            "dependencies": [
                { "name": "serde", "req": "*", "path": null },
                { "name": "other", "req": "*", "path": "crates/other" },
            ],
        });
        let other = |name: &str, licence: Value, source: &str, rust: Value| {
            json!({
                "id": name, "name": name, "license": licence, "source": source, "rust_version": rust,
                "dependencies": [{ "name": "serde", "req": "*", "path": null }],
            })
        };
        let nodes = ["own", "good", "gpl", "none", "git", "openssl-sys", "new"];
        let nodes = nodes.map(|id| json!({ "id": id }));
        let metadata = json!({
            "packages": [
                own,
                other("good", json!("MIT OR GPL-3.0-only"), CRATES_IO, json!("1.90.0")),
                other("gpl", json!("GPL-3.0-only"), CRATES_IO, json!(null)),
                other("none", json!(null), CRATES_IO, json!(null)),
                other("git", json!("MIT"), "git+https://example.org/git", json!(null)),
                other("openssl-sys", json!("MIT"), CRATES_IO, json!(null)),
                other("new", json!("MIT"), CRATES_IO, json!("1.91")),
                other("unused", json!("GPL-3.0-only"), CRATES_IO, json!(null)),
            ],
            "resolve": { "nodes": nodes },
        });
        let expected = [
            "own: it takes any version of \"serde\"",
            "gpl: its licence is `GPL-3.0-only`",
            "none: it names no licence",
            "git: it comes from `git+https://example.org/git`",
            "openssl-sys: it is banned",
            "new: it needs Rust 1.91, above the workspace's `rust-version`",
        ];
        assert_eq!(broken(&metadata, &Rules::parse(RULES).unwrap()).unwrap(), expected);
    }

    #[test]
    fn the_rules_of_this_workspace_can_be_read() {
        let root = crate::workspace::root().unwrap();
        let text = fs::read_to_string(root.join("deny.toml")).unwrap();
        assert!(Rules::parse(&text).unwrap().licences.contains(&"MIT".to_owned()));
    }
}
