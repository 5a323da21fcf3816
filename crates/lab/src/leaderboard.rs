//! A leaderboard: many systems, trained and tested on one dataset under one protocol.

mod board;
mod cost;
mod from_recipe;
mod measure;
mod neural;
mod page;
mod presets;
mod published;
mod recipe;
mod settings;
mod system;
mod systems;
mod tables;
mod tested;
mod tuned;

use std::cell::{OnceCell, RefCell};
use std::error::Error;
use std::path::Path;

use ndarray::Array2;
use rand::seq::SliceRandom as _;
use sidereal_baselines::Case;
use sidereal_data::{Dataset, HeldOut as _, ItemId, Sample, SampleId, Split};
use sidereal_files::{hash_json, write_json, write_whole};
use sidereal_train::{Binding, JsonLog, Observer};
use tch::Device;

pub use self::board::{Board, BoardData, BoardRow, BoardValue, LeftOut};
pub use self::cost::Cost;
pub use self::presets::BoardPreset;
pub use self::published::{CountedBy, PublishedNumbers, PublishedResult};
pub use self::recipe::{BoardRecipe, SystemConfig, TuneConfig};
pub use self::settings::Settings;
pub use self::tuned::{BoardTrial, Tuned, TuningEnd};

use self::from_recipe::{RecipeRun, recipe_named};
use self::measure::{Measure, Measured};
use self::system::BoardTask;
use self::systems::system_of;
use self::tested::{Test, Tested};
use self::tuned::Tuning;
use crate::error::LabError;
use crate::parts::item_vectors::{ItemVectors, VectorFile, text_of};
use crate::parts::published_ids::Published;
use crate::recipe::embed::EmbedConfig;
use crate::run::RunFolder;
use crate::run::log::{LOG, Logged};
use crate::seed::{Purpose, stream};

/// The resolved settings of the last start.
const CONFIG: &str = "leaderboard.toml";
/// The result.
const BOARD: &str = "leaderboard.json";
/// Texts that the sentence encoder reads together.
const TEXTS_AT_ONCE: usize = 128;

/// The systems of a recipe, one dataset and one folder.
///
/// Each system is two kinds of parts of the folder: the choice of its settings on validation users, and, for
/// each seed, its training and its test. A start after an interruption goes on with the part in which it
/// was interrupted. A change of the recipe does again what depends on it, and nothing else.
#[derive(Debug)]
pub struct Leaderboard<'a> {
    /// Systems and rules.
    pub recipe: &'a BoardRecipe,
    /// Items and histories.
    pub dataset: &'a Dataset,
    /// What was published with the data.
    pub published: Option<Published<'a>>,
    /// Numbers of others, to be shown beside.
    pub numbers: &'a PublishedNumbers,
    /// The folder.
    pub out: &'a Path,
    /// The device of tensors.
    pub device: Device,
}

/// What all systems share.
struct Shared<'a> {
    split: &'a Split,
    sequences: &'a [&'a [ItemId]],
    valid: &'a [Case<'a, SampleId>],
    test: &'a [Case<'a, SampleId>],
    texts: &'a [String],
    /// The vectors of the texts and their hash, once a system has used them.
    vectors: OnceCell<(Array2<f32>, String)>,
    made_of: Binding,
}

impl Leaderboard<'_> {
    /// Carries out the parts that are not done yet, and writes `leaderboard.json` into the folder. A system that
    /// cannot be trained is left out of the table and named in [`Board::left_out`]; the others go on.
    ///
    /// # Errors
    /// Those of the recipe, of the split, of the folder and of the table; [`LabError::NoSamples`] for data without
    /// validation or test users; [`LabError::Setting`] for a dataset without published numbers.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Board, LabError> {
        let Self { recipe, dataset, .. } = *self;
        recipe.check()?;
        let published = self.published_results()?;
        let split = self.published.map(|published| published.split);
        let split = &recipe.split.choose(dataset, split, recipe.max_history)?;
        let mut run = RunFolder::open(self.out, self.device)?;
        run.tell_environment();
        let text = toml::to_string_pretty(recipe)?;
        write_whole(&run.path(CONFIG), |out| out.write_all(text.as_bytes()))?;
        let log = JsonLog::open(&run.path(LOG))?;
        let observer: &mut dyn Observer = &mut Logged { log, inner: observer };

        let sequences: Vec<&[ItemId]> = split.train.sequences().map(|s| s.events).collect();
        let valid = self.valid(split)?;
        let cases: Vec<Case<'_, SampleId>> = split.test.samples().map(Case::from).collect();
        if cases.is_empty() {
            return Err(LabError::NoSamples { what: "the test" });
        }
        let texts: Vec<String> =
            dataset.items().iter().map(|item| text_of(item, "", &recipe.fields)).collect();
        let made_of = Binding::from([
            ("dataset".to_owned(), dataset.hash()),
            ("split".to_owned(), split.hash()),
            ("valid".to_owned(), hash_json(&valid.iter().map(|c| c.sample).collect::<Vec<_>>())?),
            ("fields".to_owned(), hash_json(&recipe.fields)?),
        ]);
        let shared = Shared {
            split,
            sequences: &sequences,
            valid: &valid,
            test: &cases,
            texts: &texts,
            vectors: OnceCell::new(),
            made_of,
        };
        let (mut measured, mut left_out) = (Vec::new(), Vec::new());
        for config in &recipe.systems {
            tracing::info!(system = config.name, "leaderboard");
            match self.system(config, &shared, &mut run, observer) {
                Ok(of_system) => measured.extend(of_system),
                Err(error) => {
                    tracing::error!(system = config.name, %error, "left out of the leaderboard");
                    left_out.push(LeftOut { system: config.name.clone(), why: causes(&error) });
                }
            }
        }
        let data = BoardData::of(recipe, dataset, split, valid.len());
        let measure = Measure::new(recipe, split, dataset.num_items())?;
        let board = measure.board(data, measured, left_out, published)?;
        write_json(&run.path(BOARD), &board)?;
        Ok(board)
    }

    /// What others published on the dataset.
    fn published_results(&self) -> Result<Vec<PublishedResult>, LabError> {
        let Some(name) = &self.recipe.dataset else { return Ok(Vec::new()) };
        let found: Vec<PublishedResult> = self.numbers.of(name).cloned().collect();
        if found.is_empty() {
            let known = self.numbers.datasets().join(", ");
            return Err(LabError::Setting {
                field: "dataset".to_owned(),
                found: format!("`{name}`, and there are published numbers on {known}"),
                needed: "one of these, or no `dataset` at all",
            });
        }
        Ok(found)
    }

    /// The validation users on whom every system chooses its settings, drawn by the first seed.
    fn valid<'s>(&self, split: &'s Split) -> Result<Vec<Case<'s, SampleId>>, LabError> {
        let mut samples: Vec<Sample<'_>> = split.valid.samples().collect();
        if samples.is_empty() {
            return Err(LabError::NoSamples { what: "the validation" });
        }
        samples.shuffle(&mut stream(self.recipe.first_seed(), Purpose::Validation, 0));
        samples.truncate(self.recipe.tune.users);
        samples.sort_by_key(|sample| sample.id);
        Ok(samples.into_iter().map(Case::from).collect())
    }

    /// The vectors of the items' texts and their hash, if the recipe names an encoder.
    fn vectors<'s>(
        &self,
        shared: &'s Shared<'_>,
        run: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<Option<&'s (Array2<f32>, String)>, LabError> {
        let Some(encoder) = &self.recipe.encoder else { return Ok(None) };
        if let Some(known) = shared.vectors.get() {
            return Ok(Some(known));
        }
        let config = EmbedConfig {
            encoder: encoder.clone(),
            fields: self.recipe.fields.clone(),
            batch_size: TEXTS_AT_ONCE,
            collaborative_weight: 0.0,
            collaborative_dimensions: 0,
        };
        let (dataset, device) = (self.dataset, self.device);
        let part = ItemVectors { config: &config, dataset, rewritten: None, device };
        let made = run.carry_out(&part, observer)?;
        let hash = made.hash(VectorFile::NAME)?;
        let vectors = made.value.load()?;
        Ok(Some(shared.vectors.get_or_init(|| (vectors, hash))))
    }

    /// The rows of a system.
    fn system(
        &self,
        config: &SystemConfig,
        shared: &Shared<'_>,
        run: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Measured>, LabError> {
        let (tuned, tests) = match (&config.kind, &config.recipe) {
            (Some(kind), _) => {
                let (tuned, tests) = self.trained(config, kind, shared, run, observer)?;
                (Some(tuned), tests)
            }
            (None, Some(recipe)) => (None, self.runs(config, recipe, shared, run, observer)?),
            (None, None) => return Ok(Vec::new()), // refused by the check of the recipe
        };
        Ok(Measured::rows(config, tuned.as_ref(), tests))
    }

    /// Chooses the settings of a system, trains it with each seed, and tests it.
    fn trained(
        &self,
        config: &SystemConfig,
        kind: &str,
        shared: &Shared<'_>,
        run: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<(Tuned, Vec<Tested>), LabError> {
        let fresh = || {
            system_of(kind).ok_or_else(|| LabError::UnknownKind {
                kind: kind.to_owned(),
                found: systems::kinds().collect::<Vec<_>>().join(", "),
            })
        };
        let mut system = fresh()?;
        let mut made_of = shared.made_of.clone();
        let mut vectors = None;
        if system.uses_vectors()
            && let Some((found, hash)) = self.vectors(shared, run, observer)?
        {
            made_of.insert("vectors".to_owned(), hash.clone());
            vectors = Some(found);
        }
        let task = |seed| BoardTask {
            dataset: self.dataset,
            sequences: shared.sequences,
            valid: shared.valid,
            texts: shared.texts,
            vectors,
            seed,
            device: self.device,
            minutes: self.recipe.tune.minutes,
        };
        let seeds = self.recipe.seeds_of(config);
        let seeds = if system.is_seeded() { seeds } else { &seeds[..1] };
        let (tune, made_of) = (&self.recipe.tune, &made_of);
        let tuning = Tuning {
            config,
            tune,
            task: task(self.recipe.first_seed()),
            made_of,
            system: RefCell::new(&mut *system),
        };
        let tuned = run.carry_out(&tuning, observer)?.value;
        // The tests get systems that have kept nothing, so that the cost of a training is that of all of it.
        drop(system);
        let mut tests = Vec::new();
        for &seed in seeds {
            let mut system = fresh()?;
            let test = Test {
                config,
                settings: &tuned.settings,
                task: task(seed),
                made_of,
                cases: shared.test,
                system: RefCell::new(&mut *system),
            };
            tests.push(run.carry_out(&test, observer)?.value);
        }
        Ok((tuned, tests))
    }

    /// Carries out a recipe with each seed.
    fn runs(
        &self,
        config: &SystemConfig,
        name: &str,
        shared: &Shared<'_>,
        run: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Tested>, LabError> {
        let mut recipe = recipe_named(name)?;
        recipe.split = self.recipe.split;
        if self.published.is_some() {
            recipe.use_published_ids();
        }
        if let (Some(embed), Some(encoder)) = (recipe.embed.as_mut(), &self.recipe.encoder) {
            embed.encoder.clone_from(encoder);
        }
        let mut made_of = shared.made_of.clone();
        made_of.retain(|what, _| what == "dataset" || what == "split");
        let mut tests = Vec::new();
        for &seed in self.recipe.seeds_of(config) {
            recipe.seed = seed;
            let part = RecipeRun {
                config,
                recipe: &recipe,
                dataset: self.dataset,
                split: shared.split,
                published: self.published,
                made_of: &made_of,
                device: self.device,
            };
            tests.push(run.carry_out(&part, observer)?.value);
        }
        Ok(tests)
    }
}

/// An error and its causes, in one line.
fn causes(error: &LabError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        text = format!("{text}: {found}");
        cause = found.source();
    }
    text
}
