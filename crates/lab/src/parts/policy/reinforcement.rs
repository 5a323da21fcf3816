//! The prompts of a reinforcement stage.

use rand::seq::SliceRandom as _;
use sidereal_data::Sample;
use sidereal_policy::{AnyPolicy, Constraint};
use sidereal_prompts::{Rendered, Task, Wording};
use sidereal_train::{
    Categories, EncodedPrompt, ItemFacts, KnownItems, Observer, OwnMethods, RewardConfig, Rl,
    RlConfig, RlPrompt,
};

use super::material::Material;
use crate::cold::cold_items;
use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::seed::Purpose;
use crate::setting::of_stage;
use crate::workbench::Reads;

/// Reinforcement.
pub(crate) fn train(
    config: &RlConfig,
    reward: &RewardConfig,
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let Material { bench, task, .. } = material;
    let prompts = prompts(config, material)?;
    let valid = valid(config, material)?;
    let (markers, tokenizer) = match &bench.reads {
        Reads::Words(words) => (words.encoder.markers()?, Some(words.tokenizer)),
        Reads::Items(_) => (None, None),
    };
    let categories = Categories::new(bench.dataset);
    let cold = cold_items(bench.dataset, &bench.split.train, bench.seed)?;
    let known = KnownItems { catalog: bench.catalog, categories: &categories };
    let reward = of_stage(material.stage, reward.build(known))?;
    let rl = Rl {
        stage: material.stage,
        config: &config.check(material.stage)?,
        reward: reward.borrow(),
        spec: bench.catalog.spec(),
        num_levels: bench.num_levels,
        constraint: bench.constraint,
        facts: ItemFacts::default().with_categories(&categories).with_cold(&cold),
        own: OwnMethods::default(),
        pad: bench.pad(),
        tokenizer,
        markers: markers.as_ref(),
        slates: bench.slates(*task),
        seed: bench.seed,
        batch_size: material.batch_size,
        checkpoints: &material.checkpoints,
    };
    Ok(rl.run(model, &prompts, &valid, observer)?)
}

/// Validation prompts in the modes of the stage, with the same shares.
fn valid(config: &RlConfig, material: &Material<'_>) -> Result<Vec<EncodedPrompt>, LabError> {
    let Material { bench, task, .. } = material;
    let samples = material.valid_samples();
    if is_over_pool(*task) {
        return bench.prompts(*task, &samples);
    }
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let (reasoned, direct) = samples.split_at(part(samples.len(), share));
    let mut prompts = bench.prompts(Task::Reasoning, reasoned)?;
    prompts.extend(bench.prompts(Task::NextItem, direct)?);
    Ok(prompts)
}

/// At most as many prompts as the run can use: prompts of the task of the stage, for next items also prompts that are
/// answered after reasoning, by their share, and titles, by the share of alignment.
fn prompts(config: &RlConfig, material: &Material<'_>) -> Result<Vec<RlPrompt>, LabError> {
    let Material { bench, task, .. } = material;
    let train = material.train();
    let most = config.steps * config.prompts_per_step * config.max_draws;
    let (mut order, mut rng) = material.drawn(Purpose::Prompts, most);
    let samples = |order: &[usize]| -> Vec<Sample<'_>> {
        order.iter().filter_map(|index| train.sample(*index)).collect()
    };
    let Reads::Words(words) = &bench.reads else {
        return with_targets(bench.prompts(*task, &samples(&order))?, bench.constraint);
    };
    let asked =
        |rendered: &[Rendered]| with_targets(words.encoder.prompts(rendered)?, bench.constraint);
    if is_over_pool(*task) {
        return asked(&bench.rendered(*task, &samples(&order))?);
    }
    let tasks = material.tasks(words);
    let titles = part(order.len(), config.alignment_share);
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let reasoned = part(order.len(), share);
    order.truncate(order.len() - titles);
    let rendered = |order: &[usize], task| {
        let samples = samples(order);
        samples.iter().map(|sample| tasks.asked(task, sample)).collect::<Result<Vec<_>, _>>()
    };
    let (reasoned, direct) = order.split_at(reasoned.min(order.len()));
    let mut rendered =
        [rendered(reasoned, Task::Reasoning)?, rendered(direct, Task::NextItem)?].concat();
    if titles > 0 {
        let mut items: Vec<Rendered> =
            tasks.train(train, &[Task::TitleToSid], Wording::First).collect::<Result<_, _>>()?;
        items.shuffle(&mut rng);
        rendered.extend(items.into_iter().cycle().take(titles));
    }
    asked(&rendered)
}

/// Prompts with the flat tokens of their targets.
fn with_targets(
    prompts: Vec<EncodedPrompt>,
    constraint: &Constraint,
) -> Result<Vec<RlPrompt>, LabError> {
    let with_target = |prompt: EncodedPrompt| {
        let item = prompt.target;
        let target = constraint.flat(item).ok_or(LabError::UnknownItem { item })?;
        Ok(RlPrompt { prompt, target })
    };
    prompts.into_iter().map(with_target).collect()
}

/// A share of a number, from 0 to all.
fn part(of: usize, share: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    let part = (of as f64 * share).round() as usize;
    part.min(of)
}
