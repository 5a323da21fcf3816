//! The layers: which crate may depend on which, and which crates never reach libtorch.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::cargo;

/// Every crate with the crates of ours that it may depend on, lowest first. Optional, build and
/// development dependencies count.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("sidereal-files", &[]),
    ("sidereal-gguf", &[]),
    ("sidereal-sid", &["sidereal-files"]),
    ("sidereal-device", &[]),
    ("sidereal-page", &["sidereal-files"]),
    ("sidereal-metrics", &["sidereal-page"]),
    ("sidereal-quantizer", &["sidereal-files", "sidereal-sid", "sidereal-device", "sidereal-page"]),
    ("sidereal-data", &["sidereal-files", "sidereal-sid", "sidereal-page"]),
    ("sidereal-prompts", &["sidereal-sid", "sidereal-data"]),
    ("sidereal-teacher", &["sidereal-files", "sidereal-sid", "sidereal-data", "sidereal-prompts"]),
    ("sidereal-rl", &["sidereal-sid"]),
    ("sidereal-policy", &["sidereal-files", "sidereal-gguf", "sidereal-sid", "sidereal-device"]),
    (
        "sidereal-baselines",
        &["sidereal-files", "sidereal-sid", "sidereal-device", "sidereal-metrics", "sidereal-data"],
    ),
    (
        "sidereal-train",
        &[
            "sidereal-files",
            "sidereal-sid",
            "sidereal-metrics",
            "sidereal-data",
            "sidereal-prompts",
            "sidereal-rl",
            "sidereal-policy",
        ],
    ),
    (
        "sidereal-lab",
        &[
            "sidereal-files",
            "sidereal-sid",
            "sidereal-page",
            "sidereal-metrics",
            "sidereal-quantizer",
            "sidereal-data",
            "sidereal-prompts",
            "sidereal-teacher",
            "sidereal-rl",
            "sidereal-policy",
            "sidereal-baselines",
            "sidereal-train",
        ],
    ),
    (
        "sidereal",
        &[
            "sidereal-files",
            "sidereal-gguf",
            "sidereal-sid",
            "sidereal-device",
            "sidereal-page",
            "sidereal-metrics",
            "sidereal-quantizer",
            "sidereal-data",
            "sidereal-prompts",
            "sidereal-teacher",
            "sidereal-rl",
            "sidereal-policy",
            "sidereal-baselines",
            "sidereal-train",
            "sidereal-lab",
        ],
    ),
    (
        "sidereal-cli",
        &[
            "sidereal-files",
            "sidereal-sid",
            "sidereal-device",
            "sidereal-page",
            "sidereal-metrics",
            "sidereal-quantizer",
            "sidereal-data",
            "sidereal-prompts",
            "sidereal-teacher",
            "sidereal-rl",
            "sidereal-policy",
            "sidereal-baselines",
            "sidereal-train",
            "sidereal-lab",
            "sidereal",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that build, with default features, and test without libtorch.
pub(crate) const PURE: [&str; 11] = [
    "sidereal-files",
    "sidereal-gguf",
    "sidereal-sid",
    "sidereal-page",
    "sidereal-metrics",
    "sidereal-quantizer",
    "sidereal-data",
    "sidereal-prompts",
    "sidereal-teacher",
    "sidereal-rl",
    "sidereal-baselines",
];

/// The package that binds libtorch.
const BINDINGS: &str = "torch-sys";

/// A member of the workspace with the names of all that it depends on directly.
#[derive(Debug)]
struct Package {
    name: String,
    dependencies: Vec<String>,
}

/// Checks the workspace in `root`.
///
/// # Errors
/// Every crossed layer, by name.
pub(crate) fn check(root: &Path) -> Result<()> {
    let crossed = crossed(root)?;
    if crossed.is_empty() {
        return Ok(());
    }
    bail!("layers are crossed (table in xtask/src/layers.rs)\n  {}", crossed.join("\n  "))
}

/// What is wrong, one line each; nothing if all layers hold.
fn crossed(root: &Path) -> Result<Vec<String>> {
    let packages = packages(&output(root, &["metadata", "--no-deps", "--format-version=1"])?)?;
    let mut lines = crossed_edges(&packages);
    for package in PURE {
        if !packages.iter().any(|found| found.name == package) {
            continue; // named by `crossed_edges`
        }
        // One package at a time: a workspace-wide resolution would mix in the features that its
        // other members ask for.
        let tree = output(
            root,
            &[
                "tree",
                "--package",
                package,
                "--edges=normal,build,dev",
                "--prefix=depth",
                "--format={p}",
            ],
        )?;
        if let Some(path) = path_to(&tree, BINDINGS) {
            lines.push(format!(
                "{package} must not reach {BINDINGS}, but does: {}",
                path.join(" -> ")
            ));
        }
    }
    Ok(lines)
}

/// Reads the output of `cargo metadata --no-deps`.
fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(metadata).context("cannot read cargo metadata")?;
    let name_of = |value: &Value| value["name"].as_str().map(str::to_owned);
    let package = |value: &Value| {
        let dependencies = value["dependencies"].as_array()?.iter().filter_map(name_of).collect();
        Some(Package { name: name_of(value)?, dependencies })
    };
    metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().map(package).collect())
        .context("cargo metadata lists no packages with names and dependencies")
}

/// Edges between crates of the workspace that the table does not have.
fn crossed_edges(packages: &[Package]) -> Vec<String> {
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut lines = BTreeSet::new();
    for (name, _) in ALLOWED {
        if !members.contains(name) {
            lines.insert(format!("{name} is in the table, but not in the workspace"));
        }
    }
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            lines.insert(format!("{} is in the workspace, but not in the table", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.as_str();
            let own = members.contains(name);
            // A crate may depend on itself, to test with its own features.
            if own && name != package.name && !allowed.contains(&name) {
                lines.insert(format!("{} must not depend on {name}", package.name));
            }
        }
    }
    lines.into_iter().collect()
}

/// Path from the root of `cargo tree --prefix=depth` down to the first occurrence of `package`.
fn path_to(tree: &str, package: &str) -> Option<Vec<String>> {
    let mut path: Vec<String> = Vec::new();
    for line in tree.lines() {
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (depth, rest) = line.split_at(digits);
        let (Ok(depth), Some(name)) = (depth.parse::<usize>(), rest.split_whitespace().next())
        else {
            continue; // a heading
        };
        path.truncate(depth);
        path.push(name.to_owned());
        if name == package {
            return Some(path);
        }
    }
    None
}

fn output(root: &Path, args: &[&str]) -> Result<String> {
    let output = cargo(root).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed:\n{}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("cargo {} is not UTF-8", args.join(" ")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A workspace of empty crates with all edges of the table, plus `extra` manifest lines of some
    /// crates, and stand-ins for tch and torch-sys.
    fn workspace(extra: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let outside: [(&str, &[&str]); 2] = [("tch", &[BINDINGS]), (BINDINGS, &[])];
        let members: Vec<String> = ALLOWED.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{}]\nexclude = [\"tch\", \"{BINDINGS}\"]\n",
            members.join(", ")
        );
        fs::write(root.path().join("Cargo.toml"), manifest).unwrap();
        for (name, edges) in ALLOWED.iter().chain(&outside) {
            let mut lines = vec![format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n"
            )];
            lines.extend(edges.iter().map(|edge| format!("{edge} = {{ path = \"../{edge}\" }}\n")));
            lines.extend(extra.iter().filter(|(owner, _)| owner == name).map(|it| it.1.to_owned()));
            fs::create_dir_all(root.path().join(name).join("src")).unwrap();
            fs::write(root.path().join(name).join("Cargo.toml"), lines.concat()).unwrap();
            fs::write(root.path().join(name).join("src/lib.rs"), "").unwrap();
        }
        root
    }

    #[test]
    fn the_edges_of_the_table_cross_nothing() {
        let root = workspace(&[("sidereal-policy", "tch = { path = \"../tch\" }\n")]);
        assert_eq!(crossed(root.path()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_pure_crate_that_reaches_libtorch_is_named_with_its_path() {
        let root = workspace(&[("sidereal-sid", "tch = { path = \"../tch\" }\n")]);
        let lines = crossed(root.path()).unwrap();
        let path = "sidereal-rl -> sidereal-sid -> tch -> torch-sys";
        assert!(lines.contains(&format!("sidereal-rl must not reach torch-sys, but does: {path}")));
        assert_eq!(
            lines.len(),
            7,
            "all pure crates but files, gguf, page and metrics stand on sid: {lines:#?}"
        );
    }

    #[test]
    fn an_optional_libtorch_is_allowed_even_where_another_member_asks_for_it() {
        let optional =
            "tch = { path = \"../tch\", optional = true }\n[features]\ntorch = [\"dep:tch\"]\n";
        let root = workspace(&[("sidereal-quantizer", optional)]);
        let lab = root.path().join("sidereal-lab/Cargo.toml");
        let manifest = fs::read_to_string(&lab).unwrap().replace(
            "\"../sidereal-quantizer\"",
            "\"../sidereal-quantizer\", features = [\"torch\"]",
        );
        fs::write(&lab, manifest).unwrap();
        assert_eq!(crossed(root.path()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_edge_sideways_or_for_tests_only_is_named() {
        let sideways = "sidereal-data = { path = \"../sidereal-data\" }\n";
        let for_tests =
            "[dev-dependencies]\nsidereal-metrics = { path = \"../sidereal-metrics\" }\n";
        let root = workspace(&[("sidereal-rl", sideways), ("sidereal-sid", for_tests)]);
        let expected = [
            "sidereal-rl must not depend on sidereal-data",
            "sidereal-sid must not depend on sidereal-metrics",
        ];
        assert_eq!(crossed(root.path()).unwrap(), expected);
    }

    #[test]
    fn a_crate_missing_from_the_table_is_named() {
        let packages = vec![Package { name: "sidereal-core".to_owned(), dependencies: Vec::new() }];
        let lines = crossed_edges(&packages);
        assert!(
            lines.contains(&"sidereal-core is in the workspace, but not in the table".to_owned())
        );
        assert!(lines.contains(&"xtask is in the table, but not in the workspace".to_owned()));
    }

    #[test]
    fn the_layers_of_this_workspace_hold() {
        check(&crate::workspace::root().unwrap()).unwrap();
    }
}
