//! What a reinforcement stage improves on.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_corpus::{Rendered, Task, Wording};
use sidereal_policy::Decoder;

use super::{Workshop, prompts_of};
use crate::TrainError;
use crate::observe::Observer;
use crate::pipeline::Pipeline;
use crate::rl::{RewardConfig, Rl, RlConfig, RlPrompt};

impl Pipeline<'_> {
    /// Reinforcement.
    pub(super) fn rl(
        &self,
        config: &RlConfig,
        reward: &RewardConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let prompts = self.rl_prompts(config, workshop)?;
        let valid = prompts_of(tasks, encoder, &self.valid_samples(context))?;
        let reward = reward.build(&context.catalog)?;
        let rl = Rl {
            stage: workshop.stage,
            config,
            reward: reward.borrow(),
            spec: context.catalog.spec(),
            constraint: &context.constraint,
            pad: context.tokenizer.pad(),
            seed: self.recipe.seed,
            batch_size: self.recipe.evaluate.batch_size,
            checkpoints: &workshop.checkpoints,
        };
        rl.run(model, &prompts, &valid, observer)
    }

    /// As many prompts as the run can use: next items, and titles by the share of alignment.
    fn rl_prompts(
        &self,
        config: &RlConfig,
        workshop: &Workshop<'_>,
    ) -> Result<Vec<RlPrompt>, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        let mut order: Vec<usize> = (0..context.split.train.num_samples()).collect();
        order.shuffle(&mut rng);
        order.truncate(config.steps * config.prompts_per_step * config.max_draws);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let titles = (order.len() as f64 * config.alignment_share).round() as usize;
        order.truncate(order.len() - titles);
        let mut rendered = order
            .iter()
            .filter_map(|index| context.split.train.sample(*index))
            .map(|sample| tasks.next_item(&sample))
            .collect::<Result<Vec<Rendered>, _>>()?;
        if titles > 0 {
            let mut items: Vec<Rendered> = tasks
                .train(&context.split.train, &[Task::TitleToSid], Wording::First)
                .collect::<Result<_, _>>()?;
            items.shuffle(&mut rng);
            rendered.extend(items.into_iter().cycle().take(titles));
        }
        encoder
            .prompts(&rendered)?
            .into_iter()
            .map(|prompt| Ok(RlPrompt { target: encoder.flat(prompt.target)?, prompt }))
            .collect()
    }
}
