//! The shipped shop is what its generator makes, and its truth is the truth.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::synthetic::{Shop, ShopConfig, ShopRecord};
use sidereal_data::{DataError, Dataset, HeldOut, Item, ItemId, Ties, User, leave_one_out, write};

const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/shop").join(file)
}

fn record() -> ShopRecord {
    serde_json::from_str(&std::fs::read_to_string(shipped("shop.json")).unwrap()).unwrap()
}

fn dataset(seed: u64) -> Dataset {
    let options = ReadOptions::new(seed).with_ties(Ties::FileOrder);
    read(&shipped("shop.inter"), &shipped("shop.item"), &options).unwrap().dataset
}

#[test]
fn the_shipped_files_are_made_again_bit_by_bit() {
    let record = record();
    assert_eq!(record.config, ShopConfig::new(record.config.seed)); // the documented defaults
    let made = Shop::new(record.config.clone()).unwrap().generate().unwrap();
    assert_eq!(made.hash(), record.hash);
    assert_eq!(made.num_interactions(), record.num_interactions);
    let dir = tempfile::tempdir().unwrap();
    let (inter, item) = (dir.path().join("shop.inter"), dir.path().join("shop.item"));
    write::recbole::write(&made, &inter, &item).unwrap();
    for (ours, theirs) in [(inter, "shop.inter"), (item, "shop.item")] {
        assert!(std::fs::read(ours).unwrap() == std::fs::read(shipped(theirs)).unwrap());
    }
}

#[test]
fn the_shipped_best_possible_holds_whatever_the_order_of_items() {
    let record = record();
    let shop = Shop::new(record.config.clone()).unwrap();
    for seed in [1, 2] {
        let dataset = dataset(seed);
        let split = leave_one_out(&dataset, TEN).unwrap();
        let best = shop.oracle(&dataset).unwrap().best_possible(&split.test, TEN).unwrap();
        assert_eq!((best.k, best.num_users), (record.best_test.k, record.best_test.num_users));
        assert!((best.hit_rate - record.best_test.hit_rate).abs() < 1e-6);
        assert!((best.ndcg - record.best_test.ndcg).abs() < 1e-6);
    }
}

/// The shop must leave something to learn at each step from guessing to knowing.
#[test]
fn simple_baselines_stay_below_the_best_possible() {
    let dataset = dataset(3);
    let split = leave_one_out(&dataset, TEN).unwrap();
    let mut popularity = vec![0.0; dataset.num_items()];
    let mut follows: HashMap<ItemId, Vec<f64>> = HashMap::new();
    for sequence in split.train.sequences() {
        sequence.events.iter().for_each(|item| popularity[item.index()] += 1e-6);
        for pair in sequence.events.windows(2) {
            follows.entry(pair[0]).or_insert_with(|| vec![0.0; dataset.num_items()])
                [pair[1].index()] += 1.0;
        }
    }
    let rate = |score: &dyn Fn(ItemId, usize) -> f64| {
        let hits = split.test.samples().filter(|sample| {
            let last = *sample.history.last().unwrap();
            let target = score(last, sample.target.index());
            (0..dataset.num_items()).filter(|i| score(last, *i) > target).count() < 10
        });
        hits.count() as f64 / split.test.num_samples() as f64
    };
    let popular = rate(&|_, item| popularity[item]);
    let transition =
        rate(&|last, item| follows.get(&last).map_or(0.0, |row| row[item]) + popularity[item]);
    let best = record().best_test.hit_rate;
    assert!((0.5..0.65).contains(&best), "best {best}");
    assert!(popular < 0.1, "popularity {popular}");
    assert!(transition > 2.0 * popular && transition < 0.65 * best, "last item {transition}");
}

#[test]
fn the_truth_is_that_of_a_second_implementation() {
    #[derive(serde::Deserialize)]
    struct Case {
        history: Vec<String>,
        probabilities: Vec<(String, f64)>,
    }
    #[derive(serde::Deserialize)]
    struct Parity {
        cases: Vec<Case>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/shop_truth.json");
    let parity: Parity = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let dataset = dataset(4);
    let ids: HashMap<&str, ItemId> =
        (0..).map(ItemId).zip(dataset.items()).map(|(id, item)| (item.key.as_str(), id)).collect();
    let oracle = Shop::new(record().config).unwrap().oracle(&dataset).unwrap();
    for case in &parity.cases {
        let history: Vec<ItemId> = case.history.iter().map(|key| ids[key.as_str()]).collect();
        let truth = oracle.truth(&history).unwrap();
        assert!((truth.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(history.iter().all(|item| truth[item.index()] == 0.0));
        for (key, expected) in &case.probabilities {
            let found = truth[ids[key.as_str()].index()];
            assert!((found - expected).abs() < 1e-12, "{key}: {found}, expected {expected}");
        }
        // The reference's first ten are as good as ours, whatever the order of ties.
        let ranked = oracle.rank(&history, TEN).unwrap();
        let ours: f64 = ranked.iter().map(|item| truth[item.index()]).sum();
        let theirs: f64 = case.probabilities[..10].iter().map(|(_, p)| p).sum();
        assert!((ours - theirs).abs() < 1e-12);
    }
    assert_eq!(parity.cases.len(), 60);
}

/// On customers that the shipped shop does not have, the oracle's ranking hits as often as it
/// says, and events come as often as their probabilities say. Each bound is four standard
/// deviations: a false alarm in 16,000 seeds; the seed is fixed.
#[test]
fn fresh_customers_choose_as_often_as_the_oracle_says() {
    let shop = Shop::new(ShopConfig::new(77).with_num_users(4000)).unwrap();
    let dataset = shop.generate().unwrap();
    let oracle = shop.oracle(&dataset).unwrap();
    let split = leave_one_out(&dataset, TEN).unwrap();
    let best = oracle.best_possible(&split.test, TEN).unwrap();
    let users = best.num_users as f64;
    let mut hits = 0.0;
    let mut bins = [(0.0, 0.0, 0.0); 4]; // expected, variance, found, by probability
    for sample in split.test.samples() {
        let truth = oracle.truth(sample.seen).unwrap();
        hits +=
            f64::from(u8::from(oracle.rank(sample.seen, TEN).unwrap().contains(&sample.target)));
        for (item, p) in truth.iter().enumerate() {
            let bin = [0.001, 0.01, 0.1].iter().filter(|edge| p > edge).count();
            bins[bin].0 += p;
            bins[bin].1 += p * (1.0 - p);
            bins[bin].2 += f64::from(u8::from(item == sample.target.index()));
        }
    }
    let found = hits / users;
    assert!((found - best.hit_rate).abs() < 4.0 * best.hit_rate_deviation, "{found}, {best:?}");
    for (expected, variance, found) in bins {
        assert!(expected > 100.0, "a bin of {expected} events tests nothing");
        assert!((found - expected).abs() < 4.0 * f64::sqrt(variance), "{found} of {expected}");
    }
}

/// Bayes' rule against plain counting: among many customers, those who began with one certain
/// product, and what they bought next.
#[test]
fn the_second_choice_is_distributed_as_counted() {
    let mut config = ShopConfig::new(5).with_num_users(120_000);
    (config.min_events, config.max_events) = (3, 3);
    let shop = Shop::new(config).unwrap();
    let dataset = shop.generate().unwrap();
    let oracle = shop.oracle(&dataset).unwrap();
    let first = oracle.rank(&[], NonZeroUsize::MIN).unwrap()[0];
    let truth = oracle.truth(&[first]).unwrap();
    let mut counts = vec![0.0; truth.len()];
    for user in dataset.users().iter().filter(|user| user.events[0] == first) {
        counts[user.events[1].index()] += 1.0;
    }
    let total: f64 = counts.iter().sum();
    assert!(total > 1000.0, "{total} customers are too few");
    // Pearson's chi-squared over the items expected at least five times, the rest as one.
    let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for (count, p) in counts.iter().zip(&truth) {
        let expected = p * total;
        if expected < 5.0 {
            rest = (rest.0 + count, rest.1 + expected);
        } else {
            statistic += (count - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    statistic += (rest.0 - rest.1).powi(2) / rest.1;
    // Chi-squared with `cells` degrees of freedom: mean `cells`, variance `2 cells`.
    assert!(statistic < cells + 4.0 * f64::sqrt(2.0 * cells), "{statistic} in {cells} cells");
}

#[test]
fn histories_and_datasets_of_another_shop_are_refused() {
    let shop = Shop::new(ShopConfig::new(5).with_num_users(3)).unwrap();
    let dataset = shop.generate().unwrap();
    let oracle = shop.oracle(&dataset).unwrap();
    assert!(matches!(
        oracle.truth(&[ItemId(1), ItemId(2), ItemId(1)]),
        Err(DataError::ImpossibleHistory { position: 2, item: ItemId(1) })
    ));
    assert!(matches!(oracle.truth(&[ItemId(500)]), Err(DataError::ItemRange { .. })));
    let users = vec![User::new("u", vec![])];
    let other = Dataset::new(vec![Item::new("a", "an apple")], users.clone()).unwrap();
    assert!(matches!(shop.oracle(&other), Err(DataError::NotTheShop { .. })));
    let part = Dataset::new(dataset.items()[..499].to_vec(), users).unwrap();
    assert!(matches!(shop.oracle(&part), Err(DataError::ShopSize { found: 499, .. })));
}
