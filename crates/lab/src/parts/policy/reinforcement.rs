//! What a reinforcement stage improves on.

use rand::seq::SliceRandom as _;
use sidereal_policy::Decoder;
use sidereal_prompts::{Rendered, Task, Wording};
use sidereal_train::{
    Categories, KnownItems, Observer, OwnMethods, Prompt, RewardConfig, Rl, RlConfig, RlPrompt,
};

use super::material::Material;
use crate::error::LabError;
use crate::pool_task::is_over_pool;
use crate::seed::Purpose;
use crate::setting::of_stage;

/// Reinforcement.
pub(crate) fn train(
    config: &RlConfig,
    reward: &RewardConfig,
    model: Decoder,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<Decoder, LabError> {
    let Material { bench, task, .. } = material;
    let prompts = prompts(config, material)?;
    let valid = valid(config, material)?;
    let markers = bench.encoder.markers()?;
    let categories = Categories::new(bench.dataset);
    let known = KnownItems { catalog: bench.catalog, categories: &categories };
    let reward = of_stage(material.stage, reward.build(known))?;
    let rl = Rl {
        stage: material.stage,
        config: &config.check(material.stage)?,
        reward: reward.borrow(),
        spec: bench.catalog.spec(),
        constraint: bench.constraint,
        own: OwnMethods::default(),
        pad: bench.tokenizer.pad(),
        tokenizer: Some(bench.tokenizer),
        markers: markers.as_ref(),
        slates: bench.slates(*task),
        seed: bench.seed,
        batch_size: material.batch_size,
        checkpoints: &material.checkpoints,
    };
    Ok(rl.run(model, &prompts, &valid, observer)?)
}

/// Validation in the modes of the stage, and in their shares.
fn valid(config: &RlConfig, material: &Material<'_>) -> Result<Vec<Prompt>, LabError> {
    let Material { bench, task, .. } = material;
    let samples = material.valid_samples();
    if is_over_pool(*task) {
        return bench.prompts(*task, &samples);
    }
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let (thought, direct) = samples.split_at(part(samples.len(), share));
    let mut prompts = bench.prompts(Task::Reasoning, thought)?;
    prompts.extend(bench.prompts(Task::NextItem, direct)?);
    Ok(prompts)
}

/// As many prompts as the run can use: what the stage is asked, of next items those that are thought about
/// by their share, and titles by the share of alignment.
fn prompts(config: &RlConfig, material: &Material<'_>) -> Result<Vec<RlPrompt>, LabError> {
    let Material { bench, tasks, task, .. } = material;
    let train = material.train();
    let most = config.steps * config.prompts_per_step * config.max_draws;
    let (mut order, mut rng) = material.drawn(Purpose::Prompts, most);
    let asked = |rendered: &[Rendered]| {
        let prompts = bench.encoder.prompts(rendered)?.into_iter();
        prompts
            .map(|prompt| Ok(RlPrompt { target: bench.encoder.flat(prompt.target)?, prompt }))
            .collect()
    };
    if is_over_pool(*task) {
        let samples = order.iter().filter_map(|index| train.sample(*index));
        return asked(&bench.rendered(*task, &samples.collect::<Vec<_>>())?);
    }
    let titles = part(order.len(), config.alignment_share);
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let thought = part(order.len(), share);
    order.truncate(order.len() - titles);
    let rendered = |order: &[usize], task| {
        let samples = order.iter().filter_map(|index| train.sample(*index));
        samples.map(|sample| tasks.asked(task, &sample)).collect::<Result<Vec<_>, _>>()
    };
    let (thought, direct) = order.split_at(thought.min(order.len()));
    let mut rendered =
        [rendered(thought, Task::Reasoning)?, rendered(direct, Task::NextItem)?].concat();
    if titles > 0 {
        let mut items: Vec<Rendered> =
            tasks.train(train, &[Task::TitleToSid], Wording::First).collect::<Result<_, _>>()?;
        items.shuffle(&mut rng);
        rendered.extend(items.into_iter().cycle().take(titles));
    }
    asked(&rendered)
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
