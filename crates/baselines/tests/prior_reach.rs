//! How far the weights of a prior are looked for: a weight at the end of its grid is never silent.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]
#![allow(clippy::float_cmp, reason = "the values are exact")]

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_baselines::{
    BaselineError, Case, Prior, PriorCases, PriorFit, PriorSearch, Recommender, TermForm,
};
use sidereal_metrics::SeenItems;
use sidereal_sid::ItemId;

const N: usize = 30;

/// Likes the item after the last one.
struct Next;

impl Recommender for Next {
    fn num_items(&self) -> usize {
        N
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        scores.fill(0.0);
        let next = history.last().map_or(0, |last| (last.index() + 1) % N);
        scores[next] = 1.0;
        Ok(())
    }
}

/// The fits of one search, and of one that may look further, where a policy errs by up to `spread` nats
/// and the prior is right.
fn fits(form: TermForm, spread: f32) -> [PriorFit; 2] {
    let prior = Prior::new(N).with_term("next", Next, form, 0.0).unwrap();
    let mut search = PriorSearch::new(SeenItems::Kept);
    // Every nat of the target counts, however low it stands.
    search.metric = "NDCG@30".parse().unwrap();
    let feed = |cases: &mut PriorCases<'_>| -> Result<(), BaselineError> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for user in 0..200_usize {
            let history = [ItemId(u32::try_from(user % N).unwrap())];
            let target = ItemId(u32::try_from((user + 1) % N).unwrap());
            let mut logs: Vec<f32> = (0..N).map(|_| rng.gen_range(-spread..0.0)).collect();
            logs[target.index()] = -spread;
            let case = Case { sample: user, history: &history, seen: &history, target };
            cases.push(&[case], &[&logs])?;
        }
        Ok(())
    };
    let mut cases = search.cases(&prior);
    feed(&mut cases).unwrap();
    let once = cases.fit().unwrap();
    [once, search.run(&prior, feed).unwrap()]
}

#[test]
fn a_search_looks_further_where_the_largest_weight_is_the_best() {
    // The term says ln(1.05 / .05) ≈ 6.4 nats more of the target, or 1: so a weight above spread / 6.4, or
    // above spread, always wins.
    for (form, spread, enough) in
        [(TermForm::Log { floor: 0.05 }, 30.0, 4.8), (TermForm::Linear, 15.0, 16.0)]
    {
        let [once, further] = fits(form, spread);
        assert_eq!(once.at_edge, ["next"]);
        assert!(once.to_string().contains("(the largest that was tried)"), "{once}");
        let weight = further.weights.terms[0].weight;
        assert!(further.at_edge.is_empty(), "{further}");
        assert!(weight > once.weights.terms[0].weight && weight <= enough, "{further}");
        assert!(further.value > once.value, "{once}{further}");
    }
}

#[test]
fn a_weight_that_no_search_reaches_is_named() {
    let [_, further] = fits(TermForm::Log { floor: 0.05 }, 500.0);
    assert_eq!(further.at_edge, ["next"]);
    assert!(further.to_string().contains("(the largest that was tried)"), "{further}");
}

#[test]
fn a_search_that_ends_inside_its_grids_is_run_once() {
    let [once, further] = fits(TermForm::Log { floor: 0.05 }, 8.0);
    assert!(once.at_edge.is_empty(), "{once}");
    assert_eq!(once, further);
}
