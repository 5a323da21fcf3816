//! A prior that leads the beam, against scoring every item.

use proptest::prelude::*;
use sidereal_policy::{
    BeamSearch, Conditions, Hypothesis, PolicyError, Sampler, SamplingConfig, Scoring, TriePrior,
};
use sidereal_sid::{ItemId, strategies};

use crate::tiny;

/// A log prior for as many items as there are, some of them not to be shown.
fn log_priors(items: usize) -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![6 => -8.0f32..2.0, 1 => Just(f32::NEG_INFINITY)];
    prop::collection::vec(value, items)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_wide_beam_under_a_prior_is_scoring_every_item_and_adding_it(
        (catalog, prior) in strategies::catalog(12)
            .prop_flat_map(|catalog| {
                let items = catalog.num_items();
                (Just(catalog), log_priors(items))
            }),
        seed in 0i64..1000,
    ) {
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let trie = constraint.trie();
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), seed);
        let scoring = Scoring::Renormalised;
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 20, scoring };
        let prompts = tiny::batch(&[vec![5, 9, 2]]);
        let plain = &search.search(&prompts, &[&[]]).unwrap()[0];
        let table = [TriePrior::new(trie, &prior).unwrap()];
        let conditions = Conditions { priors: &table, ..Conditions::default() };
        let led = &search.search_under(&prompts, &conditions).unwrap()[0];

        // ln Σ exp of some items' priors, in double precision.
        let sum = |items: &[ItemId]| {
            let total: f64 = items.iter().map(|item| f64::from(prior[item.index()]).exp()).sum();
            total.ln()
        };
        let all: Vec<ItemId> = (0..).map(ItemId).take(prior.len()).collect();
        let mut expected: Vec<(f64, &Hypothesis)> = plain
            .iter()
            .map(|found| (f64::from(found.score) + sum(trie.items(found.node)) - sum(&all), found))
            .filter(|(score, _)| score.is_finite())
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        prop_assert_eq!(led.len(), expected.len());
        for (found, (score, _)) in led.iter().zip(&expected) {
            prop_assert!((f64::from(found.score) - score).abs() < 1e-3, "{found:?} {score}");
        }
        for found in led {
            let (score, _) = expected.iter().find(|(_, plain)| plain.node == found.node).unwrap();
            prop_assert!((f64::from(found.score) - score).abs() < 1e-3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// D³'s scores by its own equation, token by token: α log p + (1 − α) log (mass after / mass before).
    #[test]
    fn a_weighted_prior_ranks_by_both_models_at_every_token(
        (catalog, prior) in strategies::catalog(12)
            .prop_flat_map(|catalog| {
                let items = catalog.num_items();
                (Just(catalog), prop::collection::vec(-8.0f32..0.0, items))
            }),
        seed in 0i64..1000,
        alpha in 0.3f64..0.95,
    ) {
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let trie = constraint.trie();
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), seed);
        let scoring = Scoring::Full;
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 20, scoring };
        let prompts = tiny::batch(&[vec![5, 9, 2]]);
        // log p of every prefix.
        let mut prefixes = std::collections::BTreeMap::from([(Vec::new(), 0.0)]);
        let plain = search
            .search_observed(&prompts, &Conditions::default(), &mut |kept| {
                prefixes.insert(kept.tokens.to_vec(), f64::from(kept.score));
            })
            .unwrap();
        let begins = |item: usize, prefix: &[u32]| {
            let item = ItemId(u32::try_from(item).unwrap());
            constraint.flat(item).unwrap().starts_with(prefix)
        };
        let mass = |prefix: &[u32]| -> f64 {
            let below = prior.iter().enumerate().filter(|(item, _)| begins(*item, prefix));
            below.map(|(_, log)| f64::from(*log).exp()).sum()
        };
        let mut expected: Vec<f64> = plain[0]
            .iter()
            .map(|found| {
                (1..=found.tokens.len())
                    .map(|len| {
                        let (before, after) = (&found.tokens[..len - 1], &found.tokens[..len]);
                        let own = prefixes[after] - prefixes[before];
                        let theirs = (mass(after) / mass(before)).ln();
                        alpha * own + (1.0 - alpha) * theirs
                    })
                    .sum()
            })
            .collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
        let weight = ((1.0 - alpha) / alpha) as f32;
        let priors = [TriePrior::new(trie, &prior).unwrap().weighted(weight).unwrap()];
        let conditions = Conditions { priors: &priors, ..Conditions::default() };
        let led = &search.search_under(&prompts, &conditions).unwrap()[0];
        prop_assert_eq!(led.len(), expected.len());
        for (found, score) in led.iter().zip(&expected) {
            prop_assert!((alpha * f64::from(found.score) - score).abs() < 2e-3, "{found:?} {score}");
        }
    }
}

#[test]
fn a_prior_without_weight_is_refused() {
    let catalog = tiny::catalog();
    let (constraint, _) = tiny::constraint(&catalog);
    let prior = TriePrior::new(constraint.trie(), &vec![0.0; catalog.num_items()]).unwrap();
    for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = prior.weighted(weight).unwrap_err();
        assert!(matches!(error, PolicyError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn a_flat_prior_changes_nothing_that_is_found() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 3);
    let scoring = Scoring::Renormalised;
    let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 50, scoring };
    let prompts = tiny::batch(&[vec![5, 9, 2], vec![7]]);
    let plain = search.search(&prompts, &[&[], &[]]).unwrap();
    // As many items as a leaf has weigh as much: the prior of a catalogue without collisions.
    let flat = vec![0.0; catalog.num_items()];
    let prior = TriePrior::new(constraint.trie(), &flat).unwrap();
    let priors = [prior.clone(), prior];
    let conditions = Conditions { priors: &priors, ..Conditions::default() };
    let led = search.search_under(&prompts, &conditions).unwrap();
    let nodes = |found: &[Vec<Hypothesis>]| -> Vec<Vec<_>> {
        found.iter().map(|found| found.iter().map(|one| one.node).collect()).collect()
    };
    let mut all = nodes(&plain).concat();
    let mut found = nodes(&led).concat();
    all.sort_unstable();
    found.sort_unstable();
    assert_eq!(all, found);
}

#[test]
fn the_prior_of_a_prefix_leads_a_narrow_beam_to_an_item_that_it_would_lose() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 3);
    let scoring = Scoring::Renormalised;
    let width =
        |beam_width| BeamSearch { model: &model, constraint: &constraint, beam_width, scoring };
    let prompts = tiny::batch(&[vec![5, 9, 2]]);
    let plain = &width(50).search(&prompts, &[&[]]).unwrap()[0];
    let worst = plain.last().unwrap();
    let mut prior = vec![-20.0; catalog.num_items()];
    for item in constraint.trie().items(worst.node) {
        prior[item.index()] = 0.0;
    }
    let priors = [TriePrior::new(constraint.trie(), &prior).unwrap()];
    let conditions = Conditions { priors: &priors, ..Conditions::default() };
    let found = &width(1).search_under(&prompts, &conditions).unwrap()[0];
    assert_eq!(found[0].node, worst.node);
}

#[test]
fn priors_of_another_size_values_without_an_order_and_draws_under_a_prior_are_refused() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let (trie, items) = (constraint.trie(), catalog.num_items());
    let error = TriePrior::new(trie, &vec![0.0; items + 1]).unwrap_err();
    assert!(matches!(error, PolicyError::NodeMass(_)), "{error}");
    for value in [f32::NAN, f32::INFINITY] {
        let error = TriePrior::new(trie, &vec![value; items]).unwrap_err();
        assert!(matches!(error, PolicyError::NotFinite { .. }), "{error}");
    }
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 3);
    let sampler = Sampler {
        model: &model,
        constraint: &constraint,
        sampling: SamplingConfig::default(),
        scoring: Scoring::Renormalised,
        seed: 1,
    };
    let priors = [TriePrior::new(trie, &vec![0.0; items]).unwrap()];
    let conditions = Conditions { priors: &priors, ..Conditions::default() };
    let error = sampler.sample(&tiny::batch(&[vec![7]]), &conditions, 2).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { field: "priors", .. }), "{error}");
}
