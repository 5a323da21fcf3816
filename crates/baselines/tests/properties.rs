//! Laws of the baselines.

use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use sidereal_baselines::{
    Case, CategoryKernel, ItemTransition, Popularity, Recommender, Transition, TransitionConfig,
    TransitionSearch, VectorKernel, evaluate, recommend,
};
use sidereal_data::Item;
use sidereal_metrics::{Placement, SeenItems};
use sidereal_sid::ItemId;

const NUM_ITEMS: usize = 9;

fn sequences() -> impl Strategy<Value = Vec<Vec<ItemId>>> {
    vec(vec((0u32..9).prop_map(ItemId), 0..12), 0..10)
}

fn settings() -> impl Strategy<Value = TransitionConfig> {
    (1usize..9, 0.0f64..=1.0, 0.0f64..=1.0, 0.0f64..=1.0).prop_map(|(window, back, decay, damp)| {
        TransitionConfig::default()
            .with_window(window)
            .with_backward(back)
            .with_decay(decay)
            .with_damping(damp)
    })
}

/// The equation of the documentation, pair by pair over dense arrays.
fn plain(config: &TransitionConfig, sequences: &[Vec<ItemId>], history: &[ItemId]) -> Vec<f64> {
    let mut weights = [[0.0; NUM_ITEMS]; NUM_ITEMS];
    let mut popularity = [0_i32; NUM_ITEMS];
    for sequence in sequences {
        for (a, earlier) in sequence.iter().enumerate() {
            popularity[earlier.index()] += 1;
            for (b, later) in sequence.iter().enumerate() {
                if a < b && b - a <= config.window {
                    let weight = 1.0 / (b - a) as f64;
                    weights[earlier.index()][later.index()] += weight;
                    weights[later.index()][earlier.index()] += config.backward * weight;
                }
            }
        }
    }
    let pop = |item: usize| f64::from(popularity[item] + 1);
    (0..NUM_ITEMS)
        .map(|j| {
            history
                .iter()
                .rev()
                .zip(0..)
                .map(|(i, age)| {
                    let damp = (pop(i.index()) * pop(j)).powf(-config.damping);
                    config.decay.powi(age) * weights[i.index()][j] * damp
                })
                .sum()
        })
        .collect()
}

proptest! {
    #[test]
    fn sparse_scores_are_those_of_the_equation(
        sequences in sequences(), history in vec((0u32..9).prop_map(ItemId), 0..8), config in settings()
    ) {
        let settings = Transition::try_from(config.clone()).unwrap();
        let model = ItemTransition::fit(&settings, NUM_ITEMS, &sequences).unwrap();
        let mut scores = [0.0; NUM_ITEMS];
        model.score(&history, &mut scores).unwrap();
        for (found, expected) in scores.iter().zip(plain(&config, &sequences, &history)) {
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 * (1.0 + expected.abs()));
        }
    }

    #[test]
    fn kernels_are_the_decayed_means_of_cosines(
        categories in vec(vec(0usize..5, 0..4), NUM_ITEMS),
        history in vec((0u32..9).prop_map(ItemId), 1..8),
        decay in 0.1f64..=1.0,
    ) {
        let items: Vec<Item> = categories
            .iter()
            .map(|own| Item::new("", "").with_categories(own.iter().map(usize::to_string).collect()))
            .collect();
        // The same bags as dense vectors: idf where the item has the category.
        let vectors = Array2::from_shape_fn((NUM_ITEMS, 5), |(item, category)| {
            let count = categories.iter().filter(|own| own.contains(&category)).count();
            let has = categories[item].contains(&category);
            if has { (NUM_ITEMS as f32 / count as f32).ln() } else { 0.0 }
        });
        let unit = |item: usize| {
            let row = vectors.row(item).mapv(f64::from);
            let norm = row.dot(&row).sqrt();
            if norm > 0.0 { row / norm } else { row }
        };
        let weights: Vec<f64> = (0..).take(history.len()).map(|age| decay.powi(age)).collect();
        let total: f64 = weights.iter().sum();
        let (mut sparse, mut dense) = ([0.0; NUM_ITEMS], [0.0; NUM_ITEMS]);
        CategoryKernel::fit(&items, decay).unwrap().score(&history, &mut sparse).unwrap();
        VectorKernel::new(vectors.view(), decay).unwrap().score(&history, &mut dense).unwrap();
        for (j, (sparse, dense)) in sparse.into_iter().zip(dense).enumerate() {
            let terms = history.iter().rev().zip(&weights);
            let expected: f64 = terms.map(|(i, w)| w * unit(i.index()).dot(&unit(j))).sum();
            prop_assert!((f64::from(sparse) - expected / total).abs() < 1e-5);
            prop_assert!((f64::from(dense) - expected / total).abs() < 1e-5);
        }
    }

    #[test]
    fn lists_hold_each_item_once_and_no_removed_one(
        sequences in sequences(), removed in vec((0u32..9).prop_map(ItemId), 0..9), k in 0usize..12, seed: u64
    ) {
        let model = Popularity::fit(NUM_ITEMS, &sequences).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let list = recommend(&model, &[], &removed, k, &mut rng).unwrap();
        let mut left: Vec<ItemId> = (0..9).map(ItemId).filter(|i| !removed.contains(i)).collect();
        prop_assert_eq!(list.len(), k.min(left.len()));
        for item in &list {
            let place = left.iter().position(|i| i == item);
            prop_assert!(place.is_some());
            left.remove(place.unwrap());
        }
        let mut scores = [0.0; NUM_ITEMS];
        model.score(&[], &mut scores).unwrap();
        prop_assert!(list.is_sorted_by(|a, b| scores[a.index()] >= scores[b.index()]));
        if let Some(last) = list.last() {
            prop_assert!(left.iter().all(|item| scores[item.index()] <= scores[last.index()]));
        }
    }

    #[test]
    fn a_removed_target_is_absent_and_removal_never_lowers_another(
        sequences in sequences(), seen in vec((0u32..9).prop_map(ItemId), 1..5), target in (0u32..9).prop_map(ItemId)
    ) {
        let model = Popularity::fit(NUM_ITEMS, &sequences).unwrap();
        let cases = [Case { sample: 1_u8, history: &seen, seen: &seen, target }];
        let place = |rule| evaluate(&model, &cases, rule).unwrap().placements().next().unwrap().1;
        let last_rank = |placement| match placement {
            Placement::At(rank) => rank.get(),
            Placement::Tied { first, count } => first.get() + count.get() - 1,
            _ => usize::MAX,
        };
        let (kept, removed) = (place(SeenItems::Kept), place(SeenItems::Removed));
        if seen.contains(&target) {
            prop_assert_eq!(removed, Placement::Absent);
        } else {
            prop_assert!(last_rank(removed) <= last_rank(kept));
        }
    }
}

proptest! {
    #[test]
    fn no_single_setting_of_the_grid_beats_what_the_walk_ends_at(
        sequences in vec(vec((0u32..9).prop_map(ItemId), 3..8), 5..20)
    ) {
        let train: Vec<&[ItemId]> = sequences.iter().map(|s| &s[..s.len() - 1]).collect();
        let cases: Vec<Case<'_, usize>> = sequences
            .iter()
            .zip(&train)
            .enumerate()
            .map(|(sample, (s, history))| {
                Case { sample, history, seen: history, target: s[s.len() - 1] }
            })
            .collect();
        let search = TransitionSearch::new("NDCG@3".parse().unwrap(), SeenItems::Kept);
        let found = search.run(NUM_ITEMS, &train, &cases).unwrap();
        let best = found.best.settings.config().clone();
        let mut others = Vec::new();
        others.extend(search.window.iter().map(|x| best.clone().with_window(*x)));
        others.extend(search.backward.iter().map(|x| best.clone().with_backward(*x)));
        others.extend(search.decay.iter().map(|x| best.clone().with_decay(*x)));
        others.extend(search.damping.iter().map(|x| best.clone().with_damping(*x)));
        for config in others {
            let settings = Transition::try_from(config).unwrap();
            let model = ItemTransition::fit(&settings, NUM_ITEMS, &train).unwrap();
            let run = evaluate(&model, &cases, SeenItems::Kept).unwrap();
            let values = run.values(search.metric).unwrap();
            let value = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert!(value <= found.best.value + 1e-12, "{settings:?}: {value}");
        }
        // Each point once, and far fewer than the grid has.
        for (at, trial) in found.trials.iter().enumerate() {
            prop_assert!(found.trials[..at].iter().all(|other| other.settings != trial.settings));
        }
        prop_assert!(found.trials.len() < 200, "{}", found.trials.len());
    }
}

#[test]
fn a_search_finds_the_window_that_reaches_the_target() {
    // Items alternate with noise from a large set; the target stands two places after its cue.
    let sequences: Vec<Vec<ItemId>> =
        (0..30).map(|noise| vec![ItemId(0), ItemId(2 + noise), ItemId(1)]).collect();
    let history = [ItemId(0)];
    let cases = [Case { sample: 0_u32, history: &history, seen: &history, target: ItemId(1) }];
    let mut search = TransitionSearch::new("MRR@5".parse().unwrap(), SeenItems::Kept);
    search.window = vec![1, 2];
    let selection = search.run(32, &sequences, &cases).unwrap();
    assert_eq!(selection.best.settings.config().window, 2);
    search.decay.clear();
    let error = search.run(32, &sequences, &cases).unwrap_err();
    assert_eq!(error.to_string(), "decay is empty: give the search at least one value");
}
