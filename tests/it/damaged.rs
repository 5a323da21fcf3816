//! Damaged input ends in an error that names file and place, and leaves nothing half-written.

use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::SampleId;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{Stage, Training};
use sidereal::policy::{Decoder, TextEncoder};
use sidereal::train::{Record, RlConfig};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop;

/// The error and its causes, as a program prints them.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What reading the shop says after `damage`.
fn refusal(damage: impl FnOnce(&Path, &Path)) -> String {
    let dir = TempDir::new().unwrap();
    let (inter, item) = shop::write(dir.path());
    damage(&inter, &item);
    words(&read(&inter, &item, &ReadOptions::new(1)).unwrap_err())
}

fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn damaged_tables_name_file_and_line() {
    let append = |path: &Path, bytes: &[u8]| {
        let mut text = fs::read(path).unwrap();
        text.extend_from_slice(bytes);
        fs::write(path, text).unwrap();
    };
    assert_names(&refusal(|inter, _| fs::write(inter, "").unwrap()), &["shop.inter", "empty"]);
    let header = "user_id:token\titem:token\ttimestamp:float\nu\ti\t1\n";
    assert_names(
        &refusal(|inter, _| fs::write(inter, header).unwrap()),
        &["shop.inter", "item_id"],
    );
    let unknown = refusal(|inter, _| append(inter, b"u0\tno such item\t9\n"));
    assert_names(&unknown, &["shop.inter", "302", "no such item"]);
    let bytes = refusal(|inter, _| append(inter, b"u0\t\xff\xfe\t9\n"));
    assert_names(&bytes, &["shop.inter", "302"]);
    let short = refusal(|inter, _| append(inter, b"alone\ttea pot-red\t1\n"));
    assert_names(&short, &["shop.inter", "302", "alone"]);
    let ragged = refusal(|_, item| append(item, b"half a row\n"));
    assert_names(&ragged, &["shop.item", "42"]);
}

#[test]
fn damaged_tensor_files_name_file_and_tensor() {
    let dir = TempDir::new().unwrap();
    for file in fs::read_dir(shop::encoder()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let weights = dir.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let device = sidereal::policy::device("cpu").unwrap();
    let error = TextEncoder::load(dir.path(), device).unwrap_err();
    assert_names(&words(&error), &["model.safetensors"]);
    fs::write(&weights, b"").unwrap();
    let error = Decoder::load(dir.path(), device).unwrap_err();
    assert_names(&words(&error), &["model_type"]);
}

/// What a run says whose first stages were changed.
fn stopped(stages: usize, change: impl FnOnce(&mut [Stage])) -> String {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe();
    recipe.stages.truncate(stages);
    change(&mut recipe.stages);
    let out = dir.path().join("run");
    run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err().to_string()
}

#[test]
fn a_diverging_supervised_training_stops_and_names_its_step_samples_and_checkpoint() {
    let run = |checkpoint_every| {
        stopped(1, |stages| {
            let Training::Sft(config) = &mut stages[0].training else { unreachable!() };
            (config.optim.lr, config.optim.warmup) = (1e30, 0.0);
            config.checkpoint_every = checkpoint_every;
        })
    };
    assert_names(&run(2), &["sft diverged at step 2", "there is no checkpoint"]);
    let error = run(1);
    assert_names(&error, &["sft diverged at step 2", "sft/checkpoints/00000001`"]);
    let (_, samples) = error.split_once("samples ").unwrap();
    let samples: Vec<SampleId> = samples.split(' ').map(|id| id.parse().unwrap()).collect();
    assert!(samples.len() >= 16, "{error}");
}

#[test]
fn a_diverging_reinforcement_stops_and_names_its_step_samples_and_checkpoint() {
    let run = |change: fn(&mut RlConfig)| {
        stopped(2, |stages| {
            let Training::Rl { config, .. } = &mut stages[1].training else { unreachable!() };
            change(config);
        })
    };
    // The policy is its own reference until the first update.
    let kl = run(|config| config.max_kl = 1e-12);
    assert_names(&kl, &["singer", "at step 2", "divergence from the reference", "samples u"]);
    assert_names(&kl, &["singer/checkpoints/0000000"]);
    let entropy = run(|config| config.min_entropy = 100.0);
    assert_names(&entropy, &["singer", "at step 1", "the entropy of a token", "samples u"]);
}

/// Puts a NaN into the first number of a tensor of a file.
fn spoil(path: &Path, tensor: &str) {
    let mut bytes = fs::read(path).unwrap();
    let len = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let at = header[tensor]["data_offsets"][0].as_u64().unwrap();
    let at = 8 + len + usize::try_from(at).unwrap();
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_weight_that_is_not_a_number_stops_every_kind_of_training_by_stage_and_step() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe();
    recipe.stages.retain(|stage| ["sft", "singer", "sdpo"].contains(&stage.name.as_str()));
    recipe.stages[2].from = Some("sft".to_owned());
    let out = dir.path().join("run");
    for (stage, found) in [
        ("sft", "sft diverged at step 3: the loss is NaN"),
        ("singer", "singer diverged at step 2: a weight is NaN"),
        ("sdpo", "sdpo diverged at step 2: a weight is NaN"),
    ] {
        let mut kill = shop::Kill { stage, step: 3 };
        let killed = AssertUnwindSafe(|| run(&recipe, &dataset, &out, &mut kill));
        assert!(catch_unwind(killed).is_err());
        let state = out.join(stage).join("checkpoints/00000002/state.safetensors");
        let whole = fs::read(&state).unwrap();
        spoil(&state, "weight.model.norm.weight");
        let error = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err();
        assert_names(&words(&error), &[found]);
        fs::write(&state, whole).unwrap();
    }
}
