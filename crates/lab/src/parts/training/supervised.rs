//! What a supervised stage learns.

use sidereal_policy::Decoder;
use sidereal_prompts::Task;

use super::{Workshop, rendered_of};
use crate::LabError;
use crate::Pipeline;
use crate::seed::{Purpose, stream};
use sidereal_train::Observer;
use sidereal_train::Sequence;
use sidereal_train::{Histories, MixedData, MixedTasks, MixtureConfig, Sft, SftConfig, SftData};
use sidereal_train::{TrainError, check_lengths};

impl Pipeline<'_> {
    /// Supervised fine-tuning.
    pub(crate) fn sft(
        &self,
        config: &SftConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, LabError> {
        let Workshop { context, tasks, encoder, task, scope, .. } = workshop;
        let train = &scope.split.train;
        let valid = rendered_of(tasks, *task, &self.valid_samples(workshop))?
            .iter()
            .map(|sample| encoder.sequence(sample))
            .collect::<Result<_, TrainError>>()?;
        let sft = Sft {
            stage: workshop.stage,
            config,
            constraint: &context.constraint,
            pad: context.tokenizer.pad(),
            seed: self.recipe.seed,
            checkpoints: &workshop.checkpoints,
        };
        let positions = model.config().max_position_embeddings;
        if let Some(mixture) = &config.mixture {
            // Rows are shortened to what the model can read.
            let max_tokens = mixture.max_tokens.min(positions);
            let mixture = &MixtureConfig { max_tokens, ..mixture.clone() };
            let data = MixedData {
                train,
                tasks,
                encoder,
                chats: if mixture.chat > 0.0 { &context.texts.chats } else { &[] },
            };
            let lessons = MixedTasks::new(mixture, config, data, self.recipe.seed)?;
            return Ok(sft.run(model, &SftData { lessons: &lessons, valid }, observer)?);
        }
        let sequences = |task| encoder.train(tasks, train, task);
        let mut alignment = Vec::new();
        if config.alignment_share > 0.0 {
            alignment.extend(sequences(Task::TitleToSid)?);
            alignment.extend(sequences(Task::SidToTitle)?);
        }
        let plain = sequences(Task::NextItem)?;
        let named = plain.iter().chain(&alignment);
        let named = named.filter_map(|row| Some((*row.samples.last()?, row.ids.len(), positions)));
        check_lengths(workshop.stage, named)?;
        let next_item = |epoch: usize| {
            if config.augment.is_off() {
                Ok(plain.clone())
            } else {
                self.varied(config, workshop, epoch)
            }
        };
        let lessons = Histories {
            next_item: &next_item,
            alignment,
            alignment_share: config.alignment_share,
            batch_size: config.batch_size,
            epochs: config.epochs,
            seed: self.recipe.seed,
        };
        Ok(sft.run(model, &SftData { lessons: &lessons, valid }, observer)?)
    }

    /// The training histories, each varied at random for this epoch.
    fn varied(
        &self,
        config: &SftConfig,
        workshop: &Workshop<'_>,
        epoch: usize,
    ) -> Result<Vec<Sequence>, TrainError> {
        let Workshop { scope, tasks, encoder, .. } = workshop;
        let mut rng = stream(self.recipe.seed, Purpose::Variation, epoch as u64);
        scope
            .split
            .train
            .sequences()
            .filter(|sequence| sequence.events.len() > 1)
            .map(|sequence| {
                let window = self.recipe.max_history + 1;
                let items = config.augment.apply(sequence.events, window, &mut rng);
                encoder.history(tasks, sequence.user, &items)
            })
            .collect()
    }
}
