//! Supervised fine-tuning of a stage.

use sidereal_policy::{AnyPolicy, Policy as _};
use sidereal_prompts::{Chat, Task, Tasks};
use sidereal_train::{
    Encoder, Histories, MixedData, MixedTasks, MixtureConfig, Observer, Sequence, Sft, SftConfig,
    SftData, TrainError, check_lengths,
};

use super::material::Material;
use crate::error::LabError;
use crate::seed::{Purpose, stream};

/// Supervised fine-tuning.
pub(crate) fn train(
    config: &SftConfig,
    chats: &[Chat],
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let Material { bench, task, .. } = material;
    let words = bench.words("supervised fine-tuning")?;
    let (encoder, tasks) = (&words.encoder, &material.tasks(words));
    let train = material.train();
    let valid = bench.sequences(*task, &material.valid_samples())?;
    let sft = Sft {
        stage: material.stage,
        config: &config.check(material.stage)?,
        constraint: bench.constraint,
        pad: bench.pad(),
        seed: bench.seed,
        checkpoints: &material.checkpoints,
    };
    let positions = model.longest_prompt(0);
    if let Some(mixture) = &config.mixture {
        // Rows are shortened to what the model can read.
        let max_tokens = mixture.max_tokens.min(positions);
        let mixture = &MixtureConfig { max_tokens, ..mixture.clone() };
        let chats = if mixture.chat > 0.0 { chats } else { &[] };
        let data = MixedData { train, tasks, encoder, chats };
        let lessons = MixedTasks::new(mixture, config, data, bench.seed)?;
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
    check_lengths(material.stage, named)?;
    let next_item = |epoch: usize| {
        if config.augment.is_off() {
            Ok(plain.clone())
        } else {
            varied(config, material, tasks, encoder, epoch)
        }
    };
    let lessons = Histories {
        next_item: &next_item,
        alignment,
        alignment_share: config.alignment_share,
        batch_size: config.batch_size,
        epochs: config.epochs,
        seed: bench.seed,
    };
    Ok(sft.run(model, &SftData { lessons: &lessons, valid }, observer)?)
}

/// The training histories, each varied at random for this epoch.
fn varied(
    config: &SftConfig,
    material: &Material<'_>,
    tasks: &Tasks<'_>,
    encoder: &Encoder<'_>,
    epoch: usize,
) -> Result<Vec<Sequence>, TrainError> {
    let mut rng = stream(material.bench.seed, Purpose::Variation, epoch as u64);
    material
        .train()
        .sequences()
        .filter(|sequence| sequence.events.len() > 1)
        .map(|sequence| {
            let window = material.max_history + 1;
            let items = config.augment.apply(sequence.events, window, &mut rng);
            encoder.history(tasks, sequence.user, &items)
        })
        .collect()
}
