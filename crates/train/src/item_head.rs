//! Training with a recommendation head: the items alone, or chains and items by reinforcement (`RecPO`).

mod answers;
mod candidates;
mod config;
mod items;
mod judged;
mod learn;
mod rollouts;

use std::num::NonZeroUsize;

use sidereal_policy::{
    Constraint, ItemHead, ReasoningMarkers, Trainable, Weights, as_language_model,
};
use sidereal_prompts::Shuffle;
use tch::Tensor;

pub use self::answers::HeadAnswers;
pub use self::config::{HeadChainConfig, ItemHeadConfig, RecPoConfig};
pub use self::items::HeadItems;

use self::answers::longest_prompt;
use self::candidates::Candidates;
use self::judged::{Judged, judge};
use crate::TrainError;
use crate::batching::{Batching, check_room};
use crate::checked::Checked;
use crate::checkpoint::Checkpoints;
use crate::encode::EncodedPrompt;
use crate::item_facts::ItemFacts;
use crate::learner::Learner;
use crate::observe::{Observer, Record};
use crate::trainer::{Method, Trainer};
use crate::validation::Validated;

/// Name of the vectors of all items in a checkpoint.
const TABLE: &str = "head.items";
/// Items of a validation's lists.
const LISTED: usize = 20;

/// Training of a language model whose last states score items.
///
/// ```text
/// prompt | chain … mark | h           h · H[v]: see `ItemHead`
///
/// items alone:  J = mean over prompts of log p(target | prompt, chain)        p over the step's candidates
/// RecPO:        J = 1/R Σ_i [ 1/|o_i| Σ_t r[i,t] · A[i]  +  δ[i] · r[i] · A[i] ]
///               r[i,t] = p(o[i,t]) / p_old(o[i,t])      r[i] = p(target | o_i) / p_old(target | o_i)
///               δ[i] = 1 for the best chains of a group, else 0
/// ```
/// `R` chains in all, `|o_i|` the tokens that were drawn of chain `i`, `A` the advantage of its reward
/// ([`FusedReward`](sidereal_rl::FusedReward)) within its group. Candidates are the targets of the step and items drawn
/// at random. `RecPO` is of `R²ec`: You and others, [arXiv:2505.16994](https://arxiv.org/abs/2505.16994), with the
/// settings of the authors' code.
///
/// Deviations: each target is a candidate once, however many prompts have it; what is drawn is scored under the law that
/// it was drawn from, so there are no cuts; each step has one update, as in the authors' code, so that ratios are 1 and
/// the paper's bounds on them have no effect; items of the history stay in the ranking that a chain is judged by; the
/// end of the turn, where a chain ends with it instead of the mark, is not learned. The start that learns the items alone
/// is ours: the paper has none.
#[derive(Debug)]
pub struct ItemHeadTraining<'a> {
    /// Name in logs.
    pub stage: &'a str,
    /// Settings.
    pub config: &'a Checked<ItemHeadConfig>,
    /// Semantic IDs, which no answer is made of; words are scored beside them.
    pub constraint: &'a Constraint,
    /// The items.
    pub items: &'a HeadItems,
    /// The mark that closes a chain, after which the head scores.
    pub markers: &'a ReasoningMarkers,
    /// What the lists of validation are measured by.
    pub facts: ItemFacts<'a>,
    /// Id that fills short rows.
    pub pad: u32,
    /// Seed of the order of prompts, of chains and of candidates.
    pub seed: u64,
    /// Users, and texts of items, that are read together in validation.
    pub batch_size: usize,
    /// Where training state is kept.
    pub checkpoints: &'a Checkpoints,
}

impl ItemHeadTraining<'_> {
    /// Trains `model` on `prompts` and returns the weights with the best validation NDCG@10, those before training
    /// included. Prompts whose target has no text are left out, and the log counts them.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::TooLong`], [`TrainError::Diverged`], and those of files and tensors.
    pub fn run<P: Trainable>(
        &self,
        model: P,
        prompts: &[EncodedPrompt],
        valid: &[EncodedPrompt],
        observer: &mut dyn Observer,
    ) -> Result<P, TrainError> {
        let known: Vec<&EncodedPrompt> =
            prompts.iter().filter(|prompt| self.items.row(prompt.target).is_some()).collect();
        if known.len() < prompts.len() {
            let untitled = prompts.len() - known.len();
            tracing::warn!(
                stage = self.stage,
                untitled,
                "prompts left out: their targets have no text"
            );
        }
        if known.is_empty() || valid.is_empty() {
            return Err(TrainError::NoSamples { what: "a recommendation head" });
        }
        as_language_model(&model, "a recommendation head")?;
        let limit = longest_prompt(&model, self.markers, self.budget());
        check_room(self.stage, prompts, limit)?;
        let ItemHeadConfig { trainable, optim, .. } = &**self.config;
        let learner = Learner::new(model, trainable, optim, self.constraint, self.seed)?;
        let trainer = Trainer {
            stage: self.stage,
            steps: self.config.steps,
            validate_every: self.config.validate_every,
            checkpoint_every: self.config.checkpoint_every,
            num_prompts: known.len(),
            seed: self.seed,
            checkpoints: self.checkpoints,
        };
        let head = self.config.head()?;
        let mut method = Heading { training: self, head, prompts: known, valid, table: None };
        trainer.run(learner, &mut method, observer)
    }

    fn budget(&self) -> Option<usize> {
        self.config.chain.map(|chain| chain.budget)
    }
}

/// The training under way.
struct Heading<'a> {
    training: &'a ItemHeadTraining<'a>,
    head: ItemHead,
    prompts: Vec<&'a EncodedPrompt>,
    valid: &'a [EncodedPrompt],
    /// The vectors of all items, `[N, D]`, by which chains are judged; some steps old.
    table: Option<Tensor>,
}

impl Heading<'_> {
    /// Rewards and advantages of the chains of a step.
    fn judged(
        &self,
        states: Option<&Tensor>,
        batch: &[&EncodedPrompt],
    ) -> Result<Option<Judged>, TrainError> {
        let Self { training, head, table, .. } = self;
        let (Some(recpo), Some(states), Some(table)) = (&training.config.recpo, states, table)
        else {
            return Ok(None);
        };
        let _guard = tch::no_grad_guard();
        let rows: Vec<usize> =
            batch.iter().filter_map(|prompt| training.items.row(prompt.target)).collect();
        Ok(Some(judge(recpo, &head.logp(states, table)?, &rows)?))
    }

    /// Makes the vectors of all items where step `number`, 0-based, needs them anew.
    fn refresh<P: Trainable>(&mut self, model: &P, number: usize) -> Result<(), TrainError> {
        let ItemHeadTraining { config, items, pad, batch_size, .. } = *self.training;
        let Some(recpo) = &config.recpo else { return Ok(()) };
        if self.table.is_none() || number.is_multiple_of(recpo.refresh_every) {
            let model = as_language_model(model, "a recommendation head")?;
            self.table = Some(self.head.table(model, items.texts(), pad, batch_size)?);
        }
        Ok(())
    }

    /// Puts the vectors of a step's candidates in the place of older ones.
    fn renew(&self, candidates: &Candidates, vectors: &Tensor) -> Result<(), TrainError> {
        if let Some(table) = &self.table {
            let rows: Vec<i64> =
                candidates.rows.iter().map(|row| i64::try_from(*row).unwrap_or(i64::MAX)).collect();
            let rows = Tensor::from_slice(&rows).to_device(table.device());
            let _ = table.shallow_clone().f_index_copy_(0, &rows, &vectors.detach())?;
        }
        Ok(())
    }
}

impl<P: Trainable> Method<P> for Heading<'_> {
    type State = ();

    fn begin(&mut self, _: &P, _: &mut dyn Observer) -> Result<(), TrainError> {
        Ok(())
    }

    fn restore(&mut self, (): (), tensors: &Weights) -> Result<(), TrainError> {
        self.table = tensors.get(TABLE).map(Tensor::copy);
        Ok(())
    }

    fn step(
        &mut self,
        learner: &mut Learner<P>,
        order: &mut Shuffle,
        done: usize,
        _: bool,
    ) -> Result<Record, TrainError> {
        let training = self.training;
        let size = NonZeroUsize::new(training.config.prompts_per_step).unwrap_or(NonZeroUsize::MIN);
        let batch: Vec<&EncodedPrompt> =
            order.next_batch(size).iter().map(|index| self.prompts[*index]).collect();
        self.refresh(learner.model(), done)?;
        let written = {
            let model = as_language_model(learner.model(), "a recommendation head")?;
            training.write(model, &batch, done)?
        };
        let judged = self.judged(written.states.as_ref(), &batch)?;
        let candidates = training.candidates(&batch, done);
        let lr = training.config.optim.lr_at(done, training.config.steps);
        let trained = training.learn(
            learner,
            (batch.as_slice(), &written, judged.as_ref(), &candidates),
            self.head,
            (lr, done),
        )?;
        self.renew(&candidates, &trained.vectors)?;
        let mut record = Record::new(training.stage, done + 1, training.config.steps)
            .with("loss", trained.loss)
            .with("lr", lr)
            .with("grad_norm", trained.grad_norm);
        if training.config.chain.is_some() {
            let chains = written.num_rollouts().max(1) as f64;
            record = record
                .with("chain_len", written.drawn as f64 / chains)
                .with("unclosed", written.unclosed as f64 / chains);
        }
        if let Some(judged) = judged {
            record = record.with("reward", judged.reward).with("reward_share", judged.share);
        }
        Ok(record)
    }

    fn validate(&self, model: &P) -> Result<Validated, TrainError> {
        let ItemHeadTraining { items, markers, pad, batch_size, facts, .. } = *self.training;
        let answers = HeadAnswers {
            model: as_language_model(model, "validation of a recommendation head")?,
            head: self.head,
            items,
            markers,
            budget: self.training.budget(),
            pad,
            count: LISTED,
        };
        let batching = Batching { pad, batch_size, job: "validate" };
        let lists = answers.rank(self.valid, batching, &mut |_: &Record| {})?;
        Validated::of_lists(&lists, facts)
    }

    fn state(&self) {}

    fn tensors(&self) -> Vec<(String, Tensor)> {
        self.table.iter().map(|table| (TABLE.to_owned(), table.shallow_clone())).collect()
    }
}
