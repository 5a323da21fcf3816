//! No room for a checkpoint: an error that names the file, and the one before stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use sidereal_policy::Weights;
use sidereal_train::{Binding, Checkpoints};
use tch::{Device, Kind, Tensor};

const DIR: &str = "SIDEREAL_TEST_CHECKPOINTS";

fn checkpoints(dir: &Path) -> Checkpoints {
    Checkpoints::new(dir, Binding::new())
}

fn weights(values: i64) -> Weights {
    Weights::from([("w".to_owned(), Tensor::ones([values], (Kind::Float, Device::Cpu)))])
}

#[test]
#[ignore = "a part of the test below, which starts it where files may not grow"]
fn the_process_that_runs_out() {
    let dir = std::env::var_os(DIR).unwrap();
    let checkpoints = checkpoints(Path::new(&dir));
    checkpoints.save(1, &1, &weights(8)).unwrap();
    let error = checkpoints.save(2, &2, &weights(1 << 20)).unwrap_err();
    assert!(error.to_string().contains("/partial/state."), "{error}");
    assert_eq!(checkpoints.load::<usize>().unwrap().unwrap().0, 1);
    let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name != ".lock").collect();
    assert_eq!(names, ["00000001"], "nothing of the second stays");
}

#[test]
fn a_full_disk_leaves_the_previous_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on the size of files is refused like a full disk once its signal is ignored.
    let limited =
        "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact the_process_that_runs_out --ignored";
    let run = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    // With room again, training goes on from what is there.
    let checkpoints = checkpoints(dir.path());
    let (step, found) = checkpoints.load::<usize>().unwrap().unwrap();
    assert_eq!((step, found["w"].size()), (1, vec![8]));
    checkpoints.save(2, &2, &weights(1 << 20)).unwrap();
    let (step, found) = checkpoints.load::<usize>().unwrap().unwrap();
    assert_eq!((step, found["w"].size()), (2, vec![1 << 20]));
}
