//! The pairs of a preference stage.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_corpus::{ItemId, Negatives, Sample, Task};
use sidereal_policy::{BeamSearch, CompletionToken, Decoder};

use super::{Workshop, prompts_of};
use crate::TrainError;
use crate::encode::scored_codes;
use crate::evaluate::rank;
use crate::observe::Observer;
use crate::pipeline::Pipeline;
use crate::preference::{Preference, PreferenceConfig, PreferenceTraining};

impl Pipeline<'_> {
    /// Preference training.
    pub(super) fn preference(
        &self,
        config: &PreferenceConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let pairs = self.pairs(config, &model, workshop, observer)?;
        let valid = prompts_of(tasks, encoder, Task::NextItem, &self.valid_samples(context))?;
        let training = PreferenceTraining {
            stage: workshop.stage,
            config,
            constraint: &context.constraint,
            pad: context.tokenizer.pad(),
            seed: self.recipe.seed,
            batch_size: self.recipe.evaluate.batch_size,
            checkpoints: &workshop.checkpoints,
        };
        training.run(model, &pairs, &valid, observer)
    }

    /// As many pairs as the run can use.
    fn pairs(
        &self,
        config: &PreferenceConfig,
        model: &Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Preference>, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        let train = &context.split.train;
        let mut order: Vec<usize> = (0..train.num_samples()).collect();
        order.shuffle(&mut rng);
        order.truncate(config.steps * config.pairs_per_step);
        let samples: Vec<Sample<'_>> =
            order.iter().filter_map(|index| train.sample(*index)).collect();
        let prompts = prompts_of(tasks, encoder, Task::NextItem, &samples)?;
        let count = config.num_negatives;
        let negatives: Vec<Vec<ItemId>> = if let Some(kind) = config.negatives.kind() {
            let negatives = Negatives::new(kind, train, &context.catalog)?;
            samples
                .iter()
                .map(|sample| Ok(negatives.draw(sample, count, &mut rng)?))
                .collect::<Result<_, TrainError>>()?
        } else {
            let (beam_width, scoring) = (count + 1, config.scoring);
            let search = BeamSearch { model, constraint: &context.constraint, beam_width, scoring };
            let (pad, size) = (context.tokenizer.pad(), self.recipe.evaluate.batch_size);
            rank(&search, &prompts, pad, size, "negatives", observer)?
                .into_iter()
                .map(|ranking| ranking.misses(count))
                .collect()
        };
        let trie = context.constraint.trie();
        let answer = |item: ItemId| -> Result<Vec<CompletionToken>, TrainError> {
            Ok(scored_codes(trie, &[], &encoder.flat(item)?)?)
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
