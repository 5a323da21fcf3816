//! What a stage's policy writes to prompts, the most probable token at each step.

use sidereal_policy::{
    Policy as _, SamplingConfig, TextEnd, TextSampler, TokenBatch, as_language_model,
};
use sidereal_train::Observer;

use crate::error::LabError;
use crate::parts::answers::Respondent;

/// A text, without the token that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GreedyText {
    pub(crate) written: String,
    /// Whether it ended by itself, before the budget did.
    pub(crate) ended: bool,
}

/// The texts of at most `budget` tokens after prompts in tokens; `what` names them in errors and in progress.
pub(crate) fn write_greedily(
    by: &Respondent<'_>,
    prompts: &[Vec<u32>],
    budget: usize,
    what: &'static str,
    observer: &mut dyn Observer,
) -> Result<Vec<GreedyText>, LabError> {
    let Respondent { bench, stage, search, .. } = by;
    let words = bench.words(what)?;
    let model = by.open()?;
    let writer = as_language_model(&model, what)?;
    let stops = [vec![words.tokenizer.end_of_turn()]];
    let sampler = TextSampler {
        model: writer,
        num_ids: words.tokenizer.vocab_size(),
        sampling: SamplingConfig::greedy(),
        budget,
        stops: &stops,
        seed: bench.seed,
    };
    let limit = model.longest_prompt(budget);
    let (job, mut texts) = (format!("{what} {}", stage.name), Vec::new());
    for batch in prompts.chunks(search.batch_size.max(1)) {
        let tokens = TokenBatch::new(batch, bench.pad(), limit, model.device())?;
        // Nothing is drawn at random, so equal keys do no harm.
        let written = sampler.write(&tokens, &vec![0; batch.len()], 1)?;
        for text in written.into_iter().flatten() {
            let ids: Vec<u32> = text.tokens.iter().map(|token| token.id).collect();
            let ended = matches!(text.end, TextEnd::Stop(_));
            texts.push(GreedyText { written: words.tokenizer.decode(&ids)?, ended });
        }
        observer.on_progress(&job, what, texts.len(), prompts.len());
    }
    Ok(texts)
}
