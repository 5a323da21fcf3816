//! What a step of reinforcement is made of.

use sidereal_data::ItemId;
use sidereal_policy::SamplingConfig;
use sidereal_rl::{Accuracy, Sage, SageReading, SidLevel, Surrogate};
use sidereal_train::{
    ChainConfig, EncodedPrompt, Mode, ReasoningConfig, Record, RlConfig, RolloutConfig, StepReward,
    TrainError,
};

use crate::shop::{Log, Shop, at, short};

#[test]
fn rejected_groups_fill_a_step_with_too_few_live_groups() {
    let shop = Shop::new();
    let extreme = shop.model_of_scale(3, 64.0);
    let prompts: Vec<EncodedPrompt> = (0..8)
        .map(|user| {
            let target = shop.least(&extreme, &Shop::prompt(user, ItemId(0), Mode::Direct));
            Shop::prompt(user, target, Mode::Direct)
        })
        .collect();
    let config = RlConfig {
        rollout: RolloutConfig::Sample(at(1.0)),
        steps: 2,
        prompts_per_step: 2,
        max_draws: 3,
        ..short()
    };
    let mut log = Log::default();
    let reward = StepReward::One(&Accuracy);
    let _ = shop.reinforce(extreme, &prompts, &config, reward, &mut log);
    // No rollout hits its target, so that all groups are flat.
    assert_eq!(log.values("live"), [0.0; 2]);
    assert_eq!(log.values("drawn"), [6.0; 2]);
    assert_eq!(log.values("rollouts"), [16.0; 2], "two prompts of eight rollouts");
}

#[test]
fn the_entropy_target_of_sage_is_that_of_the_steps_before() {
    let shop = Shop::new();
    let prompts = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    let objective = Surrogate::Sage(Sage::new(SageReading::Algorithm1));
    let rollout = RolloutConfig::Sample(at(1.0));
    let config = RlConfig { objective, rollout, steps: 3, entropy_rate: 1.0, ..short() };
    let mut log = Log::default();
    let reward = SidLevel::default();
    let reward = StepReward::One(&reward);
    let _ = shop.reinforce(shop.model(3), &prompts, &config, reward, &mut log);
    let has = |record: &Record| record.values.contains_key("entropy_target");
    let steps: Vec<usize> = log.0.iter().filter(|r| has(r)).map(|r| r.step).collect();
    assert_eq!(steps, [2, 3], "the first step has none");
}

#[test]
fn a_prompt_without_room_for_an_answer_ends_a_run_before_its_first_step() {
    let shop = Shop::new();
    let mut lengthy = Shop::prompt(1, ItemId(4), Mode::Direct);
    lengthy.ids = vec![7; 62]; // 64 positions, an answer of up to three codes
    for place in [0, 1] {
        let mut prompts = vec![Shop::prompt(0, ItemId(4), Mode::Direct); 2];
        prompts[place] = lengthy.clone();
        let mut log = Log::default();
        let reward = SidLevel::default();
        let reward = StepReward::One(&reward);
        let error = shop.try_reinforce(shop.model(3), &prompts, &short(), reward, &mut log);
        let named = matches!(
            &error,
            Err(TrainError::TooLong { id, found: 62, limit: 61, .. }) if *id == lengthy.id
        );
        assert!(named, "{error:?}");
        assert!(log.0.is_empty(), "nothing was computed");
    }
}

#[test]
fn draws_that_cannot_be_scored_are_errors_that_name_the_setting() {
    let field = |config: &RlConfig| match config.check("rl").unwrap_err() {
        TrainError::Setting { field, .. } => field,
        other => panic!("{other}"),
    };
    let cut = SamplingConfig::default().with_top_p(0.9).unwrap();
    let config = RlConfig { rollout: RolloutConfig::Sample(cut), ..short() };
    assert_eq!(field(&config), "stage.rl.rl.rollout.top_p");
    let greedy = RolloutConfig::Dynamic(SamplingConfig::greedy());
    assert_eq!(field(&RlConfig { rollout: greedy, ..short() }), "stage.rl.rl.rollout.temperature");
    let reasoning = |share, chain| {
        let all = ReasoningConfig::default();
        let reasoning = Some(ReasoningConfig { share, chain, ..all });
        RlConfig { reasoning, ..short() }
    };
    let chain = ChainConfig { words: cut, ..ChainConfig::default() };
    let config = reasoning(1.0, chain);
    assert_eq!(field(&config), "stage.rl.rl.reasoning.chain.words.top_p");
    // Beams count as drawn at 1: answers after chains at another temperature have another law.
    let chain = ChainConfig { codes: at(0.7), ..ChainConfig::default() };
    let config = reasoning(0.5, chain);
    assert_eq!(field(&config), "stage.rl.rl.reasoning.chain.codes.temperature");
    assert!(reasoning(1.0, chain).check("rl").is_ok());
}
