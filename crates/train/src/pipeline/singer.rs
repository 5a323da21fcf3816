//! SINGER, small: aligned supervised stage, then reinforcement with SID-level rewards.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, Recommender, concat_embeddings};
use sidereal_corpus::{
    Dataset, HeldOut, ItemId, PromptRegistry, Rendered, Sample, Split, Task, Tasks, leave_one_out,
};
use sidereal_metrics::Report;
use sidereal_policy::{
    Constraint, Decoder, PolicyError, SidTokenizer, TextEncoder, Weights, read_safetensors,
    write_safetensors,
};
use sidereal_quantizer::{Collisions, FitStep, QualityReport, RqKMeans};
use sidereal_sid::Catalog;
use tch::{Device, Tensor};

use super::RunConfig;
use super::outcome::{Outcome, Showcase};
use super::run::{Run, hash_file, hash_of, write_atomic};
use crate::TrainError;
use crate::checkpoint::{Binding, Checkpoints};
use crate::encode::{Encoder, Prompt};
use crate::evaluate::Ranking;
use crate::fold::Sequence;
use crate::observe::{JsonLog, Observer};
use crate::rl::{Rl, RlPrompt};
use crate::sft::{Sft, SftData};

/// Users whose recommendations are shown by title.
const SHOWN_USERS: usize = 3;

/// A further system for the tables: a bound that is known, a recommender of the caller's.
#[derive(Clone, Copy)]
pub struct Reference<'a> {
    /// Name in the tables.
    pub name: &'a str,
    /// Scores of all items.
    pub recommender: &'a dyn Recommender,
}

impl std::fmt::Debug for Reference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("name", &self.name).finish_non_exhaustive()
    }
}

/// SINGER's pipeline over one dataset into one folder.
///
/// Stages: item vectors, Semantic IDs, tokenizer, supervised fine-tuning on SID → SID, title → SID
/// and SID → title, reinforcement with the SID-prefix curriculum and the SID-level reward on hard
/// samples, leave-one-out evaluation over all items beside popularity and item transitions. Each
/// stage that a former start finished with the same inputs is skipped; training goes on from its
/// last checkpoint.
#[derive(Debug)]
pub struct Singer<'a> {
    /// Settings.
    pub config: &'a RunConfig,
    /// Items and histories.
    pub dataset: &'a Dataset,
    /// Further systems for the tables.
    pub references: &'a [Reference<'a>],
    /// The run's folder.
    pub out: &'a Path,
    /// Where tensors live.
    pub device: Device,
}

/// What the trained stages share.
pub(super) struct Context<'a> {
    pub(super) split: Split,
    pub(super) prompts: &'a PromptRegistry,
    pub(super) catalog: Catalog,
    pub(super) tokenizer: SidTokenizer,
    pub(super) constraint: Constraint,
    pub(super) binding: Binding,
}

impl Singer<'_> {
    /// Runs what is not done yet and returns the result of the whole.
    ///
    /// # Errors
    /// Those of every stage; what finished stages wrote stays valid.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        self.config.check()?;
        let window = NonZeroUsize::new(self.config.max_history).unwrap_or(NonZeroUsize::MIN);
        let split = leave_one_out(self.dataset, window)?;
        let mut run = Run::open(self.out, self.config)?;
        let log_path = run.path("metrics.jsonl");
        let mut observer = Logged { log: JsonLog::open(&log_path)?, inner: observer };
        let observer: &mut dyn Observer = &mut observer;

        self.embed(&mut run, observer)?;
        self.quantize(&mut run, &split, observer)?;
        let catalog = Catalog::load(&run.path("catalog.json"))?;
        self.train_tokenizer(&mut run, &catalog)?;
        let tokenizer = SidTokenizer::load(&run.path("tokenizer"), catalog.spec())?;
        let prompts = PromptRegistry::builtin()?;
        let binding = Binding::from([
            ("catalogue".to_owned(), catalog.hash()),
            ("tokenizer".to_owned(), run.output_hash("tokenizer", "tokenizer/tokenizer.json")),
            ("prompts".to_owned(), prompts.hash().to_owned()),
            ("split".to_owned(), split.hash()),
        ]);
        let constraint = Constraint::new(&catalog, &tokenizer, self.device)?;
        let context = Context { split, prompts: &prompts, catalog, tokenizer, constraint, binding };

        self.sft(&mut run, &context, observer)?;
        self.rl(&mut run, &context, observer)?;
        self.test(&mut run, &context, observer)?;
        self.outcome(&run, &context, &log_path)
    }

    /// Sentence vectors of the titles.
    fn embed(&self, run: &mut Run, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let config = &self.config.embed;
        let inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("encoder".to_owned(), hash_file(&config.encoder.join("model.safetensors"))?),
        ]);
        run.stage("embed", inputs, &["embeddings.safetensors"], |run| {
            let encoder = TextEncoder::load(&config.encoder, self.device)?;
            let texts: Vec<&str> =
                self.dataset.items().iter().map(|item| item.title.as_str()).collect();
            let vectors = encoder.encode(&texts, config.batch_size, |done| {
                observer.on_progress("embed", "items", done, texts.len());
            })?;
            let tensors = Weights::from([("embeddings".to_owned(), Tensor::try_from(vectors)?)]);
            Ok(write_safetensors(&run.path("embeddings.safetensors"), &tensors)?)
        })
    }

    /// Unique Semantic IDs of the item vectors.
    fn quantize(
        &self,
        run: &mut Run,
        split: &Split,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let inputs = Binding::from([
            ("embeddings".to_owned(), run.output_hash("embed", "embeddings.safetensors")),
            ("train".to_owned(), split.train.hash()),
            ("settings".to_owned(), hash_of(&(&self.config.embed, &self.config.sids))?),
        ]);
        run.stage("quantize", inputs, &["catalog.json", "quality.json"], |run| {
            let vectors = self.item_vectors(&run.path("embeddings.safetensors"), split)?;
            let sids = &self.config.sids;
            let per_level = sids.iterations * sids.restarts;
            let total = per_level * sids.codebook_sizes.len();
            let params = RqKMeans::params(sids.codebook_sizes.clone(), self.config.seed)
                .max_iterations(sids.iterations)
                .restarts(sids.restarts);
            let params = linfa::ParamGuard::check(params)?;
            let model = params.fit_observed(vectors.view(), &mut |step: &FitStep| {
                let done = step.level * per_level + step.restart * sids.iterations + step.iteration;
                observer.on_progress("quantize", "iterations", done.min(total - 1), total);
                ControlFlow::Continue(())
            })?;
            observer.on_progress("quantize", "iterations", total, total);
            let codes = model.codes().view();
            let quality = QualityReport::from_codes(codes, &model.codebooks().sizes())?
                .with_reconstruction(model.codebooks(), vectors.view(), codes)?;
            tracing::info!("semantic ids\n{quality}");
            let catalog = Collisions::Suffix.catalog(model.codebooks(), vectors.view(), codes)?;
            model.codebooks().save(&run.path("codebooks"))?;
            let path = run.path("quality.json");
            let text = serde_json::to_vec_pretty(&quality)
                .map_err(|source| TrainError::Json { path: path.clone(), source })?;
            write_atomic(&path, &text)?;
            Ok(catalog.save(&run.path("catalog.json"))?)
        })
    }

    /// Text vectors, with the collaborative part beside them where the settings ask for it.
    fn item_vectors(&self, path: &Path, split: &Split) -> Result<Array2<f32>, TrainError> {
        let mut tensors = read_safetensors(path)?;
        let tensor = tensors.remove("embeddings").ok_or_else(|| PolicyError::MissingTensor {
            path: path.to_owned(),
            name: "embeddings".into(),
        })?;
        let shape = tensor.size();
        let [rows, columns] =
            [0, 1].map(|axis| shape.get(axis).and_then(|n| usize::try_from(*n).ok()).unwrap_or(0));
        let values = Vec::<f32>::try_from(tensor.view(-1))?;
        let text = Array2::from_shape_vec((rows, columns), values).unwrap_or_default();
        let config = &self.config.embed;
        if config.collaborative_weight <= 0.0 {
            return Ok(text);
        }
        let sequences: Vec<&[ItemId]> = split.train.sequences().map(|s| s.events).collect();
        let settings =
            PpmiConfig::new(self.config.seed).with_dimensions(config.collaborative_dimensions);
        let settings = Ppmi::try_from(settings)?;
        let vectors = PpmiVectors::fit(&settings, self.dataset.num_items(), &sequences)?;
        Ok(concat_embeddings(text.view(), vectors.vectors(), config.collaborative_weight)?)
    }

    /// Text pieces of the titles, and a token for each code.
    fn train_tokenizer(&self, run: &mut Run, catalog: &Catalog) -> Result<(), TrainError> {
        let inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("spec".to_owned(), hash_of(catalog.spec())?),
            ("settings".to_owned(), hash_of(&self.config.tokenizer)?),
        ]);
        run.stage("tokenizer", inputs, &["tokenizer/tokenizer.json"], |run| {
            let dir = run.path("tokenizer");
            fs::create_dir_all(&dir)
                .map_err(|source| TrainError::Io { path: dir.clone(), source })?;
            // The words of the prompts belong to the text that the model reads.
            let titles = self
                .dataset
                .items()
                .iter()
                .map(|item| format!("title: {} sid:title: {} next:", item.title, item.title));
            let pieces = self.config.tokenizer.pieces;
            Ok(SidTokenizer::train(titles, pieces, catalog.spec())?.save(&dir)?)
        })
    }

    /// Supervised fine-tuning, into `sft/`.
    fn sft(
        &self,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut binding = context.binding.clone();
        let settings = (&self.config.model, &self.config.sft, &self.config.evaluate);
        binding.insert("settings".to_owned(), hash_of(&(settings, self.config.seed))?);
        let checkpoints = Checkpoints::new(&run.path("sft/checkpoints"), binding.clone());
        run.stage("sft", binding, &["sft/model.safetensors", "sft/sidereal.json"], |run| {
            let tasks = Tasks::new(self.dataset, &context.catalog, context.prompts)?;
            let encoder = Encoder::new(&context.tokenizer, &context.catalog);
            let train = |task| encoder.train(&tasks, &context.split.train, task);
            let mut alignment = Vec::new();
            if self.config.sft.alignment_share > 0.0 {
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
                if self.config.sft.augment.is_off() {
                    Ok(plain.clone())
                } else {
                    self.varied(context, &tasks, &encoder, epoch)
                }
            };
            let data = SftData { next_item: &next_item, alignment, valid };
            let config = self.config.model.qwen3(context.tokenizer.vocab_size());
            let seed = crate::sft::step_seed(self.config.seed, 0);
            let model = Decoder::random(config, seed, self.device)?;
            tracing::info!(
                parameters = model.num_parameters(),
                alignment = data.alignment.len(),
                "supervised fine-tuning"
            );
            let sft = Sft {
                config: &self.config.sft,
                constraint: &context.constraint,
                pad: context.tokenizer.pad(),
                seed: self.config.seed,
                checkpoints: &checkpoints,
            };
            let model = sft.run(model, &data, observer)?;
            save_policy(&run.path("sft"), &model, context)
        })?;
        checkpoints.clear()
    }

    /// The training histories, each varied at random for this epoch.
    fn varied(
        &self,
        context: &Context<'_>,
        tasks: &Tasks<'_>,
        encoder: &Encoder<'_>,
        epoch: usize,
    ) -> Result<Vec<Sequence>, TrainError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch as u64);
        let augment = &self.config.sft.augment;
        context
            .split
            .train
            .sequences()
            .filter(|sequence| sequence.events.len() > 1)
            .map(|sequence| {
                let items = augment.apply(sequence.events, self.config.max_history + 1, &mut rng);
                encoder.history(tasks, &items)
            })
            .collect()
    }

    /// Reinforcement of the supervised policy, into `rl/`.
    fn rl(
        &self,
        run: &mut Run,
        context: &Context<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let mut binding = context.binding.clone();
        let settings = (&self.config.rl, &self.config.reward, &self.config.evaluate);
        binding.insert("settings".to_owned(), hash_of(&(settings, self.config.seed))?);
        binding.insert("policy".to_owned(), run.output_hash("sft", "sft/model.safetensors"));
        let checkpoints = Checkpoints::new(&run.path("rl/checkpoints"), binding.clone());
        run.stage("rl", binding, &["rl/model.safetensors", "rl/sidereal.json"], |run| {
            let model = self.load_policy(&run.path("sft"), context)?;
            let config = &self.config.rl;
            let tasks = Tasks::new(self.dataset, &context.catalog, context.prompts)?;
            let encoder = Encoder::new(&context.tokenizer, &context.catalog);
            // Only as many samples as the run can use are rendered.
            let mut order: Vec<usize> = (0..context.split.train.num_samples()).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.config.seed));
            order.truncate(config.steps * config.prompts_per_step);
            let rendered = order
                .iter()
                .filter_map(|index| context.split.train.sample(*index))
                .map(|sample| tasks.next_item(&sample))
                .collect::<Result<Vec<Rendered>, _>>()?;
            let prompts = encoder
                .prompts(&rendered)?
                .into_iter()
                .map(|prompt| {
                    let target = encoder.flat(prompt.target)?;
                    Ok(RlPrompt { prompt, target })
                })
                .collect::<Result<Vec<_>, TrainError>>()?;
            let valid = Self::prompts(&tasks, &encoder, &self.valid_samples(context))?;
            let reward = self.config.reward.singer();
            let rl = Rl {
                config,
                reward: &reward,
                spec: context.catalog.spec(),
                constraint: &context.constraint,
                pad: context.tokenizer.pad(),
                seed: self.config.seed,
                batch_size: self.config.evaluate.batch_size,
                checkpoints: &checkpoints,
            };
            let model = rl.run(model, &prompts, &valid, observer)?;
            save_policy(&run.path("rl"), &model, context)
        })?;
        checkpoints.clear()
    }

    /// What a finished run shows.
    fn outcome(
        &self,
        run: &Run,
        context: &Context<'_>,
        log_path: &Path,
    ) -> Result<Outcome, TrainError> {
        let read = |name: &str| -> Result<(std::path::PathBuf, Vec<u8>), TrainError> {
            let path = run.path(name);
            let bytes =
                fs::read(&path).map_err(|source| TrainError::Io { path: path.clone(), source })?;
            Ok((path, bytes))
        };
        let (path, bytes) = read("evaluation.json")?;
        let report: Report =
            serde_json::from_slice(&bytes).map_err(|source| TrainError::Json { path, source })?;
        let (path, bytes) = read("quality.json")?;
        let quality: QualityReport =
            serde_json::from_slice(&bytes).map_err(|source| TrainError::Json { path, source })?;
        let (path, bytes) = read("rankings/rl.json")?;
        let rankings: Vec<Ranking> =
            serde_json::from_slice(&bytes).map_err(|source| TrainError::Json { path, source })?;
        let mut samples: Vec<Sample<'_>> = context.split.test.samples().collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(self.config.seed));
        let title = |item: ItemId| {
            self.dataset.item(item).map_or_else(|| item.to_string(), |item| item.title.clone())
        };
        let showcases = samples
            .iter()
            .take(SHOWN_USERS)
            .filter_map(|sample| {
                let ranking = rankings.iter().find(|ranking| ranking.id == sample.id)?;
                let seen = sample.seen.iter().copied().collect();
                let recommended =
                    ranking.top(5, &seen).map(|item| (title(item), item == sample.target));
                Some(Showcase {
                    history: sample.history.iter().map(|item| title(*item)).collect(),
                    chosen: title(sample.target),
                    recommended: recommended.collect(),
                })
            })
            .collect();
        let records = JsonLog::read(log_path)?;
        let catalog = context.catalog.clone();
        Ok(Outcome { report, quality, records, showcases, catalog })
    }

    /// Validation samples of the users drawn by seed.
    fn valid_samples<'c>(&self, context: &'c Context<'_>) -> Vec<Sample<'c>> {
        let mut samples: Vec<Sample<'c>> = context.split.valid.samples().collect();
        samples.shuffle(&mut ChaCha8Rng::seed_from_u64(self.config.seed));
        samples.truncate(self.config.evaluate.valid_users);
        samples
    }

    pub(super) fn prompts(
        tasks: &Tasks<'_>,
        encoder: &Encoder<'_>,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Prompt>, TrainError> {
        let rendered =
            samples.iter().map(|sample| tasks.next_item(sample)).collect::<Result<Vec<_>, _>>()?;
        encoder.prompts(&rendered)
    }

    /// A policy of this run, if it was made for the same catalogue, tokenizer, prompts and split.
    pub(super) fn load_policy(
        &self,
        dir: &Path,
        context: &Context<'_>,
    ) -> Result<Decoder, TrainError> {
        let path = dir.join("sidereal.json");
        let bytes =
            fs::read(&path).map_err(|source| TrainError::Io { path: path.clone(), source })?;
        let found: Binding = serde_json::from_slice(&bytes)
            .map_err(|source| TrainError::Json { path: path.clone(), source })?;
        for (part, needed) in &context.binding {
            let found = found.get(part).cloned().unwrap_or_default();
            if found != *needed {
                let (part, needed) = (part.clone(), needed.clone());
                return Err(TrainError::Binding { path, part, found, needed });
            }
        }
        let model = Decoder::load(dir, self.device)?;
        model.check_vocabulary(&context.tokenizer)?;
        Ok(model)
    }
}

/// An HF directory, with what it belongs to in `sidereal.json`.
fn save_policy(dir: &Path, model: &Decoder, context: &Context<'_>) -> Result<(), TrainError> {
    model.save(dir)?;
    context.tokenizer.save(dir)?;
    context.catalog.save(&dir.join("catalog.json"))?;
    let path = dir.join("sidereal.json");
    let text = serde_json::to_vec_pretty(&context.binding)
        .map_err(|source| TrainError::Json { path: path.clone(), source })?;
    write_atomic(&path, &text)
}

/// The run's log beside the caller's observer.
struct Logged<'a> {
    log: JsonLog,
    inner: &'a mut dyn Observer,
}

impl Observer for Logged<'_> {
    fn on_record(&mut self, record: &crate::Record) {
        self.log.on_record(record);
        self.inner.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.log.on_resume(stage, step);
        self.inner.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.inner.on_progress(job, unit, done, total);
    }
}
