//! Next-item training: what it learns, and what must not change its result.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_data::{ItemId, SampleId, UserId};
use sidereal_policy::{ItemCategories, ItemFeatures, ItemPolicy, ItemPolicyConfig, PolicyError};
use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};
use sidereal_train::{
    AugmentConfig, Binding, Checkpoints, Followed, History, NextItem, NextItemConfig, NextItemData,
    Observer, OptimConfig, Record, Schedule, SelectBy, TrainError, exact_ndcg,
};
use tch::{Device, Kind};

const NUM_ITEMS: u32 = 12;

/// One test at a time: weights and dropout are drawn from libtorch's one generator.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trie() -> Trie {
    // Three first codes, of which two items share a third.
    let sids = (0..12u16).map(|i| SemanticId::from([i / 4, i % 4 / 2, i % 2]));
    let spec = SidSpec::new(vec![3, 2, 2], 0).unwrap();
    Trie::from_catalog(&Catalog::new(spec, sids.collect()).unwrap())
}

fn policy(seed: i64) -> ItemPolicy {
    policy_with(false, seed)
}

fn policy_with(repeats: bool, seed: i64) -> ItemPolicy {
    let config = ItemPolicyConfig {
        repeats,
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 32,
        head_hidden_size: 16,
        max_history: 8,
        ..ItemPolicyConfig::default()
    };
    let lists: Vec<Vec<u32>> = (0..NUM_ITEMS).map(|item| vec![item % 3]).collect();
    let categories = Some(ItemCategories::new(&lists));
    let features = ItemFeatures { categories, ..ItemFeatures::default() };
    ItemPolicy::random(config, &trie(), features, seed, Device::Cpu).unwrap()
}

/// Item `5·i + 1` follows item `i`, modulo their number.
fn walk(start: u32, len: usize) -> Vec<ItemId> {
    let next = |item: &u32| Some((item * 5 + 1) % NUM_ITEMS);
    std::iter::successors(Some(start), next).take(len).map(ItemId).collect()
}

fn data() -> NextItemData {
    let train = (0..60).map(|user| History {
        user: UserId(user),
        items: walk(user % NUM_ITEMS, 1 + user as usize % 12),
    });
    let valid = (0..24).map(|user| {
        let mut seen = walk(user % NUM_ITEMS, 2 + user as usize % 3);
        let target = seen.pop().unwrap();
        Followed { id: SampleId::Event { user: UserId(user), position: 20 }, seen, target }
    });
    NextItemData { train: train.collect(), valid: valid.collect() }
}

fn config() -> NextItemConfig {
    let optim = OptimConfig {
        lr: 2e-2,
        warmup: 0.1,
        schedule: Schedule::Cosine,
        ..NextItemConfig::default().optim
    };
    NextItemConfig {
        epochs: 4,
        batch_size: 16,
        max_positions: 60,
        dropout: 0.1,
        attention_dropout: 0.1,
        valid_users: 20,
        optim,
        checkpoint_every: 3,
        ..NextItemConfig::default()
    }
}

fn train_in(
    dir: &std::path::Path,
    config: &NextItemConfig,
    data: &NextItemData,
    observer: &mut dyn Observer,
) -> Result<ItemPolicy, TrainError> {
    train_from(policy(2), dir, config, data, observer)
}

fn train_from(
    policy: ItemPolicy,
    dir: &std::path::Path,
    config: &NextItemConfig,
    data: &NextItemData,
    observer: &mut dyn Observer,
) -> Result<ItemPolicy, TrainError> {
    let checkpoints = Checkpoints::new(dir, Binding::new());
    let training = NextItem {
        stage: "items",
        config: &config.check("items")?,
        seed: 9,
        checkpoints: &checkpoints,
    };
    training.run(policy, data, observer)
}

fn train(config: &NextItemConfig) -> (ItemPolicy, Vec<Record>) {
    let (dir, mut log) = (tempfile::tempdir().unwrap(), Vec::new());
    let mut observer = |record: &Record| log.push(record.clone());
    let policy = train_in(dir.path(), config, &data(), &mut observer).unwrap();
    (policy, log)
}

fn bits(policy: &ItemPolicy) -> Vec<u32> {
    let values =
        |weight: &tch::Tensor| Vec::<f32>::try_from(weight.detach().reshape([-1])).unwrap();
    policy.weights().values().flat_map(values).map(f32::to_bits).collect()
}

/// Histories without an order: each item is one of those before it with this probability, else any that is not.
fn without_order(again: f64, len: usize) -> NextItemData {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut history = |user: u32| {
        let mut items: Vec<u32> = Vec::new();
        while items.len() < len {
            let item = if !items.is_empty() && rng.gen_bool(again) {
                items[rng.gen_range(0..items.len())]
            } else {
                rng.gen_range(0..NUM_ITEMS)
            };
            if again > 0.0 || !items.contains(&item) {
                items.push(item);
            }
        }
        History { user: UserId(user), items: items.into_iter().map(ItemId).collect() }
    };
    let train: Vec<History> = (0..60).map(&mut history).collect();
    let valid = train.iter().take(20).map(|History { user, items }| Followed {
        id: SampleId::Event { user: *user, position: 20 },
        seen: items[..len - 1].to_vec(),
        target: items[len - 1],
    });
    NextItemData { valid: valid.collect(), train }
}

#[test]
fn whether_items_are_chosen_again_is_learned() {
    let _alone = alone();
    let [(again, mass_again), (never, mass_never)] = [0.8, 0.0].map(|again| {
        let dir = tempfile::tempdir().unwrap();
        let data = without_order(again, 6);
        // Little else can be learned.
        let config = NextItemConfig { dropout: 0.6, attention_dropout: 0.6, epochs: 6, ..config() };
        let config = NextItemConfig { select: SelectBy::Kept, ..config };
        let mut quiet = |_: &Record| {};
        let policy =
            train_from(policy_with(true, 2), dir.path(), &config, &data, &mut quiet).unwrap();
        let histories = [vec![0u32, 4, 7], vec![11, 2, 5], vec![3, 10, 6]];
        let scores = policy.log_probs_of_items(&histories).unwrap();
        let held = |(user, items): (i64, &Vec<u32>)| -> f64 {
            let of_item = |item: &u32| scores.double_value(&[user, i64::from(*item)]).exp();
            items.iter().map(of_item).sum()
        };
        let mass = (0..).zip(&histories).map(held).sum::<f64>() / 3.0;
        (policy.weights()["repeats.level"].double_value(&[0]), mass)
    });
    // Three of twelve items at random: a quarter.
    assert!(again > 0.02 && mass_again > 0.35, "{again}, {mass_again}");
    assert!(never < -0.05 && mass_never < 0.15, "{never}, {mass_never}");
}

#[test]
fn what_follows_becomes_probable() {
    let _alone = alone();
    let probability = |policy: &ItemPolicy| -> f64 {
        let all = (0..NUM_ITEMS).map(|start| {
            let walk = walk(start, 3);
            let history = vec![walk[0].0, walk[1].0];
            let scores = policy.log_probs_of_items(&[history]).unwrap().get(0);
            scores.double_value(&[i64::from(walk[2].0)]).exp()
        });
        all.sum::<f64>() / f64::from(NUM_ITEMS)
    };
    let before = probability(&policy(2));
    let (policy, log) = train(&NextItemConfig { epochs: 12, ..config() });
    let after = probability(&policy);
    assert!(before < 0.2 && after > 0.6, "{before} to {after}");
    let named = |name: &str| -> Vec<f64> {
        log.iter().filter_map(|record| record.values.get(name).copied()).collect()
    };
    let (losses, ndcg) = (named("loss"), named("valid_ndcg"));
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
    assert_eq!((ndcg.len(), named("valid_ndcg_unseen").len()), (12, 12));
    assert!(ndcg[11] > ndcg[0], "{ndcg:?}");
}

#[test]
fn the_weights_that_come_out_are_those_of_the_best_validation() {
    let _alone = alone();
    for select in [SelectBy::Kept, SelectBy::Removed, SelectBy::Both] {
        let config = NextItemConfig { select, valid_users: 1000, ..config() };
        let (policy, log) = train(&config);
        let found = exact_ndcg(&policy, &data().valid).unwrap();
        assert_eq!(found.num_users, 24);
        let of = |kept: f64, removed: f64| match select {
            SelectBy::Kept => kept,
            SelectBy::Removed => removed,
            _ => f64::midpoint(kept, removed),
        };
        let judged = log.iter().filter_map(|record| {
            Some(of(*record.values.get("valid_ndcg")?, *record.values.get("valid_ndcg_unseen")?))
        });
        let best = judged.fold(f64::NEG_INFINITY, f64::max);
        assert!((of(found.kept, found.removed) - best).abs() < 1e-9, "{found:?}: {best}");
    }
}

#[test]
fn a_killed_run_resumes_on_the_very_same_curve() {
    let _alone = alone();
    let varied = AugmentConfig { drop: 0.2, reverse: 0.3 };
    let config = NextItemConfig { augment: varied, ..config() };
    let (whole, log) = train(&config);
    let (again, _) = train(&config);
    assert_eq!(bits(&whole), bits(&again), "the same seed, the same weights");
    for step in [1, 4, 8, log.len() - 1] {
        let dir = tempfile::tempdir().unwrap();
        let mut kill = |record: &Record| assert!(record.step != step, "killed");
        let run = AssertUnwindSafe(|| train_in(dir.path(), &config, &data(), &mut kill));
        assert!(catch_unwind(run).is_err());
        let mut rest = Vec::new();
        let mut observer = |record: &Record| rest.push(record.clone());
        let resumed = train_in(dir.path(), &config, &data(), &mut observer).unwrap();
        assert_eq!(bits(&resumed), bits(&whole), "killed after step {step}");
        assert!(rest.len() < log.len() || step < 3);
        assert_eq!(rest, log[log.len() - rest.len()..]);
    }
}

#[test]
fn a_run_that_leaves_the_numbers_names_step_and_users() {
    let _alone = alone();
    let optim = OptimConfig { lr: 1e30, warmup: 0.0, ..config().optim };
    let dir = tempfile::tempdir().unwrap();
    let config = NextItemConfig { optim, ..config() };
    let error = train_in(dir.path(), &config, &data(), &mut |_: &Record| {}).unwrap_err();
    assert!(matches!(&error, TrainError::Diverged { stage, .. } if stage == "items"), "{error}");
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let run = |data: &NextItemData| {
        train_in(dir.path(), &config(), data, &mut |_: &Record| {}).unwrap_err()
    };
    let short =
        NextItemData { train: vec![History { user: UserId(0), items: walk(0, 1) }], ..data() };
    assert!(matches!(run(&short), TrainError::NoSamples { .. }));
    assert!(matches!(
        run(&NextItemData { valid: Vec::new(), ..data() }),
        TrainError::NoSamples { .. }
    ));
    let mut unknown = data();
    unknown.train.iter_mut().for_each(|history| history.items.push(ItemId(NUM_ITEMS)));
    let error = run(&unknown);
    let named =
        matches!(error, TrainError::Policy(PolicyError::UnknownItem { item: ItemId(NUM_ITEMS) }));
    assert!(named, "{error}");
}

#[test]
fn the_exact_ranking_counts_ties_and_takes_seen_items_away() {
    let _alone = alone();
    let policy = policy(4);
    let event = |seen: &[u32], target: u32| Followed {
        id: SampleId::Event { user: UserId(0), position: 3 },
        seen: seen.iter().copied().map(ItemId).collect(),
        target: ItemId(target),
    };
    for target in 0..NUM_ITEMS {
        let event = event(&[3, 7, target], target);
        let found = exact_ndcg(&policy, [&event]).unwrap();
        let history: Vec<u32> = event.seen.iter().map(|item| item.0).collect();
        let scores = policy.log_probs_of_items(&[history]).unwrap().get(0);
        let scores = Vec::<f32>::try_from(scores.to_kind(Kind::Float)).unwrap();
        let own = scores[target as usize];
        let better = |without: &[usize]| {
            let counts = |(item, score): &(usize, &f32)| **score > own && !without.contains(item);
            scores.iter().enumerate().filter(counts).count()
        };
        let gain =
            |before: usize| if before < 10 { 1.0 / (before as f64 + 2.0).log2() } else { 0.0 };
        assert!((found.kept - gain(better(&[]))).abs() < 1e-9, "{found:?}");
        assert!((found.removed - gain(better(&[3, 7]))).abs() < 1e-9, "{found:?}");
    }
}
