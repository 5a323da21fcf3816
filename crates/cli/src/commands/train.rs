//! `sidereal train`: a recipe over data, into a folder.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sidereal_data::Split;
use sidereal_lab::{
    LabError, LocalTeacherConfig, Pipeline, Published, Recipe, SplitConfig, TeacherConfig,
};
use sidereal_policy::device;
use sidereal_train::{Bars, TensorBoard};

use crate::commands::report::show;
use crate::data::{DataArgs, Reading};
use crate::failure::Usage;
use crate::models::{check_base, check_chat, check_encoder, check_teacher, check_texts};
use crate::output::note;

/// Carry out a recipe: make Semantic IDs, train every stage, test all of them, and write a report.
///
/// If the command is interrupted, run it again: it goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Args {
    /// The name of a preset, or the path of a recipe in TOML.
    recipe: String,
    /// The folder of the run.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replaces the seed of the recipe.
    #[arg(long)]
    seed: Option<u64>,
    /// Replaces the recipe's pretrained model: a folder in the layout of Hugging Face, a GGUF file, or `smollm2`, which
    /// `cargo xtask model smollm2` fetches.
    #[arg(long, value_name = "MODEL")]
    base: Option<PathBuf>,
    /// Replaces the folder of the recipe's sentence encoder.
    #[arg(long, value_name = "DIR")]
    encoder: Option<PathBuf>,
    /// Replaces the recipe's file of general conversations.
    #[arg(long, value_name = "FILE")]
    chat: Option<PathBuf>,
    /// Takes a teacher's texts from a file of `sidereal enrich`, instead of the teacher of the recipe.
    #[arg(long, value_name = "FILE")]
    enriched: Option<PathBuf>,
    /// Replaces the teacher of the recipe by rules over the metadata (`metadata`), or by a model on this machine: a
    /// folder in the layout of Hugging Face, a GGUF file, or `smollm2`. It writes its texts within the run.
    #[arg(long, value_name = "TEACHER", conflicts_with = "enriched")]
    teacher: Option<PathBuf>,
    /// The most texts of each kind that a model on this machine is asked for, the first ones.
    #[arg(long, value_name = "N", requires = "teacher")]
    teacher_texts: Option<NonZeroUsize>,
    /// Title of the report; the default is the name of the folder.
    #[arg(long)]
    title: Option<String>,
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto` for CUDA if there is a GPU.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    data: DataArgs,
}

fn after_help() -> String {
    let mut text = "\
Examples:
  sidereal train demo --interactions shop.inter --items shop.item --out runs/demo
  sidereal train my.toml --data data --index sids/index.json --out runs/mine

Presets:"
        .to_owned();
    for preset in Recipe::presets() {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n  {:<30}{}", preset.name, preset.about);
    }
    text
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut recipe = args.recipe()?;
    let window = NonZeroUsize::new(recipe.max_history).unwrap_or(NonZeroUsize::MIN);
    let how = Reading { seed: recipe.seed, max_history: window, filters: None };
    let data = args.data.read(&how)?;
    if data.catalog.is_some() && recipe.use_published_ids() {
        note("The Semantic IDs of the data are used, and the recipe makes none of its own.");
    }
    if let Some(embed) = &recipe.embed {
        check_encoder(&embed.encoder)?;
    }
    let split = args.split(&recipe, &data)?;
    let (catalog, came) = (data.catalog.as_ref(), data.catalog.is_some() || data.split.is_some());
    let published = came.then_some(Published { catalog, split: &split });
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &data.dataset,
        published,
        baselines: &[],
        out: &args.out,
        device: device(&args.device)?,
    };
    let board = TensorBoard::new(&args.out.join("tensorboard"));
    let outcome = pipeline.run(&mut (Bars::default(), board))?;
    show(&outcome, &args.out, args.title.as_deref())
}

impl Args {
    /// The recipe with the values that the command line replaces.
    fn recipe(&self) -> anyhow::Result<Recipe> {
        let path = Path::new(&self.recipe);
        let is_path = path.is_file() || path.extension().is_some_and(|kind| kind == "toml");
        let mut recipe = match Recipe::preset(&self.recipe) {
            Err(LabError::UnknownPreset { .. }) if is_path => Recipe::load(path)?,
            Err(LabError::UnknownPreset { name, found }) => {
                return Err(Usage::error(format!(
                    "`{name}` is neither a preset nor a file; the presets are {found}"
                )));
            }
            found => found?,
        };
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let lacks = |flag: &str, what: &str| {
            Usage::error(format!("`{flag}` works only with a recipe that has {what}: leave it out"))
        };
        if let Some(base) = &self.base {
            let pretrained = recipe.pretrained.as_mut();
            let pretrained = pretrained.ok_or_else(|| lacks("--base", "a pretrained model"))?;
            pretrained.base.clone_from(base);
        }
        if let Some(encoder) = &self.encoder {
            let embed = recipe.embed.as_mut();
            let embed = embed.ok_or_else(|| lacks("--encoder", "a sentence encoder"))?;
            embed.encoder.clone_from(encoder);
        }
        if let Some(chat) = &self.chat {
            let own = recipe.texts.chat.as_mut();
            own.ok_or_else(|| lacks("--chat", "conversations"))?.clone_from(chat);
        }
        recipe.pretrained.iter().try_for_each(|model| check_base(&model.base))?;
        recipe.texts.chat.iter().try_for_each(|path| check_chat(path))?;
        if let Some(path) = &self.enriched {
            recipe.texts.teacher = Some(TeacherConfig::File(path.clone()));
        }
        if let Some(name) = &self.teacher {
            recipe.texts.teacher = Some(self.teacher(name, recipe.texts.teacher.take())?);
        }
        match &recipe.texts.teacher {
            Some(TeacherConfig::File(path)) => check_texts(path)?,
            Some(TeacherConfig::Model(model)) => check_teacher(&model.base)?,
            _ => {}
        }
        Ok(recipe)
    }

    /// The teacher of this name; a model keeps the other settings that the recipe's teacher has.
    fn teacher(&self, name: &Path, own: Option<TeacherConfig>) -> anyhow::Result<TeacherConfig> {
        if name == Path::new("metadata") {
            return match self.teacher_texts {
                None => Ok(TeacherConfig::Metadata),
                Some(_) => Err(Usage::error(
                    "`--teacher-texts` goes with a model alone: leave it out, because rules write all texts at once",
                )),
            };
        }
        let mut model = match own {
            Some(TeacherConfig::Model(own)) => LocalTeacherConfig { base: name.to_owned(), ..own },
            _ => LocalTeacherConfig::new(name),
        };
        model.texts = self.teacher_texts.map(NonZeroUsize::get).or(model.texts);
        Ok(TeacherConfig::Model(model))
    }

    /// The split that came with the data, if the recipe uses it; else the recipe's own.
    fn split(&self, recipe: &Recipe, data: &crate::data::Data) -> anyhow::Result<Split> {
        match (recipe.split, &data.split) {
            (SplitConfig::Published, Some(split)) => Ok(split.clone()),
            (own, _) => own
                .split(&data.dataset, recipe.max_history)
                .with_context(|| format!("the recipe `{}` cannot split this data", self.recipe)),
        }
    }
}
