//! One prompt, one right answer: every objective makes it more probable, however rollouts are found.

use sidereal_data::ItemId;
use sidereal_policy::Scoring;
use sidereal_rl::{
    Accuracy, Gbpo, Grpo, Gspo, Objectives, Sage, SidLevel, Srpo, Surrogate, ZScore,
};
use sidereal_train::{
    AdvantageConfig, ChainConfig, Mode, ReasoningConfig, Record, RlConfig, RolloutConfig,
    StepReward, Unclosed,
};

use crate::shop::{Log, Shop, at, short};

fn objectives() -> Vec<(&'static str, Surrogate)> {
    vec![
        ("GRPO", Surrogate::Grpo(Grpo::default())),
        ("DAPO", Surrogate::Grpo(Grpo::dapo())),
        ("GSPO", Surrogate::Gspo(Gspo::default())),
        ("GBPO", Surrogate::Gbpo(Gbpo)),
        ("SAGE", Surrogate::Sage(Sage::default())),
    ]
}

fn rollouts() -> [(&'static str, RolloutConfig); 7] {
    [
        ("beams", RolloutConfig::Beam),
        ("draws", RolloutConfig::Sample(at(1.0))),
        ("cold draws", RolloutConfig::Sample(at(0.7))),
        ("hot draws", RolloutConfig::Sample(at(2.0))),
        ("distinct draws", RolloutConfig::Dynamic(at(1.0))),
        ("distinct draws, a hit first", RolloutConfig::DynamicHitFirst(at(1.0))),
        ("draws without replacement", RolloutConfig::GumbelTopK(at(1.0))),
    ]
}

/// Probability of an item that the policy rarely recommends, before and after its reinforcement.
fn taught(config: &RlConfig, mode: Mode, reward: StepReward<'_>) -> (f64, f64) {
    let shop = Shop::new();
    let model = shop.model(3);
    let asked = Shop::prompt(0, ItemId(0), mode);
    let target = shop.ranked(&model, &asked, 5);
    let prompt = Shop::prompt(0, target, mode);
    let before = shop.probabilities(&model, &prompt)[&target];
    let model =
        shop.reinforce(model, std::slice::from_ref(&prompt), config, reward, &mut |_: &Record| {});
    (before, shop.probabilities(&model, &prompt)[&target])
}

#[test]
fn every_objective_learns_from_every_kind_of_rollout() {
    let reward = SidLevel::default();
    for (objective, surrogate) in objectives() {
        for (rollouts, rollout) in rollouts() {
            let config = RlConfig { objective: surrogate, rollout, ..short() };
            let (before, after) = taught(&config, Mode::Direct, StepReward::One(&reward));
            assert!(after > 2.0 * before, "{objective}, {rollouts}: {before} to {after}");
        }
    }
}

#[test]
fn every_advantage_points_at_the_reward() {
    let reward = SidLevel::default();
    let z_score = ZScore::POPULATION;
    let all = [
        AdvantageConfig::ZScore(z_score),
        AdvantageConfig::MeanOnly,
        AdvantageConfig::LeaveOneOut,
        AdvantageConfig::Srpo(Srpo { k: 2.try_into().unwrap(), z_score }),
    ];
    for advantage in all {
        let config = RlConfig { advantage, ..short() };
        let (before, after) = taught(&config, Mode::Direct, StepReward::One(&reward));
        assert!(after > 2.0 * before, "{advantage:?}: {before} to {after}");
    }
    let objectives = Objectives::default().with("hit", 1.0, Accuracy).unwrap();
    let objectives = objectives.with("prefix", 0.5, SidLevel::default()).unwrap();
    let advantage = AdvantageConfig::Decoupled(z_score);
    let config = RlConfig { advantage, ..short() };
    let (before, after) = taught(&config, Mode::Direct, StepReward::Several(&objectives));
    assert!(after > 2.0 * before, "{advantage:?}: {before} to {after}");
}

#[test]
fn several_updates_of_a_step_go_the_same_way() {
    let reward = SidLevel::default();
    for (objective, surrogate) in objectives() {
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            let config = RlConfig { objective: surrogate, passes: 2, scoring, ..short() };
            let (before, after) = taught(&config, Mode::Direct, StepReward::One(&reward));
            assert!(after > 1.5 * before, "{objective}, {scoring:?}: {before} to {after}");
        }
    }
}

#[test]
fn chains_and_their_answers_learn_together() {
    let shop = Shop::new();
    let target = shop.least(&shop.model(3), &Shop::prompt(0, ItemId(0), Mode::Reasoning));
    let prompt = Shop::prompt(0, target, Mode::Reasoning);
    let reward = SidLevel::default();
    for codes in [at(1.0), at(0.7)] {
        let chain = ChainConfig { budget: 4, codes, ..ChainConfig::default() };
        let config = RlConfig {
            // Chains of four tokens seldom close by themselves.
            reasoning: Some(ReasoningConfig {
                share: 1.0,
                chain,
                unclosed: Unclosed::Answered,
                ..ReasoningConfig::default()
            }),
            rollout: RolloutConfig::default(),
            group_size: 16,
            ..short()
        };
        let (model, mut log) = (shop.model(3), Log::default());
        let prompts = [prompt.clone()];
        let _ = shop.reinforce(model, &prompts, &config, StepReward::One(&reward), &mut log);
        let rewards = log.values("reward");
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, last) = (mean(&rewards[..5]), mean(&rewards[rewards.len() - 5..]));
        assert!(last > first + 0.15, "{codes:?}: {first} to {last}");
    }
}

#[test]
fn a_guide_leads_to_a_target_that_is_never_drawn() {
    let shop = Shop::new();
    let extreme = |seed| shop.model_of_scale(seed, 64.0);
    // A policy and an item whose first code it hardly ever draws: 40 steps of 8 draws get there in one
    // run of a thousand. After that code the second is often drawn.
    let hidden = |seed| {
        let asked = Shop::prompt(0, ItemId(0), Mode::Direct);
        let probabilities = shop.probabilities(&extreme(seed), &asked);
        let first = |item: ItemId| shop.catalog.sid(item).unwrap()[0];
        let of_first = |item: ItemId| -> f64 {
            let siblings = probabilities.iter().filter(|(other, _)| first(**other) == first(item));
            siblings.map(|(_, p)| p).sum()
        };
        let mut rare = probabilities.iter().filter_map(|(item, p)| {
            let of_first = of_first(*item);
            let second = p / of_first;
            (of_first < 3e-6 && (0.2..0.6).contains(&second)).then_some((seed, *item, second))
        });
        rare.next()
    };
    let (seed, target, second) = (0..100).find_map(hidden).unwrap();
    let prompt = Shop::prompt(0, target, Mode::Direct);
    let rollout = RolloutConfig::Sample(at(1.0));
    let levels = shop.catalog.spec().num_levels() as f64;
    for prefix_curriculum in [true, false] {
        let config = RlConfig { prefix_curriculum, rollout, steps: 40, ..short() };
        let mut log = Log::default();
        let reward = StepReward::One(&SidLevel::default());
        let prompts = [prompt.clone()];
        let _ = shop.reinforce(extreme(seed), &prompts, &config, reward, &mut log);
        let (guides, rewards) = (log.values("guide"), log.values("reward"));
        if prefix_curriculum {
            // One level of two is given up to the middle of the run, then none.
            assert!(guides.iter().all(|guide| *guide < levels), "{guides:?}");
            assert!(guides.is_sorted_by(|a, b| a >= b), "guides shrink: {guides:?}");
            assert_eq!(guides.iter().filter(|guide| **guide > 0.0).count(), 21);
            // One right level is worth 1/2, both 3/4: what the guided groups start from, and get to.
            let start = 0.5 + 0.25 * second;
            let last = rewards[15..20].iter().sum::<f64>() / 5.0;
            assert!(last > start + 0.05, "after its guide: {start} to {last}");
        } else {
            assert!(guides.iter().all(|guide| *guide <= 0.0), "{guides:?}");
            assert!(rewards.iter().all(|reward| *reward <= 0.0), "{rewards:?}");
        }
    }
}
