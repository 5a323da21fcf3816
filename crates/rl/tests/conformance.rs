//! Reference values computed from the papers' equations by an independent program.
//!
//! `SIDEREAL_VECTORS=DIR cargo test -p sidereal-rl conformance` runs another folder of the same form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sidereal_rl::{
    Accuracy, Clip, Gbpo, Group, Grpo, Gspo, Kl, KlEstimator, Normalise, Objective,
    ObjectiveScores, PreferenceBatch, PrefixCap, PrefixSchedule, RankReward, ResidualSensitive,
    Reward, RlError, RolloutBatch, Sage, Sdpo, Segments, SidLevel, Singer, Srpo, StepSize, ZScore,
    decoupled_advantages, mean_only_advantages,
};
use sidereal_sid::SemanticId;

/// Relative in f64; for values below 1e-3 absolute, because they may be differences of larger ones.
const TOLERANCE: f64 = 1e-9;

/// The cases of one file, never none.
fn cases(file: &str) -> Vec<Value> {
    let folder = std::env::var_os("SIDEREAL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance"),
        PathBuf::from,
    );
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases: Vec<Value> = field(&file, "cases");
    assert!(!cases.is_empty(), "{} has no cases", path.display());
    cases
}

fn field<T: DeserializeOwned>(case: &Value, name: &str) -> T {
    let value = case.get(name).unwrap_or_else(|| panic!("no `{name}` in {case}"));
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("`{name}`: {e}"))
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a - b).abs() <= TOLERANCE * b.abs().max(1e-3);
        assert!(close, "{what}[{i}]: found {a}, expected {b}");
    }
}

#[test]
fn conformance_rewards() {
    for (index, case) in cases("rewards.json").iter().enumerate() {
        let target: SemanticId = field(case, "target");
        let rollouts: Vec<SemanticId> = field(case, "candidates");
        let group = Group::new(&target, &rollouts);
        assert_eq!(group.is_hard(), field::<bool>(case, "hard"), "case {index}");
        let lens: Vec<usize> = field(case, "prefix_len");
        assert_eq!(group.prefix_lens().collect::<Vec<_>>(), lens, "case {index}");

        let sid_level = SidLevel::new(field(case, "lambda_")).unwrap();
        let residual = ResidualSensitive::new(field(case, "beta")).unwrap();
        let rewards: [(&str, Box<dyn Reward>); 5] = [
            ("accuracy", Box::new(Accuracy)),
            ("rank", Box::new(RankReward::Paper)),
            ("sid_level", Box::new(sid_level)),
            ("singer", Box::new(Singer { sid_level, rank: RankReward::Paper })),
            ("residual_sensitive", Box::new(residual)),
        ];
        for (name, reward) in rewards {
            let expected: Vec<f64> = field(case, name);
            assert_close(&format!("case {index}: {name}"), &reward.score(&group), &expected);
        }
    }
}

#[test]
fn conformance_advantages() {
    for (index, case) in cases("advantages.json").iter().enumerate() {
        let kind: String = field(case, "kind");
        let what = format!("case {index}: {kind}");
        if kind == "decoupled" {
            decoupled(&what, case);
            continue;
        }
        let rewards: Vec<f64> = field(case, "rewards");
        let group = Segments::uniform(1, rewards.len());
        let (found, expected) = match kind.as_str() {
            "grpo" => {
                let z = ZScore::new(field(case, "ddof"), field(case, "eps")).unwrap();
                (z.advantages(&rewards, &group).unwrap(), "expected")
            }
            "dr_grpo" => (mean_only_advantages(&rewards, &group).unwrap(), "expected"),
            "srpo" => {
                let exact: Vec<u8> = field(case, "exact");
                let hits: Vec<bool> = exact.iter().map(|hit| *hit == 1).collect();
                let k: NonZeroUsize = field(case, "k");
                let z_score = ZScore::new(0, field(case, "eps")).unwrap();
                let srpo = Srpo { k, z_score };
                let bonus = srpo.bonus(hits.iter().filter(|hit| **hit).count(), hits.len());
                let parts = [bonus.hit_chance, bonus.spread, bonus.exact, bonus.inexact];
                let expected = ["rho", "sigma", "pos", "neg"].map(|name| field(case, name));
                assert_close(&format!("{what}: bonus"), &parts, &expected);
                (srpo.advantages(&rewards, &hits, &group).unwrap(), "final")
            }
            other => panic!("unknown kind `{other}`"),
        };
        assert_close(&what, &found.values, &field::<Vec<f64>>(case, expected));
    }
}

fn decoupled(what: &str, case: &Value) {
    let batch: Vec<Vec<Vec<f64>>> = field(case, "rewards");
    let weights: Vec<f64> = field(case, "weights");
    let groups = Segments::from_lens(batch.iter().map(|group| group[0].len()));
    let rewards: Vec<Vec<f64>> = (0..weights.len())
        .map(|m| batch.iter().flat_map(|group| group[m].clone()).collect())
        .collect();
    let names = (0..weights.len()).map(|m| m.to_string()).collect();
    let scores = ObjectiveScores::new(names, weights, rewards, groups).unwrap();
    let z_score = ZScore::new(0, field(case, "eps")).unwrap();
    let found = decoupled_advantages(&scores, z_score).unwrap();
    let expected: Vec<Vec<f64>> = field(case, "expected");
    assert_close(what, &found.values, &expected.concat());
}

/// A case's flat log-probs.
struct Logps {
    tokens: Segments,
    new: Vec<f64>,
    old: Vec<f64>,
    reference: Vec<f64>,
    advantages: Vec<f64>,
}

impl Logps {
    fn of(case: &Value) -> Self {
        let new: Vec<Vec<f64>> = field(case, "new");
        let flat = |name| field::<Vec<Vec<f64>>>(case, name).concat();
        Self {
            tokens: Segments::from_lens(new.iter().map(Vec::len)),
            new: new.concat(),
            old: flat("old"),
            reference: case.get("reference").map_or_else(Vec::new, |_| flat("reference")),
            advantages: field(case, "advantages"),
        }
    }

    fn batch(&self) -> RolloutBatch<'_> {
        RolloutBatch::new(&self.tokens, &self.new, &self.old, &self.advantages).unwrap()
    }
}

fn clip_and_kl(case: &Value) -> (Clip, Option<Kl>) {
    let coef: f64 = field(case, "kl_beta");
    let kl = (coef > 0.0).then(|| Kl::new(coef, KlEstimator::K3).unwrap());
    (Clip::new(field(case, "clip_low"), field(case, "clip_high")).unwrap(), kl)
}

fn surrogate(case: &Value, kind: &str) -> Result<Objective, RlError> {
    let logps = Logps::of(case);
    let (batch, step) = (logps.batch(), StepSize::of(&logps.tokens));
    match kind {
        "grpo" => {
            let (clip, kl) = clip_and_kl(case);
            let normalise: Normalise = field(case, "normalise");
            let grpo = Grpo { clip, kl, normalise };
            grpo.objective(&batch.with_reference(&logps.reference)?, step)
        }
        "gspo" => {
            let (clip, kl) = clip_and_kl(case);
            Gspo { clip, kl }.objective(&batch.with_reference(&logps.reference)?, step)
        }
        "gbpo" => Gbpo.objective(&batch, step),
        "sage" => {
            // The cases' `clip` changes nothing and is no setting.
            let [boost, temperature] = ["boost", "temperature"].map(|name| field(case, name));
            let sage = Sage::new(boost, temperature)?;
            let diversities: Vec<f64> = field(case, "entropies");
            let target = field(case, "entropy_target");
            sage.objective(&batch.with_diversities(&diversities, target)?, step)
        }
        other => panic!("unknown kind `{other}`"),
    }
}

#[test]
fn conformance_surrogates() {
    for (index, case) in cases("surrogates.json").iter().enumerate() {
        let kind: String = field(case, "kind");
        let what = format!("case {index}: {kind}");
        let found = surrogate(case, &kind).unwrap();
        assert_close(&format!("{what} value"), &[found.value], &[field(case, "objective")]);
        let gradient: Vec<Vec<f64>> = field(case, "grad_new");
        assert_close(&format!("{what} gradient"), &found.d_logp, &gradient.concat());
    }
}

#[test]
fn conformance_preference() {
    for (index, case) in cases("sdpo.json").iter().enumerate() {
        let [rejected, ref_rejected, grad_rejected] =
            ["policy_rejected", "reference_rejected", "grad_rejected"]
                .map(|name| field::<Vec<f64>>(case, name));
        let [chosen, ref_chosen, expected, grad_chosen] =
            ["policy_chosen", "reference_chosen", "loss", "grad_chosen"]
                .map(|name| [field::<f64>(case, name)]);
        let negatives = Segments::uniform(1, rejected.len());
        let batch = PreferenceBatch::new(&chosen, &rejected, &negatives).unwrap();
        let batch = batch.with_reference(&ref_chosen, &ref_rejected).unwrap();
        let loss = Sdpo::new(field(case, "beta")).unwrap().loss(&batch, 1).unwrap();
        assert_close(&format!("case {index}: loss"), &[loss.value], &expected);
        assert_close(&format!("case {index}: chosen"), &loss.d_chosen, &grad_chosen);
        assert_close(&format!("case {index}: rejected"), &loss.d_rejected, &grad_rejected);
    }
}

#[test]
fn conformance_curriculum() {
    for case in cases("curriculum.json") {
        let total: NonZeroU64 = field(&case, "total");
        let schedule = PrefixSchedule::new(total).with_cap(PrefixCap::Whole);
        let found = schedule.guide_len(field(&case, "step"), field(&case, "levels"));
        assert_eq!(found, field::<usize>(&case, "guide"), "{case}");
    }
}
