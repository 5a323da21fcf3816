//! What must not change the result of a training, and what the first update of a step sees.

use sidereal_data::ItemId;
use sidereal_policy::{CompletionToken, Decoder, code_targets};
use sidereal_rl::{Gbpo, Grpo, Gspo, Kl, KlEstimator, Sage, Sdpo, SidLevel, Surrogate};
use sidereal_train::{
    Binding, Checkpoints, ItemFacts, Mode, Preference, PreferenceConfig, PreferenceTraining,
    Record, RlConfig, RolloutConfig, StepReward,
};
use tch::Kind;

use crate::shop::{Log, Shop, at, constant, short};

/// Largest difference of any weight, and the largest change from the start.
fn differ(a: &Decoder, b: &Decoder, start: &Decoder) -> (f64, f64) {
    let most = |a: &Decoder, b: &Decoder| {
        let worst = |(name, weight): (&String, &tch::Tensor)| {
            f64::try_from((weight - &b.weights()[name]).abs().max()).unwrap()
        };
        a.weights().iter().map(worst).fold(0.0, f64::max)
    };
    (most(a, b), most(a, start))
}

#[test]
fn micro_batches_change_nothing_in_reinforcement() {
    let shop = Shop::new();
    let kl = Some(Kl::new(0.1, KlEstimator::K3).unwrap());
    let objectives = [
        Surrogate::Grpo(Grpo { kl, ..Grpo::dapo() }),
        Surrogate::Gspo(Gspo { kl, ..Gspo::default() }),
        Surrogate::Gbpo(Gbpo),
        Surrogate::Sage(Sage::default()),
    ];
    let prompts: Vec<_> =
        (0..6).map(|user| Shop::prompt(user, ItemId(user), Mode::Direct)).collect();
    let reward = SidLevel::default();
    for objective in objectives {
        let of = |micro_batch| {
            let mut optim = constant(1e-3);
            optim.eps = 1e-4; // rounding of tiny gradients must not become whole steps
            let rollout = RolloutConfig::Sample(at(1.0));
            let config = RlConfig {
                objective,
                rollout,
                micro_batch,
                steps: 1,
                prompts_per_step: 6,
                mini_batches: 2,
                validate_every: 1,
                optim,
                ..short()
            };
            let reward = StepReward::One(&reward);
            let mut last = None;
            let model = shop.model(3);
            let model = shop.reinforce(model, &prompts, &config, reward, &mut |record: &Record| {
                last = record.values.get("grad_norm").copied().or(last);
            });
            (model, last.unwrap())
        };
        let (whole, norm) = of(6);
        for micro_batch in [1, 2] {
            let (parts, same) = of(micro_batch);
            let (apart, moved) = differ(&whole, &parts, &shop.model(3));
            assert!((norm - same).abs() < 1e-4 * norm, "{objective:?}: {norm} {same}");
            assert!(apart < 2e-5, "{objective:?}, {micro_batch}: {apart} of {moved}");
        }
    }
}

#[test]
fn micro_batches_change_nothing_in_preference_training() {
    let shop = Shop::new();
    let answer = |item: u32| -> Vec<CompletionToken> {
        let sid = shop.catalog.sid(ItemId(item)).unwrap();
        let flat = shop.catalog.spec().tokens(sid).unwrap();
        let targets = code_targets(shop.constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect()
    };
    let pairs: Vec<Preference> = (0..6)
        .map(|user| Preference {
            prompt: Shop::prompt(user, ItemId(user), Mode::Direct),
            chosen: answer(user),
            rejected: (1..=1 + user % 3).map(|off| answer((user + off) % 9)).collect(),
        })
        .collect();
    let valid: Vec<_> = pairs.iter().map(|pair| pair.prompt.clone()).collect();
    let of = |micro_batch| {
        let mut optim = constant(1e-3);
        optim.eps = 1e-4;
        let config = PreferenceConfig {
            steps: 4,
            pairs_per_step: 6,
            micro_batch,
            loss: Sdpo::new(0.5).unwrap(),
            optim,
            validate_every: 4,
            ..PreferenceConfig::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let training = PreferenceTraining {
            stage: "sdpo",
            config: &config.check("sdpo").unwrap(),
            constraint: &shop.constraint,
            facts: ItemFacts::default(),
            pad: 0,
            seed: 1,
            batch_size: 8,
            checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
        };
        let mut log = Log::default();
        let model = training.run(shop.model(3), &pairs, &valid, &mut log).unwrap();
        (model, log.values("loss"), log.values("margin"))
    };
    let (whole, losses, margins) = of(6);
    for micro_batch in [1, 4] {
        let (parts, other, other_margins) = of(micro_batch);
        for (a, b) in losses.iter().chain(&margins).zip(other.iter().chain(&other_margins)) {
            assert!((a - b).abs() < 1e-4, "{micro_batch}: {a} {b}");
        }
        let (apart, _) = differ(&whole, &parts, &shop.model(3));
        assert!(apart < 1e-4, "{micro_batch}: {apart}");
    }
}

/// SAGE's bound lies at a ratio of exactly 1 here (λ = 1): one rounding below it would cut the
/// gradient of a negative. Weights that hardly move show what the first update sees, and the later ones.
#[test]
fn the_first_update_of_a_step_compares_the_policy_with_itself() {
    let shop = Shop::new();
    let prompts: Vec<_> =
        (0..6).map(|user| Shop::prompt(user, ItemId(user), Mode::Direct)).collect();
    let reward = SidLevel::default();
    let sage = Sage::new(0.0, 0.0).unwrap();
    for kind in [Kind::Float, Kind::BFloat16] {
        for (passes, mini_batches, micro_batch) in [(2, 1, 6), (2, 1, 2), (1, 3, 1), (2, 3, 2)] {
            let config = RlConfig {
                objective: Surrogate::Sage(sage),
                rollout: RolloutConfig::Sample(at(0.8)),
                steps: 3,
                prompts_per_step: 6,
                passes,
                mini_batches,
                micro_batch,
                optim: constant(1e-30),
                ..short()
            };
            let mut log = Log::default();
            let model = shop.model(3).computing_in(kind);
            let reward = StepReward::One(&reward);
            let _ = shop.reinforce(model, &prompts, &config, reward, &mut log);
            let what = format!("{kind:?}, {passes} passes, {mini_batches} mini-batches");
            for name in ["clip_low", "clip_high", "old_kl"] {
                let values = log.values(name);
                assert_eq!(values, vec![0.0; config.steps], "{what}: {name}");
            }
            assert_eq!(log.values("ratio"), vec![1.0; config.steps], "{what}");
        }
    }
}
