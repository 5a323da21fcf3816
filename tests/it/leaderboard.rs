//! A leaderboard of the shipped shop, from files to the page: killed, resumed, and asked once more.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::Dataset;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::lab::{
    Board, BoardRecipe, FinishedRun, LabError, Leaderboard, PublishedNumbers, RunComparison,
    SystemConfig, TuningEnd,
};
use sidereal::metrics::{BootstrapConfig, Metric, SeenItems};
use sidereal::train::{Observer, Record};
use tempfile::TempDir;

use crate::shop::{self, Kill};

const NUMBERS: &str = "[[result]]\nsystem = 'Steps'\ndataset = 'shop'\nprotocol = 'all items'\n\
    source = 'a paper'\nby = 'authors'\nvalues = { 'HR@10' = 0.4321 }\n";

/// Part of the shipped shop, so that a test takes seconds.
fn shipped() -> Dataset {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/shop");
    let options = ReadOptions::new(1);
    let data = read(&dir.join("shop.inter"), &dir.join("shop.item"), &options).unwrap().dataset;
    let users = data.users()[..400].to_vec();
    Dataset::new(data.items().to_vec(), users).unwrap()
}

fn lead(
    recipe: &BoardRecipe,
    dataset: &Dataset,
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<Board, LabError> {
    let numbers = &PublishedNumbers::parse(NUMBERS, Path::new("numbers.toml")).unwrap();
    let device = sidereal::policy::device("cpu").unwrap();
    Leaderboard { recipe, dataset, published: None, numbers, out, device }.run(observer)
}

/// The leaderboard `demo`, with one epoch of its neural system, with published numbers for one of its systems.
fn demo() -> BoardRecipe {
    let mut recipe = BoardRecipe::preset("demo").unwrap();
    recipe.resamples = 20;
    recipe.dataset = Some("shop".to_owned());
    let neural = recipe.systems.iter_mut().find(|system| system.name == "sasrec").unwrap();
    neural.settings.insert("train.epochs".to_owned(), 1.into());
    neural.settings.insert("attention_dropout".to_owned(), 0.into());
    neural.settings.insert("dropout".to_owned(), 0.into());
    let steps = recipe.systems.iter_mut().find(|system| system.name == "transitions").unwrap();
    steps.published = Some("Steps".to_owned());
    recipe
}

/// All that a leaderboard says besides its times.
fn results(board: &Board) -> serde_json::Value {
    fn without_times(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(table) => {
                table.retain(|key, _| !["cost", "users_per_second"].contains(&key.as_str()));
                table.values_mut().for_each(without_times);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(without_times),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(board).unwrap();
    without_times(&mut value);
    value
}

#[test]
fn a_leaderboard_that_was_killed_goes_on_and_ends_the_same() {
    let dir = TempDir::new().unwrap();
    let (dataset, recipe) = (shipped(), demo());
    let whole = lead(&recipe, &dataset, &dir.path().join("whole"), &mut |_: &Record| {}).unwrap();
    whole_is_sound(&whole);

    let out = dir.path().join("killed");
    for (stage, step) in [("tune transitions", 2), ("test item-neighbours, seed 1", 1)] {
        let start = || lead(&recipe, &dataset, &out, &mut Kill { stage, step });
        assert!(catch_unwind(AssertUnwindSafe(start)).is_err(), "not killed in {stage}");
        if stage == "tune transitions" {
            let trials = out.join("systems/transitions/trials.json");
            let trials: serde_json::Value =
                serde_json::from_slice(&fs::read(&trials).unwrap()).unwrap();
            assert_eq!(trials["trials"].as_array().unwrap().len(), 2);
        }
    }
    let resumed = lead(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    assert_eq!(results(&resumed), results(&whole));
    assert!(!out.join("systems/transitions/trials.json").exists());

    // Once more: nothing is left to do, so even the times are the same.
    let idle = lead(&recipe, &dataset, &out, &mut |_: &Record| panic!("works again")).unwrap();
    assert_eq!(serde_json::to_value(&idle).unwrap(), serde_json::to_value(&resumed).unwrap());
    let page = dir.path().join("board.html");
    idle.write_page("The shop", &page).unwrap();
    let html = fs::read_to_string(page).unwrap();
    for part in ["<svg", "item transitions", "a paper", "0.4321", "Accuracy against cost"] {
        assert!(html.contains(part), "{part}");
    }
}

/// What holds for every leaderboard of these systems.
fn whole_is_sound(board: &Board) {
    let labels: Vec<&str> = board.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(
        labels,
        ["popularity", "item transitions", "item neighbours", "SASRec, three epochs"]
    );
    assert!(board.left_out.is_empty() && board.data.num_test == 400 && board.data.num_valid == 400);
    // Which item follows tells more in this shop than which are popular.
    let metric: Metric = "NDCG@10".parse().unwrap();
    for rule in [SeenItems::Kept, SeenItems::Removed] {
        let of = |row: usize| board.rows[row].value(rule, metric).unwrap();
        assert!(of(0).value < of(1).value);
        assert_eq!(board.best(rule).unwrap().label, "item transitions");
        assert!(of(1).against_best.is_none() && of(0).against_best.unwrap().difference < 0.0);
        assert!(of(1).interval.low < of(1).value && of(1).value < of(1).interval.high);
    }
    let [popular, steps, near] = [0, 1, 2].map(|row| board.rows[row].tuned.as_ref().unwrap());
    assert!(popular.trials.is_empty() && popular.end == TuningEnd::NoGrid);
    for tuned in [steps, near] {
        assert!((1..=6).contains(&tuned.trials.len()));
        let best = tuned.trials.iter().map(|trial| trial.value).fold(0.0, f64::max);
        assert!(tuned.value().unwrap() >= best);
        assert!(tuned.trials.iter().any(|trial| trial.settings == tuned.settings));
    }
    // A published number stands beside, and nowhere among those that were measured.
    let table = board.measured(SeenItems::Removed);
    let column = |name: &str| table.header.iter().position(|header| header == name).unwrap();
    assert_eq!(table.rows[1][column("published HR@10")], "0.4321");
    assert!(table.rows[1][column("published by")].contains("a paper"));
    assert_eq!(table.rows[0][column("published HR@10")], "");
    assert!(!table.rows[1][column("HR@10")].contains("0.4321"));
}

#[test]
fn a_system_that_cannot_be_trained_is_left_out_and_named() {
    let dir = TempDir::new().unwrap();
    let (dataset, mut recipe) = (shipped(), demo());
    recipe.systems.truncate(1);
    for (name, kind, settings) in [
        ("ease", "ease", serde_json::json!({"l2": 10.0})),
        ("misspelt", "ease", serde_json::json!({"l3": 10.0})),
        ("large", "ease", serde_json::json!({"max_items": 10})),
        ("text", "text-vectors", serde_json::json!({"decay": 0.5})),
    ] {
        let system = serde_json::json!({"name": name, "kind": kind, "settings": settings});
        recipe.systems.push(serde_json::from_value::<SystemConfig>(system).unwrap());
    }
    let board = lead(&recipe, &dataset, dir.path(), &mut |_: &Record| {}).unwrap();
    let labels: Vec<&str> = board.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["popularity", "ease"]);
    let why: Vec<(&str, &str)> =
        board.left_out.iter().map(|out| (out.system.as_str(), out.why.as_str())).collect();
    for (at, (system, reason)) in
        [("misspelt", "l3"), ("large", "at most 10 items"), ("text", "encoder")]
            .into_iter()
            .enumerate()
    {
        assert!(why[at].0 == system && why[at].1.contains(reason), "{why:?}");
    }
    assert!(board.measured(SeenItems::Kept).notes.iter().any(|note| note.contains("misspelt")));

    // What published numbers there are is said where a dataset has none.
    recipe.dataset = Some("moon".to_owned());
    let error = lead(&recipe, &dataset, dir.path(), &mut |_: &Record| {}).unwrap_err();
    assert!(error.to_string().contains("shop"), "{error}");
}

#[test]
fn a_changed_system_is_done_again_and_the_others_are_not() {
    let dir = TempDir::new().unwrap();
    let (dataset, mut recipe) = (shipped(), demo());
    let out = dir.path();
    lead(&recipe, &dataset, out, &mut |_: &Record| {}).unwrap();
    let near = recipe.systems.iter_mut().find(|system| system.name == "item-neighbours").unwrap();
    near.grid.insert("shrinkage".to_owned(), vec![5.0.into()]);
    let mut worked = Vec::new();
    lead(&recipe, &dataset, out, &mut |record: &Record| worked.push(record.stage.clone())).unwrap();
    worked.dedup();
    assert_eq!(worked, ["tune item-neighbours", "test item-neighbours, seed 1"]);
}

#[test]
fn the_rows_of_a_recipe_are_those_of_its_own_test() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut board = demo();
    board.dataset = None;
    board.systems.truncate(1);
    board.encoder = Some(shop::encoder());
    // The recipe of a test, with fewer stages.
    let mut recipe = shop::recipe_in("items.toml");
    recipe.stages.truncate(2);
    recipe.blends.truncate(1);
    let path = dir.path().join("items.toml");
    fs::write(&path, toml::to_string(&recipe).unwrap()).unwrap();
    let rows = ["policy", "policy + priors"];
    let system = serde_json::json!({
        "name": "items", "recipe": path, "rows": rows, "seeds": [7, 8],
    });
    board.systems.push(serde_json::from_value(system).unwrap());
    let out = dir.path().join("board");
    let found = lead(&board, &dataset, &out, &mut |_: &Record| {}).unwrap();
    assert!(found.left_out.is_empty(), "{:?}", found.left_out);
    assert_eq!(found.rows.len(), 3);

    let runs = [7, 8].map(|seed| out.join(format!("systems/items/run-{seed}")));
    let metric: Metric = "NDCG@10".parse().unwrap();
    let bootstrap = BootstrapConfig::new(1).try_into().unwrap();
    for rule in [SeenItems::Kept, SeenItems::Removed] {
        let finished: Vec<FinishedRun> =
            runs.iter().map(|run| FinishedRun::read(run, rule).unwrap()).collect();
        let compared = RunComparison::new(&finished, metric, None, &bootstrap).unwrap();
        for (row, label) in found.rows[1..].iter().zip(rows) {
            assert_eq!(
                (row.label.as_str(), &row.seeds[..]),
                (&*format!("items: {label}"), &[7, 8][..])
            );
            let system = compared.systems.iter().find(|system| system.label == label).unwrap();
            let value = row.value(rule, metric).unwrap();
            assert!((value.value - system.mean).abs() < 1e-12);
            let of_seeds: Vec<f64> = system.runs.iter().copied().flatten().collect();
            assert_eq!(value.by_seed, of_seeds);
            assert!(row.num_parameters.unwrap() > 0 && row.cost.wall_seconds > 0.0);
            assert!(row.tuned.is_none());
        }
    }

    // A row that the run does not have is named with those that it has.
    board.systems[1].rows = vec!["polciy".to_owned()];
    let found = lead(&board, &dataset, &out, &mut |_: &Record| {}).unwrap();
    let why = &found.left_out[0].why;
    assert!(why.contains("polciy") && why.contains("policy + priors"), "{why}");
}
