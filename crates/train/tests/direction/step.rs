//! What a step of reinforcement is made of.

use std::num::NonZeroUsize;

use sidereal_data::ItemId;
use sidereal_policy::{
    CompletionToken, Completions, SamplingConfig, TokenBatch, code_targets, completion_entropy,
};
use sidereal_rl::{
    Accuracy, Group, PrefixCap, ResidualSensitive, Reward, Sage, SidLevel, Surrogate,
};
use sidereal_train::{
    Categories, ChainConfig, EncodedPrompt, Mode, OptimConfig, ReasoningConfig, Record, RlConfig,
    RolloutConfig, Schedule, StepReward, TrainError,
};
use tch::Device;

use crate::shop::{Log, Shop, at, constant, short};

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
fn the_diversity_target_of_sage_is_that_of_the_steps_before() {
    let shop = Shop::new();
    let prompts = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    let objective = Surrogate::Sage(Sage::default());
    let rollout = RolloutConfig::Sample(at(1.0));
    let config = RlConfig { objective, rollout, steps: 3, diversity_rate: 1.0, ..short() };
    let mut log = Log::default();
    let reward = SidLevel::default();
    let reward = StepReward::One(&reward);
    let _ = shop.reinforce(shop.model(3), &prompts, &config, reward, &mut log);
    let has = |record: &Record| record.values.contains_key("diversity_target");
    let steps: Vec<usize> = log.0.iter().filter(|r| has(r)).map(|r| r.step).collect();
    assert_eq!(steps, [2, 3], "the first step has none");
    let diversity = log.values("diversity");
    assert!(diversity.iter().all(|nats| (0.0..=8f64.ln()).contains(nats)), "{diversity:?}");
    // At a rate of 1 the target is the diversity of the step before.
    assert_eq!(log.values("diversity_target"), diversity[..2]);
}

#[test]
fn diversity_is_that_of_the_rollouts_and_not_of_the_policy() {
    let shop = Shop::new();
    let prompts = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    // Beams as many as Semantic IDs name the whole catalogue, whatever the weights are.
    let config = RlConfig {
        objective: Surrogate::Sage(Sage::default()),
        rollout: RolloutConfig::Beam,
        group_size: 9,
        steps: 1,
        ..short()
    };
    let logged = |seed| {
        let mut log = Log::default();
        let reward = SidLevel::default();
        let reward = StepReward::One(&reward);
        let _ = shop.reinforce(shop.model(seed), &prompts, &config, reward, &mut log);
        (log.values("diversity"), log.values("entropy"))
    };
    let ((first, first_tokens), (second, second_tokens)) = (logged(3), logged(5));
    assert_ne!(first_tokens, second_tokens, "the policies differ");
    assert_eq!(first, second);
    // a three times, b, c and d twice: ln 9 - (3 ln 3 + 6 ln 2) / 9
    let expected = 9f64.ln() - (3.0 * 3f64.ln() + 6.0 * 2f64.ln()) / 9.0;
    assert!((first[0] - expected).abs() < 1e-12, "{first:?} {expected}");
}

#[test]
fn sage_without_categories_ends_a_run_before_its_first_step() {
    let shop = Shop { categories: Categories::default(), ..Shop::new() };
    let prompts = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    for (temperature, fits) in [(0.5, false), (0.0, true)] {
        let objective = Surrogate::Sage(Sage::new(0.3, temperature).unwrap());
        let config = RlConfig { objective, steps: 1, ..short() };
        let (mut log, reward) = (Log::default(), SidLevel::default());
        let reward = StepReward::One(&reward);
        let found = shop.try_reinforce(shop.model(3), &prompts, &config, reward, &mut log);
        match found {
            Ok(_) => assert!(fits && log.values("diversity").is_empty()),
            Err(error) => {
                assert!(!fits && log.0.is_empty(), "{error}");
                assert!(error.to_string().contains("`stage.rl.rl.objective` is SAGE"), "{error}");
            }
        }
    }
}

/// Codes after the levels tell items apart: no reward for them, no guide, but the hit needs them.
#[test]
fn a_code_that_is_no_level_counts_for_hits_alone() {
    // Nine items under the first codes 0, 0, 1, 1, 1, 1, 2, 4, 4: all are beams of the first step.
    let prompts = [Shop::prompt(0, ItemId(4), Mode::Direct)];
    let of = |num_levels: Option<usize>| {
        let shop = Shop { num_levels: num_levels.and_then(NonZeroUsize::new), ..Shop::new() };
        let reward = ResidualSensitive::new(1.0).unwrap();
        let rollout = RolloutConfig::Beam;
        let config = RlConfig { rollout, group_size: 9, steps: 1, ..short() };
        let mut log = Log::default();
        let reward = StepReward::One(&reward);
        let _ = shop.reinforce(shop.model(3), &prompts, &config, reward, &mut log);
        (log.values("reward")[0], log.values("hit")[0])
    };
    let close = |found: (f64, f64), reward: f64| {
        assert!((found.0 - reward).abs() < 1e-12 && found.1 >= 1.0, "{found:?} {reward}");
    };
    // Of two levels, three items (suffixes 0, 1, 3) have both of the target's, one the first alone.
    close(of(None), (3.0 + 0.5) / 9.0);
    close(of(Some(2)), (3.0 + 0.5) / 9.0);
    // Of one level, all four items have it.
    close(of(Some(1)), 4.0 / 9.0);

    // With one level no code can be given away: the rest would be the whole answer.
    let guides = |num_levels: Option<usize>| {
        let shop = Shop { num_levels: num_levels.and_then(NonZeroUsize::new), ..Shop::new() };
        let extreme = shop.model_of_scale(3, 64.0);
        let least = shop.least(&extreme, &prompts[0]);
        let hard = [Shop::prompt(0, least, Mode::Direct)];
        let rollout = RolloutConfig::Sample(at(1.0));
        let config = RlConfig { rollout, prefix_curriculum: true, steps: 1, ..short() };
        let (mut log, reward) = (Log::default(), SidLevel::default());
        let _ = shop.reinforce(extreme, &hard, &config, StepReward::One(&reward), &mut log);
        (log.values("hard")[0], log.values("guide")[0])
    };
    assert_eq!(guides(None), (1.0, 1.0));
    assert_eq!(guides(Some(1)), (1.0, 0.0));
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
        RlConfig { reasoning, rollout: RolloutConfig::default(), ..short() }
    };
    let chain = ChainConfig { words: cut, ..ChainConfig::default() };
    let config = reasoning(1.0, chain);
    assert_eq!(field(&config), "stage.rl.rl.reasoning.chain.words.top_p");
    // Direct answers are drawn at 1: answers after chains at another temperature have another law.
    let chain = ChainConfig { codes: at(0.7), ..ChainConfig::default() };
    let config = reasoning(0.5, chain);
    assert_eq!(field(&config), "stage.rl.rl.reasoning.chain.codes.temperature");
    assert!(reasoning(1.0, chain).check("rl").is_ok());
}

#[test]
fn the_printed_length_of_a_guide_leaves_whole_targets_without_one() {
    let shop = Shop::new();
    let extreme = || shop.model_of_scale(3, 64.0);
    // An item of two levels, and one with a suffix after them, both never drawn.
    let hidden = |suffix: bool| {
        let user = u32::from(suffix);
        let asked = Shop::prompt(user, ItemId(0), Mode::Direct);
        let of_kind =
            |item: &ItemId| shop.catalog.sid(*item).unwrap().len() == 2 + usize::from(suffix);
        let mut found: Vec<_> = shop.probabilities(&extreme(), &asked).into_iter().collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        let target = found.into_iter().map(|(item, _)| item).find(of_kind).unwrap();
        Shop::prompt(user, target, Mode::Direct)
    };
    let prompts = [hidden(false), hidden(true)];
    let rollout = RolloutConfig::Sample(at(1.0));
    let logged = |prefix_cap| {
        let config = RlConfig {
            prefix_curriculum: true,
            prefix_cap,
            rollout,
            steps: 4,
            prompts_per_step: 2,
            optim: constant(1e-9),
            ..short()
        };
        let mut log = Log::default();
        let _ = shop.reinforce(extreme(), &prompts, &config, StepReward::One(&Accuracy), &mut log);
        log
    };
    let whole = logged(PrefixCap::Whole);
    assert_eq!(whole.values("hard"), [1.0; 4], "nothing hits");
    // ⌊(1 − t/4)·2⌋ codes: 2, 1, 1, 0. At first only the item with a suffix has something left to draw.
    assert_eq!(whole.values("guide"), [1.0, 1.0, 1.0, 0.0]);
    assert_eq!(whole.values("unguided"), [0.5, 0.0, 0.0, 0.0]);
    let leave_one = logged(PrefixCap::LeaveOne);
    assert_eq!(leave_one.values("guide"), [1.0, 1.0, 1.0, 0.0]);
    assert!(leave_one.values("unguided").is_empty());
}

#[test]
fn rewarded_rollouts_are_those_whose_reward_is_not_zero() {
    let shop = Shop::new();
    let prompts: Vec<EncodedPrompt> =
        (0..4).map(|user| Shop::prompt(user, ItemId(user), Mode::Direct)).collect();
    // Nine beams are the whole catalogue: one of nine is right, and the reward is 0 at every second place.
    let config = RlConfig { group_size: 9, prompts_per_step: 4, steps: 1, ..short() };
    let share = |reward: &dyn Reward| {
        let mut log = Log::default();
        let _ = shop.reinforce(shop.model(3), &prompts, &config, StepReward::One(reward), &mut log);
        log.values("rewarded")[0]
    };
    assert!((share(&Accuracy) - 1.0 / 9.0).abs() < 1e-12);
    let alternating = |group: &Group<'_>| {
        (0..group.len()).map(|place| f64::from(u8::from(place % 2 == 0)) * -0.5).collect()
    };
    assert!((share(&alternating.named("alternating")) - 5.0 / 9.0).abs() < 1e-12);
}

#[test]
fn the_log_of_a_step_tells_the_shares_of_its_rollouts() {
    let shop = Shop::new();
    let model = shop.model(3);
    let target =
        |user, place| shop.ranked(&model, &Shop::prompt(user, ItemId(0), Mode::Direct), place);
    // Four beams of nine items: the first prompt's target is the best of them, the other's is none.
    let prompts = [(0, target(0, 0)), (1, target(1, 8))];
    let prompts = prompts.map(|(user, target)| Shop::prompt(user, target, Mode::Direct));
    // So slow that the three steps are alike.
    let optim = OptimConfig { schedule: Schedule::Linear, final_lr: 0.0, ..constant(1e-12) };
    let config = RlConfig {
        steps: 3,
        prompts_per_step: 2,
        group_size: 4,
        passes: 2,
        prefix_curriculum: false,
        optim: optim.clone(),
        ..short()
    };
    let logged = |reward: &dyn Reward| {
        let mut log = Log::default();
        let _ = shop.reinforce(shop.model(3), &prompts, &config, StepReward::One(reward), &mut log);
        log
    };
    let check = |log: &Log, name: &str, expected: f64| {
        let found = log.values(name);
        let close = found.iter().all(|value| (value - expected).abs() < 1e-5);
        assert!(found.len() == 3 && close, "{name}: {found:?}, needed {expected}");
    };
    let hits = logged(&Accuracy);
    let places = logged(&|group: &Group<'_>| -> Vec<f64> {
        (0..group.len()).rev().map(|place| place as f64).collect()
    });
    // Rewards of 1 and seven times 0, and twice 3, 2, 1, 0.
    for (log, reward, rewarded, live, spread) in
        [(&hits, 0.125, 0.125, 0.5, [0.0, 0.0, 0.0]), (&places, 1.5, 0.75, 1.0, [0.0, 2.0, 3.0])]
    {
        check(log, "reward", reward);
        check(log, "rewarded", rewarded);
        check(log, "live", live);
        check(log, "live_hard", if live < 1.0 { 0.0 } else { 1.0 });
        for (name, expected) in ["rewards_p10", "rewards_p50", "rewards_p90"].iter().zip(spread) {
            check(log, name, expected);
        }
        for (name, expected) in [
            ("rollouts", 8.0),
            ("hit", 0.5),
            ("hard", 0.5),
            ("guide", 0.0),
            ("distinct", 1.0),
            ("ratio", 1.0),
            ("kl", 0.0),
            ("old_kl", 0.0),
        ] {
            check(log, name, expected);
        }
        let rates: Vec<f64> = (0..3).map(|step| optim.lr_at(2 * step + 1, 6)).collect();
        for (found, expected) in log.values("lr").iter().zip(&rates) {
            assert!((found - expected).abs() < 1e-6 * optim.lr, "{found} {expected}");
        }
        assert_eq!(log.values("lr").len(), 3);
    }
    // All eight rollouts teach by their places, each in both passes over the step.
    let beams = |prompt: &EncodedPrompt| -> Vec<Vec<CompletionToken>> {
        let item = |place| shop.ranked(&model, prompt, place);
        let completion = |item: ItemId| {
            let codes = shop.catalog.spec().tokens(shop.catalog.sid(item).unwrap()).unwrap();
            let targets = code_targets(shop.constraint.trie(), &[], &codes).unwrap();
            targets.into_iter().map(CompletionToken::Scored).collect()
        };
        (0..4).map(item).map(completion).collect()
    };
    let rollouts: Vec<_> = prompts.iter().map(beams).collect();
    let read: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.ids.as_slice()).collect();
    let read = TokenBatch::new(&read, 0, 64, Device::Cpu).unwrap();
    let completions = Completions { prompts: &read, begun: &[0, 0], rollouts: &rollouts };
    let means = completion_entropy(&model, &shop.constraint, &completions, config.scoring).unwrap();
    let lens: Vec<f64> = rollouts.iter().flatten().map(|tokens| tokens.len() as f64).collect();
    let sum: f64 = means.iter().zip(&lens).map(|(mean, len)| mean * len).sum();
    check(&places, "entropy", sum / lens.iter().sum::<f64>());
    for shown in hits.0.iter().filter_map(|record| record.rollouts.as_ref()) {
        let prompt = prompts.iter().find(|prompt| prompt.id == shown.id).unwrap();
        let sid = shop.catalog.sid(prompt.target).unwrap();
        assert_eq!(shown.target, shop.catalog.spec().text(sid));
        assert_eq!(shown.rollouts.len(), 4);
        for rollout in &shown.rollouts {
            assert_eq!(rollout.hit, rollout.reward > 0.0);
        }
    }
}
