//! Value and gradient against TRL's own GRPO and DPO losses; `parity/trl_losses.py` made the numbers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::num::NonZeroUsize;

use serde::Deserialize;
use sidereal_rl::{
    Clip, Grpo, Gspo, Kl, KlEstimator, Normalise, Objective, PreferenceBatch, RolloutBatch, Sdpo,
    Segments, StepSize,
};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Case {
    Grpo(GrpoCase),
    Dpo(DpoCase),
}

#[derive(Deserialize)]
struct GrpoCase {
    loss_type: String,
    level: String,
    kl_coef: f64,
    clip_low: f64,
    clip_high: f64,
    constant: NonZeroUsize,
    new: Vec<Vec<f64>>,
    old: Vec<Vec<f64>>,
    reference: Vec<Vec<f64>>,
    advantages: Vec<f64>,
    loss: f64,
    grad_new: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct DpoCase {
    beta: f64,
    chosen: Vec<f64>,
    rejected: Vec<f64>,
    ref_chosen: Vec<f64>,
    ref_rejected: Vec<f64>,
    loss: f64,
    grad_chosen: Vec<f64>,
    grad_rejected: Vec<f64>,
}

/// Both sides compute in float64; what differs is the order of the sums.
#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

fn grpo(case: &GrpoCase) -> Objective {
    let tokens = Segments::from_lens(case.new.iter().map(Vec::len));
    let (new, old, reference) = (case.new.concat(), case.old.concat(), case.reference.concat());
    let batch = RolloutBatch::new(&tokens, &new, &old, &case.advantages).unwrap();
    let batch = batch.with_reference(&reference).unwrap();
    let step = StepSize::of(&tokens);
    let clip = Clip::new(case.clip_low, case.clip_high).unwrap();
    let kl = (case.kl_coef > 0.0).then(|| Kl::new(case.kl_coef, KlEstimator::K3).unwrap());
    if case.level == "sequence" {
        return Gspo { clip, kl }.objective(&batch, step).unwrap();
    }
    let normalise = match case.loss_type.as_str() {
        "grpo" => Normalise::Sequence,
        "bnpo" | "dapo" => Normalise::Token,
        "dr_grpo" => Normalise::Constant(case.constant),
        other => panic!("unknown loss type `{other}`"),
    };
    Grpo { clip, kl, normalise }.objective(&batch, step).unwrap()
}

#[test]
fn grpo_and_dpo_equal_those_of_trl() {
    let fixture: Fixture = serde_json::from_str(include_str!("parity/trl_losses.json")).unwrap();
    assert_eq!(fixture.cases.len(), 23);
    for case in fixture.cases {
        match case {
            Case::Grpo(case) => {
                let objective = grpo(&case);
                assert_close(-objective.value, case.loss);
                let gradient = case.grad_new.concat();
                assert_eq!(gradient.len(), objective.d_logp.len());
                for (found, expected) in objective.d_logp.iter().zip(gradient) {
                    assert_close(-found, expected);
                }
            }
            Case::Dpo(case) => {
                let negatives = Segments::uniform(case.chosen.len(), 1);
                let batch = PreferenceBatch::new(&case.chosen, &case.rejected, &negatives).unwrap();
                let batch = batch.with_reference(&case.ref_chosen, &case.ref_rejected).unwrap();
                let loss = Sdpo::new(case.beta).unwrap().loss(&batch, case.chosen.len()).unwrap();
                assert_close(loss.value, case.loss);
                let found = loss.d_chosen.iter().chain(&loss.d_rejected);
                for (found, expected) in
                    found.zip(case.grad_chosen.iter().chain(&case.grad_rejected))
                {
                    assert_close(*found, *expected);
                }
            }
        }
    }
}
