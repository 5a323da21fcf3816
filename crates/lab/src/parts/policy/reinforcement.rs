//! The prompts of a reinforcement stage.

use sidereal_data::Sample;
use sidereal_policy::{AnyPolicy, Policy as _};
use sidereal_prompts::{Rendered, Task};
use sidereal_train::{
    AnswerKind, Categories, EncodedPrompt, ItemFacts, KnownItems, Observer, OwnMethods,
    RewardConfig, Rl, RlConfig, RlPrompt, TitleTrie, later_choices,
};

use super::alignment;
use super::material::Material;
use crate::cold::cold_items;
use crate::error::LabError;
use crate::pool_task::{is_over_pool, is_slate};
use crate::seed::Purpose;
use crate::setting::of_stage;
use crate::workbench::{Reads, Workbench};

/// Reinforcement.
pub(crate) fn train(
    config: &RlConfig,
    reward: &RewardConfig,
    model: AnyPolicy,
    material: &Material<'_>,
    observer: &mut dyn Observer,
) -> Result<AnyPolicy, LabError> {
    let Material { bench, task, .. } = material;
    let titles = titles(config, material)?;
    let prompts = prompts(config, &model, titles.as_ref(), material)?;
    let valid = valid(config, material)?;
    let (markers, tokenizer) = match &bench.reads {
        Reads::Words(words) => (words.encoder.markers()?, Some(words.tokenizer)),
        Reads::Items(_) => (None, None),
    };
    let categories = Categories::new(bench.dataset);
    let cold = cold_items(bench.dataset, &bench.split.train, bench.seed)?;
    let behaviours = bench.dataset.behaviours();
    let known = KnownItems { catalog: bench.catalog, categories: &categories, behaviours };
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
        titles: titles.as_ref(),
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
    if is_over_pool(*task) || is_slate(*task) {
        return bench.prompts(*task, &samples);
    }
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let (reasoned, direct) = samples.split_at(part(samples.len(), share));
    let mut prompts = bench.prompts(Task::Reasoning, reasoned)?;
    prompts.extend(bench.prompts(Task::NextItem, direct)?);
    Ok(prompts)
}

/// At most as many prompts as the run can use: prompts of the task of the stage, for next items also prompts that are
/// answered after reasoning, by their share, and those of alignment tasks, by theirs. No sample is left out for them:
/// they come on top of as many samples as there are.
fn prompts(
    config: &RlConfig,
    model: &AnyPolicy,
    titles: Option<&TitleTrie>,
    material: &Material<'_>,
) -> Result<Vec<RlPrompt>, LabError> {
    let Material { bench, task, .. } = material;
    let train = material.train();
    let most = config.steps * config.prompts_per_step * config.max_draws;
    let (order, _) = material.drawn(Purpose::Prompts, most);
    let samples = |order: &[usize]| -> Vec<Sample<'_>> {
        order.iter().filter_map(|index| train.sample(*index)).collect()
    };
    let Reads::Words(words) = &bench.reads else {
        return with_targets(bench.prompts(*task, &samples(&order))?, material);
    };
    if is_over_pool(*task) || is_slate(*task) {
        let rendered = bench.rendered(*task, &samples(&order))?;
        return with_targets(words.encoder.prompts(&rendered)?, material);
    }
    let tasks = material.tasks(words);
    let total = beside_alignment(order.len(), config.alignment_share()).min(most);
    let counts: Vec<usize> =
        config.alignment.iter().map(|aligned| part(total, aligned.share)).collect();
    let own = total.saturating_sub(counts.iter().sum()).min(order.len());
    let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
    let (reasoned, direct) = order[..own].split_at(part(total, share).min(own));
    let rendered = |order: &[usize], task| {
        let samples = samples(order);
        samples.iter().map(|sample| tasks.asked(task, sample)).collect::<Result<Vec<_>, _>>()
    };
    let rendered: Vec<Rendered> =
        [rendered(reasoned, Task::Reasoning)?, rendered(direct, Task::NextItem)?].concat();
    let mut prompts = with_targets(words.encoder.prompts(&rendered)?, material)?;
    for (aligned, count) in config.alignment.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let answer = AnswerKind::of(aligned.task).unwrap_or_default();
        let longest = match (answer, titles) {
            (AnswerKind::Title, Some(titles)) => titles.constraint().max_len(),
            _ => bench.constraint.max_len(),
        };
        let room = model.longest_prompt(longest);
        let asked = alignment::prompts(aligned.task, count, room, words, material)?;
        let asked = with_targets(asked, material)?;
        prompts.extend(asked.into_iter().map(|prompt| RlPrompt { answer, ..prompt }));
    }
    Ok(prompts)
}

/// The titles of all items, if an alignment task is answered with one.
fn titles(config: &RlConfig, material: &Material<'_>) -> Result<Option<TitleTrie>, LabError> {
    let asked: Vec<Task> = config.tasks_in_titles().collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let Material { bench, .. } = material;
    let words = bench.words("a title as an answer")?;
    let titles: Vec<&str> = bench.dataset.items().iter().map(|item| item.title.as_str()).collect();
    let prompts = words.tasks.prompts();
    Ok(Some(TitleTrie::new(&titles, &asked, prompts, &words.encoder, bench.device)?))
}

/// Number of prompts of which `samples` are left when a share of all asks for something else. Without an
/// end if that share is everything.
fn beside_alignment(samples: usize, share: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of prompts; one that is too large saturates"
    )]
    let total = (samples as f64 / (1.0 - share).max(0.0)).round() as usize;
    if share >= 1.0 { usize::MAX } else { total }
}

/// Prompts with the flat tokens of their targets, and what their users did later in training.
fn with_targets(
    prompts: Vec<EncodedPrompt>,
    material: &Material<'_>,
) -> Result<Vec<RlPrompt>, LabError> {
    let Workbench { dataset, catalog, constraint, .. } = *material.bench;
    let with_target = |prompt: EncodedPrompt| {
        let item = prompt.target;
        let target = constraint.flat(item).ok_or(LabError::UnknownItem { item })?;
        let later = later_choices(dataset, material.train(), catalog, prompt.id);
        Ok(RlPrompt { prompt, target, answer: AnswerKind::Sid, later })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_comes_on_top_of_the_samples() {
        assert_eq!(beside_alignment(36_259, 0.0), 36_259);
        // Two epochs of 189 steps of 512 prompts: `singer/paper` on its data.
        assert_eq!(beside_alignment(36_259, 0.25), 48_345);
        assert_eq!(beside_alignment(100, 1.0), usize::MAX, "every prompt is one of alignment");
        for (samples, share) in [(1000, 0.1), (999, 0.5), (40, 0.9), (7, 0.33)] {
            let total = beside_alignment(samples, share);
            let left = total - part(total, share);
            assert!(left.abs_diff(samples) <= 1, "{samples}, {share}: {left} of {total}");
        }
    }
}
