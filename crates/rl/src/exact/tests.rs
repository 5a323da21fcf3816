use super::*;
use crate::{Segments, ZScore};

/// Log-probabilities of scores.
fn softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score - sum.ln()).collect()
}

const SCORES: [f64; 5] = [0.3, -1.2, 2.0, 0.0, -0.4];
const REFERENCE: [f64; 5] = [0.1, 0.4, -1.0, 0.9, 0.2];
const REWARDS: [f64; 5] = [0.0, 1.0, 0.25, -0.5, 0.0];

/// Derivative by the scores, given that by their log-softmax.
fn by_scores(logp: &[f64], d_logp: &[f64]) -> Vec<f64> {
    let sum: f64 = d_logp.iter().sum();
    d_logp.iter().zip(logp).map(|(d, logp)| d - logp.exp() * sum).collect()
}

#[test]
fn the_gradient_is_the_slope_of_the_value() {
    let reference = softmax(&REFERENCE);
    for (kl, entropy) in [(0.0, 0.0), (0.7, 0.0), (0.0, 0.3), (0.4, 0.2)] {
        let objective = ExactObjective::new(ExactAdvantage::Reward, kl, entropy).unwrap();
        let terms = |scores: &[f64]| {
            let logp = softmax(scores);
            let answers = AllAnswers::new(&logp, &REWARDS).unwrap();
            objective.objective(&answers.with_reference(&reference).unwrap(), 3).unwrap()
        };
        let found = terms(&SCORES);
        assert!(found.d_logp.iter().sum::<f64>().abs() < 1e-12, "{found:?}");
        let gradient = by_scores(&softmax(&SCORES), &found.d_logp);
        for at in 0..SCORES.len() {
            let moved = |by: f64| {
                let mut scores = SCORES;
                scores[at] += by;
                terms(&scores).value
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[at]).abs() < 1e-8, "{kl} {entropy}: {slope} {gradient:?}");
        }
    }
}

#[test]
fn standardised_rewards_are_rewards_over_their_spread() {
    let logp = softmax(&SCORES);
    let answers = AllAnswers::new(&logp, &REWARDS).unwrap();
    let of = |advantage| ExactObjective::new(advantage, 0.0, 0.0).unwrap().objective(&answers, 1);
    let plain = of(ExactAdvantage::Reward).unwrap();
    let standardised = of(ExactAdvantage::Standardised(0.5)).unwrap();
    let spread = plain.expected.spread + 0.5;
    assert!(plain.expected.spread > 0.1);
    for (a, b) in plain.d_logp.iter().zip(&standardised.d_logp) {
        assert!((a - b * spread).abs() < 1e-12, "{a} {b}");
    }
    assert!((plain.value - standardised.value * spread).abs() < 1e-12);
}

#[test]
fn a_group_that_holds_each_answer_as_often_as_it_is_probable_has_the_same_gradient() {
    // 8, 4, 2, 1 and 1 rollouts of five answers: GRPO's advantages over the mean of 16 rollouts.
    let counts = [8usize, 4, 2, 1, 1];
    let logp = counts.map(|count| (count as f64 / 16.0).ln());
    let drawn: Vec<f64> = REWARDS
        .iter()
        .zip(counts)
        .flat_map(|(reward, count)| std::iter::repeat_n(*reward, count))
        .collect();
    let group = Segments::from_lens([16]);
    let z_score = ZScore::new(0, 1e-3).unwrap().advantages(&drawn, &group).unwrap().values;
    let advantage = ExactAdvantage::Standardised(1e-3);
    let answers = AllAnswers::new(&logp, &REWARDS).unwrap();
    let exact = ExactObjective::new(advantage, 0.0, 0.0).unwrap();
    let exact = exact.objective(&answers, 1).unwrap().d_logp;
    let mut first = 0;
    for (count, d) in counts.into_iter().zip(exact) {
        let of_group = z_score[first..first + count].iter().sum::<f64>() / 16.0;
        assert!((of_group - d).abs() < 1e-12, "{of_group} {d}");
        first += count;
    }
}

#[test]
fn equal_rewards_move_nothing_and_a_baseline_has_no_effect() {
    let logp = softmax(&SCORES);
    for advantage in [ExactAdvantage::Reward, ExactAdvantage::Standardised(1e-8)] {
        let of = |rewards: &[f64]| {
            let answers = AllAnswers::new(&logp, rewards).unwrap();
            ExactObjective::new(advantage, 0.0, 0.0).unwrap().objective(&answers, 1).unwrap()
        };
        // Also where they are equal up to rounding, which no unit of their spread may make large.
        for equal in [[0.7; 5], [0.3, 0.1 + 0.2, 0.3, 0.3, 0.3]] {
            assert!(of(&equal).d_logp.iter().all(|d| d.abs() < f64::MIN_POSITIVE));
        }
        let raised = REWARDS.map(|reward| reward + 3.0);
        for (a, b) in of(&REWARDS).d_logp.iter().zip(&of(&raised).d_logp) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }
}

#[test]
fn an_answer_without_probability_counts_nowhere() {
    let with = [0.5f64.ln(), f64::NEG_INFINITY, 0.5f64.ln()];
    let reference = [0.25f64.ln(), f64::NEG_INFINITY, 0.75f64.ln()];
    let answers = AllAnswers::new(&with, &[1.0, 9.0, 0.0]).unwrap();
    let answers = answers.with_reference(&reference).unwrap();
    let objective = ExactObjective::new(ExactAdvantage::Reward, 0.5, 0.5).unwrap();
    let found = objective.objective(&answers, 1).unwrap();
    let without = [with[0], with[2]];
    let kept = [reference[0], reference[2]];
    let answers = AllAnswers::new(&without, &[1.0, 0.0]).unwrap().with_reference(&kept).unwrap();
    let expected = objective.objective(&answers, 1).unwrap();
    assert_eq!(found.expected, expected.expected);
    assert_eq!(found.d_logp, [expected.d_logp[0], 0.0, expected.d_logp[1]]);
}

#[test]
fn what_cannot_be_computed_is_refused() {
    let logp = softmax(&SCORES);
    let wrong = |logp: &[f64], rewards: &[f64]| AllAnswers::new(logp, rewards).unwrap_err();
    assert!(matches!(wrong(&logp, &REWARDS[1..]), RlError::Length { what: "rewards", .. }));
    assert!(matches!(wrong(&[f64::NAN], &[1.0]), RlError::Rollout { rollout: 0, .. }));
    let infinite = wrong(&[-1.0, -1.0], &[0.0, f64::INFINITY]);
    assert!(matches!(infinite, RlError::Reward { position: 1, .. }));
    let answers = AllAnswers::new(&logp, &REWARDS).unwrap();
    assert!(matches!(answers.with_reference(&[0.0]), Err(RlError::Length { .. })));
    let objective = ExactObjective::new(ExactAdvantage::Reward, 0.1, 0.0).unwrap();
    let missing = objective.objective(&answers, 1).unwrap_err();
    assert!(matches!(missing, RlError::Missing { what: "ref_logp", .. }), "{missing}");
    let none = [f64::NEG_INFINITY; 5];
    let ruled_out = answers.with_reference(&none).unwrap().expected().unwrap_err();
    assert!(matches!(ruled_out, RlError::Overflow { what: "kl", .. }), "{ruled_out}");
    for (eps, kl, entropy) in [(-1.0, 0.0, 0.0), (0.0, f64::NAN, 0.0), (0.0, 0.0, f64::INFINITY)] {
        let refused = ExactObjective::new(ExactAdvantage::Standardised(eps), kl, entropy);
        assert!(matches!(refused, Err(RlError::Setting { .. })), "{eps} {kl} {entropy}");
    }
}
