//! A policy that reads items learns by every kind of reinforcement.

use sidereal_data::ItemId;
use sidereal_policy::{Constraint, ItemFeatures, ItemPolicy, ItemPolicyConfig};
use sidereal_rl::{Gbpo, Grpo, Gspo, Sage, SidLevel, Surrogate};
use sidereal_train::{EncodedPrompt, Mode, Record, RlConfig, RolloutConfig, StepReward};
use tch::Device;

use crate::shop::{Log, Shop, at, short};

/// The shop for a policy that reads no tokens, and the policy.
pub(crate) fn shop() -> (Shop, ItemPolicy) {
    let mut shop = Shop::new();
    shop.constraint = Constraint::of_codes(&shop.catalog, Device::Cpu).unwrap();
    let config = ItemPolicyConfig {
        hidden_size: 16,
        num_hidden_layers: 1,
        intermediate_size: 24,
        head_hidden_size: 16,
        ..ItemPolicyConfig::default()
    };
    let trie = shop.constraint.trie();
    let policy = ItemPolicy::random(config, trie, ItemFeatures::default(), 3, Device::Cpu).unwrap();
    // Far enough from uniform that items differ.
    let _guard = tch::no_grad_guard();
    for weight in policy.weights().values().filter(|weight| weight.dim() > 1) {
        let mut weight = weight.shallow_clone();
        weight *= 10.0;
    }
    (shop, policy)
}

/// A history of items in place of words.
pub(crate) fn prompt(target: ItemId) -> EncodedPrompt {
    EncodedPrompt { ids: vec![5, 8, 2], ..Shop::prompt(0, target, Mode::Direct) }
}

#[test]
fn every_objective_makes_the_target_more_probable() {
    let objectives = [
        ("GRPO", Surrogate::Grpo(Grpo::default())),
        ("GSPO", Surrogate::Gspo(Gspo::default())),
        ("GBPO", Surrogate::Gbpo(Gbpo)),
        ("SAGE", Surrogate::Sage(Sage::default())),
    ];
    let rollouts =
        [RolloutConfig::Beam, RolloutConfig::Sample(at(1.0)), RolloutConfig::GumbelTopK(at(1.0))];
    for (name, objective) in objectives {
        for rollout in rollouts {
            let (shop, policy) = shop();
            let target = shop.ranked(&policy, &prompt(ItemId(0)), 4);
            let asked = prompt(target);
            let before = shop.probabilities(&policy, &asked)[&target];
            let config = RlConfig { objective, rollout, ..short() };
            let reward = StepReward::One(&SidLevel::default());
            let prompts = [asked.clone()];
            let policy = shop.reinforce(policy, &prompts, &config, reward, &mut |_: &Record| {});
            let after = shop.probabilities(&policy, &asked)[&target];
            assert!(after > 2.0 * before, "{name}, {rollout:?}: {before} to {after}");
        }
    }
}

#[test]
fn validation_shows_how_diverse_lists_are_and_how_probable_cold_items() {
    let (shop, policy) = shop();
    let asked = [
        prompt(ItemId(7)),
        EncodedPrompt { ids: vec![1, 3], ..Shop::prompt(1, ItemId(7), Mode::Direct) },
    ];
    let of_cold = |prompt: &EncodedPrompt| -> f64 {
        let all = shop.probabilities(&policy, prompt);
        all.iter().filter(|(item, _)| shop.cold.contains(item.index())).map(|(_, p)| p).sum()
    };
    let expected = asked.iter().map(of_cold).sum::<f64>() / 2.0;
    let (mut log, reward) = (Log::default(), SidLevel::default());
    let config = RlConfig { rollout: RolloutConfig::Sample(at(1.0)), ..short() };
    let _ = shop.reinforce(policy, &asked, &config, StepReward::One(&reward), &mut log);
    let mass = log.values("valid_cold_mass");
    assert!((mass[0] - expected).abs() < 1e-5, "{mass:?} {expected}");
    // Reinforcement towards a cold item.
    assert!(mass.len() == 2 && mass[1] > mass[0], "{mass:?}");
    // Lists of ten hold all nine items, two of which are cold; a three times, b, c and d twice.
    assert_eq!(log.values("valid_cold"), [2.0 / 9.0; 2]);
    let entropy = 9f64.ln() - (3.0 * 3f64.ln() + 6.0 * 2f64.ln()) / 9.0;
    assert!(log.values("valid_entropy").iter().all(|found| (found - entropy).abs() < 1e-12));
}

#[test]
fn a_guide_is_no_item_of_the_history() {
    let (shop, policy) = shop();
    let target = shop.least(&policy, &prompt(ItemId(0)));
    let config = RlConfig { prefix_curriculum: true, ..short() };
    let reward = StepReward::One(&SidLevel::default());
    let prompts = [prompt(target)];
    let before = shop.probabilities(&policy, &prompts[0])[&target];
    let policy = shop.reinforce(policy, &prompts, &config, reward, &mut |_: &Record| {});
    assert!(shop.probabilities(&policy, &prompts[0])[&target] > before);
}
