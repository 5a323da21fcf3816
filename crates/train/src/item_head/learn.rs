//! The update of a step: words and items in one backward pass.

use sidereal_policy::{
    CompletionEnds, CompletionToken, Completions, ItemHead, TokenBatch, Trainable,
    as_language_model,
};
use sidereal_rl::{Grpo, RolloutBatch, Segments, StepSize};
use tch::{Kind, Tensor};

use super::ItemHeadTraining;
use super::candidates::Candidates;
use super::judged::Judged;
use super::rollouts::Written;
use crate::TrainError;
use crate::encode::EncodedPrompt;
use crate::learner::Learner;

/// What an update let see.
#[derive(Debug)]
pub(super) struct Learned {
    /// Mean of −log p(target) among the candidates, nats, before the update.
    pub(super) loss: f64,
    pub(super) grad_norm: f64,
    /// The vectors `[n, D]` of the candidates before the update.
    pub(super) vectors: Tensor,
}

/// The prompts of a step, what was written, its judgement under `RecPO`, and the candidates.
type Step<'s> = (&'s [&'s EncodedPrompt], &'s Written, Option<&'s Judged>, &'s Candidates);

impl ItemHeadTraining<'_> {
    /// One update at the rate `lr`, of step `number`, 0-based.
    pub(super) fn learn<P: Trainable>(
        &self,
        learner: &mut Learner<P>,
        step: Step<'_>,
        head: ItemHead,
        (lr, number): (f64, usize),
    ) -> Result<Learned, TrainError> {
        let (loss, vectors) = self.gradients(learner.model(), step, head)?;
        let grad_norm = learner.step(lr)?;
        for (what, found) in [("the loss", loss), ("the gradient's norm", grad_norm)] {
            if !found.is_finite() {
                let samples = step.0.iter().map(|prompt| prompt.id);
                let found = (what, found);
                let stage = self.stage;
                return Err(TrainError::diverged(
                    stage,
                    number + 1,
                    found,
                    self.checkpoints,
                    samples,
                ));
            }
        }
        Ok(Learned { loss, grad_norm, vectors })
    }

    /// Adds the gradients of a step to those of the weights; returns the loss, and the vectors of the candidates.
    fn gradients<P: Trainable>(
        &self,
        model: &P,
        (batch, written, judged, candidates): Step<'_>,
        head: ItemHead,
    ) -> Result<(f64, Tensor), TrainError> {
        let model = as_language_model(model, "a recommendation head")?;
        let texts: Vec<&[u32]> =
            candidates.rows.iter().map(|row| self.items.texts()[*row].as_slice()).collect();
        let vectors = head.vectors(model, &texts, self.pad)?; // [n, D]
        // All parts of the step go back to this leaf, and the texts are gone through once at the end.
        let leaf = vectors.detach().set_requires_grad(vectors.requires_grad());
        let (law, total) = (self.config.law()?, written.num_rollouts());
        let lens = |groups: &[Vec<Vec<CompletionToken>>]| {
            let scored = |tokens: &Vec<CompletionToken>| {
                tokens.iter().filter(|it| matches!(it, CompletionToken::Scored(_))).count()
            };
            Segments::from_lens(groups.iter().flatten().map(scored))
        };
        let whole = StepSize::of(&lens(&written.completions));
        let (mut loss, mut first) = (0.0, 0);
        let size = self.config.micro_batch;
        let parts = batch.chunks(size).zip(written.completions.chunks(size));
        for (part, (prompts, groups)) in parts.enumerate() {
            let rows: Vec<&[u32]> = prompts.iter().map(|prompt| prompt.ids.as_slice()).collect();
            let tokens = TokenBatch::new(&rows, self.pad, model.longest_prompt(0), model.device())?;
            let begun = vec![0; rows.len()];
            let completions = Completions { prompts: &tokens, begun: &begun, rollouts: groups };
            let read = CompletionEnds::read(model, self.constraint, &completions, law)?;
            let targets: Vec<i64> = groups
                .iter()
                .zip(&candidates.targets[part * size..])
                .flat_map(|(group, target)| {
                    vec![i64::try_from(*target).unwrap_or(i64::MAX); group.len()]
                })
                .collect();
            let here = first..first + targets.len();
            first = here.end;
            let columns = Tensor::from_slice(&targets).to_device(leaf.device()).unsqueeze(1);
            let own =
                head.logp(read.ends(), &leaf)?.f_gather(1, &columns, false)?.f_squeeze_dim(1)?;
            let values = Vec::<f64>::try_from(own.detach().f_to_kind(Kind::Double)?)?;
            loss -= values.iter().sum::<f64>() / total as f64;
            let (d_words, d_items) = match judged {
                Some(judged) => {
                    let words = Vec::<f64>::try_from(read.logp().f_to_kind(Kind::Double)?)?;
                    let advantages = &judged.advantages[here.clone()];
                    let d_words = slope(&lens(groups), &words, advantages, whole)?;
                    let one = Segments::uniform(values.len(), 1);
                    let all = StepSize::of(&Segments::uniform(total, 1));
                    (d_words, slope(&one, &values, &judged.items[here], all)?)
                }
                None => (vec![0.0; read.logp().numel()], vec![1.0 / total as f64; values.len()]),
            };
            // Objectives are maximised, the optimiser minimises.
            if own.requires_grad() {
                let d_items = Tensor::from_slice(&d_items).to_device(own.device());
                (own * -d_items.f_to_kind(Kind::Float)?).f_sum(Kind::Float)?.f_backward()?;
            }
            read.backward(&-Tensor::from_slice(&d_words))?;
        }
        let d_vectors = leaf.grad();
        if vectors.requires_grad() && d_vectors.defined() {
            (&vectors * d_vectors).f_sum(Kind::Float)?.f_backward()?;
        }
        Ok((loss, vectors.detach()))
    }
}

/// The derivative by log-probabilities of the objective of rollouts that the policy itself has just drawn: GRPO at
/// ratios of 1.
fn slope(
    tokens: &Segments,
    logp: &[f64],
    advantages: &[f64],
    whole: StepSize,
) -> Result<Vec<f64>, TrainError> {
    let batch = RolloutBatch::new(tokens, logp, logp, advantages)?;
    Ok(Grpo::default().objective(&batch, whole)?.d_logp)
}
