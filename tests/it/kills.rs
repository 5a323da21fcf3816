//! Killed by the system twenty times, in the middle of whatever it does, a run ends as if nothing
//! had been.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal::lab::{Pipeline, Recipe, Training};
use sidereal::train::Record;

use crate::pipeline::run;
use crate::shop;

const OUT: &str = "SIDEREAL_TEST_RUN";
const KILLS: usize = 20;

/// Supervised training and reinforcement, with more steps than kills in each.
fn recipe() -> Recipe {
    let mut recipe = shop::recipe();
    recipe.stages.truncate(2);
    for stage in &mut recipe.stages {
        match &mut stage.training {
            Training::Sft(config) => config.epochs = 4,
            Training::Rl { config, .. } => config.steps = 30,
            _ => {}
        }
    }
    recipe
}

#[test]
#[ignore = "a part of the test below, which starts it as a process of its own"]
fn the_run_that_is_killed() {
    let out = std::env::var_os(OUT).unwrap();
    let out = Path::new(&out);
    let dataset = shop::dataset(out.parent().unwrap());
    let device = sidereal::policy::device("cpu").unwrap();
    let recipe = recipe();
    Pipeline { recipe: &recipe, dataset: &dataset, published: None, baselines: &[], out, device }
        .run(&mut |_: &Record| {})
        .unwrap();
}

fn start(out: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::the_run_that_is_killed", "--ignored", "--nocapture"])
        .env(OUT, out)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines of the log, as a run that is under way leaves it.
fn logged(out: &Path) -> usize {
    let text = fs::read(out.join("metrics.jsonl")).unwrap_or_default();
    text.split(|byte| *byte == b'\n').count() - 1
}

#[test]
fn twenty_kills_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| {
        let parent = dir.path().join(name);
        fs::create_dir(&parent).unwrap();
        parent.join("run")
    });
    assert!(start(&whole).wait().unwrap().success());

    let log = fs::read_to_string(whole.join("metrics.jsonl")).unwrap();
    let supervised = log.lines().filter(|line| line.contains(r#""stage":"sft""#)).count();
    let all = log.lines().count();
    assert!(supervised > KILLS && all - supervised > KILLS, "{supervised} and {all} steps");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut moments: Vec<usize> = (0..KILLS)
        .map(|kill| if kill % 2 == 0 { 0..supervised } else { supervised..all })
        .map(|stage| rng.gen_range(stage))
        .collect();
    moments.sort_unstable();
    for moment in moments {
        let mut run = start(&broken);
        while logged(&broken) < moment {
            assert!(run.try_wait().unwrap().is_none(), "ended before step {moment} of {all}");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Between two steps, within one, in the middle of a checkpoint: wherever this ends.
        std::thread::sleep(Duration::from_micros(rng.gen_range(0..20_000)));
        run.kill().unwrap(); // SIGKILL
        run.wait().unwrap();
    }
    assert!(start(&broken).wait().unwrap().success());
    for file in
        ["metrics.jsonl", "sft/model.safetensors", "singer/model.safetensors", "evaluation.json"]
    {
        let read = |out: &Path| fs::read(out.join(file)).unwrap();
        assert!(read(&broken) == read(&whole), "{file} differs");
    }
}

#[test]
fn a_second_start_is_an_error_until_the_first_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut first = start(&out);
    while logged(&out) == 0 {
        assert!(first.try_wait().unwrap().is_none(), "ended before the first step");
        std::thread::sleep(Duration::from_millis(5));
    }
    let dataset = shop::dataset(dir.path());
    let recipe = recipe();
    let error = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err().to_string();
    let named = format!("the folder `{}` is in use by another process", out.display());
    assert!(error.contains(&named), "{error}");
    first.kill().unwrap(); // SIGKILL
    first.wait().unwrap();
    let mut kill = shop::Kill { stage: "singer", step: 1 };
    let again = AssertUnwindSafe(|| run(&recipe, &dataset, &out, &mut kill));
    assert!(catch_unwind(again).is_err(), "the second start reaches the second stage");
}
