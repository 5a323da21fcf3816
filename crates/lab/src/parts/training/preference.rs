//! The pairs of a preference stage.

use rand::Rng;
use rand::seq::SliceRandom as _;
use sidereal_data::{ItemId, Sample};
use sidereal_policy::{BeamSearch, CompletionToken, Decoder};

use super::{Workshop, prompts_of};
use crate::LabError;
use crate::Pipeline;
use crate::recipe::pool::is_over_pool;
use crate::seed::{Purpose, stream};
use sidereal_train::Observer;
use sidereal_train::rank_without;
use sidereal_train::{Preference, PreferenceConfig, PreferenceTraining};
use sidereal_train::{Prompt, scored_codes};

impl Pipeline<'_> {
    /// Preference training.
    pub(crate) fn preference(
        &self,
        config: &PreferenceConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, LabError> {
        let Workshop { context, tasks, encoder, task, .. } = workshop;
        let pairs = self.pairs(config, &model, workshop, observer)?;
        let valid = prompts_of(tasks, encoder, *task, &self.valid_samples(workshop))?;
        let training = PreferenceTraining {
            stage: workshop.stage,
            config,
            constraint: context.answers(*task),
            pad: context.tokenizer.pad(),
            seed: self.recipe.seed,
            batch_size: self.recipe.evaluate.batch_size,
            checkpoints: &workshop.checkpoints,
        };
        Ok(training.run(model, &pairs, &valid, observer)?)
    }

    /// As many pairs as the run can use.
    fn pairs(
        &self,
        config: &PreferenceConfig,
        model: &Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Preference>, LabError> {
        let Workshop { context, tasks, encoder, task, scope, .. } = workshop;
        let mut rng = stream(self.recipe.seed, Purpose::Pairs, 0);
        let train = &scope.split.train;
        let mut order: Vec<usize> = (0..train.num_samples()).collect();
        order.shuffle(&mut rng);
        order.truncate(config.steps * config.pairs_per_step);
        let samples: Vec<Sample<'_>> =
            order.iter().filter_map(|index| train.sample(*index)).collect();
        let prompts = prompts_of(tasks, encoder, *task, &samples)?;
        let constraint = context.answers(*task);
        let count = config.num_negatives;
        let negatives: Vec<Vec<ItemId>> = match config.negatives.kind() {
            Some(_) if is_over_pool(*task) => {
                prompts.iter().map(|prompt| of_pool(prompt, count, &mut rng)).collect()
            }
            Some(kind) => {
                let negatives = scope.negatives(kind, &context.catalog)?;
                samples
                    .iter()
                    .map(|sample| Ok(negatives.draw(sample, count, &mut rng)?))
                    .collect::<Result<_, LabError>>()?
            }
            None => {
                let (beam_width, scoring) = (count + 1, config.scoring);
                let search = BeamSearch { model, constraint, beam_width, scoring };
                let batching = self.batching(context, "negatives");
                let excluded = scope.excluded(constraint.trie())?;
                rank_without(&excluded, &search, &prompts, batching, observer)?
                    .into_iter()
                    .map(|ranking| ranking.misses(count))
                    .collect()
            }
        };
        let answer = |item: ItemId| -> Result<Vec<CompletionToken>, LabError> {
            let written = constraint.flat(item).ok_or(LabError::UnknownItem { item })?;
            Ok(scored_codes(constraint.trie(), &[], &written)?)
        };
        prompts
            .into_iter()
            .zip(negatives)
            .map(|(prompt, negatives)| {
                let chosen = answer(prompt.target)?;
                let rejected = negatives.into_iter().map(answer).collect::<Result<_, _>>()?;
                Ok(Preference { prompt, chosen, rejected })
            })
            .collect()
    }
}

/// `count` of the candidates that a prompt shows, all alike, but not the target.
fn of_pool(prompt: &Prompt, count: usize, rng: &mut impl Rng) -> Vec<ItemId> {
    let mut others = prompt.pool.clone();
    others.retain(|item| *item != prompt.target);
    others.shuffle(rng);
    others.truncate(count);
    others
}
