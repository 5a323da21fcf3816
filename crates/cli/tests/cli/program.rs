//! Starts the program and keeps what it says.

use std::path::Path;
use std::process::Command;

/// What a start of the program came to.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts the program in a folder.
pub(crate) fn sidereal(dir: &Path, args: &[&str]) -> Finished {
    let output = Command::new(env!("CARGO_BIN_EXE_sidereal"))
        .args(args)
        .current_dir(dir)
        .env("OMP_NUM_THREADS", "1")
        .env_remove("RUST_LOG")
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// As [`sidereal`], which must succeed; returns stdout.
pub(crate) fn succeeds(dir: &Path, args: &[&str]) -> String {
    let finished = sidereal(dir, args);
    assert_eq!(finished.code, Some(0), "{args:?}: {}", finished.stderr);
    finished.stdout
}

/// As [`sidereal`], which must end with this code; returns stderr.
pub(crate) fn fails(dir: &Path, args: &[&str], code: i32) -> String {
    let finished = sidereal(dir, args);
    assert_eq!(finished.code, Some(code), "{args:?}: {}", finished.stderr);
    assert_eq!(finished.stdout, "", "{args:?}");
    finished.stderr
}
