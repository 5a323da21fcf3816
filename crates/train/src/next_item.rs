//! Next-item training of a policy that reads items.

mod batches;
mod config;
mod data;
mod ema;
mod ranking;

use serde::{Deserialize, Serialize};
use sidereal_policy::ItemPolicy;

use crate::TrainError;
use crate::checked::Checked;
use crate::checkpoint::Checkpoints;
use crate::learner::Learner;
use crate::observe::{Observer, Record};
use crate::seed::step_seed;

use self::batches::Batches;
pub use self::config::{NextItemConfig, SelectBy};
pub use self::data::{Followed, History, NextItemData};
use self::ema::Ema;
pub use self::ranking::{ExactNdcg, exact_ndcg};

/// Next-item training of an [`ItemPolicy`]. At every position of every history the next item is learned,
/// and the weights that rank best for held-out users are kept.
///
/// ```text
/// loss = − mean over the positions of the step of log p(next item's leaf | the items up to the position)
/// w̄   ← d·w̄ + (1 − d)·w       after step k,  d = min(ema, (1 + k)/(10 + k))
/// ```
/// Validation ranks by the averaged weights `w̄`, and these are returned.
#[derive(Debug)]
pub struct NextItem<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a Checked<NextItemConfig>,
    /// Seed of the order, variation, dropout and the choice of validation users.
    pub seed: u64,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

/// The progress of the training. The next step depends only on this and on weights, averages and
/// moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    epoch: usize,
    batch: usize,
    step: usize,
    /// Best validation so far, and its step.
    best: Option<f64>,
    best_step: Option<usize>,
}

impl NextItem<'_> {
    /// Trains `policy` and returns it with the averaged weights of its best validation.
    ///
    /// A run that finds checkpoints goes on from the newest and gives the same result: order,
    /// variation, dropout and schedule depend only on seed, epoch and step. Each epoch ends with a
    /// validation by exact scores.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`] without a history of two items or without held-out
    /// users; [`TrainError::Policy`] for unknown items; [`TrainError::Diverged`]; those of files.
    pub fn run(
        &self,
        policy: ItemPolicy,
        data: &NextItemData,
        observer: &mut dyn Observer,
    ) -> Result<ItemPolicy, TrainError> {
        let config = self.config;
        let batches = Batches::new(&data.train, config, policy.config().max_history, self.seed)?;
        let valid = data.sampled(config.valid_users, self.seed);
        if valid.is_empty() {
            return Err(TrainError::NoSamples { what: "validation" });
        }
        let mut learner = Learner::whole(policy, &config.optim);
        let mut ema = Ema::new(learner.trained(), config.ema);
        let mut state = State::default();
        if let Some((found, tensors)) = learner.resume::<State>(self.checkpoints)? {
            state = found;
            ema.restore(&tensors, state.step)?;
            tracing::info!(stage = self.stage, step = state.step, "resumed next-item training");
        }
        observer.on_resume(self.stage, state.step);
        let total = batches.len() * config.epochs;
        while state.epoch < config.epochs {
            let plan = batches.plan(state.epoch);
            while state.batch < plan.len() {
                let users = &plan[state.batch];
                let lr = config.optim.lr_at(state.step, total);
                let rows = batches.rows(state.epoch, users);
                let names = || users.iter().map(|user| data.train[*user].user);
                let positions: usize = rows.iter().map(|row| row.len() - 1).sum();
                let loss = learner.model().next_item_gradients(
                    &rows,
                    config.dropout(step_seed(self.seed, state.step).cast_unsigned()),
                    1.0 / positions as f64,
                )?;
                let grad_norm = learner.step(lr)?;
                for (what, found) in [("the loss", loss.mean()), ("the gradient's norm", grad_norm)]
                {
                    if !found.is_finite() {
                        return Err(self.diverged(state.step + 1, (what, found), names()));
                    }
                }
                ema.update()?;
                state.batch += 1;
                state.step += 1;
                let mut record = Record::new(self.stage, state.step, total)
                    .with("loss", loss.mean())
                    .with("lr", lr)
                    .with("grad_norm", grad_norm)
                    .with("epoch", state.epoch as f64);
                let epoch_ends = state.batch == plan.len();
                if epoch_ends {
                    record = self.validate(&mut learner, &ema, &valid, record, &mut state)?;
                    (state.epoch, state.batch) = (state.epoch + 1, 0);
                }
                observer.on_record(&record);
                if epoch_ends || state.step.is_multiple_of(config.checkpoint_every) {
                    learner.save(self.checkpoints, state.step, &state, ema.tensors())?;
                }
                if epoch_ends {
                    break;
                }
            }
        }
        learner.finish()
    }

    /// Validates the averaged weights, and keeps them if they are the best so far.
    fn validate(
        &self,
        learner: &mut Learner<ItemPolicy>,
        ema: &Ema,
        valid: &[&Followed],
        record: Record,
        state: &mut State,
    ) -> Result<Record, TrainError> {
        ema.swap()?;
        let judged = exact_ndcg(learner.model(), valid.iter().copied());
        let score = judged.as_ref().map_or(f64::NAN, |found| self.config.select.of(found));
        if score.is_finite() && state.best.is_none_or(|best| score > best) {
            (state.best, state.best_step) = (Some(score), Some(state.step));
            learner.keep();
        }
        ema.swap()?;
        let judged = judged?;
        if !score.is_finite() {
            let found = ("the validation's NDCG@10", score);
            let none: [&str; 0] = [];
            return Err(TrainError::diverged(
                self.stage,
                state.step,
                found,
                self.checkpoints,
                none,
            ));
        }
        tracing::info!(
            epoch = state.epoch,
            ndcg = judged.kept,
            unseen = judged.removed,
            "validated"
        );
        Ok(record.with("valid_ndcg", judged.kept).with("valid_ndcg_unseen", judged.removed))
    }

    /// The error of a step from which training should not go on.
    fn diverged(
        &self,
        step: usize,
        found: (&'static str, f64),
        users: impl Iterator<Item = sidereal_data::UserId>,
    ) -> TrainError {
        let users = users.map(|user| format!("of user {user}"));
        TrainError::diverged(self.stage, step, found, self.checkpoints, users)
    }
}
