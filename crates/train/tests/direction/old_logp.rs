//! Which log-probabilities an objective is given as those of the policy that wrote the rollouts.

use std::sync::Mutex;

use sidereal_data::ItemId;
use sidereal_policy::Decoder;
use sidereal_rl::{
    Normalise, Objective, PolicyObjective, RlError, RolloutBatch, SidLevel, StepSize, Term,
    token_objective,
};
use sidereal_train::{Mode, OwnMethods, Record, RlConfig, RolloutConfig, StepReward};

use crate::shop::{Shop, at, short};

/// `J = mean A·new`, which needs no old log-probabilities; it notes whether the given ones are the new ones.
struct Plain {
    needs_old_logp: bool,
    same: Mutex<Vec<bool>>,
}

impl PolicyObjective for Plain {
    fn objective(&self, batch: &RolloutBatch<'_>, step: StepSize) -> Result<Objective, RlError> {
        let same = batch
            .logp()
            .iter()
            .zip(batch.old_logp())
            .all(|(new, old)| new.to_bits() == old.to_bits());
        self.same.lock().unwrap().push(same);
        token_objective(batch, step, Normalise::Sequence, None, |token| {
            Term::new(token.log_ratio().exp(), token.advantage * token.logp, token.advantage)
        })
    }

    fn needs_old_logp(&self) -> bool {
        self.needs_old_logp
    }
}

/// The policy after one step of three passes over two mini-batches, and what the objective saw of each update.
fn learned(shop: &Shop, needs_old_logp: bool) -> (Decoder, Vec<bool>) {
    let objective = Plain { needs_old_logp, same: Mutex::new(Vec::new()) };
    let prompts: Vec<_> =
        (0..4).map(|user| Shop::prompt(user, ItemId(user), Mode::Direct)).collect();
    let config = RlConfig {
        rollout: RolloutConfig::Sample(at(1.0)),
        steps: 1,
        prompts_per_step: 4,
        mini_batches: 2,
        passes: 3,
        ..short()
    };
    let own = OwnMethods { objective: Some(&objective), advantage: None };
    let reward = SidLevel::default();
    let reward = StepReward::One(&reward);
    let model = shop
        .reinforce_by(own, shop.model(3), &prompts, &config, reward, &mut |_: &Record| {})
        .unwrap();
    (model, objective.same.into_inner().unwrap())
}

#[test]
fn an_objective_that_needs_no_old_logp_is_given_the_new_ones_and_learns_the_same() {
    let shop = Shop::new();
    let (with, same) = learned(&shop, true);
    assert_eq!(same, [true, false, false, false, false, false], "the policy moves at each update");
    let (without, same) = learned(&shop, false);
    assert_eq!(same, [true; 6]);
    for (name, weight) in with.weights() {
        assert!(weight.equal(&without.weights()[name]), "{name}");
    }
}
