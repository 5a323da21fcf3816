//! The trainings of a run, each from the policy that it names.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_corpus::{HeldOut as _, Rendered, Sample, Task, Tasks};
use sidereal_policy::Decoder;

use super::run::{Run, hash_of};
use super::trained::TrainedPolicy;
use super::{Context, Pipeline, Stage, Training};
use crate::TrainError;
use crate::checkpoint::Checkpoints;
use crate::encode::{Encoder, Prompt};
use crate::fold::Sequence;
use crate::observe::Observer;
use crate::rl::{RewardConfig, Rl, RlConfig, RlPrompt};
use crate::sft::{Sft, SftConfig, SftData};

/// What the training of one stage has at hand.
struct Workshop<'a> {
    stage: &'a str,
    context: &'a Context<'a>,
    tasks: Tasks<'a>,
    encoder: Encoder<'a>,
    checkpoints: Checkpoints,
}

impl Pipeline<'_> {
    /// One stage, into the folder of its name.
    pub(super) fn train(
        &self,
        stage: &Stage,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut binding = context.binding.clone();
        let settings = hash_of(&(stage, &self.recipe.evaluate, self.recipe.seed))?;
        binding.insert("settings".to_owned(), settings);
        match &stage.from {
            Some(from) => {
                let file = format!("{from}/model.safetensors");
                binding.insert("policy".to_owned(), run.output_hash(from, &file));
            }
            None => {
                binding.insert("model".to_owned(), hash_of(&self.recipe.model)?);
            }
        }
        let folder = run.path(&stage.name);
        let checkpoints = Checkpoints::new(&folder.join("checkpoints"), binding.clone());
        let outputs = TrainedPolicy::FILES.map(|file| format!("{}/{file}", stage.name));
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        run.stage(&stage.name, binding, &outputs, |run| {
            let model = if let Some(from) = &stage.from {
                self.open(&run.path(from), context)?
            } else {
                let config = self.recipe.model.qwen3(context.tokenizer.vocab_size());
                let seed = crate::sft::step_seed(self.recipe.seed, 0);
                Decoder::random(config, seed, self.device)?
            };
            tracing::info!(stage = stage.name, parameters = model.num_parameters(), "training");
            let workshop = Workshop {
                stage: &stage.name,
                context,
                tasks: Tasks::new(self.dataset, &context.catalog, context.prompts)?,
                encoder: Encoder::new(&context.tokenizer, &context.catalog),
                checkpoints: checkpoints.clone(),
            };
            let model = match &stage.training {
                Training::Sft(config) => self.sft(config, model, &workshop, observer)?,
                Training::Rl { config, reward } => {
                    self.rl(config, reward, model, &workshop, observer)?
                }
            };
            let Context { catalog, tokenizer, binding, .. } = context;
            TrainedPolicy::save(&folder, &model, tokenizer, catalog, binding)
        })?;
        checkpoints.clear()
    }

    /// Supervised fine-tuning.
    fn sft(
        &self,
        config: &SftConfig,
        model: Decoder,
        workshop: &Workshop<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Decoder, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let train = |task| encoder.train(tasks, &context.split.train, task);
        let mut alignment = Vec::new();
        if config.alignment_share > 0.0 {
            alignment.extend(train(Task::TitleToSid)?);
            alignment.extend(train(Task::SidToTitle)?);
        }
        let valid = self
            .valid_samples(context)
            .iter()
            .map(|sample| encoder.sequence(&tasks.next_item(sample)?))
            .collect::<Result<_, TrainError>>()?;
        let plain = train(Task::NextItem)?;
        let next_item = |epoch: usize| {
            if config.augment.is_off() {
                Ok(plain.clone())
            } else {
                self.varied(config, workshop, epoch)
            }
        };
        let data = SftData { next_item: &next_item, alignment, valid };
        let sft = Sft {
            stage: workshop.stage,
            config,
            constraint: &context.constraint,
            pad: context.tokenizer.pad(),
            seed: self.recipe.seed,
            checkpoints: &workshop.checkpoints,
        };
        sft.run(model, &data, observer)
    }

    /// The training histories, each varied at random for this epoch.
    fn varied(
        &self,
        config: &SftConfig,
        workshop: &Workshop<'_>,
        epoch: usize,
    ) -> Result<Vec<Sequence>, TrainError> {
        let Workshop { context, tasks, encoder, .. } = workshop;
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        rng.set_stream(epoch as u64);
        context
            .split
            .train
            .sequences()
            .filter(|sequence| sequence.events.len() > 1)
            .map(|sequence| {
                let window = self.recipe.max_history + 1;
                let items = config.augment.apply(sequence.events, window, &mut rng);
                encoder.history(tasks, &items)
            })
            .collect()
    }

    /// Reinforcement.
    fn rl(
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
            let mut items: Vec<Rendered> =
                tasks.train(&context.split.train, &[Task::TitleToSid]).collect::<Result<_, _>>()?;
            items.shuffle(&mut rng);
            rendered.extend(items.into_iter().cycle().take(titles));
        }
        encoder
            .prompts(&rendered)?
            .into_iter()
            .map(|prompt| Ok(RlPrompt { target: encoder.flat(prompt.target)?, prompt }))
            .collect()
    }

    /// Validation samples of the users drawn by seed.
    fn valid_samples<'c>(&self, context: &'c Context<'_>) -> Vec<Sample<'c>> {
        let mut samples: Vec<Sample<'c>> = context.split.valid.samples().collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(self.recipe.seed));
        samples.truncate(self.recipe.evaluate.valid_users);
        samples
    }
}

/// Prompts of next-item samples.
pub(super) fn prompts_of(
    tasks: &Tasks<'_>,
    encoder: &Encoder<'_>,
    samples: &[Sample<'_>],
) -> Result<Vec<Prompt>, TrainError> {
    let rendered =
        samples.iter().map(|sample| tasks.next_item(sample)).collect::<Result<Vec<_>, _>>()?;
    encoder.prompts(&rendered)
}
