//! Each crate by itself, with no features, the default ones, and each feature alone.
//!
//! A build of the whole workspace joins the features that its members ask of each other, and so hides a
//! crate that forgets one. This is what `cargo hack --each-feature` does; it is not a part of a fresh
//! machine and takes minutes to compile, and over `cargo metadata` it is a loop.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::layers::PURE;
use crate::workspace::{Workspace, cargo};

/// Crates upon libtorch that are checked too: all that have features of their own, but for the facade,
/// whose features are those of other crates and would compile everything above them once more for each.
const ON_LIBTORCH: [&str; 3] = ["sidereal-device", "sidereal-policy", "sidereal-train"];

/// Lints every crate alone, once for each of its features.
///
/// # Errors
/// The command that failed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let args = ["metadata", "--no-deps", "--format-version=1"];
    let output = cargo(workspace.root()).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cannot read cargo metadata")?;
    for package in PURE.into_iter().chain(ON_LIBTORCH) {
        for features in choices(&features(&metadata, package)?) {
            let package = format!("--package={package}");
            let mut args = vec!["clippy", "--quiet", "--lib", "--no-deps", &package];
            args.extend(features.iter().map(String::as_str));
            args.extend(["--", "-D", "warnings"]);
            if !workspace.cargo(&args, None)?.success() {
                bail!("a crate does not stand alone; to repeat this: cargo {}", args.join(" "));
            }
        }
    }
    Ok(())
}

/// A crate's features, each with what it turns on.
fn features(metadata: &Value, package: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let found = packages.iter().find(|found| found["name"] == package);
    let found = found.with_context(|| format!("{package} is not in the workspace"))?;
    serde_json::from_value(found["features"].clone())
        .with_context(|| format!("cannot read the features of {package}"))
}

/// Cargo's arguments for no features, the default ones where there are any, and each feature alone.
fn choices(features: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let none = || vec!["--no-default-features".to_owned()];
    let mut choices = vec![none()];
    for (feature, turns_on) in features {
        if feature != "default" {
            choices.push([none(), vec![format!("--features={feature}")]].concat());
        } else if !turns_on.is_empty() {
            choices.push(Vec::new());
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choices_are_none_default_and_each() {
        let features = |list: &[(&str, &[&str])]| {
            let owned = |on: &&[&str]| on.iter().map(ToString::to_string).collect();
            list.iter().map(|(name, on)| ((*name).to_owned(), owned(on))).collect()
        };
        let joined = |list: &[(&str, &[&str])]| -> Vec<String> {
            choices(&features(list)).iter().map(|choice| choice.join(" ")).collect()
        };
        let none = "--no-default-features";
        assert_eq!(joined(&[]), [none]);
        assert_eq!(
            joined(&[("default", &[]), ("page", &["dep:page"])]),
            [none.to_owned(), format!("{none} --features=page")]
        );
        assert_eq!(
            joined(&[("default", &["text"]), ("text", &[])]),
            [none.to_owned(), String::new(), format!("{none} --features=text")]
        );
    }

    #[test]
    fn every_crate_with_features_is_checked_but_the_facade() {
        let root = crate::workspace::root().unwrap();
        let args = ["metadata", "--no-deps", "--format-version=1"];
        let output = cargo(&root).args(args).output().unwrap();
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            let checked = PURE.contains(&name) || ON_LIBTORCH.contains(&name);
            let without = package["features"].as_object().unwrap().is_empty();
            assert!(checked || without || name == "sidereal", "{name} has features");
        }
    }
}
