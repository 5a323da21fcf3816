//! A KL penalty holds the policy where it was, on groups without advantages too.

use sidereal_data::ItemId;
use sidereal_rl::{Accuracy, Grpo, Gspo, Kl, KlEstimator, SidLevel, Surrogate};
use sidereal_train::{Mode, Record, RlConfig, RolloutConfig, StepReward};

use crate::shop::{Log, Shop, at, short};

#[test]
fn a_kl_penalty_holds_the_policy_near_its_reference() {
    let shop = Shop::new();
    let target = shop.ranked(&shop.model(3), &Shop::prompt(0, ItemId(0), Mode::Direct), 5);
    let prompt = Shop::prompt(0, target, Mode::Direct);
    let before = shop.probabilities(&shop.model(3), &prompt)[&target];
    let reward = SidLevel::default();
    let rollout = RolloutConfig::Sample(at(1.0));
    let of = |coef: f64, gspo: bool| {
        let kl = Some(Kl::new(coef, KlEstimator::K3).unwrap());
        let objective = if gspo {
            Surrogate::Gspo(Gspo { kl, ..Gspo::default() })
        } else {
            Surrogate::Grpo(Grpo { kl, ..Grpo::default() })
        };
        let config = RlConfig { objective, rollout, ..short() };
        let mut log = Log::default();
        let prompts = [prompt.clone()];
        let reward = StepReward::One(&reward);
        let model = shop.reinforce(shop.model(3), &prompts, &config, reward, &mut log);
        let kl = log.values("kl");
        (shop.probabilities(&model, &prompt)[&target], kl[kl.len() - 1])
    };
    for gspo in [false, true] {
        let (free, far) = of(1e-6, gspo);
        let (held, near) = of(30.0, gspo);
        assert!(free > 2.0 * before, "{before} to {free}");
        assert!(held < free && near < 0.2 * far, "gspo {gspo}: {free} {held}, kl {far} {near}");
    }
}

#[test]
fn groups_without_advantages_are_drawn_back_to_the_reference() {
    let shop = Shop::new();
    // Prompt 0 teaches; prompt 1 asks for an item that is never drawn, so its groups are all flat.
    let model = || shop.model_of_scale(3, 16.0);
    let prompts = [0, 1].map(|user| {
        let target = shop.least(&model(), &Shop::prompt(user, ItemId(0), Mode::Direct));
        Shop::prompt(user, target, Mode::Direct)
    });
    let easy = {
        let probabilities = shop.probabilities(&model(), &prompts[0]);
        let near = |p: f64| (p - 0.2).abs();
        *probabilities.iter().min_by(|a, b| near(*a.1).total_cmp(&near(*b.1))).unwrap().0
    };
    let prompts = [Shop::prompt(0, easy, Mode::Direct), prompts[1].clone()];
    let start = shop.probabilities(&model(), &prompts[1]);
    let moved = |kl: Option<Kl>| {
        let objective = Surrogate::Grpo(Grpo { kl, ..Grpo::default() });
        let rollout = RolloutConfig::Sample(at(1.0));
        let config = RlConfig { objective, rollout, prompts_per_step: 2, ..short() };
        let reward = StepReward::One(&Accuracy);
        let model = shop.reinforce(model(), &prompts, &config, reward, &mut |_: &Record| {});
        let end = shop.probabilities(&model, &prompts[1]);
        start.iter().map(|(item, p)| (p - end[item]).abs()).sum::<f64>()
    };
    let (free, held) = (moved(None), moved(Some(Kl::new(1.0, KlEstimator::K3).unwrap())));
    assert!(held < 0.5 * free, "{free} {held}");
}
