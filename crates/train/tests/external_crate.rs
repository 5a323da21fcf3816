//! The guide `docs/own-policy.md`, executed: its files make a crate outside the workspace, with a policy
//! and an objective of its own.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The fenced block of `page` whose first line names `file` in a comment.
fn block(page: &str, file: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2);
    let named = |block: &&str| {
        let mut lines = block.lines();
        lines.next();
        lines.next().is_some_and(|line| line.trim_start_matches(['#', '/', ' ']) == file)
    };
    let block = blocks.into_iter().find(named).unwrap();
    block.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn a_crate_outside_the_workspace_trains_its_policy_as_the_guide_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap();
    let page = fs::read_to_string(root.join("docs/own-policy.md")).unwrap();
    // Below the workspace's folder of builds, so that its settings of libtorch hold here too.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..").canonicalize().unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let manifest = block(&page, "Cargo.toml").replace("SIDEREAL", &root.display().to_string());
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/lib.rs"), block(&page, "src/lib.rs")).unwrap();
    // The workspace's versions, which are the ones at hand without a network.
    fs::copy(root.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--quiet", "--lib", "--", "--test-threads", "1"])
        .current_dir(dir.path())
        .env("CARGO_TARGET_DIR", target.join("external_crate"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("2 passed"), "{text}");
}
