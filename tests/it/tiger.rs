//! A recipe of an encoder-decoder: trained, tested, killed and resumed, opened again, and asked.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::HeldOut as _;
use sidereal::lab::{
    HowToReason, LabError, ModelConfig, PretrainedConfig, Recipe, T5Shape, TrainedPolicy,
    TrainedStage, Training, Wanted,
};
use sidereal::metrics::SeenItems;
use sidereal::policy::{AnyPolicy, PolicyKind, SidTokenizer, T5, VocabularyExtension};
use sidereal::prompts::Task;
use sidereal::sid::{ItemId, SidSpec};
use sidereal::train::{AlignmentShare, ChainConfig, JsonLog, Ranking, Record};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop::{self, Kill};
use crate::titles;
use crate::worded;

fn rankings(run: &Path, stage: &str) -> Vec<Ranking> {
    let text = fs::read(run.join(format!("rankings/{stage}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A folder with the files of another.
fn copied(folder: &Path) -> TempDir {
    let elsewhere = TempDir::new().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, elsewhere.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    elsewhere
}

#[test]
fn a_t5_is_trained_tested_opened_and_asked() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let recipe = shop::recipe_in("tiger.toml");
    let whole = dir.path().join("whole");
    run(&recipe, &dataset, &whole, &mut |_: &Record| {}).unwrap();

    // Each user has two events to learn: every one is a row of its own, in batches of 16 of 120.
    let records = JsonLog::read(&whole.join("metrics.jsonl")).unwrap();
    let of_sft: Vec<&Record> = records.iter().filter(|record| record.stage == "tiger").collect();
    assert_eq!((of_sft.len(), of_sft[0].total), (4 * 8, 4 * 8));
    let losses: Vec<f64> =
        of_sft.iter().filter_map(|record| record.values.get("valid_loss").copied()).collect();
    assert!(losses.len() == 4 && losses[3] < losses[0], "{losses:?}");

    let device = sidereal::policy::device("cpu").unwrap();
    let split = recipe.split.split(&dataset, recipe.max_history).unwrap();
    let histories: Vec<&[ItemId]> = split.test.samples().map(|sample| sample.history).collect();
    let wanted =
        Wanted { num_items: 10.try_into().unwrap(), beam_width: 10, seen: SeenItems::Kept };
    for stage in ["tiger", "reinforced"] {
        let policy = TrainedPolicy::open(&whole.join(stage), device).unwrap();
        assert_eq!(policy.model.kind(), PolicyKind::T5);
        assert!(matches!(policy.model, AnyPolicy::T5(_)));
        // The folder of the policy alone answers the users of the test as the test did.
        let alone = copied(&whole.join(stage));
        let opened = TrainedStage::open(alone.path(), None, device).unwrap();
        let served = opened.standalone().unwrap().recommend(&histories, &wanted).unwrap();
        let rankings = rankings(&whole, stage);
        assert_eq!((served.len(), rankings.len()), (60, 60));
        for (served, ranking) in served.iter().zip(&rankings) {
            let items = served.iter().map(|found| found.item);
            assert!(items.eq(ranking.found.iter().flatten().copied()), "{served:?} {ranking:?}");
        }
        let how = HowToReason { chain: ChainConfig::default(), num_chains: 1, seed: 1 };
        let refused = opened.standalone().unwrap().reason(histories[0], &wanted, &how);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("kind `t5`") && refused.contains("ask it directly"), "{refused}");
    }

    // Killed between two steps of both trainings, the run ends with the same weights.
    let broken = dir.path().join("broken");
    for (stage, step) in [("tiger", 5), ("tiger", 20), ("reinforced", 2)] {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| run(&recipe, &dataset, &broken, &mut kill)));
        assert!(killed.is_err());
    }
    run(&recipe, &dataset, &broken, &mut |_: &Record| {}).unwrap();
    for file in ["tiger/model.safetensors", "reinforced/model.safetensors", "evaluation.json"] {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&broken) == read(&whole), "{file} differs");
    }
}

/// A small T5 in HF form that knows no Semantic IDs.
fn base(dir: &Path) -> std::path::PathBuf {
    let spec = SidSpec::new(vec![4, 4, 4], 0).unwrap();
    let out = worded::base(dir, &spec);
    let known = SidTokenizer::extend(&out, &spec, None).unwrap().vocab_size() - spec.num_tokens();
    let shape = T5Shape {
        hidden_size: 16,
        intermediate_size: 32,
        encoder_layers: 1,
        decoder_layers: 1,
        heads: 2,
        head_dim: 8,
        distance_buckets: 32,
        max_distance: 128,
    };
    let device = sidereal::policy::device("cpu").unwrap();
    T5::random(shape.t5(known, 0), 1, device).unwrap().save(&out).unwrap();
    out
}

fn on_base(dir: &Path) -> Recipe {
    let mut recipe = shop::recipe_in("tiger.toml");
    recipe.stages.truncate(1);
    let Training::Sft(config) = &mut recipe.stages[0].training else { unreachable!() };
    config.epochs = 1;
    (recipe.model, recipe.tokenizer) = (None, None);
    let vocabulary = VocabularyExtension::default();
    recipe.pretrained = Some(PretrainedConfig { base: base(dir), vocabulary });
    recipe
}

#[test]
fn a_pretrained_t5_is_trained_and_opened() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let recipe = on_base(dir.path());
    let out = dir.path().join("run");
    run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    let records = JsonLog::read(&out.join("metrics.jsonl")).unwrap();
    assert_eq!(records.iter().filter(|record| record.stage == "tiger").count(), 8);
    let device = sidereal::policy::device("cpu").unwrap();
    let opened = TrainedPolicy::open(&out.join("tiger"), device).unwrap();
    assert_eq!(opened.model.kind(), PolicyKind::T5);
}

#[test]
fn a_base_that_cannot_be_trained_so_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let refused = |recipe: &Recipe| {
        let error = run(recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err();
        assert!(!out.exists());
        error
    };
    let recipe = on_base(dir.path());
    let mut varied = recipe.clone();
    let Training::Sft(config) = &mut varied.stages[0].training else { unreachable!() };
    config.augment.drop = 0.2;
    let error = refused(&varied).to_string();
    assert!(error.contains("`stage.tiger.sft.augment`"), "{error}");
    let path = recipe.pretrained.as_ref().unwrap().base.join("config.json");
    fs::write(path, r#"{ "model_type": "gpt2" }"#).unwrap();
    let error = refused(&recipe);
    assert!(matches!(error, LabError::Policy(_)), "{error}");
    assert!(error.to_string().contains("`model_type` is \"gpt2\""), "{error}");
}

/// The model of `tiger.toml`.
fn t5_shape() -> ModelConfig {
    shop::recipe_in("tiger.toml").model.unwrap()
}

#[test]
fn a_t5_learns_words_beside_codes() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe_in("tiger.toml");
    let Training::Sft(config) = &mut recipe.stages[0].training else { unreachable!() };
    config.alignment_share = 0.5;
    let Training::Rl { config, .. } = &mut recipe.stages[1].training else { unreachable!() };
    let aligned = [Task::TitleToSid, Task::SidToTitle];
    config.alignment = aligned.map(|task| AlignmentShare { task, share: 0.4 }).to_vec();
    let mut mixed = recipe.stages[0].clone();
    (mixed.name, mixed.label) = ("mixed".to_owned(), "mixed".to_owned());
    let like = shop::recipe().stages.into_iter().find(|stage| stage.name == "mixed").unwrap();
    let Training::Sft(mut words) = like.training else { unreachable!() };
    let Training::Sft(config) = &recipe.stages[0].training else { unreachable!() };
    (words.optim, words.epochs) = (config.optim.clone(), 4);
    mixed.training = Training::Sft(words);
    recipe.stages.push(mixed);
    let out = dir.path().join("run");
    let outcome = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    for stage in ["tiger", "mixed"] {
        let losses: Vec<f64> = outcome
            .records
            .iter()
            .filter(|record| record.stage == stage)
            .filter_map(|record| record.values.get("valid_loss").copied())
            .collect();
        assert!(losses.len() > 1 && losses[losses.len() - 1] < losses[0], "{stage}: {losses:?}");
    }
    for label in ["TIGER", "reinforced", "mixed"] {
        assert!(outcome.report.rows().iter().any(|row| row.system == label), "{label}");
    }
}

#[test]
fn a_t5_answers_in_titles_and_slates_of_them() {
    let dir = TempDir::new().unwrap();
    let dataset = titles::dataset(dir.path());
    for (file, stages) in
        [("titles.toml", &["sft", "sdpo"][..]), ("slates.toml", &["sft", "choice", "sage"])]
    {
        let mut recipe = shop::recipe_in(file);
        recipe.model = Some(t5_shape());
        recipe.stages.retain(|stage| stages.contains(&stage.name.as_str()));
        let out = dir.path().join(file);
        let outcome = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
        for stage in &recipe.stages {
            let rankings = rankings(&out, &stage.name);
            assert!(rankings.len() > 20, "{file}, {}: {}", stage.name, rankings.len());
            // A whole pool in order, of which one is the target; or a slate of four.
            let slates = stage.task == Task::TitleSlate;
            for ranking in &rankings {
                let items: BTreeSet<ItemId> = ranking.found.iter().flatten().copied().collect();
                assert_eq!(items.len(), if slates { 4 } else { 6 }, "{ranking:?}");
                assert!(slates || items.contains(&ranking.target), "{ranking:?}");
                assert!(ranking.scores.iter().all(|score| score.is_finite()));
            }
            assert!(outcome.report.rows().iter().any(|row| row.system == stage.label), "{file}");
        }
    }
}
