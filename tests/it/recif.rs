//! `RecIF-Bench` from its layout to its metrics: several targets a user, behaviours as objectives, label prediction,
//! items with a named behaviour, and items for queries.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;

use sidereal::data::read::{RowPolicy, items, recif};
use sidereal::data::{Dataset, HeldOut as _, SampleId, Split};
use sidereal::lab::{LabelAnswer, Pipeline, Published, RunResult, TargetsRow};
use sidereal::prompts::Task;
use sidereal::sid::{Catalog, SemanticId};
use sidereal::train::{Ranking, Record};

use crate::shop;
use crate::titles::read;

/// The shipped sample, its videos with their captions.
fn bench() -> (Dataset, Split) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/samples/recif");
    let columns = recif::Columns::recif_labelled("video", None, &["longview", "like", "comment"])
        .with_valid_every(NonZeroUsize::new(20).unwrap())
        .with_queries();
    let (table, policy) = (folder.join("bench.parquet"), RowPolicy::strict());
    let read = recif::read(&table, &columns, 7, NonZeroUsize::new(12).unwrap(), &policy).unwrap();
    let described = items::read(&folder.join("bench.item"), &policy).unwrap().items;
    let described: BTreeMap<_, _> = described.into_iter().map(|it| (it.key.clone(), it)).collect();
    let texts = read.dataset.items().iter().map(|item| described[&item.key].clone()).collect();
    (read.dataset.with_items(texts).unwrap(), read.split.unwrap())
}

fn run(dataset: &Dataset, split: &Split, out: &Path) -> RunResult {
    let recipe = shop::recipe_in("recif.toml");
    let device = sidereal::policy::device("cpu").unwrap();
    let published = Some(Published { catalog: None, split });
    let pipeline = Pipeline { recipe: &recipe, dataset, published, baselines: &[], out, device };
    pipeline.run(&mut |_: &Record| {}).unwrap()
}

/// `Pass@k` and `Recall@k` of a stage by hand: the list for the first target of each test user, against the
/// different Semantic IDs of all that the user chose from then on.
fn by_hand(out: &Path, split: &Split, k: usize) -> [f64; 2] {
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    let rankings: Vec<Ranking> =
        serde_json::from_slice(&read(&out.join("rankings/sft.json"))).unwrap();
    let mut users: BTreeMap<u32, (Vec<SemanticId>, BTreeSet<SemanticId>)> = BTreeMap::new();
    for sample in split.test.samples() {
        let sid = |item| catalog.sid(item).unwrap().clone();
        let list = || {
            let ranking = rankings.iter().find(|ranking| ranking.id == sample.id).unwrap();
            ranking.found.iter().map(|items| sid(items[0])).collect()
        };
        let user = users.entry(sample.user.0).or_insert_with(|| (list(), BTreeSet::new()));
        user.1.insert(sid(sample.target));
    }
    let mut sums = [0.0; 2];
    for (list, targets) in users.values() {
        let found = list.iter().take(k).filter(|sid| targets.contains(*sid)).count();
        sums[0] += f64::from(u8::from(found > 0));
        sums[1] += found as f64 / targets.len() as f64;
    }
    sums.map(|sum| sum / users.len() as f64)
}

/// A row's `Recall@k`.
fn recall(row: &TargetsRow, k: usize) -> f64 {
    let name = format!("Recall@{k}");
    row.values.iter().find(|value| value.metric == name).unwrap().value
}

/// Share of `targets` among the first four answers, by Semantic ID.
fn found(ranking: &Ranking, targets: &BTreeSet<SemanticId>, catalog: &Catalog) -> f64 {
    let answers = ranking.found.iter().take(4).map(|items| catalog.sid(items[0]).unwrap());
    answers.filter(|sid| targets.contains(*sid)).count() as f64 / targets.len() as f64
}

/// Each query of a user of the test is asked once, and the row is what the lists say.
fn check_queries(row: &TargetsRow, out: &Path, dataset: &Dataset) {
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    let rankings: Vec<Ranking> =
        serde_json::from_slice(&read(&out.join("rankings/sft.interactive.json"))).unwrap();
    let mut asked = BTreeSet::new();
    let recalls = rankings.iter().map(|ranking| {
        let SampleId::Query { user, place } = ranking.id else { panic!("{}", ranking.id) };
        let user = dataset.user(user).unwrap();
        let (query, item) = user.queried().nth(place as usize).unwrap();
        assert!(item == query.items[0] && asked.insert((user.key.clone(), query.words.clone())));
        let targets = query.items.iter().map(|item| catalog.sid(*item).unwrap().clone());
        found(ranking, &targets.collect(), &catalog)
    });
    let mean = recalls.sum::<f64>() / rankings.len() as f64;
    assert!((recall(row, 4) - mean).abs() < 1e-12, "{row}: {mean}");
}

/// Each user of the test is asked once, for a behaviour that a target has; which one is drawn, so the row lies between
/// what the lists say of the worst and of the best that fits.
fn check_conditions(row: &TargetsRow, out: &Path, (dataset, split): (&Dataset, &Split)) {
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    let rankings: Vec<Ranking> =
        serde_json::from_slice(&read(&out.join("rankings/sft.label-conditional.json"))).unwrap();
    let (mut least, mut most) = (0.0, 0.0);
    for ranking in &rankings {
        let SampleId::Event { user, position } = ranking.id else { panic!("{}", ranking.id) };
        let labels = |at: usize| dataset.user(user).unwrap().labels_of(at);
        let samples: Vec<_> = split.test.samples().filter(|it| it.user == user).collect();
        let fits = |behaviour: &usize| {
            let first = samples.iter().find(|it| labels(it.seen.len()).contains(*behaviour));
            first.is_some_and(|first| first.seen.len() == position as usize)
        };
        let recalls = (0..3).filter(fits).map(|behaviour| {
            let held = samples.iter().filter(|it| labels(it.seen.len()).contains(behaviour));
            let targets = held.map(|it| catalog.sid(it.target).unwrap().clone());
            found(ranking, &targets.collect(), &catalog)
        });
        let recalls: Vec<f64> = recalls.collect();
        assert!(!recalls.is_empty(), "{}", ranking.id);
        least += recalls.iter().copied().fold(f64::INFINITY, f64::min);
        most += recalls.iter().copied().fold(0.0, f64::max);
    }
    let users = rankings.len() as f64;
    let value = recall(row, 4);
    assert!(least / users - 1e-12 <= value && value <= most / users + 1e-12, "{row}");
}

#[test]
fn a_recipe_runs_from_the_table_to_pass_recall_and_auc() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, split) = bench();
    assert!(split.valid.num_samples() >= 3 && split.train.num_sequences() < 64);
    let out = dir.path().join("run");
    let outcome = run(&dataset, &split, &out);
    outcome.write_page("recif", &dir.path().join("report.html")).unwrap();

    // Every system is asked once a user, and its row is what the lists say.
    for task in [Task::NextItem, Task::LabelConditional, Task::Interactive] {
        let rows = outcome.targets.iter().filter(|row| row.task == task);
        let systems: Vec<&str> = rows.map(|row| row.system.as_str()).collect();
        assert_eq!(systems, ["popularity", "item transitions", "SFT", "SAGE"]);
    }
    for row in &outcome.targets {
        let asked = if row.task == Task::Interactive { 32 } else { 16 };
        assert!(row.users == asked && (1.0..=5.0).contains(&row.targets), "{row}");
        let value = |name: &str| row.values.iter().find(|it| it.metric == name).unwrap().value;
        for (few, many) in [(1, 4), (4, 16)] {
            for name in ["Pass", "Recall"] {
                assert!(
                    value(&format!("{name}@{few}")) <= value(&format!("{name}@{many}")),
                    "{row}"
                );
            }
        }
    }
    let of_sft =
        |task| outcome.targets.iter().find(|row| row.system == "SFT" && row.task == task).unwrap();
    check_queries(of_sft(Task::Interactive), &out, &dataset);
    check_conditions(of_sft(Task::LabelConditional), &out, (&dataset, &split));
    let popular = outcome.targets.iter().find(|row| row.task == Task::Interactive).unwrap();
    // The words of a query say of which kind its videos are, and popularity does not.
    let asked = of_sft(Task::Interactive);
    assert!(recall(asked, 4) > recall(popular, 4) + 0.1, "{popular}\n{asked}");
    let sft = of_sft(Task::NextItem);
    for k in [1, 4, 16] {
        let [pass, recall] = by_hand(&out, &split, k);
        for (name, expected) in [("Pass", pass), ("Recall", recall)] {
            let name = format!("{name}@{k}");
            let found = sft.values.iter().find(|value| value.metric == name).unwrap();
            assert!((found.value - expected).abs() < 1e-12, "{name}: {} {expected}", found.value);
        }
    }

    // The AUC is the share of pairs that the probabilities order rightly.
    let labels: Vec<LabelAnswer> =
        serde_json::from_slice(&read(&out.join("labels/sft.json"))).unwrap();
    assert_eq!(labels.len(), split.test.num_samples());
    let comment = dataset.behaviour("comment").unwrap();
    for answer in &labels {
        let sample = split.test.samples().find(|sample| sample.id == answer.id).unwrap();
        let user = dataset.user(sample.user).unwrap();
        assert_eq!(answer.label, user.labels_of(sample.seen.len()).contains(comment));
        assert!((0.0..=1.0).contains(&answer.probability));
    }
    let (mut right, mut pairs) = (0.0, 0.0);
    for commented in labels.iter().filter(|answer| answer.label) {
        for other in labels.iter().filter(|answer| !answer.label) {
            let apart = commented.probability - other.probability;
            right += if apart > 0.0 {
                1.0
            } else if apart < 0.0 {
                0.0
            } else {
                0.5
            };
            pairs += 1.0;
        }
    }
    let row = outcome.labels.iter().find(|row| row.system == "SFT").unwrap();
    assert!((row.auc - right / pairs).abs() < 1e-12, "{row}");
    // Few events have a comment, and the policy has learned that.
    let rate = labels.iter().filter(|answer| answer.label).count() as f64 / labels.len() as f64;
    let mean = labels.iter().map(|answer| answer.probability).sum::<f64>() / labels.len() as f64;
    assert!(rate < 0.25 && mean < 0.35, "{mean} where the share is {rate}");

    let rewards = |name: &str| {
        let values = outcome.records.iter().filter_map(|record| record.values.get(name).copied());
        values.collect::<Vec<f64>>()
    };
    for name in ["reward_like", "reward_longview"] {
        let found = rewards(name);
        assert!(found.len() == 3 && found.iter().all(|it| (0.0..=1.0).contains(it)), "{found:?}");
    }
}
