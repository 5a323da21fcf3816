//! Priors: their equation, their weights against an exhaustive count, and what a search learns.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

use ndarray::Array2;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_baselines::{
    BaselineError, Case, ItemTransition, Prior, PriorSearch, PriorWeights, Recommender, ScaleBy,
    TermForm, TermWeight, Transition, TransitionConfig, UserScale, VectorKernel,
};
use sidereal_metrics::{Outcome as _, Placement, SeenItems};
use sidereal_sid::ItemId;

const LOG: TermForm = TermForm::Log { floor: 0.05 };

/// The same scores after every history.
struct Fixed(Vec<f32>);

impl Recommender for Fixed {
    fn num_items(&self) -> usize {
        self.0.len()
    }

    fn score(&self, _: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        scores.copy_from_slice(&self.0);
        Ok(())
    }
}

/// A recommender that must not be asked.
struct Untouchable;

impl Recommender for Untouchable {
    fn num_items(&self) -> usize {
        3
    }

    fn score(&self, _: &[ItemId], _: &mut [f32]) -> Result<(), BaselineError> {
        Err(BaselineError::EmptyGrid { field: "asked" })
    }
}

#[test]
fn a_log_term_is_the_logarithm_of_the_share_and_the_floor() {
    // Scores 1, 3 and left out: shares 1/4, 3/4 and 0, and a floor of 0.3 / 3 = 0.1.
    let scores = Fixed(vec![1.0, 3.0, f32::NEG_INFINITY]);
    let prior = Prior::new(3)
        .with_term("counts", scores, TermForm::Log { floor: 0.3 }, 2.0)
        .unwrap()
        .with_term("none", Untouchable, TermForm::Linear, 0.0)
        .unwrap()
        .with_term("linear", Fixed(vec![-1.0, 0.5, 0.0]), TermForm::Linear, 4.0)
        .unwrap();
    let mut found = [0.0; 3];
    prior.log_prior(&[], &mut found).unwrap();
    let expected = [2.0 * 0.35f64.ln() - 4.0, 2.0 * 0.85f64.ln() + 2.0, 2.0 * 0.1f64.ln()];
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(prior.unused().collect::<Vec<_>>(), ["none"]);
    let items = [ItemId(2), ItemId(0)];
    for (why, item) in prior.explain(&[], &items).unwrap().iter().zip(items) {
        assert_eq!(why.item, item);
        assert!((why.log_prior - found[item.index()]).abs() < 1e-6);
        let sum: f32 = why.terms.iter().map(|term| term.contribution).sum();
        assert!((sum - why.log_prior).abs() < 1e-6);
        let named: Vec<_> = why.terms.iter().map(|t| (&*t.name, t.value.is_some())).collect();
        assert_eq!(named, [("counts", true), ("none", false), ("linear", true)]);
    }
    // Nothing known: the same for all items.
    let prior = Prior::new(3).with_term("zero", Fixed(vec![0.0; 3]), LOG, 1.0).unwrap();
    prior.score(&[], &mut found).unwrap();
    assert!(found.iter().all(|x| (x - (0.05f32 / 3.0).ln()).abs() < 1e-6), "{found:?}");
}

#[test]
fn what_cannot_be_a_prior_is_named() {
    let of = |scores: &[f32], form, weight| {
        Prior::new(2).with_term("t", Fixed(scores.to_vec()), form, weight).map(|_| ())
    };
    let text = |result: Result<(), BaselineError>| result.unwrap_err().to_string();
    assert_eq!(text(of(&[1.0], LOG, 1.0)), "term `t`: its recommender scores 1 items, needed 2");
    assert!(of(&[1.0; 2], TermForm::Log { floor: 0.0 }, 1.0).is_err());
    assert!(of(&[1.0; 2], LOG, -1.0).is_err() && of(&[1.0; 2], LOG, f32::NAN).is_err());
    let asked = |scores: &[f32], form| {
        let prior = Prior::new(2).with_term("t", Fixed(scores.to_vec()), form, 1.0).unwrap();
        text(prior.log_prior(&[], &mut [0.0; 2]))
    };
    assert_eq!(
        asked(&[1.0, -2.0], LOG),
        "term `t` scores item 1 with -2, needed a finite number, 0 or more, or −∞"
    );
    assert_eq!(
        asked(&[f32::NEG_INFINITY, 1.0], TermForm::Linear),
        "term `t` scores item 0 with -inf, needed a finite number"
    );
    let two = || Prior::new(1).with_term("t", Fixed(vec![1.0]), LOG, 1.0).unwrap();
    assert!(two().with_term("t", Fixed(vec![1.0]), LOG, 1.0).is_err());
    let weights = |name: &str, scale| PriorWeights {
        terms: vec![TermWeight { name: name.to_owned(), weight: 1.0 }],
        scale,
        by_history: None,
    };
    let error = two().with_weights(weights("other", None)).unwrap_err().to_string();
    assert_eq!(error, r#"the weights are of the terms ["other"], the prior has ["t"]"#);
    let scale = |by, bounds: &[f32], factors: &[f32]| {
        Some(UserScale { by, bounds: bounds.to_vec(), factors: factors.to_vec() })
    };
    let mass = |term: &str| ScaleBy::Mass { term: term.to_owned() };
    for (scale, legal) in [
        (scale(ScaleBy::HistoryLength, &[2.0, 4.0], &[1.0, 0.0, 2.0]), true),
        (scale(mass("t"), &[], &[1.0]), true),
        (scale(mass("x"), &[], &[1.0]), false),
        (scale(ScaleBy::HistoryLength, &[2.0], &[1.0]), false),
        (scale(ScaleBy::HistoryLength, &[2.0, 2.0], &[1.0; 3]), false),
        (scale(ScaleBy::HistoryLength, &[2.0], &[1.0, f32::NAN]), false),
    ] {
        assert_eq!(two().with_weights(weights("t", scale.clone())).is_ok(), legal, "{scale:?}");
    }
}

#[test]
fn weights_are_scaled_by_the_bucket_of_the_history() {
    let terms = vec![TermWeight { name: "t".into(), weight: 2.0 }];
    let prior = |by| {
        let scale = UserScale { by, bounds: vec![2.0, 4.0], factors: vec![0.5, 1.0, 3.0] };
        let weights = PriorWeights { terms: terms.clone(), scale: Some(scale), by_history: None };
        let prior = Prior::new(2).with_term("t", Fixed(vec![1.0, 2.0]), LOG, 0.0).unwrap();
        prior.with_weights(weights).unwrap()
    };
    let weight = |prior: &Prior<'_>, length: usize| {
        let history = vec![ItemId(0); length];
        prior.explain(&history, &[ItemId(0)]).unwrap()[0].terms[0].weight
    };
    let by_length = prior(ScaleBy::HistoryLength);
    let found = [0, 1, 2, 3, 4, 9].map(|length| weight(&by_length, length));
    let expected = [1.0, 1.0, 2.0, 2.0, 6.0, 6.0];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    // The scores sum to 3, whoever asks.
    assert!((weight(&prior(ScaleBy::Mass { term: "t".into() }), 9) - 2.0).abs() < 1e-6);
}

/// A problem of 60 items in which the policies, the transitions and the kernel each know something.
struct Problem {
    sequences: Vec<Vec<ItemId>>,
    vectors: Array2<f32>,
    /// `[cases · N]` of two policies.
    policies: [Vec<f32>; 2],
}

const N: usize = 60;

impl Problem {
    fn new(users: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut item = |near: usize| {
            let step = if rng.gen_bool(0.6) { rng.gen_range(0..4) } else { rng.gen_range(0..N) };
            (near + step) % N
        };
        let sequences: Vec<Vec<ItemId>> = (0..users)
            .map(|user| {
                let mut at = user % N;
                (0..4 + user % 5)
                    .map(|_| {
                        at = item(at);
                        ItemId(u32::try_from(at).unwrap())
                    })
                    .collect()
            })
            .collect();
        let angle = |item: usize, d: usize| {
            let turn = item as f32 / N as f32 * std::f32::consts::TAU;
            if d == 0 { turn.cos() } else { turn.sin() }
        };
        let vectors = Array2::from_shape_fn((N, 2), |(item, d)| angle(item, d));
        let mut policy = |strength: f32| -> Vec<f32> {
            let mut of_user = |sequence: &Vec<ItemId>| -> Vec<f32> {
                let target = sequence[sequence.len() - 1].index();
                (0..N)
                    .map(|item| {
                        let known = if item == target { strength } else { 0.0 };
                        known + rng.gen_range(-3.0..0.0)
                    })
                    .collect()
            };
            sequences.iter().flat_map(&mut of_user).collect()
        };
        let policies = [policy(1.0), policy(0.5)];
        Self { sequences, vectors, policies }
    }

    fn cases(&self) -> Vec<Case<'_, usize>> {
        self.sequences
            .iter()
            .enumerate()
            .map(|(sample, s)| {
                let (target, history) = s.split_last().unwrap();
                Case { sample, history, seen: history, target: *target }
            })
            .collect()
    }

    fn prior(&self) -> Prior<'_> {
        let train: Vec<&[ItemId]> = self.sequences.iter().map(|s| &s[..s.len() - 1]).collect();
        let settings = Transition::try_from(TransitionConfig::default()).unwrap();
        Prior::new(N)
            .with_term("transitions", ItemTransition::fit(&settings, N, &train).unwrap(), LOG, 0.0)
            .unwrap()
            .with_term(
                "text",
                VectorKernel::new(self.vectors.view(), 0.6).unwrap(),
                TermForm::Linear,
                0.0,
            )
            .unwrap()
    }

    /// NDCG@10 of all cases at these weights, item by item and without any shortcut.
    fn plain(&self, search: &PriorSearch, weights: &PriorWeights) -> f64 {
        let prior = self.prior().with_weights(weights.clone()).unwrap();
        let mut sum = 0.0;
        for (at, case) in self.cases().iter().enumerate() {
            let mut scores = vec![0.0; N];
            prior.log_prior(case.history, &mut scores).unwrap();
            for (item, score) in scores.iter_mut().enumerate() {
                let logs = self.policies.iter().map(|policy| policy[at * N + item]);
                *score += logs.sum::<f32>() / 2.0;
            }
            if search.seen_items == SeenItems::Removed {
                case.seen.iter().for_each(|item| scores[item.index()] = f32::NEG_INFINITY);
            }
            let placement = Placement::from_scores(&scores, case.target.index()).unwrap();
            sum += placement.value(search.metric).unwrap();
        }
        sum / self.sequences.len() as f64
    }
}

#[test]
fn every_trial_is_what_ranking_all_items_gives() {
    let problem = Problem::new(150, 3);
    for seen_items in [SeenItems::Kept, SeenItems::Removed] {
        let prior = problem.prior();
        let search = PriorSearch::new(seen_items);
        let mut cases = search.cases(&prior);
        // In two parts, as policies answer batch by batch.
        let all = problem.cases();
        for (part, range) in [(&all[..70], 0..70 * N), (&all[70..], 70 * N..150 * N)] {
            let policies = problem.policies.each_ref().map(|policy| &policy[range.clone()]);
            cases.push(part, &policies).unwrap();
        }
        let fit = cases.fit().unwrap();
        assert!(fit.trials.len() > 30, "{}", fit.trials.len());
        for trial in &fit.trials {
            let terms = fit.weights.terms.iter().zip(&trial.weights);
            let terms =
                terms.map(|(term, weight)| TermWeight { name: term.name.clone(), weight: *weight });
            let weights = PriorWeights { terms: terms.collect(), ..PriorWeights::default() };
            let expected = problem.plain(&search, &weights);
            assert!((trial.value - expected).abs() < 1e-9, "{trial:?}: {expected}");
        }
        for scale in &fit.scales {
            assert_eq!(scale.used, fit.weights.scale.as_ref() == Some(&scale.scale));
        }
        assert!((fit.value - problem.plain(&search, &fit.weights)).abs() < 1e-9);
        let best = fit.trials.iter().map(|trial| trial.value).fold(0.0, f64::max);
        assert!(fit.value >= best && best > fit.policy_value, "{fit}");
        // Each policy alone, the first better informed than the second.
        assert!(fit.policy_values[0] > fit.policy_values[1]);
        assert!(fit.to_string().contains("weight of transitions"));
    }
}

#[test]
fn a_term_that_says_nothing_is_not_used() {
    let problem = Problem::new(200, 5);
    let prior = problem
        .prior()
        .with_term("same for all", Fixed(vec![0.5; N]), TermForm::Linear, 0.0)
        .unwrap();
    let search = PriorSearch::new(SeenItems::Kept);
    let mut cases = search.cases(&prior);
    let policies = problem.policies.each_ref().map(Vec::as_slice);
    cases.push(&problem.cases(), &policies).unwrap();
    let fit = cases.fit().unwrap();
    assert!(fit.weights.terms[0].weight > 0.0, "{fit}");
    let prior = prior.with_weights(fit.weights).unwrap();
    assert!(prior.unused().any(|name| name == "same for all"));
}

/// Users with short histories are known to the policy, those with long ones to the prior.
#[test]
fn a_scale_is_used_where_it_helps_and_left_where_it_is_noise() {
    let fit = |depends: bool| {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let n = 50;
        let mut liked = vec![0.0; n];
        liked[7] = 1.0;
        let prior = Prior::new(n).with_term("liked", Fixed(liked), LOG, 0.0).unwrap();
        let search = PriorSearch::new(SeenItems::Kept);
        let mut cases = search.cases(&prior);
        let (short, long) = (vec![ItemId(1)], vec![ItemId(1); 9]);
        for sample in 0..600 {
            let history = if sample % 3 == 0 { &long } else { &short };
            let fits = if depends { sample % 3 == 0 } else { rng.gen_bool(0.4) };
            let target = ItemId(if fits { 7 } else { rng.gen_range(8..50) });
            let mut logs: Vec<f32> = (0..n).map(|_| rng.gen_range(-4.0..-2.0)).collect();
            if !fits {
                logs[target.index()] += rng.gen_range(0.0..3.0);
            }
            let case = Case { sample, history, seen: history, target };
            cases.push(&[case], &[&logs]).unwrap();
        }
        cases.fit().unwrap()
    };
    let planted = fit(true);
    let scale = planted.weights.scale.as_ref().unwrap();
    assert_eq!(scale.by, ScaleBy::HistoryLength);
    assert!(scale.factors[0] < scale.factors[scale.factors.len() - 1], "{planted}");
    assert!(planted.scales.iter().filter(|trial| trial.used).count() == 1);
    let absent = fit(false);
    assert!(absent.weights.scale.is_none(), "{absent}");
}

#[test]
fn malformed_cases_are_refused_and_nothing_is_kept_of_them() {
    let prior = Prior::new(2).with_term("t", Fixed(vec![1.0, 2.0]), LOG, 0.0).unwrap();
    let search = PriorSearch::new(SeenItems::Removed);
    let mut cases = search.cases(&prior);
    let of = |target| Case { sample: 0, history: &[], seen: &[], target: ItemId(target) };
    let text = |result: Result<(), BaselineError>| result.unwrap_err().to_string();
    assert!(cases.push(&[of(0)], &[]).is_err());
    assert_eq!(
        text(cases.push(&[of(0)], &[&[0.0; 3]])),
        "policy 0: found 3 log-probabilities, needed 2, one a case and item"
    );
    assert_eq!(
        text(cases.push(&[of(0)], &[&[0.0, f32::NAN]])),
        "policy 0: the log-probability of item 1 is NaN, needed a number or −∞"
    );
    assert!(matches!(
        cases.push(&[of(2)], &[&[0.0; 2]]),
        Err(BaselineError::Item { item: ItemId(2), num_items: 2 })
    ));
    assert!(cases.is_empty() && cases.fit().is_err());
    // A target that the policy rules out, or that is removed, is never hit.
    let seen = [ItemId(1)];
    cases.push(&[of(1)], &[&[0.0, f32::NEG_INFINITY]]).unwrap();
    cases.push(&[Case { seen: &seen, ..of(1) }], &[&[-9.0, 0.0]]).unwrap();
    let fit = cases.fit().unwrap();
    assert_eq!((cases.len(), fit.value, fit.policy_values), (2, 0.0, vec![0.0]));
    assert!(cases.push(&[of(1)], &[&[0.0; 2], &[0.0; 2]]).is_err());
    let mut grid = PriorSearch::new(SeenItems::Kept);
    grid.log_weights = vec![0.5, 1.0];
    assert!(matches!(
        grid.cases(&prior).push(&[of(1)], &[&[0.0; 2]]),
        Err(BaselineError::Setting { field: "log_weights", .. })
    ));
}
