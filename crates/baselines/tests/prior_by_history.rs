//! Weights of a prior by the length of the history.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]
#![allow(clippy::float_cmp, reason = "the values are exact")]

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_baselines::{
    BaselineError, Case, HistoryWeights, Prior, PriorFit, PriorSearch, PriorWeights, Recommender,
    TermForm, TermWeight,
};
use sidereal_metrics::{Outcome as _, Placement, SeenItems};
use sidereal_sid::ItemId;

/// Items of the problems.
const N: usize = 50;

/// Likes item 7, whatever came before.
struct Likes;

impl Recommender for Likes {
    fn num_items(&self) -> usize {
        N
    }

    fn score(&self, _: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        scores.fill(0.0);
        scores[7] = 1.0;
        Ok(())
    }
}

fn prior() -> Prior<'static> {
    Prior::new(N).with_term("liked", Likes, TermForm::Log { floor: 0.05 }, 0.0).unwrap()
}

/// A target, what the policy says of all items, and the length of the history.
struct User {
    target: ItemId,
    logs: Vec<f32>,
    history: Vec<ItemId>,
}

/// A user of whom the policy knows something, and who takes item 7 with this probability.
fn user(rng: &mut ChaCha8Rng, likes: f64, length: usize) -> User {
    let target = if rng.gen_bool(likes) { 7 } else { rng.gen_range(8..50) };
    let mut logs: Vec<f32> = (0..N).map(|_| rng.gen_range(-4.0..-2.0)).collect();
    if target != 7 {
        logs[target as usize] += rng.gen_range(0.0..3.0);
    }
    User { target: ItemId(target), logs, history: vec![ItemId(1); length] }
}

fn case(user: &User) -> Case<'_, usize> {
    Case { sample: 0, history: &user.history, seen: &user.history, target: user.target }
}

fn fit(search: &PriorSearch, users: &[User]) -> PriorFit {
    let prior = prior();
    let mut cases = search.cases(&prior);
    for user in users {
        cases.push(&[case(user)], &[&user.logs]).unwrap();
    }
    cases.fit().unwrap()
}

fn search(by_history: &[usize]) -> PriorSearch {
    let mut search = PriorSearch::new(SeenItems::Kept);
    search.buckets = 1;
    search.by_history = by_history.to_vec();
    search.min_group_cases = 50;
    search
}

/// The metric of all users, by ranking all items.
fn plain(weights: &PriorWeights, users: &[User], search: &PriorSearch) -> f64 {
    let prior = prior().with_weights(weights.clone()).unwrap();
    let value = |user: &User| {
        let mut scores = vec![0.0; N];
        prior.log_prior(&user.history, &mut scores).unwrap();
        scores.iter_mut().zip(&user.logs).for_each(|(score, log)| *score += log);
        let placement = Placement::from_scores(&scores, user.target.index()).unwrap();
        placement.value(search.metric).unwrap()
    };
    users.iter().map(value).sum::<f64>() / users.len() as f64
}

#[test]
fn groups_that_agree_have_the_weights_of_all() {
    // Every user twice, once with a short and once with a long history.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let users: Vec<User> = (0..300)
        .flat_map(|_| {
            let short = user(&mut rng, 0.4, 1);
            let long = User {
                target: short.target,
                logs: short.logs.clone(),
                history: vec![ItemId(1); 9],
            };
            [short, long]
        })
        .collect();
    let (constant, grouped) = (fit(&search(&[]), &users), fit(&search(&[4]), &users));
    let overall = constant.weights.terms[0].weight;
    assert!(overall > 0.0);
    assert_eq!(grouped.weights.terms, constant.weights.terms);
    for group in &grouped.groups {
        assert_eq!((group.num_cases, group.weights.as_deref()), (300, Some(&[overall][..])));
    }
    assert!((grouped.value - constant.value).abs() < 1e-12);
    // So is the prior of every user.
    let prior_of = |fit: PriorFit| prior().with_weights(fit.weights).unwrap();
    let (constant, grouped) = (prior_of(constant), prior_of(grouped));
    for length in [0, 1, 4, 9] {
        let history = vec![ItemId(1); length];
        let mut found = [vec![0.0; N], vec![0.0; N]];
        constant.log_prior(&history, &mut found[0]).unwrap();
        grouped.log_prior(&history, &mut found[1]).unwrap();
        assert_eq!(found[0], found[1]);
    }
}

/// Users with short histories take what the prior likes; the policy knows those with long ones.
#[test]
fn short_histories_that_need_the_prior_more_get_more_of_it() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let users: Vec<User> = (0..600)
        .map(|at| if at % 2 == 0 { user(&mut rng, 0.8, 2) } else { user(&mut rng, 0.0, 9) })
        .collect();
    let (constant, grouped) = (fit(&search(&[]), &users), fit(&search(&[4]), &users));
    let own = grouped.weights.by_history.as_ref().unwrap();
    let overall = grouped.weights.terms[0].weight;
    let of_group = |at: usize| own.weights[at].as_ref().map_or(overall, |weights| weights[0]);
    assert!(of_group(0) > of_group(1), "{grouped}");
    assert!(grouped.value > constant.value + 0.01, "{grouped}");
    for fit in [&constant, &grouped] {
        assert!((fit.value - plain(&fit.weights, &users, &search(&[]))).abs() < 1e-9, "{fit}");
    }
    let shown = grouped.to_string();
    assert!(shown.contains("histories of 4 items or more: 300 cases, gain +"), "{shown}");
}

#[test]
fn a_group_of_few_users_has_the_weights_of_all() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let users: Vec<User> = (0..340)
        .map(|at| if at < 300 { user(&mut rng, 0.8, 2) } else { user(&mut rng, 0.0, 9) })
        .collect();
    let grouped = fit(&search(&[4]), &users);
    let few = &grouped.groups[1];
    assert_eq!((few.num_cases, few.used, &few.weights), (40, false, &None));
    let own = grouped.weights.by_history.as_ref().is_none_or(|own| own.weights[1].is_none());
    assert!(own && grouped.to_string().contains("40 cases are too few"), "{grouped}");
}

#[test]
fn a_prior_takes_the_weights_of_the_group_that_a_history_is_in() {
    let weights = |weights: Vec<Option<Vec<f32>>>| PriorWeights {
        terms: vec![TermWeight { name: "liked".into(), weight: 1.0 }],
        by_history: Some(HistoryWeights { bounds: vec![2, 4], weights }),
        ..PriorWeights::default()
    };
    let of = |own: Vec<Option<Vec<f32>>>| prior().with_weights(weights(own));
    let prior = of(vec![Some(vec![3.0]), None, Some(vec![0.0])]).unwrap();
    let weight = |length: usize| {
        let why = prior.explain(&vec![ItemId(0); length], &[ItemId(7)]).unwrap();
        why[0].terms[0].weight
    };
    assert_eq!([0, 1, 2, 3, 4, 9].map(weight), [3.0, 3.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(prior.unused().count(), 0);
    for (own, legal) in [
        (vec![None, None, None], true),
        (vec![None, None], false),
        (vec![Some(vec![1.0, 1.0]), None, None], false),
        (vec![Some(vec![-1.0]), None, None], false),
    ] {
        assert_eq!(of(own.clone()).is_ok(), legal, "{own:?}");
    }
    // Bounds that no history could be sorted by.
    for bounds in [vec![0, 3], vec![3, 3]] {
        let (prior, search) = (self::prior(), search(&bounds));
        let user = user(&mut ChaCha8Rng::seed_from_u64(1), 1.0, 1);
        let refused = search.cases(&prior).push(&[case(&user)], &[&user.logs]).unwrap_err();
        assert!(matches!(refused, BaselineError::Setting { field: "by_history", .. }), "{refused}");
    }
}
