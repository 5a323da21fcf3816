//! What a reinforcement stage improves on.

use rand::seq::SliceRandom as _;
use sidereal_policy::Decoder;
use sidereal_prompts::{Rendered, Task, Wording};

use super::{Workshop, prompts_of, rendered_of};
use crate::LabError;
use crate::Pipeline;
use crate::recipe::pool::is_over_pool;
use crate::seed::{Purpose, stream};
use crate::setting::of_stage;
use sidereal_train::Categories;
use sidereal_train::Observer;
use sidereal_train::Prompt;
use sidereal_train::{KnownItems, OwnMethods, RewardConfig, Rl, RlConfig, RlPrompt};

impl Pipeline<'_> {
    /// Reinforcement.
    pub(crate) fn rl(
        &self,
        config: &RlConfig,
        reward: &RewardConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, LabError> {
        let Workshop { context, encoder, task, .. } = workshop;
        let prompts = self.rl_prompts(config, workshop)?;
        let valid = self.rl_valid(config, workshop)?;
        let markers = encoder.markers()?;
        let categories = Categories::new(self.dataset);
        let known = KnownItems { catalog: &context.catalog, categories: &categories };
        let reward = of_stage(workshop.stage, reward.build(known))?;
        let rl = Rl {
            stage: workshop.stage,
            config,
            reward: reward.borrow(),
            spec: context.catalog.spec(),
            constraint: &context.constraint,
            own: OwnMethods::default(),
            pad: context.tokenizer.pad(),
            tokenizer: Some(&context.tokenizer),
            markers: markers.as_ref(),
            slates: self.slates(context, *task),
            seed: self.recipe.seed,
            batch_size: self.recipe.evaluate.batch_size,
            checkpoints: &workshop.checkpoints,
        };
        Ok(rl.run(model, &prompts, &valid, observer)?)
    }

    /// Validation in the modes of the stage, and in their shares.
    fn rl_valid(
        &self,
        config: &RlConfig,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<Prompt>, LabError> {
        let Workshop { tasks, encoder, task, .. } = workshop;
        let samples = self.valid_samples(workshop);
        if is_over_pool(*task) {
            return prompts_of(tasks, encoder, *task, &samples);
        }
        let share = config.reasoning.as_ref().map_or(0.0, |reasoning| reasoning.share);
        let (thought, direct) = samples.split_at(part(samples.len(), share));
        let mut prompts = prompts_of(tasks, encoder, Task::Reasoning, thought)?;
        prompts.extend(prompts_of(tasks, encoder, Task::NextItem, direct)?);
        Ok(prompts)
    }

    /// As many prompts as the run can use: what the stage is asked, of next items those that are thought about by their share,
    /// and titles by the share of alignment.
    fn rl_prompts(
        &self,
        config: &RlConfig,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<RlPrompt>, LabError> {
        let Workshop { scope, tasks, encoder, task, .. } = workshop;
        let train = &scope.split.train;
        let mut rng = stream(self.recipe.seed, Purpose::Prompts, 0);
        let mut order: Vec<usize> = (0..train.num_samples()).collect();
        order.shuffle(&mut rng);
        order.truncate(config.steps * config.prompts_per_step * config.max_draws);
        let asked = |rendered: &[Rendered]| {
            let prompts = encoder.prompts(rendered)?.into_iter();
            prompts
                .map(|prompt| Ok(RlPrompt { target: encoder.flat(prompt.target)?, prompt }))
                .collect()
        };
        if is_over_pool(*task) {
            let samples = order.iter().filter_map(|index| train.sample(*index));
            return asked(&rendered_of(tasks, *task, &samples.collect::<Vec<_>>())?);
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
            let mut items: Vec<Rendered> = tasks
                .train(train, &[Task::TitleToSid], Wording::First)
                .collect::<Result<_, _>>()?;
            items.shuffle(&mut rng);
            rendered.extend(items.into_iter().cycle().take(titles));
        }
        asked(&rendered)
    }
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
