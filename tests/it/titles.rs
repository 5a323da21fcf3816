//! Answers in titles out of a pool, one or a slate of them; and once more after kills.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;
use sidereal::data::{Dataset, HeldOut as _, Item, ItemId, NegativeKind, Negatives, leave_one_out};
use sidereal::lab::{LabError, Pipeline, Recipe, RunResult, TrainedStage};
use sidereal::metrics::{Candidates, Metric, Row};
use sidereal::prompts::{PoolConfig, Pools, PromptRegistry, Task, Tasks, Wording};
use sidereal::sid::Catalog;
use sidereal::train::{Observer, Ranking, Record};

use crate::shop::{self, Kill};

const UNTITLED: ItemId = ItemId(3);
const DOUBLES: [ItemId; 2] = [ItemId(10), ItemId(11)];

/// The shop with an item that has no title and two that share one, its kinds as categories.
pub(crate) fn dataset(dir: &Path) -> Dataset {
    let shop = shop::dataset(dir);
    let mut items: Vec<Item> = shop.items().to_vec();
    for (number, item) in items.iter_mut().enumerate() {
        item.categories = vec!["things".to_owned(), format!("kind {}", number / 8)];
    }
    items[UNTITLED.index()].title = String::new();
    let [first, second] = DOUBLES.map(ItemId::index);
    let (before, after) = items.split_at_mut(second);
    before[first].title.clone_from(&after[0].title);
    Dataset::new(items, shop.users().to_vec()).unwrap()
}

pub(crate) fn run(
    (recipe, dataset): (&Recipe, &Dataset),
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunResult, LabError> {
    let device = sidereal::policy::device("cpu").unwrap();
    Pipeline { recipe, dataset, published: None, baselines: &[], out, device }.run(observer)
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

/// The pool of a task of every test user who can be asked, drawn apart from the run.
pub(crate) fn pools(
    task: Task,
    (recipe, dataset): (&Recipe, &Dataset),
    out: &Path,
) -> Vec<(ItemId, BTreeSet<ItemId>)> {
    let window = NonZeroUsize::new(recipe.max_history).unwrap();
    let split = leave_one_out(dataset, window).unwrap();
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    let negatives = Negatives::new(NegativeKind::Random, &split.train, &catalog).unwrap();
    let size = recipe.pool.as_ref().unwrap().size;
    let config = PoolConfig { size, slate_size: 2, ..PoolConfig::new(recipe.seed) };
    let pools = Pools::new(config, negatives, &split.train).unwrap();
    let registry = PromptRegistry::builtin().unwrap();
    let prompts = registry.set(&recipe.prompts).unwrap();
    let tasks = Tasks::new(dataset, &catalog, prompts).unwrap().with_pools(&pools);
    let asked = split.test.samples().filter_map(|sample| {
        let rendered = tasks.event(task, &sample, Wording::First).unwrap()?;
        (task == Task::SidSlate || sample.target != UNTITLED)
            .then(|| (sample.target, rendered.candidates.into_iter().collect()))
    });
    asked.collect()
}

/// The run once more in another folder, killed at these steps and started again each time, leaves
/// the same files.
pub(crate) fn assert_survives_kills(
    data: (&Recipe, &Dataset),
    whole: &Path,
    kills: &[(&'static str, usize)],
    files: &[&str],
) {
    let broken = whole.with_file_name("broken");
    for (stage, step) in kills.iter().copied() {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| run(data, &broken, &mut kill)));
        assert!(killed.is_err(), "{stage} ends before step {step}");
    }
    run(data, &broken, &mut |_: &Record| {}).unwrap();
    for file in files {
        assert!(read(&broken.join(file)) == read(&whole.join(file)), "{file} differs");
    }
}

pub(crate) fn rows<'o>(outcome: &'o RunResult, system: &str) -> Vec<&'o Row> {
    outcome.report.rows().iter().filter(|row| row.system == system).collect()
}

#[test]
fn titles_are_chosen_from_pools_and_a_killed_run_repeats_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, dataset) = (shop::recipe_in("titles.toml"), dataset(dir.path()));
    let whole = dir.path().join("whole");
    let outcome = run((&recipe, &dataset), &whole, &mut |_: &Record| {}).unwrap();
    outcome.write_page("titles", &dir.path().join("report.html")).unwrap();

    // Every answer is one of the pool, which holds the target once and no title twice.
    let pools = pools(Task::TitleChoice, (&recipe, &dataset), &whole);
    let rankings: Vec<Ranking> =
        serde_json::from_slice(&read(&whole.join("rankings/sdpo.json"))).unwrap();
    assert!((20..50).contains(&rankings.len()), "{}", rankings.len());
    for ranking in &rankings {
        let items: Vec<ItemId> = ranking.found.iter().flatten().copied().collect();
        let found: BTreeSet<ItemId> = items.iter().copied().collect();
        assert!(pools.contains(&(ranking.target, found.clone())), "{ranking:?}");
        assert_eq!((items.len(), found.len()), (6, 6));
        assert!(!found.contains(&UNTITLED) && !DOUBLES.iter().all(|item| found.contains(item)));
        assert!(ranking.scores.is_sorted_by(|a, b| a >= b));
    }

    // Rows over pools and rows over all items stand apart, and nothing is paired across them.
    let in_pool = ["SFT", "S-DPO", "S-DPO, beam", "popularity, in the pool"];
    for system in in_pool {
        let [row] = rows(&outcome, system)[..] else { panic!("{system}") };
        assert_eq!(row.protocol.candidates, Candidates::Pool(6));
        assert_eq!(row.protocol.num_users, rankings.len());
        assert!(row.get(Metric::HitRate(NonZeroUsize::MIN)).is_some());
    }
    for system in ["SIDs", "popularity", "item transitions"] {
        let rows = rows(&outcome, system);
        assert!(!rows.is_empty(), "{system}");
        assert!(rows.iter().all(|row| row.protocol.candidates == Candidates::All));
        assert!(rows.iter().all(|row| row.get(Metric::HitRate(NonZeroUsize::MIN)).is_none()));
    }
    assert!(outcome.buckets.iter().all(|row| row.system == "SIDs"));
    let report: Value = serde_json::from_slice(&read(&whole.join("evaluation.json"))).unwrap();
    let pairs: BTreeSet<(&str, &str)> = report["comparisons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair["system"].as_str().unwrap(), pair["against"].as_str().unwrap()))
        .collect();
    let over_pool = |system: &str| in_pool.contains(&system) || system.ends_with(", in the pool");
    assert!(pairs.contains(&("S-DPO", "SFT")) && pairs.contains(&("SIDs", "popularity")));
    assert!(pairs.contains(&("S-DPO", "item transitions, in the pool")));
    assert!(pairs.iter().all(|(a, b)| over_pool(a) == over_pool(b)), "{pairs:?}");

    let kills = [("sft", 4), ("sdpo", 3), ("sdpo", 4), ("sdpo-beam", 1)];
    let files = [
        "metrics.jsonl",
        "sft/model.safetensors",
        "sdpo/model.safetensors",
        "sdpo-beam/model.safetensors",
        "evaluation.json",
    ];
    assert_survives_kills((&recipe, &dataset), &whole, &kills, &files);
}

#[test]
fn slates_hold_each_title_once_and_a_killed_run_repeats_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, dataset) = (shop::recipe_in("slates.toml"), dataset(dir.path()));
    let whole = dir.path().join("whole");
    let outcome = run((&recipe, &dataset), &whole, &mut |_: &Record| {}).unwrap();

    let pools = pools(Task::TitleChoice, (&recipe, &dataset), &whole);
    for stage in ["sft", "sage", "grpo"] {
        let file = whole.join(format!("rankings/{stage}.json"));
        let slates: Vec<Ranking> = serde_json::from_slice(&read(&file)).unwrap();
        assert!(slates.len() > 10, "{}", slates.len());
        for slate in &slates {
            let items: BTreeSet<ItemId> = slate.found.iter().flatten().copied().collect();
            let titles: BTreeSet<&str> =
                items.iter().map(|item| dataset.items()[item.index()].title.as_str()).collect();
            assert_eq!((slate.found.len(), items.len(), titles.len()), (4, 4, 4));
            let shown = |(target, pool): &(ItemId, BTreeSet<ItemId>)| {
                *target == slate.target && items.is_subset(pool)
            };
            assert!(pools.iter().any(shown), "{slate:?}");
        }
    }
    for (system, decoding) in
        [("SFT", "greedy slate"), ("GBPO", "greedy slate"), ("one title", "beam 6, full")]
    {
        let [row] = rows(&outcome, system)[..] else { panic!("{system}") };
        assert_eq!(
            (row.protocol.candidates, row.protocol.decoding()),
            (Candidates::Pool(6), decoding.to_owned())
        );
        assert!(row.values.iter().any(|value| matches!(value.metric, Metric::Entropy(_))));
    }

    // Rewards of slates are what they say, and rollouts are shown as they were written.
    let of = |stage: &'static str| outcome.records.iter().filter(move |r| r.stage == stage);
    let ln_4 = 4f64.ln();
    for record in of("sage").filter(|record| record.step > 0) {
        let part = |name: &str| record.values[name];
        assert!((0.0..=1.0).contains(&part("reward_ndcg")), "{record:?}");
        assert!((0.0..=ln_4).contains(&part("reward_entropy")), "{record:?}");
        // What the reward judges is what SAGE compares with its mean.
        assert!((part("reward_entropy") - part("diversity")).abs() < 1e-9, "{record:?}");
        assert!(part("distinct") > 0.2, "{record:?}");
    }
    let shown = of("sage").next_back().and_then(|record| record.rollouts.clone()).unwrap();
    for rollout in &shown.rollouts {
        let lines: Vec<&str> = rollout.text.trim_end_matches("<|im_end|>").lines().collect();
        assert_eq!(lines.len(), 4, "{}", rollout.text);
        assert!(lines.iter().all(|line| shown.prompt.lines().any(|other| other == *line)));
    }

    // What answers with titles out of a pool is not served as if it answered with Semantic IDs.
    let device = sidereal::policy::device("cpu").unwrap();
    // Neither within its run nor alone.
    assert!(TrainedStage::open(&whole.join("sage"), None, device).is_err());
    let error = TrainedStage::open(&whole, Some("sage"), device).unwrap_err();
    assert!(error.to_string().contains("`stage.sage.task` is title-slate"), "{error}");

    let kills = [("sft", 4), ("sage", 2), ("sage", 3), ("grpo", 2)];
    let files = [
        "metrics.jsonl",
        "sft/model.safetensors",
        "sage/model.safetensors",
        "gbpo/model.safetensors",
        "grpo/model.safetensors",
        "evaluation.json",
    ];
    assert_survives_kills((&recipe, &dataset), &whole, &kills, &files);
}
