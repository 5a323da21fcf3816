//! The one training loop.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_metrics::ndcg;
use tch::Tensor;

use super::NeuralError;
use super::adam::Adam;
use super::batches::Rows;
use super::model::{Lesson, Step};
use super::random::{Purpose, stream};
use super::sequence_recommender::SequenceRecommender;
use super::train_config::TrainConfig;
use super::view::TrainingView;
use crate::{BaselineError, Case, evaluate};

const TEN: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// What an epoch was like.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct EpochReport {
    /// Number of the epoch, from 0. Epochs of pretraining are counted on their own.
    pub epoch: usize,
    /// Whether this was pretraining, which has no validation.
    pub pretraining: bool,
    /// Steps of the optimiser.
    pub steps: usize,
    /// Mean loss of the steps, in nats.
    pub loss: f64,
    /// Time of the steps.
    pub training: Duration,
    /// NDCG@10 on the validation users, where the epoch had a validation.
    pub ndcg: Option<f64>,
    /// Time of the validation.
    pub validation: Duration,
    /// Whether this is the best validation so far.
    pub best: bool,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrainingEnd {
    /// The validation did not improve any more.
    Patience,
    /// All epochs were done.
    Epochs,
    /// The time was used up.
    Minutes,
}

/// What a training was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingReport {
    /// Epochs in all, pretraining not counted.
    pub epochs: usize,
    /// Why there were no more epochs.
    pub end: TrainingEnd,
    /// The epoch whose weights were kept, from 0.
    pub best_epoch: usize,
    /// NDCG@10 of these weights on the validation users.
    pub best_ndcg: f64,
    /// Number of weights.
    pub parameters: usize,
    /// Seconds of all steps and validations on the clock of the wall.
    pub seconds: f64,
}

/// Trains any [`SequenceModel`](super::SequenceModel): Adam, batches in random order (of whole sequences: by length),
/// validation, the best weights kept, early stopping.
///
/// Equal seeds give equal batches, negatives and hidden items. Dropout is drawn by libtorch's
/// generator, which is seeded at each step; so a training in another thread of the process changes it.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    seed: u64,
}

impl Trainer {
    /// A training loop with checked settings.
    ///
    /// # Errors
    /// [`NeuralError::Setting`].
    pub fn new(config: TrainConfig, seed: u64) -> Result<Self, NeuralError> {
        config.check()?;
        Ok(Self { config, seed })
    }

    /// Trains a model. At the end it has the weights of the best validation.
    ///
    /// `valid`: cases of which those without a history are left out.
    ///
    /// # Errors
    /// [`NeuralError::NoTargets`], [`NeuralError::NoValidation`], [`NeuralError::Item`],
    /// [`NeuralError::Diverged`] and [`NeuralError::Torch`].
    pub fn train<S>(
        &self,
        recommender: &mut SequenceRecommender,
        view: &TrainingView<'_>,
        valid: &[Case<'_, S>],
        observe: &mut dyn FnMut(&EpochReport),
    ) -> Result<TrainingReport, NeuralError>
    where
        S: Clone + Ord + Display + Sync,
    {
        view.check()?;
        let begun = Instant::now();
        let valid = self.sampled(valid)?;
        self.pretrain(recommender, view, observe)?;
        let model = recommender.model();
        // Whole sequences stand in batches by length, as in a pretraining.
        let by_length = matches!(model.lesson(), Lesson::Hidden { .. });
        let rows = Rows::new(view.sequences, model.lesson(), model.max_history(), by_length);
        let TrainConfig { lr, weight_decay, clip_norm, .. } = self.config;
        let mut adam = Adam::new(model.parameters(), lr, weight_decay, clip_norm)?;
        let parameters = model.parameters().count();
        let mut best: Option<(usize, f64, Vec<Tensor>)> = None;
        let (mut stale, mut epochs, mut end) = (0, 0, TrainingEnd::Epochs);
        let late = |begun: Instant| {
            self.config.minutes.is_some_and(|most| begun.elapsed().as_secs_f64() >= 60.0 * most)
        };
        let mut step = 0;
        for epoch in 0..self.config.epochs {
            let phase = Phase {
                epoch,
                pretraining: false,
                batch_size: self.config.batch_size,
                seed: self.seed,
            };
            let mut report = phase.run(recommender, &rows, &mut adam, &mut step)?;
            epochs = epoch + 1;
            let late = late(begun);
            let is_last = late || epochs == self.config.epochs;
            if epochs % self.config.validate_every == 0 || is_last {
                let since = Instant::now();
                let found = self.validate(recommender, &valid)?;
                report.validation = since.elapsed();
                report.ndcg = Some(found);
                report.best = best.as_ref().is_none_or(|(_, most, _)| found > *most);
            }
            observe(&report);
            match report.ndcg {
                Some(found) if report.best => {
                    best = Some((epoch, found, recommender.model().parameters().copies()));
                    stale = 0;
                }
                Some(_) => stale += 1,
                None => {}
            }
            if stale >= self.config.patience {
                end = TrainingEnd::Patience;
                break;
            }
            if late {
                end = TrainingEnd::Minutes;
                break;
            }
        }
        let (best_epoch, best_ndcg, weights) = best.ok_or(NeuralError::NoValidation)?;
        recommender.model().parameters().restore(&weights)?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(TrainingReport { epochs, end, best_epoch, best_ndcg, parameters, seconds })
    }

    /// The lessons before the training proper, where the model has some.
    fn pretrain(
        &self,
        recommender: &mut SequenceRecommender,
        view: &TrainingView<'_>,
        observe: &mut dyn FnMut(&EpochReport),
    ) -> Result<(), NeuralError> {
        let model = recommender.model();
        let Some(lessons) = model.pretraining() else { return Ok(()) };
        let lesson = Lesson::Hidden { copies: 1 };
        let rows = Rows::new(view.sequences, lesson, model.max_history(), true);
        let mut adam = Adam::new(model.parameters(), lessons.lr, 0.0, 0.0)?;
        let mut step = 0;
        for epoch in 0..lessons.epochs {
            let phase =
                Phase { epoch, pretraining: true, batch_size: lessons.batch_size, seed: self.seed };
            observe(&phase.run(recommender, &rows, &mut adam, &mut step)?);
        }
        Ok(())
    }

    /// The cases of the validation, with a number in the place of their identities.
    fn sampled<'c, S>(&self, valid: &[Case<'c, S>]) -> Result<Vec<Case<'c, usize>>, NeuralError> {
        let mut cases: Vec<Case<'c, usize>> = valid
            .iter()
            .enumerate()
            .filter(|(_, case)| !case.history.is_empty())
            .map(|(sample, case)| {
                let Case { history, seen, target, .. } = *case;
                Case { sample, history, seen, target }
            })
            .collect();
        if cases.is_empty() {
            return Err(NeuralError::NoValidation);
        }
        if cases.len() > self.config.valid_users {
            cases.shuffle(&mut stream(self.seed, Purpose::ValidUsers, 0));
            cases.truncate(self.config.valid_users);
        }
        cases.sort_by_key(|case| case.history.len()); // little is filled up in a batch
        Ok(cases)
    }

    /// NDCG@10 over the cases.
    fn validate(
        &self,
        recommender: &SequenceRecommender,
        cases: &[Case<'_, usize>],
    ) -> Result<f64, NeuralError> {
        let run = evaluate(recommender, cases, self.config.seen_items);
        let run = run.map_err(NeuralError::ranking)?;
        let sum: f64 = run.placements().map(|(_, placement)| ndcg(placement, TEN)).sum();
        Ok(sum / cases.len() as f64)
    }
}

/// One epoch.
#[derive(Debug)]
struct Phase {
    epoch: usize,
    pretraining: bool,
    batch_size: usize,
    seed: u64,
}

impl Phase {
    fn run(
        &self,
        recommender: &mut SequenceRecommender,
        rows: &Rows,
        adam: &mut Adam,
        done: &mut usize,
    ) -> Result<EpochReport, NeuralError> {
        let since = Instant::now();
        let Self { epoch, pretraining, batch_size, seed } = *self;
        let (order, purpose) = if pretraining {
            (Purpose::PretrainingOrder, Purpose::PretrainingStep)
        } else {
            (Purpose::Order, Purpose::Step)
        };
        let plan = rows.plan(batch_size, seed, order, epoch);
        let model = recommender.model();
        let mut sum = 0.0;
        for (number, batch) in plan.iter().enumerate() {
            let mut step = Step { rng: stream(seed, purpose, *done), dropout: true, epoch };
            tch::manual_seed(rand::Rng::r#gen(&mut step.rng));
            let items: Vec<&[u32]> = batch.iter().map(|row| rows.items(*row)).collect();
            let loss = if pretraining {
                model.pretraining_loss(&items, &mut step)?
            } else {
                model.loss(&items, &mut step)?
            };
            let value = loss.f_double_value(&[])?;
            if !value.is_finite() {
                return Err(NeuralError::Diverged { epoch, step: number, loss: value });
            }
            adam.step(&loss)?;
            sum += value;
            *done += 1;
        }
        Ok(EpochReport {
            epoch,
            pretraining,
            steps: plan.len(),
            loss: sum / plan.len().max(1) as f64,
            training: since.elapsed(),
            ndcg: None,
            validation: Duration::ZERO,
            best: false,
        })
    }
}

impl NeuralError {
    /// What went wrong in a ranking of the validation cases.
    fn ranking(error: BaselineError) -> Self {
        match error {
            BaselineError::Item { item, num_items } => Self::Item { item, num_items },
            BaselineError::Metric(error) => Self::Metric(error),
            other => Self::Ranking(Box::new(other)),
        }
    }
}
