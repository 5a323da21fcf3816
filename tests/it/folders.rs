//! A run's folder over its life: further stages, other settings, lost files, other recommenders, an
//! earlier version.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;
use sidereal::baselines::{BaselineError, Recommender};
use sidereal::data::Dataset;
use sidereal::lab::{
    Baseline, LabError, Pipeline, Recipe, RqKMeansConfig, RunResult, SidMethod, Stage, Training,
};
use sidereal::metrics::{Metric, Row, SeenItems};
use sidereal::quantizer::Collisions;
use sidereal::sid::ItemId;
use sidereal::train::Record;
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop::{self, Kill};

/// The first stages of the shop's recipe.
fn of_stages(count: usize) -> Recipe {
    let mut recipe = shop::recipe();
    recipe.stages.truncate(count);
    recipe.evaluate.compare_with.clear();
    recipe
}

/// Steps of each stage that a start trained, and its outcome.
fn start(recipe: &Recipe, dataset: &Dataset, out: &Path) -> (BTreeMap<String, usize>, RunResult) {
    let mut steps = BTreeMap::new();
    let outcome = run(recipe, dataset, out, &mut |record: &Record| {
        *steps.entry(record.stage.clone()).or_insert(0) += 1;
    });
    (steps, outcome.unwrap())
}

fn rl(stage: &mut Stage) -> &mut sidereal::train::RlConfig {
    let Training::Rl { config, .. } = &mut stage.training else { unreachable!() };
    config
}

fn kmeans(recipe: &mut Recipe) -> &mut RqKMeansConfig {
    let Some(SidMethod::RqKMeans(config)) = recipe.sids.as_mut().map(|sids| &mut sids.method)
    else {
        unreachable!()
    };
    config
}

fn hit_rate(outcome: &RunResult, system: &str, rule: SeenItems) -> f64 {
    let ten: Metric = "HR@10".parse().unwrap();
    let mut rows = outcome.report.rows().iter();
    let row = rows.find(|row| row.system == system && row.protocol.seen_items == rule).unwrap();
    row.get(ten).unwrap().value
}

#[test]
fn a_run_can_grow_and_only_changed_settings_of_trained_stages_are_errors() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let (steps, _) = start(&of_stages(1), &dataset, &out);
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["sft"]);
    let weights = || fs::metadata(out.join("sft/model.safetensors")).unwrap().modified().unwrap();
    let trained = weights();

    // A further stage, other settings of the test, another label: nothing is trained again.
    let mut grown = of_stages(2);
    grown.stages[0].label = "fine-tuned".to_owned();
    grown.evaluate.beam_width = 15;
    grown.evaluate.resamples = 60;
    grown.evaluate.compare_with = vec!["popularity".to_owned()];
    grown.keep_checkpoints = 3.try_into().unwrap();
    let (steps, second) = start(&grown, &dataset, &out);
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["singer"]);
    assert_eq!(weights(), trained);
    let of_sft = second.report.rows().iter().filter(|row| row.system == "fine-tuned");
    assert!(
        of_sft.clone().all(|row| row.protocol.beam_width.is_none_or(|width| width.get() == 15))
    );
    assert!(of_sft.count() > 0 && second.report.rows().iter().all(|row| row.system != "SFT"));
    assert!(fs::read_to_string(out.join("config.toml")).unwrap().contains("fine-tuned"));

    // A stage that is left out stays for later; nothing is done twice.
    assert!(start(&of_stages(1), &dataset, &out).0.is_empty());
    assert!(start(&grown, &dataset, &out).0.is_empty());

    // Settings that stages were trained with.
    let refusal = |change: &dyn Fn(&mut Recipe)| {
        let mut other = grown.clone();
        change(&mut other);
        run(&other, &dataset, &out, &mut |_: &Record| {}).unwrap_err().to_string()
    };
    for (error, setting) in [
        (refusal(&|other| rl(&mut other.stages[1]).steps += 1), "`stage.singer.rl.steps`"),
        (refusal(&|other| other.seed += 1), "`seed`"),
        (refusal(&|other| other.max_history = 3), "`max_history`"),
        (refusal(&|other| other.evaluate.valid_users = 9), "`evaluate.valid_users`"),
        (refusal(&|other| kmeans(other).iterations = 7), "`sids.iterations`"),
        (
            refusal(&|other| other.sids.as_mut().unwrap().collisions = Collisions::Slot),
            "`sids.collisions`",
        ),
        (refusal(&|other| other.stages = shop::recipe().stages), "set of tasks"),
    ] {
        assert!(error.contains(setting), "{setting}: {error}");
    }
    let mut other = grown.clone();
    rl(&mut other.stages[1]).steps += 1;
    fs::remove_dir_all(out.join("singer")).unwrap();
    let (steps, _) = start(&other, &dataset, &out);
    assert_eq!(steps.keys().collect::<Vec<_>>(), ["singer"]);
    assert!(fs::read_to_string(out.join("config.toml")).unwrap().contains("steps = 7"));
}

#[test]
fn the_folder_of_an_earlier_version_goes_on_where_it_stopped() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let [whole, out] = ["whole", "run"].map(|name| dir.path().join(name));
    let recipe = of_stages(2);
    start(&recipe, &dataset, &whole);
    let mut kill = Kill { stage: "singer", step: 4 };
    let killed = catch_unwind(AssertUnwindSafe(|| run(&recipe, &dataset, &out, &mut kill)));
    assert!(killed.is_err());

    // That version hashed settings in its own way, kept them in `config.toml` alone, knew one key
    // less, and recorded fewer files.
    let edit = |path: &Path, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
    };
    edit(&out.join("manifest.json"), &|manifest| {
        manifest.as_object_mut().unwrap().remove("settings").unwrap();
        for (name, part) in manifest["stages"].as_object_mut().unwrap() {
            let part = part.as_object_mut().unwrap();
            part.remove("made_with");
            part["inputs"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("encoder/"));
            if let Some(settings) = part["inputs"].get_mut("settings") {
                *settings = format!("old {name}").into();
            }
            part["outputs"].as_object_mut().unwrap().retain(|file, _| {
                [
                    "model.safetensors",
                    "sidereal.json",
                    "tokenizer.json",
                    "catalog.json",
                    "quality.json",
                ]
                .iter()
                .chain(&["embeddings.safetensors"])
                .any(|kept| file.ends_with(kept))
            });
        }
    });
    edit(&out.join("singer/checkpoints/00000002/state.json"), &|head| {
        head["binding"]["settings"] = "old singer".into();
        head["state"].as_object_mut().unwrap().remove("best_step").unwrap();
    });
    let config = out.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("recompute = false\n"));
    fs::write(&config, text.replace("recompute = false\n", "")).unwrap();

    let (steps, _) = start(&recipe, &dataset, &out);
    assert_eq!(steps, BTreeMap::from([("singer".to_owned(), 4)]));
    for file in
        ["metrics.jsonl", "sft/model.safetensors", "singer/model.safetensors", "evaluation.json"]
    {
        let read = |out: &Path| fs::read(out.join(file)).unwrap();
        assert!(read(&out) == read(&whole), "{file} differs");
    }
    assert!(start(&recipe, &dataset, &out).0.is_empty());
    let manifest = fs::read_to_string(out.join("manifest.json")).unwrap();
    for kept in ["\"made_with\"", "\"threads\"", "\"libtorch\": \"2.", "sft/config.json"] {
        assert!(manifest.contains(kept), "{kept}");
    }
}

#[test]
fn a_part_that_lost_a_file_is_done_again() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let mut recipe = of_stages(1);
    let Training::Sft(config) = &mut recipe.stages[0].training else { unreachable!() };
    config.epochs = 1;
    start(&recipe, &dataset, &out);
    for (file, trains) in [
        ("sft/config.json", true),
        ("sft/tokenizer.json", true),
        ("sft/catalog.json", true),
        ("tokenizer/tokenizer_config.json", false),
        ("codebooks/codebooks.json", false),
        ("quality.json", false),
        ("buckets.json", false),
    ] {
        let path = out.join(file);
        let before = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (steps, _) = start(&recipe, &dataset, &out);
        assert_eq!(!steps.is_empty(), trains, "{file}");
        assert!(fs::read(&path).unwrap() == before, "{file}");
        fs::write(&path, "damaged").unwrap();
        start(&recipe, &dataset, &out);
        assert!(fs::read(&path).unwrap() == before, "{file}");
    }
}

#[test]
fn rankings_of_an_earlier_version_without_an_order_are_refused_by_stage_and_sample() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let recipe = of_stages(1);
    start(&recipe, &dataset, &out);
    let [rankings, manifest] = ["rankings/sft.json", "manifest.json"].map(|file| out.join(file));
    let mut answers: Value = serde_json::from_slice(&fs::read(&rankings).unwrap()).unwrap();
    answers[3]["scores"][0] = Value::Null;
    let sample = answers[3]["id"].as_str().unwrap().to_owned();
    fs::write(&rankings, answers.to_string()).unwrap();
    let mut parts: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let hash = sidereal::files::hash_file(&rankings).unwrap();
    parts["stages"]["rankings of sft"]["outputs"]["rankings/sft.json"] = hash.into();
    fs::write(&manifest, parts.to_string()).unwrap();
    let read = sidereal::lab::FinishedRun::read(&out, SeenItems::Kept).map(drop);
    fs::remove_file(out.join("evaluation.json")).unwrap();
    let again = run(&recipe, &dataset, &out, &mut |_: &Record| {}).map(drop);
    for error in [again, read].map(|result| result.unwrap_err().to_string()) {
        assert!(error.contains(&format!("stage `sft` to sample {sample} has a score")), "{error}");
    }
    fs::remove_file(&rankings).unwrap();
    start(&recipe, &dataset, &out);
}

/// Likes items with large, or small, identities.
struct ByIdentity(f32);

impl Recommender for ByIdentity {
    fn num_items(&self) -> usize {
        40
    }

    fn score(&self, _: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        (0u16..).zip(scores).for_each(|(item, score)| *score = self.0 * f32::from(item));
        Ok(())
    }
}

#[test]
fn a_changed_baseline_with_the_same_name_is_tested_again() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let recipe = of_stages(1);
    let device = sidereal::policy::device("cpu").unwrap();
    let tested = |recommender: &ByIdentity| -> Result<RunResult, LabError> {
        let baselines = &[Baseline { name: "mine", recommender }];
        let (recipe, dataset, out) = (&recipe, &dataset, out.as_path());
        Pipeline { recipe, dataset, published: None, baselines, out, device }
            .run(&mut |_: &Record| {})
    };
    let [large, small] = [1.0, -1.0].map(|sign| tested(&ByIdentity(sign)).unwrap());
    let rows = |outcome: &RunResult| -> Vec<Row> {
        outcome.report.rows().iter().filter(|row| row.system == "mine").cloned().collect()
    };
    assert!(rows(&large).len() == 2 && rows(&large) != rows(&small));
    let written = || fs::metadata(out.join("evaluation.json")).unwrap().modified().unwrap();
    let before = written();
    let again = tested(&ByIdentity(-1.0)).unwrap();
    assert!(rows(&again) == rows(&small) && written() == before);
}

#[test]
fn a_stage_that_returns_its_start_is_marked_wherever_its_row_is_shown() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let out = dir.path().join("run");
    let mut recipe = of_stages(2);
    // Too small a rate to move any weight by a bit that matters.
    rl(&mut recipe.stages[1]).optim.lr = 1e-30;
    let (_, outcome) = start(&recipe, &dataset, &out);
    let text = outcome.report.to_string();
    let sentence = "(= its start): no step of the training was better on validation";
    assert!(text.contains("| SINGER (= its start) |"), "{text}");
    assert!(text.contains("SINGER (= its start) − SFT: HR@10 +0.0000"), "{text}");
    assert!(text.contains(sentence) && !text.contains("SFT (="), "{text}");
    let read = |file: &str| fs::read_to_string(out.join(file)).unwrap();
    assert!(read("evaluation.json").contains(r#""mark": "= its start""#));
    assert!(read("manifest.json").contains(r#""best_step": 0"#));
    let page = out.join("report.html");
    outcome.write_page("run", &page).unwrap();
    let page = fs::read_to_string(page).unwrap();
    // Both tables of metrics with seen items kept and removed, by Semantic ID, and the one by kind of user.
    assert!(page.matches("SINGER (= its start)").count() >= 4 && page.contains(sentence));

    // So are the rows of folders whose manifest does not say it: their logs do.
    let manifest = out.join("manifest.json");
    let silent = read("manifest.json").replace(r#""best_step": 0,"#, "");
    fs::write(&manifest, silent).unwrap();
    let finished = sidereal::lab::FinishedRun::read(&out, SeenItems::Kept).unwrap();
    let bootstrap = sidereal::metrics::BootstrapConfig::new(1).try_into().unwrap();
    let metric = "HR@10".parse().unwrap();
    let compared =
        sidereal::lab::RunComparison::new(&[finished], metric, Some("SFT"), &bootstrap).unwrap();
    let table = compared.table();
    assert!(table.rows[1][1].ends_with("(= its start)") && table.notes[0].starts_with(sentence));
    assert!(!table.rows[0][1].contains('='));
}

#[test]
fn finished_folders_are_compared_by_the_numbers_of_their_own_tests() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = of_stages(2);
    let runs = [1, 2].map(|seed| {
        recipe.seed = seed;
        let out = dir.path().join(format!("run-{seed}"));
        let (_, outcome) = start(&recipe, &dataset, &out);
        (out, outcome)
    });
    let bootstrap = sidereal::metrics::BootstrapConfig::new(1).try_into().unwrap();
    let metric = "HR@10".parse().unwrap();
    for rule in [SeenItems::Kept, SeenItems::Removed] {
        let finished = runs.iter().map(|(out, _)| sidereal::lab::FinishedRun::read(out, rule));
        let finished: Vec<_> = finished.collect::<Result<_, _>>().unwrap();
        let found =
            sidereal::lab::RunComparison::new(&finished, metric, Some("SFT"), &bootstrap).unwrap();
        assert_eq!(found.runs, ["run-1", "run-2"]);
        assert_eq!(found.seen_items, rule);
        let mut means = Vec::new();
        for (system, label) in found.systems.iter().zip(["SFT", "SINGER"]) {
            assert_eq!(system.label, label);
            let rates = [&runs[0].1, &runs[1].1].map(|outcome| hit_rate(outcome, label, rule));
            for (value, rate) in system.runs.iter().zip(rates) {
                assert!((value.unwrap() - rate).abs() < 1e-12, "{label}");
            }
            means.push(f64::midpoint(rates[0], rates[1]));
            assert!((system.mean - means[means.len() - 1]).abs() < 1e-12);
        }
        let test = found.systems[1].difference.as_ref().unwrap();
        assert!((test.difference - (means[1] - means[0])).abs() < 1e-12 && test.num_users == 60);
    }
    // A folder of a version that kept no seen items says how they come to be there, and a start makes them.
    let first = runs[0].0.clone();
    fs::remove_file(first.join("seen.json")).unwrap();
    let removed = || sidereal::lab::FinishedRun::read(&first, SeenItems::Removed);
    let error = removed().unwrap_err().to_string();
    assert!(error.contains("start its recipe once more"), "{error}");
    recipe.seed = 1;
    start(&recipe, &dataset, &first);
    assert!(removed().is_ok());

    fs::remove_file(runs[1].0.join("rankings/singer.json")).unwrap();
    let error =
        sidereal::lab::FinishedRun::read(&runs[1].0, SeenItems::Kept).unwrap_err().to_string();
    assert!(error.contains("rankings/singer.json"), "{error}");
}
