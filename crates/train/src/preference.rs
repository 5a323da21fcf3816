//! Preference training: S-DPO, DPO and their reference-free forms.

mod answers;
mod config;

use std::num::NonZeroUsize;
use std::ops::Range;

use sidereal_policy::{CompletionPass, CompletionToken, Constraint, Policy, Trainable, Weights};
use sidereal_prompts::Shuffle;
use sidereal_rl::{PreferenceBatch, PreferenceLoss, Segments};
use tch::Tensor;

pub use self::config::{NegativeSource, PreferenceConfig};

use self::answers::AnswerLogp;
use crate::TrainError;
use crate::checked::Checked;
use crate::checkpoint::Checkpoints;
use crate::encode::EncodedPrompt;
use crate::item_facts::ItemFacts;
use crate::learner::Learner;
use crate::lengths::check_lengths;
use crate::observe::{Observer, Record};
use crate::trainer::{Method, Trainer};
use crate::validation::{Validated, Validation};

/// A prompt with a chosen answer and rejected answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Token ids and identity.
    pub prompt: EncodedPrompt,
    /// The answer that was chosen.
    pub chosen: Vec<CompletionToken>,
    /// The rejected answers, at least one.
    pub rejected: Vec<Vec<CompletionToken>>,
}

/// Preference training of a policy.
#[derive(Debug)]
pub struct PreferenceTraining<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a Checked<PreferenceConfig>,
    /// The legal answers.
    pub constraint: &'a Constraint,
    /// What the lists of validation are measured by.
    pub facts: ItemFacts<'a>,
    /// Id that fills short rows.
    pub pad: u32,
    /// Seed of the order of pairs.
    pub seed: u64,
    /// Prompts decoded together in validation.
    pub batch_size: usize,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

impl PreferenceTraining<'_> {
    /// Trains `model` on `pairs` and returns the weights with the best validation NDCG@10.
    ///
    /// The reference is the policy before training. Its log-probabilities are computed once and
    /// kept with the checkpoints; for a reference-free loss they are not computed. Each prompt is
    /// read once for all its answers.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::Diverged`], and those of files and tensors.
    pub fn run<P: Trainable>(
        &self,
        model: P,
        pairs: &[Preference],
        valid: &[EncodedPrompt],
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        if pairs.is_empty() {
            return Err(TrainError::NoSamples { what: "preference training" });
        }
        // A prompt with its longest answer, and a validation prompt with any answer.
        let positions = model.longest_prompt(0);
        let longest = |pair: &Preference| {
            // A pair without rejected answers is as long as its chosen one.
            let rejected = pair.rejected.iter().map(Vec::len);
            pair.prompt.ids.len() + rejected.max().unwrap_or(0).max(pair.chosen.len())
        };
        let pairs_read = pairs.iter().map(|pair| (pair.prompt.id, longest(pair), positions));
        let room = model.longest_prompt(self.constraint.max_len());
        let asked = valid.iter().map(|prompt| (prompt.id, prompt.ids.len(), room));
        check_lengths(self.stage, pairs_read.chain(asked))?;
        let PreferenceConfig { trainable, optim, .. } = &**self.config;
        let learner = Learner::new(model, trainable, optim, self.constraint, self.seed)?;
        let trainer = Trainer {
            stage: self.stage,
            steps: self.config.steps_for(pairs.len()),
            validate_every: self.config.validate_every,
            checkpoint_every: self.config.checkpoint_every,
            num_prompts: pairs.len(),
            seed: self.seed,
            checkpoints: self.checkpoints,
        };
        let rejected = Segments::from_lens(pairs.iter().map(|pair| pair.rejected.len()));
        let rejected = rejected.iter().collect();
        let mut method = Preferring { training: self, pairs, valid, rejected, reference: None };
        trainer.run(learner, &mut method, observer)
    }

    /// One update: number `step`, from 0, of `steps`.
    fn step<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        batch: &[&Preference],
        reference: Option<&AnswerLogp>,
        (step, steps): (usize, usize),
    ) -> Result<Record, TrainError> {
        let (mut value, mut won, mut margin, mut hardest) = (0.0, 0, 0.0, 0.0);
        let (mut chosen_logp, mut rejected_logp, mut num_rejected) = (0.0, 0.0, 0);
        let (mut first, mut first_rejected) = (0, 0);
        for part in batch.chunks(self.config.micro_batch) {
            let rejected: usize = part.iter().map(|pair| pair.rejected.len()).sum();
            let reference = reference.map(|all| AnswerLogp {
                chosen: all.chosen[first..first + part.len()].to_vec(),
                rejected: all.rejected[first_rejected..first_rejected + rejected].to_vec(),
            });
            let (loss, answers) =
                self.backward(learner.model(), part, reference.as_ref(), batch.len(), step)?;
            chosen_logp += answers.chosen.iter().sum::<f64>();
            rejected_logp += answers.rejected.iter().sum::<f64>();
            num_rejected += rejected;
            value += loss.value;
            won += loss.won;
            margin += loss.margin_sum;
            hardest += loss.hardest_sum;
            first += part.len();
            first_rejected += rejected;
        }
        let lr = self.config.optim.lr_at(step, steps);
        let grad_norm = learner.step(lr)?;
        if !grad_norm.is_finite() {
            return Err(self.diverged(batch, step, ("the gradient's norm", grad_norm)));
        }
        let count = batch.len() as f64;
        Ok(Record::new(self.stage, step + 1, steps)
            .with("loss", value)
            .with("won", won as f64 / count)
            .with("margin", margin / count)
            .with("hardest", hardest / count)
            .with("chosen_logp", chosen_logp / count)
            .with("rejected_logp", rejected_logp / num_rejected as f64)
            .with("lr", lr)
            .with("grad_norm", grad_norm))
    }

    /// The error of step `step`, from 0, after which training should not go on.
    fn diverged(
        &self,
        pairs: &[&Preference],
        step: usize,
        found: (&'static str, f64),
    ) -> TrainError {
        let samples = pairs.iter().map(|pair| pair.prompt.id);
        TrainError::diverged(self.stage, step + 1, found, self.checkpoints, samples)
    }

    /// Accumulates the gradient of some pairs of step `step`, 0-based, which has `num_pairs`; returns
    /// the loss and the log-probabilities of the answers.
    fn backward(
        &self,
        model: &dyn Policy,
        part: &[&Preference],
        reference: Option<&AnswerLogp>,
        num_pairs: usize,
        step: usize,
    ) -> Result<(PreferenceLoss, AnswerLogp), TrainError> {
        let CompletionPass { pass, lens, .. } = self.pass(model, part)?;
        let answers = AnswerLogp::sums(part, pass.logp(), &lens)?;
        let mut values = answers.chosen.iter().chain(&answers.rejected);
        if let Some(value) = values.find(|value| !value.is_finite()) {
            return Err(self.diverged(part, step, ("the log-probability of an answer", *value)));
        }
        let negatives = Segments::from_lens(part.iter().map(|pair| pair.rejected.len()));
        let mut batch = PreferenceBatch::new(&answers.chosen, &answers.rejected, &negatives)?;
        if let Some(reference) = reference {
            batch = batch.with_reference(&reference.chosen, &reference.rejected)?;
        }
        let loss = self.config.loss.loss(&batch, num_pairs)?;
        // An answer's log-probability is the sum of its tokens': each has the answer's derivative.
        let (mut gradient, mut lens) = (Vec::new(), lens.iter());
        for (pair, range) in negatives.iter().enumerate() {
            let of_answers =
                std::iter::once(loss.d_chosen[pair]).chain(loss.d_rejected[range].iter().copied());
            for (value, len) in of_answers.zip(lens.by_ref()) {
                gradient.extend(std::iter::repeat_n(value, *len));
            }
        }
        pass.backward(&Tensor::from_slice(&gradient))?;
        Ok((loss, answers))
    }

    fn validation<'m>(&'m self, model: &'m dyn Policy) -> Validation<'m> {
        Validation {
            model,
            constraint: self.constraint,
            facts: self.facts,
            scoring: self.config.scoring,
            reasoning: None,
            slates: None,
            pad: self.pad,
            batch_size: self.batch_size,
        }
    }
}

/// Preference training in progress.
struct Preferring<'a> {
    training: &'a PreferenceTraining<'a>,
    pairs: &'a [Preference],
    valid: &'a [EncodedPrompt],
    /// Where each pair's rejected answers are among all.
    rejected: Vec<Range<usize>>,
    /// The log-probabilities of all answers under the policy before training, if the loss needs
    /// them.
    reference: Option<AnswerLogp>,
}

impl<P: Trainable> Method<P> for Preferring<'_> {
    type State = ();

    fn begin(&mut self, model: &P, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if !self.training.config.loss.is_reference_free() {
            self.reference = Some(self.training.reference(model, self.pairs, observer)?);
        }
        Ok(())
    }

    fn restore(&mut self, (): (), tensors: &Weights) -> Result<(), TrainError> {
        self.reference = AnswerLogp::from_tensors(tensors)?;
        Ok(())
    }

    fn step(
        &mut self,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        done: usize,
        _shows: bool,
    ) -> Result<Record, TrainError> {
        let size = self.training.config.pairs_per_step;
        let batch = order.next_batch(NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN));
        let picked: Vec<&Preference> = batch.iter().map(|index| &self.pairs[*index]).collect();
        let reference = self.reference.as_ref().map(|all| all.of_pairs(batch, &self.rejected));
        let steps = self.training.config.steps_for(self.pairs.len());
        self.training.step(learner, &picked, reference.as_ref(), (done, steps))
    }

    fn validate(&self, model: &P) -> Result<Validated, TrainError> {
        self.training.validation(model).run(self.valid)
    }

    fn state(&self) {}

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.reference.iter().flat_map(AnswerLogp::tensors).collect()
    }
}
