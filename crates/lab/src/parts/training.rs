//! The trainings of a run, each from the policy that it names.

mod preference;
mod reinforcement;
mod supervised;

use rand::seq::SliceRandom as _;
use sidereal_data::{HeldOut as _, Sample};
use sidereal_policy::Decoder;
use sidereal_prompts::{Rendered, Task, Tasks, Wording};

use crate::LabError;
use crate::parts::foundation::PRETRAINED;
use crate::parts::scope::Scope;
use crate::pipeline::Context;
use crate::policy_folder::TrainedPolicy;
use crate::recipe::pool::is_over_pool;
use crate::run::{Outputs, Run, SETTINGS};
use crate::seed::{Purpose, stream};
use crate::{Pipeline, Stage, Training};
use sidereal_files::hash_json;
use sidereal_train::Checkpoints;
use sidereal_train::Observer;
use sidereal_train::{Encoder, Prompt};

/// What the training of one stage has at hand.
pub(crate) struct Workshop<'a> {
    stage: &'a str,
    /// What the stage's policy is asked.
    task: Task,
    context: &'a Context<'a>,
    /// What it learns from.
    scope: Scope<'a>,
    tasks: Tasks<'a>,
    encoder: Encoder<'a>,
    checkpoints: Checkpoints,
}

impl Pipeline<'_> {
    /// One stage, into the folder of its name.
    pub(crate) fn train(
        &self,
        stage: &Stage,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        let mut binding = context.binding.clone();
        let settings = run.settings(&stage.name, &self.recipe.for_training(stage))?;
        binding.insert(SETTINGS.to_owned(), settings);
        if matches!(&stage.training, Training::Sft(config) if config.mixture.is_some()) {
            binding.insert("texts".to_owned(), self.texts_hash(&context.texts)?);
        }
        self.bind_pool(&mut binding)?;
        if let Some(from) = &stage.from {
            let file = format!("{from}/model.safetensors");
            binding.insert("policy".to_owned(), run.output_hash(from, &file));
        } else {
            let model = match &self.recipe.model {
                Some(model) => hash_json(model)?,
                None => run.output_hash("tokenizer", PRETRAINED),
            };
            binding.insert("model".to_owned(), model);
        }
        let folder = run.path(&stage.name);
        let checkpoints = Checkpoints::new(&folder.join("checkpoints"), binding.clone())
            .keeping(self.recipe.keep_checkpoints);
        let outputs = TrainedPolicy::FILES.map(|file| format!("{}/{file}", stage.name));
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let template = format!("{}/{}", stage.name, TrainedPolicy::CHAT_TEMPLATE);
        let outputs = Outputs { always: &outputs, perhaps: &[&template] };
        let mut best_step = None;
        let trained = run.part(&stage.name, binding, outputs, |run| {
            let model = if let Some(from) = &stage.from {
                self.open(&run.path(from), context)?
            } else if let Some(model) = &self.recipe.model {
                let config = model.qwen3(context.tokenizer.vocab_size());
                let seed = sidereal_train::step_seed(self.recipe.seed, 0);
                Decoder::random(config, seed, self.device)?
            } else {
                Decoder::load(&run.path("tokenizer"), self.device)?
            };
            let model = model.computing_in(self.recipe.compute.kind());
            tracing::info!(stage = stage.name, parameters = model.num_parameters(), "training");
            let Context { catalog, prompts, texts, split, .. } = context;
            let pools = self.pools(&split.train, catalog)?;
            let scope = self.scope(stage, context)?;
            let workshop = Workshop {
                stage: &stage.name,
                task: stage.task,
                context,
                tasks: scope.tasks(self.tasks(catalog, prompts, texts, pools.as_ref())?),
                scope,
                encoder: Encoder::new(&context.tokenizer, &context.catalog, context.prompts)?,
                checkpoints: checkpoints.clone(),
            };
            let model = match &stage.training {
                Training::Sft(config) => self.sft(config, model, &workshop, observer)?,
                Training::Rl { config, reward } => {
                    self.rl(config, reward, model, &workshop, observer)?
                }
                Training::Preference(config) => {
                    self.preference(config, model, &workshop, observer)?
                }
            };
            best_step = checkpoints.best_step()?;
            let Context { catalog, tokenizer, binding, .. } = context;
            TrainedPolicy::save(&folder, &model, tokenizer, catalog, binding)
        })?;
        if trained {
            run.record_best_step(&stage.name, best_step)?;
        }
        Ok(checkpoints.clear()?)
    }

    /// Validation samples of the users drawn by seed.
    fn valid_samples<'w>(&self, workshop: &'w Workshop<'_>) -> Vec<Sample<'w>> {
        let mut samples: Vec<Sample<'w>> = workshop.scope.split.valid.samples().collect();
        samples.shuffle(&mut stream(self.recipe.seed, Purpose::Validation, 0));
        samples.truncate(self.recipe.evaluate.valid_users);
        samples
    }
}

/// Prompts of a task about samples.
pub(crate) fn prompts_of(
    tasks: &Tasks<'_>,
    encoder: &Encoder<'_>,
    task: Task,
    samples: &[Sample<'_>],
) -> Result<Vec<Prompt>, LabError> {
    Ok(encoder.prompts(&rendered_of(tasks, task, samples)?)?)
}

/// A task about samples, as text. Of a task that is answered out of a pool, samples with an item that
/// has no title cannot be asked or not be answered: they are left out, and the log says how many.
fn rendered_of(
    tasks: &Tasks<'_>,
    task: Task,
    samples: &[Sample<'_>],
) -> Result<Vec<Rendered>, LabError> {
    if !is_over_pool(task) {
        return Ok(samples
            .iter()
            .map(|sample| tasks.asked(task, sample))
            .collect::<Result<_, _>>()?);
    }
    let rendered = samples
        .iter()
        .map(|sample| {
            let rendered = tasks.event(task, sample, Wording::First)?;
            Ok(rendered.filter(|rendered| !rendered.completion.is_empty()))
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    let rendered: Vec<Rendered> = rendered.into_iter().flatten().collect();
    let untitled = samples.len() - rendered.len();
    if untitled > 0 {
        tracing::warn!(%task, untitled, of = samples.len(), "samples without a title left out");
    }
    Ok(rendered)
}
