//! The chosen and rejected answers of a preference stage.

use rand::Rng;
use rand::seq::SliceRandom as _;
use sidereal_data::{ItemId, Sample};
use sidereal_policy::{AnyPolicy, BeamSearch, CompletionToken};
use sidereal_train::{
    Categories, EncodedPrompt, ItemFacts, Observer, Preference, PreferenceConfig,
    PreferenceTraining, rank_without, scored_codes,
};

use super::material::Material;
use crate::cold::cold_items;
use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::seed::Purpose;

/// Preference training.
pub(crate) fn train(
    config: &PreferenceConfig,
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let Material { bench, task, .. } = material;
    let pairs = pairs(config, &model, material, observer)?;
    let valid = bench.prompts(*task, &material.valid_samples())?;
    let categories = Categories::new(bench.dataset);
    let cold = cold_items(bench.dataset, &bench.split.train, bench.seed)?;
    let training = PreferenceTraining {
        stage: material.stage,
        config: &config.check(material.stage)?,
        constraint: bench.answers(*task),
        facts: ItemFacts::default().with_categories(&categories).with_cold(&cold),
        pad: bench.pad(),
        seed: bench.seed,
        batch_size: material.batch_size,
        checkpoints: &material.checkpoints,
    };
    Ok(training.run(model, &pairs, &valid, observer)?)
}

/// At most as many pairs as the run can use.
fn pairs(
    config: &PreferenceConfig,
    model: &AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<Vec<Preference>, LabError> {
    let Material { bench, task, scope, .. } = material;
    let (order, mut rng) = material.drawn(Purpose::Pairs, config.most_pairs());
    let train = material.train();
    let samples: Vec<Sample<'_>> = order.iter().filter_map(|index| train.sample(*index)).collect();
    let prompts = bench.prompts(*task, &samples)?;
    let constraint = bench.answers(*task);
    let count = config.num_negatives;
    let negatives: Vec<Vec<ItemId>> = match config.negatives.kind() {
        Some(_) if is_over_pool(*task) => {
            prompts.iter().map(|prompt| of_pool(prompt, count, &mut rng)).collect()
        }
        Some(kind) => {
            let negatives = scope.negatives(kind, bench.catalog)?;
            samples
                .iter()
                .map(|sample| Ok(negatives.draw(sample, count, &mut rng)?))
                .collect::<Result<_, LabError>>()?
        }
        None => {
            let (beam_width, scoring) = (count + 1, config.scoring);
            let search = BeamSearch { model, constraint, beam_width, scoring };
            let batching = bench.batching(material.batch_size, "negatives");
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

/// `count` of the candidates of a prompt, with equal probability, without the target.
fn of_pool(prompt: &EncodedPrompt, count: usize, rng: &mut impl Rng) -> Vec<ItemId> {
    let mut others = prompt.pool.clone();
    others.retain(|item| *item != prompt.target);
    others.shuffle(rng);
    others.truncate(count);
    others
}
