//! Training of a stage with a recommendation head.

use sidereal_data::Sample;
use sidereal_policy::AnyPolicy;
use sidereal_train::{Categories, ItemFacts, ItemHeadConfig, ItemHeadTraining, Observer};

use super::material::Material;
use crate::cold::cold_items;
use crate::error::LabError;
use crate::seed::Purpose;

/// Training with a recommendation head, on at most as many prompts as the run can use.
pub(crate) fn train(
    config: &ItemHeadConfig,
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let Material { bench, task, .. } = material;
    let heads = bench.words("a recommendation head")?.heads(bench.dataset.num_items())?;
    let (order, _) = material.drawn(Purpose::Prompts, config.steps * config.prompts_per_step);
    let train = material.train();
    let samples: Vec<Sample<'_>> = order.iter().filter_map(|index| train.sample(*index)).collect();
    let prompts = bench.prompts(*task, &samples)?;
    let valid = bench.prompts(*task, &material.valid_samples())?;
    let categories = Categories::new(bench.dataset);
    let cold = cold_items(bench.dataset, &bench.split.train, bench.seed)?;
    let training = ItemHeadTraining {
        stage: material.stage,
        config: &config.check(material.stage)?,
        constraint: bench.constraint,
        items: &heads.items,
        markers: &heads.markers,
        facts: ItemFacts::default().with_categories(&categories).with_cold(&cold),
        pad: bench.pad(),
        seed: bench.seed,
        batch_size: material.batch_size,
        checkpoints: &material.checkpoints,
    };
    Ok(training.run(model, &prompts, &valid, observer)?)
}
