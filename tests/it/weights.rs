//! Which weights learn, and in what they are multiplied.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sidereal::lab::{Compute, LabError, Pipeline, Recipe, Training};
use sidereal::policy::LoraConfig;
use sidereal::train::{Embeddings, Layers, Record, TrainableConfig};
use tempfile::TempDir;

use crate::shop::{self, Kill};

fn run(recipe: &Recipe, dir: &Path, out: &str) -> Result<Vec<Record>, LabError> {
    let dataset = shop::dataset(dir);
    let (out, device) = (&dir.join(out), sidereal::policy::device("cpu").unwrap());
    let mut records = Vec::new();
    Pipeline { recipe, dataset: &dataset, published: None, baselines: &[], out, device }
        .run(&mut |record: &Record| records.push(record.clone()))?;
    Ok(records)
}

/// Element type and bytes of each tensor of a file.
fn tensors(path: &Path) -> BTreeMap<String, (String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let (len, rest) = bytes.split_at(8);
    let len = usize::try_from(u64::from_le_bytes(len.try_into().unwrap())).unwrap();
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&rest[..len]).unwrap();
    let of_tensor = |(name, entry): (String, serde_json::Value)| {
        let at =
            |end: usize| usize::try_from(entry["data_offsets"][end].as_u64().unwrap()).unwrap();
        let data = rest[len + at(0)..len + at(1)].to_vec();
        (name, (entry["dtype"].as_str().unwrap().to_owned(), data))
    };
    header.into_iter().filter(|(name, _)| name != "__metadata__").map(of_tensor).collect()
}

fn weights(dir: &Path, stage: &str) -> BTreeMap<String, (String, Vec<u8>)> {
    tensors(&dir.join(stage).join("model.safetensors"))
}

/// The stages of these names, in the recipe's order.
fn of_stages(names: &[&str]) -> Recipe {
    let mut recipe = shop::recipe();
    recipe.stages.retain(|stage| names.contains(&stage.name.as_str()));
    recipe.evaluate.compare_with.clear();
    recipe
}

#[test]
fn reinforcement_and_preferences_train_adapters_alone_and_survive_kills() {
    let dir = TempDir::new().unwrap();
    // Several updates a step with a reference that follows, and preferences after it.
    let mut recipe = of_stages(&["sft", "singer", "srpo", "sdpo"]);
    let target_modules = vec!["q_proj".to_owned(), "down_proj".to_owned()];
    let lora = LoraConfig { rank: 2, target_modules, ..LoraConfig::default() };
    let adapters = TrainableConfig {
        layers: Layers::Lora(lora.try_into().unwrap()),
        embeddings: Embeddings::Frozen,
    };
    for stage in &mut recipe.stages {
        match &mut stage.training {
            Training::Rl { config, .. } => config.trainable = adapters.clone(),
            Training::Preference(config) => config.trainable = adapters.clone(),
            _ => {}
        }
    }
    let dataset = shop::dataset(dir.path());
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    run(&recipe, dir.path(), "whole").unwrap();
    for (stage, step) in [("srpo", 4), ("sdpo", 4)] {
        let mut kill = Kill { stage, step };
        let device = sidereal::policy::device("cpu").unwrap();
        let (recipe, dataset, out) = (&recipe, &dataset, broken.as_path());
        let pipeline = Pipeline { recipe, dataset, published: None, baselines: &[], out, device };
        let killed = std::panic::AssertUnwindSafe(|| pipeline.run(&mut kill));
        assert!(std::panic::catch_unwind(killed).is_err());
        let newest = fs::read_dir(broken.join(stage).join("checkpoints")).unwrap();
        let newest = newest.map(|entry| entry.unwrap().path()).max().unwrap();
        let kept = tensors(&newest.join("state.safetensors"));
        let learned: Vec<_> = kept.iter().filter(|(name, _)| name.starts_with("weight.")).collect();
        assert!(learned.iter().all(|(name, _)| name.contains("lora_")), "{stage}");
        // They begin as zeros.
        let moved = |(_, bytes): &(String, Vec<u8>)| bytes.iter().any(|byte| *byte != 0);
        assert!(learned.iter().any(|(name, tensor)| name.contains("lora_B") && moved(tensor)));
    }
    run(&recipe, dir.path(), "broken").unwrap();
    let before = weights(&whole, "sft");
    for stage in ["srpo", "sdpo"] {
        let file = format!("{stage}/model.safetensors");
        assert!(fs::read(whole.join(&file)).unwrap() == fs::read(broken.join(&file)).unwrap());
        for (name, weight) in weights(&whole, stage) {
            let may_move = name.contains("q_proj") || name.contains("down_proj");
            assert!(may_move || weight == before[&name], "{stage}: {name}");
        }
    }
}

#[test]
fn bf16_products_train_f32_weights_along_the_same_curve() {
    let dir = TempDir::new().unwrap();
    let mut recipe = of_stages(&["sft", "singer", "sdpo"]);
    recipe.stages[2].from = Some("sft".to_owned());
    for stage in &mut recipe.stages {
        if let Training::Sft(config) = &mut stage.training {
            config.dropout = 0.0;
        }
    }
    let losses = |records: &[Record]| -> BTreeMap<usize, f64> {
        let sft = records.iter().filter(|record| record.stage == "sft");
        sft.map(|record| (record.step, record.values["loss"])).collect()
    };
    let single = losses(&run(&recipe, dir.path(), "f32").unwrap());
    recipe.compute = Compute::Bf16;
    let half = losses(&run(&recipe, dir.path(), "bf16").unwrap());
    assert_eq!(single.keys().collect::<Vec<_>>(), half.keys().collect::<Vec<_>>());
    let far = |step: &usize| (single[step] - half[step]).abs() / single[step];
    let worst = single.keys().map(far).fold(0.0, f64::max);
    assert!(worst > 0.0 && worst < 0.02, "{worst}");
    for stage in ["sft", "singer", "sdpo"] {
        let weights = weights(&dir.path().join("bf16"), stage);
        assert!(weights.values().all(|(kind, _)| kind == "F32"), "{stage}");
    }
}
