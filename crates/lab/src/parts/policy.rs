//! The policy of a stage: a training that starts from the policy that the stage names.

mod alignment;
pub(crate) mod categories;
mod item_head;
mod material;
mod next_item;
mod preference;
mod reinforcement;
pub(crate) mod scope;
mod supervised;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use sidereal_files::hash_json;
use sidereal_policy::{AnyPolicy, ItemPolicy, SidTokenizer};
use sidereal_prompts::Chat;
use sidereal_train::{Binding, Checkpoints, Observer};
use tch::{Device, Kind};

use self::material::Material;
use self::scope::Scope;
use crate::error::LabError;
use crate::parts::vocabulary;
use crate::policy_folder::{PolicyCard, PolicyParts, TrainedPolicy};
use crate::recipe::Recipe;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::model::ModelConfig;
use crate::recipe::stage::{Stage, Training};
use crate::recipe::texts::TeacherConfig;
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};
use crate::workbench::texts::Texts;
use crate::workbench::{Reads, Workbench};

/// The policy of one stage, in the folder of its name.
pub(crate) struct Policy<'a> {
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) texts: &'a Texts,
    pub(crate) stage: &'a Stage,
    pub(crate) start: Start<'a>,
    /// The settings that the training depends on, see [`depends_on`].
    pub(crate) settings: Recipe,
    /// Checkpoints that are kept while it trains.
    pub(crate) keep_checkpoints: NonZeroUsize,
}

/// The start of a training.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// The policy of an earlier stage.
    Stage(&'a str, &'a Made<PolicyFolder>),
    /// A model drawn at random.
    Random(&'a ModelConfig),
    /// A pretrained model, in the folder of its vocabulary.
    Pretrained(&'a Made<SidTokenizer>),
    /// Random weights in the shape of the pretrained model, in the folder of its vocabulary.
    Scratch(&'a Made<SidTokenizer>),
}

/// The folder of a policy, which is opened when it is needed.
#[derive(Debug, Clone)]
pub(crate) struct PolicyFolder {
    dir: PathBuf,
}

/// The settings that a training depends on: those of data, texts and policies, the stage
/// without its label, and its validation. The paths of files do not count, because their
/// contents are hashed.
pub(crate) fn depends_on(recipe: &Recipe, stage: &Stage) -> Recipe {
    let mut own = recipe.clone();
    own.keep_checkpoints = NonZeroUsize::MIN;
    own.stages = vec![stage.without_label()];
    own.blends = Vec::new();
    let EvaluateConfig { batch_size, valid_users, .. } = recipe.evaluate;
    own.evaluate = EvaluateConfig { batch_size, valid_users, ..EvaluateConfig::blank() };
    if let Some(embed) = &mut own.embed {
        embed.encoder = PathBuf::new();
    }
    if let Some(pretrained) = &mut own.pretrained {
        pretrained.base = PathBuf::new();
    }
    match &mut own.texts.teacher {
        Some(TeacherConfig::File(path)) => *path = PathBuf::new(),
        Some(TeacherConfig::Model(model)) => model.base = PathBuf::new(),
        Some(TeacherConfig::Metadata) | None => {}
    }
    own.texts.chat = own.texts.chat.map(|_| PathBuf::new());
    own
}

/// The file of a stage's weights.
pub(crate) fn weights_file(stage: &str) -> String {
    format!("{stage}/model.safetensors")
}

/// The folder of a stage's checkpoints.
pub(crate) fn checkpoints_folder(stage: &str) -> String {
    format!("{stage}/checkpoints")
}

impl Part for Policy<'_> {
    type Output = PolicyFolder;

    fn name(&self) -> String {
        self.stage.name.clone()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(self.settings.clone())
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.bench.inputs()?;
        if matches!(&self.stage.training, Training::Sft(config) if config.mixture.is_some()) {
            inputs.insert("texts".to_owned(), self.texts.hash.clone());
        }
        let (name, hash) = match self.start {
            Start::Stage(from, policy) => ("policy", policy.hash(&weights_file(from))?),
            Start::Random(model) => ("model", hash_json(model)?),
            Start::Pretrained(base) => ("model", base.hash(vocabulary::WEIGHTS)?),
            Start::Scratch(base) => ("shape", base.hash(vocabulary::SHAPE)?),
        };
        inputs.insert(name.to_owned(), hash);
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        let of_stage = |file: &&str| format!("{}/{file}", self.stage.name);
        let reads_items = matches!(self.bench.reads, Reads::Items(_));
        PartFiles::always(TrainedPolicy::files(reads_items).iter().map(of_stage))
            .perhaps(TrainedPolicy::MORE_FILES.iter().map(of_stage))
    }

    fn make(
        &self,
        folder: &Folder,
        inputs: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let Self { bench, stage, settings, .. } = self;
        let model = self.start_model(folder)?.computing_in(settings.compute.kind());
        tracing::info!(stage = stage.name, parameters = model.num_parameters(), "training");
        let dir = folder.path(&checkpoints_folder(&stage.name));
        let checkpoints = Checkpoints::new(&dir, inputs.clone()).keeping(self.keep_checkpoints);
        let scope = Scope::new(stage, bench.dataset, bench.split, bench.seed)?;
        let material = Material {
            bench,
            stage: &stage.name,
            task: stage.task,
            scope,
            max_history: settings.max_history,
            valid_users: settings.evaluate.valid_users,
            batch_size: settings.evaluate.batch_size,
            checkpoints: checkpoints.clone(),
        };
        let model = match &stage.training {
            Training::NextItem(config) => next_item::train(config, model, &material, observer)?,
            Training::Sft(config) => {
                let chats: &[Chat] = &self.texts.chats;
                supervised::train(config, chats, model, &material, observer)?
            }
            Training::Rl { config, reward } => {
                reinforcement::train(config, reward, model, &material, observer)?
            }
            Training::Preference(config) => preference::train(config, model, &material, observer)?,
            Training::ItemHead(config) => item_head::train(config, model, &material, observer)?,
            Training::Untrained(_) => model,
        };
        let best_step = checkpoints.best_step()?;
        let Workbench { catalog, made_for, .. } = bench;
        let (tokenizer, prompts) = match &bench.reads {
            Reads::Words(words) => {
                (Some(words.tokenizer), Some(words.tasks.prompts().spec().clone()))
            }
            Reads::Items(_) => (None, None),
        };
        let card = PolicyCard {
            made_by: concat!("sidereal ", env!("CARGO_PKG_VERSION")).to_owned(),
            stage: stage.name.clone(),
            task: stage.task,
            scoring: stage.training.scoring(),
            compute: settings.compute,
            max_history: settings.max_history,
            batch_size: settings.evaluate.batch_size,
            removes_seen: true,
            prompts,
        };
        let parts = PolicyParts {
            model: &model,
            tokenizer,
            catalog,
            card: &card,
            items: bench.dataset.items(),
            made_for,
        };
        TrainedPolicy::save(&folder.path(&stage.name), &parts)?;
        Ok(Remarks { best_step })
    }

    fn tidy(&self, folder: &Folder) -> Result<(), LabError> {
        let dir = folder.path(&checkpoints_folder(&self.stage.name));
        Ok(Checkpoints::new(&dir, Binding::new()).clear()?)
    }

    fn read(&self, folder: &Folder) -> Result<PolicyFolder, LabError> {
        Ok(PolicyFolder { dir: folder.path(&self.stage.name) })
    }
}

impl Policy<'_> {
    /// The model that the training starts from.
    fn start_model(&self, folder: &Folder) -> Result<AnyPolicy, LabError> {
        let Workbench { device, seed, .. } = *self.bench;
        match self.start {
            Start::Stage(_, policy) => {
                let kind = self.settings.compute.kind();
                policy.value.open(device, kind, &self.bench.made_for)
            }
            Start::Random(model) => {
                let seed = sidereal_train::step_seed(seed, 0);
                match (model, &self.bench.reads) {
                    (ModelConfig::Item(shape), Reads::Items(texts)) => {
                        let config = shape.config(self.settings.max_history);
                        let trie = self.bench.constraint.trie();
                        let features = texts.features(shape)?;
                        Ok(ItemPolicy::random(config, trie, features, seed, device)?.into())
                    }
                    (model, _) => {
                        let words = self.bench.words("a model's vocabulary")?;
                        model.random(words.tokenizer, seed, device)
                    }
                }
            }
            Start::Pretrained(_) => Ok(AnyPolicy::load(&folder.path(vocabulary::NAME), device)?),
            Start::Scratch(_) => {
                let seed = sidereal_train::step_seed(seed, 0);
                Ok(AnyPolicy::random_like(&folder.path(vocabulary::NAME), seed, device)?)
            }
        }
    }
}

impl PolicyFolder {
    /// The policy, if it was made for the same catalogue, tokenizer, prompts and split.
    pub(crate) fn open(
        &self,
        device: Device,
        kind: Kind,
        made_for: &Binding,
    ) -> Result<AnyPolicy, LabError> {
        let policy = TrainedPolicy::open(&self.dir, device)?;
        policy.check(&self.dir, made_for)?;
        Ok(policy.model.computing_in(kind))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::run::settled::Settled;

    const TEXT: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'sft'\nlabel = 'SFT'\n[stage.sft]\npatience = 3\n";

    fn settings(text: &str) -> Recipe {
        let recipe = Recipe::parse(text, Path::new("text")).unwrap();
        depends_on(&recipe, &recipe.stages[0])
    }

    #[test]
    fn training_does_not_depend_on_labels_folders_or_test_settings() {
        let settled = Settled::new(&settings(TEXT)).unwrap();
        for (from, to, difference) in [
            ("beam_width = 4", "beam_width = 7", None),
            ("resamples = 5", "resamples = 9\ncompare_with = ['popularity']", None),
            ("label = 'SFT'", "label = 'fine-tuned'", None),
            ("base = 'base'", "base = 'moved/base'", None),
            ("seed = 1", "seed = 1\nkeep_checkpoints = 3", None),
            ("seed = 1", "seed = 2", Some("seed")),
            ("valid_users = 3", "valid_users = 4", Some("evaluate.valid_users")),
            ("patience = 3", "patience = 4", Some("stage.sft.sft.patience")),
            ("patience = 3", "optim.lr = 1e-5", Some("stage.sft.sft.optim.lr")),
        ] {
            let new = settings(&TEXT.replace(from, to));
            assert_eq!(settled.difference(&new).unwrap().as_deref(), difference, "{to}");
            assert_eq!(settled.is(&new), difference.is_none(), "{to}");
        }
    }
}
