//! Supervised fine-tuning.

mod config;
mod lessons;
mod mixed;
mod mixture;

use serde::{Deserialize, Serialize};
use sidereal_policy::{
    Constraint, LowerStates as Kept, Place, Policy, SeededGenerator, SequencePass, Target,
    TokenBatch, TokenLaw, Trainable,
};
use tch::{Kind, Tensor};

use crate::TrainError;
use crate::checked::Checked;
use crate::checkpoint::Checkpoints;
use crate::fold::Sequence;
use crate::learner::Learner;
use crate::lengths::check_lengths;
use crate::lower_states::LowerStates;
use crate::observe::{Observer, Record};
use crate::seed::step_seed;
use crate::trainable::Layers;

pub use self::config::{Keep, SftConfig};
pub use self::lessons::{Epoch, Histories, Lessons};
pub use self::mixed::{MixedData, MixedTasks};
pub use self::mixture::{Late, MixtureConfig, MixtureOrder, MixtureStage, WeightedMixture};

/// The data of a training: batches to learn, and sequences for validation.
pub struct SftData<'a> {
    /// Batches of every epoch.
    pub lessons: &'a dyn Lessons,
    /// SID history → SID of held-out targets: early stopping watches their loss.
    pub valid: Vec<Sequence>,
}

impl std::fmt::Debug for SftData<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SftData").field("valid", &self.valid.len()).finish_non_exhaustive()
    }
}

/// The progress of the training. The next step depends only on this and on weights and moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct SftState {
    epoch: usize,
    batch: usize,
    step: usize,
    best_loss: Option<f64>,
    stale_epochs: usize,
    /// Floating-point operations so far. Checkpoints of earlier versions do not have them.
    #[serde(default)]
    flops: f64,
}

/// Supervised fine-tuning of a model on sequences with targets.
#[derive(Debug)]
pub struct Sft<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a Checked<SftConfig>,
    /// Legal codes, which also normalise the probabilities if the scoring needs it.
    pub constraint: &'a Constraint,
    /// Id that fills short rows.
    pub pad: u32,
    /// Seed of order and dropout.
    pub seed: u64,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

impl Sft<'_> {
    /// Trains `model` and returns it with the weights of the best validation loss, or the last ones.
    ///
    /// ```text
    /// loss = − mean over the learned tokens of the step of log p(token | what stands before it)
    /// p = softmax(logits / temperature)
    /// ```
    /// With a temperature other than 1 this is the ranking-guided loss of LETTER
    /// ([arXiv:2405.07314](https://arxiv.org/abs/2405.07314), section 3.3, and the authors' code).
    ///
    /// A run that finds checkpoints goes on from the newest and gives the same result: order,
    /// dropout and schedule depend only on seed, epoch and step.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::Diverged`], and those of files and tensors.
    pub fn run<P: Trainable>(
        &self,
        model: P,
        data: &SftData<'_>,
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        if data.valid.is_empty() {
            return Err(TrainError::NoSamples { what: "validation" });
        }
        let positions = model.longest_prompt(0);
        let named = data.valid.iter().filter_map(|row| Some((*row.samples.last()?, row)));
        check_lengths(self.stage, named.map(|(id, row)| (id, row.ids.len(), positions)))?;
        let SftConfig { trainable, optim, .. } = &**self.config;
        let mut learner = Learner::new(model, trainable, optim, self.constraint, self.seed)?;
        let mut lower = self.lower_states(learner.model());
        let mut state = SftState::default();
        if let Some((found, _)) = learner.resume::<SftState>(self.checkpoints)? {
            state = found;
            tracing::info!(stage = self.stage, step = state.step, "resumed supervised fine-tuning");
        }
        observer.on_resume(self.stage, state.step);
        let keeps_best = self.config.keep == Keep::Best;
        while state.epoch < self.config.epochs
            && !(keeps_best && state.stale_epochs >= self.config.patience)
        {
            let Epoch { len, total, batch } = data.lessons.epoch(state.epoch)?;
            if len == 0 {
                return Err(TrainError::NoSamples { what: "supervised fine-tuning" });
            }
            while state.batch < len {
                let rows = batch(state.batch)?;
                let rows: Vec<&Sequence> = rows.iter().collect();
                let lr = self.config.optim.lr_at(state.step, total);
                let at = (state.step, lr);
                let (loss, grad_norm) = self.step(&mut learner, lower.as_mut(), &rows, at)?;
                state.batch += 1;
                state.step += 1;
                let mut record = Record::new(self.stage, state.step, total)
                    .with("loss", loss)
                    .with("lr", lr)
                    .with("grad_norm", grad_norm)
                    .with("epoch", state.epoch as f64);
                if let Some(flops) = flops_of(learner.model(), &rows) {
                    state.flops += flops;
                    record = record.with("flops", flops).with("flops_total", state.flops);
                }
                let epoch_ends = state.batch == len;
                if epoch_ends {
                    let loss = self.valid_loss(learner.model(), lower.as_mut(), &data.valid)?;
                    if let Some(lower) = &mut lower {
                        lower.report(self.stage);
                    }
                    if !loss.is_finite() {
                        let found = ("the validation loss", loss);
                        return Err(self.diverged(state.step, found, &rows));
                    }
                    record = record.with("valid_loss", loss);
                    let better = state.best_loss.is_none_or(|best| loss < best);
                    if better {
                        state.best_loss = Some(loss);
                        state.stale_epochs = 0;
                    } else {
                        state.stale_epochs += 1;
                    }
                    if better || !keeps_best {
                        learner.keep();
                    }
                    tracing::info!(epoch = state.epoch, loss, "validated");
                }
                observer.on_record(&record);
                if epoch_ends || state.step % self.config.checkpoint_every == 0 {
                    if epoch_ends {
                        (state.epoch, state.batch) = (state.epoch + 1, 0);
                    }
                    learner.save(self.checkpoints, state.step, &state, [])?;
                }
                if epoch_ends {
                    break;
                }
            }
        }
        learner.finish()
    }

    /// Where the states of the layers are kept that no gradient reaches; `None` if there are no such layers, or if
    /// nothing is to be kept.
    fn lower_states<P: Trainable>(&self, model: &P) -> Option<LowerStates> {
        let SftConfig { lower_states, dropout, .. } = &**self.config;
        let layers = model.frozen_layers();
        let keeps = layers > 0 && lower_states.keeps() && *dropout <= 0.0;
        keeps.then(|| LowerStates::new(lower_states, layers, self.pad, self.checkpoints.dir()))
    }

    /// One update at a step with its learning rate; returns loss and gradient norm.
    fn step<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        mut lower: Option<&mut LowerStates>,
        rows: &[&Sequence],
        (step, lr): (usize, f64),
    ) -> Result<(f64, f64), TrainError> {
        // Dropout draws from libtorch's generator: a seed of its own makes every step repeatable.
        let _generator = self.draws().then(|| SeededGenerator::new(step_seed(self.seed, step)));
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| row.ids.len());
        let num_targets: usize = rows.iter().map(|row| row.targets.len()).sum();
        let mut loss = 0.0;
        let model = learner.model();
        for rows in rows.chunks(self.config.micro_batch) {
            if rows.iter().all(|row| row.targets.is_empty()) {
                continue;
            }
            let tokens = self.tokens(model, rows)?;
            let (places, targets) = learned_of(rows);
            let slope = -1.0 / num_targets as f64;
            let kept = kept_of(lower.as_deref_mut(), model, rows)?;
            let pass = model.sequence_pass(
                self.constraint,
                &SequencePass {
                    tokens: &tokens,
                    places: &places,
                    targets: &targets,
                    law: self.law()?,
                    dropout: self.config.dropout,
                    recompute: self.config.recompute,
                    lower: kept.as_ref().map(|(layers, states)| Kept { layers: *layers, states }),
                },
            )?;
            loss += slope * pass.logp().sum(Kind::Double).double_value(&[]);
            let d_logp = pass.logp().full_like(slope);
            pass.backward(&d_logp)?;
        }
        // Without a target there is no gradient, and no weight changes.
        let grad_norm = if num_targets == 0 { 0.0 } else { learner.step(lr)? };
        for (what, found) in [("the loss", loss), ("the gradient's norm", grad_norm)] {
            if !found.is_finite() {
                return Err(self.diverged(step + 1, (what, found), &rows));
            }
        }
        Ok((loss, grad_norm))
    }

    /// The law that the loss is taken from.
    fn law(&self) -> Result<TokenLaw, TrainError> {
        Ok(TokenLaw::from(self.config.scoring).at_temperature(self.config.temperature)?)
    }

    /// Whether a step may draw from libtorch's generator: for dropout, and for the seeds of layers that are
    /// computed again.
    fn draws(&self) -> bool {
        let SftConfig { dropout, recompute, trainable, .. } = &**self.config;
        *dropout > 0.0 || *recompute || matches!(trainable.layers, Layers::Lora(_))
    }

    /// The error of a step after which training should not go on.
    fn diverged(&self, step: usize, found: (&'static str, f64), rows: &[&Sequence]) -> TrainError {
        let samples = rows.iter().flat_map(|row| &row.samples);
        TrainError::diverged(self.stage, step, found, self.checkpoints, samples)
    }

    fn tokens(&self, model: &dyn Policy, rows: &[&Sequence]) -> Result<TokenBatch, TrainError> {
        let limit = model.longest_prompt(0);
        let named = rows.iter().filter_map(|row| Some((*row.samples.last()?, row)));
        check_lengths(self.stage, named.map(|(id, row)| (id, row.ids.len(), limit)))?;
        let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
        Ok(TokenBatch::new(&ids, self.pad, limit, model.device())?)
    }

    /// Mean −log p over all targets of the validation sequences, in nats per token.
    fn valid_loss<P: Trainable>(
        &self,
        model: &P,
        mut lower: Option<&mut LowerStates>,
        valid: &[Sequence],
    ) -> Result<f64, TrainError> {
        let _guard = tch::no_grad_guard();
        let mut order: Vec<&Sequence> = valid.iter().collect();
        order.sort_by_key(|sequence| sequence.ids.len());
        let (mut sum, mut count) = (0.0, 0);
        for rows in order.chunks(self.config.batch_size.max(1)) {
            let (places, targets) = learned_of(rows);
            let tokens = self.tokens(model, rows)?;
            let kept = kept_of(lower.as_deref_mut(), model, rows)?;
            let pass = model.sequence_pass(
                self.constraint,
                &SequencePass {
                    tokens: &tokens,
                    places: &places,
                    targets: &targets,
                    law: self.law()?,
                    dropout: 0.0,
                    recompute: false,
                    lower: kept.as_ref().map(|(layers, states)| Kept { layers: *layers, states }),
                },
            )?;
            let logp = pass.logp();
            sum += logp.sum(Kind::Double).double_value(&[]);
            count += logp.numel();
        }
        Ok(-sum / count as f64)
    }
}

/// The number of frozen lower layers and their states of `rows`, if they are kept.
fn kept_of<P: Trainable>(
    lower: Option<&mut LowerStates>,
    model: &P,
    rows: &[&Sequence],
) -> Result<Option<(usize, Tensor)>, TrainError> {
    let Some(lower) = lower else { return Ok(None) };
    Ok(Some((lower.layers(), lower.states(model, rows)?)))
}

/// Floating-point operations of a step with these rows, where the policy has a formula.
fn flops_of<P: Trainable>(model: &P, rows: &[&Sequence]) -> Option<f64> {
    let lens: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
    model.training_flops(&lens, rows.iter().map(|row| row.targets.len()).sum())
}

/// The places whose states predict the targets of `rows`, and the targets.
fn learned_of(rows: &[&Sequence]) -> (Vec<Place>, Vec<Target>) {
    let of_row = |(row, sequence): (usize, &&Sequence)| {
        let place = move |(at, target): &(usize, Target)| {
            (Place { row, position: at.saturating_sub(1) }, *target)
        };
        sequence.targets.iter().map(place).collect::<Vec<_>>()
    };
    rows.iter().enumerate().flat_map(of_row).unzip()
}
