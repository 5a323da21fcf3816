//! The checkout, and cargo started in it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bundle;
use crate::libtorch::{Environment, Source};
use crate::wheels::{ENCODER, LIBTORCH};

/// Variable of the dynamic loader's search path.
const LOADER_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// A checkout that is set up.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    /// Folder of libtorch: doc tests run from elsewhere than where binaries look for it.
    loader_path: PathBuf,
}

impl Workspace {
    /// Fetches what is missing into `target/` and checks what the user brought.
    ///
    /// # Errors
    /// Whatever is missing and cannot be had, with what to do about it.
    pub(crate) fn set_up() -> Result<Self> {
        let root = root()?;
        let target = root.join("target");
        check_compiler()?;
        let source = Environment::read(&target.join(LIBTORCH.dir)).source()?;
        let mut bundles = vec![ENCODER];
        if source == Source::Fetched {
            bundles.insert(0, LIBTORCH);
        }
        for bundle in &bundles {
            if bundle::ensure(bundle, &target)? {
                eprintln!("xtask: {} is in `{}`", bundle.name, target.join(bundle.dir).display());
            }
        }
        let loader_path = match source {
            Source::Own(lib) => lib,
            Source::Fetched => link_beside_binaries(&root, &target)?,
        };
        Ok(Self { root, loader_path })
    }

    /// What a user must set who works without xtask.
    pub(crate) fn advice(&self) -> String {
        let lib = &self.loader_path;
        let linked = lib.starts_with(&self.root);
        let what = if linked { "doc tests" } else { "programs and tests" };
        let lib = lib.display();
        format!(
            "{what} that are started without xtask need\n  \
             export {LOADER_PATH}={lib}${{{LOADER_PATH}:+:${LOADER_PATH}}}"
        )
    }

    /// Root folder of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs cargo in the root folder; its output is the user's to see.
    ///
    /// # Errors
    /// If cargo cannot be started.
    pub(crate) fn cargo(&self, args: &[&str], env: Option<(&str, &str)>) -> Result<ExitStatus> {
        let mut command = cargo(&self.root);
        command.args(args).envs(env);
        command.env(LOADER_PATH, prepend(&self.loader_path)?);
        command.status().context("cannot start cargo")
    }
}

/// Cargo in the checkout, without the variables that the outer `cargo run` gave to this process: a
/// build started from here must not differ from one that the user starts.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, value) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let ours =
            text == "LIBTORCH" && Path::new(&value) == root.join("target").join(LIBTORCH.dir);
        if ours || text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Root folder of the checkout that this program was built in.
///
/// # Errors
/// If the checkout moved since.
pub(crate) fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().unwrap_or(manifest);
    if !root.join("Cargo.toml").is_file() {
        bail!("`{}` is no longer a checkout: start this as `cargo xtask`", root.display());
    }
    Ok(root.to_path_buf())
}

/// torch-sys compiles C++; saying so now is better than a long build log.
fn check_compiler() -> Result<()> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    match Command::new(&compiler).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!(
            "no C++ compiler: `{}` does not start; install one (Debian and Ubuntu: \
             `sudo apt install g++`) or set CXX",
            compiler.display()
        ),
    }
}

/// Binaries look for libtorch beside their profile's folder. If the target directory is not the
/// checkout's `target/`, puts a link there. Doc tests run from elsewhere and need the returned
/// folder on the loader's path.
fn link_beside_binaries(root: &Path, fetched_in: &Path) -> Result<PathBuf> {
    let output = cargo(root)
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    let target_directory = metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")?;
    let fetched = fetched_in.join(LIBTORCH.dir);
    if target_directory == fetched_in {
        return Ok(fetched.join("lib"));
    }
    let link = target_directory.join(LIBTORCH.dir);
    if std::fs::read_link(&link).ok().as_ref() != Some(&fetched) {
        make_link(&fetched, &link).with_context(|| {
            format!(
                "cannot link `{}` to `{}`, where the binaries of this target directory look",
                link.display(),
                fetched.display()
            )
        })?;
    }
    Ok(fetched.join("lib"))
}

#[cfg(unix)]
fn make_link(original: &Path, link: &Path) -> std::io::Result<()> {
    if link.symlink_metadata().is_ok_and(|data| data.is_symlink()) {
        std::fs::remove_file(link)?;
    }
    if let Some(folder) = link.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::os::unix::fs::symlink(original, link)
}

#[cfg(not(unix))]
fn make_link(_original: &Path, _link: &Path) -> std::io::Result<()> {
    Ok(()) // libtorch is fetched on Linux only
}

/// The loader's path with `lib` in front.
fn prepend(lib: &Path) -> Result<OsString> {
    let before = env::var_os(LOADER_PATH).unwrap_or_default();
    let rest = env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
    env::join_paths(std::iter::once(lib.to_path_buf()).chain(rest))
        .with_context(|| format!("`{}` cannot be on {LOADER_PATH}", lib.display()))
}
