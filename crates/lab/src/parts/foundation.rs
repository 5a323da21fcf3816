//! What all stages of a run stand on: item vectors, Semantic IDs, tokenizer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, concat_embeddings};
use sidereal_data::{ItemId, Split};
use sidereal_policy::{
    PolicyError, SidTokenizer, TextEncoder, Weights, extend_pretrained, read_safetensors,
    write_safetensors,
};
use sidereal_prompts::{
    Chat, ControlMarkers, Message, Prompt, PromptSet, Rendered, Task, Tasks, Wording, without_codes,
};
use sidereal_quantizer::{Collisions, FitStep, QualityReport, RqKMeans};
use sidereal_sid::Catalog;
use tch::Tensor;

use crate::LabError;
use crate::parts::texts::Texts;
use crate::recipe::pool::shows_pool;
use crate::run::{Outputs, Run, SETTINGS};
use crate::{EmbedConfig, Pipeline, PretrainedConfig, Published, SidConfig, TokenizerConfig};
use sidereal_files::{hash_file, hash_json, write_json};
use sidereal_train::Binding;
use sidereal_train::Observer;

impl Pipeline<'_> {
    /// Semantic IDs as the recipe makes them, or as they were published.
    pub(crate) fn semantic_ids(
        &self,
        run: &mut Run,
        split: &Split,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        if let (Some(embed), Some(sids)) = (&self.recipe.embed, &self.recipe.sids) {
            self.embed(embed, run, observer)?;
            return self.quantize(embed, sids, run, split, observer);
        }
        let Some(Published { catalog, .. }) = self.published else {
            let (field, found) = ("sids".to_owned(), "missing".to_owned());
            let needed = "settings, or data that were published with semantic ids";
            return Err(LabError::Setting { field, found, needed });
        };
        let inputs = Binding::from([("catalogue".to_owned(), catalog.hash())]);
        run.stage("quantize", inputs, &["catalog.json", "quality.json"], |run| {
            write_json(&run.path("quality.json"), &QualityReport::from_catalog(catalog))?;
            Ok(catalog.save(&run.path("catalog.json"))?)
        })
    }

    /// Sentence vectors of the titles.
    fn embed(
        &self,
        config: &EmbedConfig,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        let mut inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("encoder".to_owned(), encoder_hash(&config.encoder)?),
        ]);
        inputs.extend(encoder_settings(&config.encoder)?);
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
        embed: &EmbedConfig,
        sids: &SidConfig,
        run: &mut Run,
        split: &Split,
        observer: &mut dyn Observer,
    ) -> Result<(), LabError> {
        let settings = run.settings("quantize", &self.recipe.for_semantic_ids())?;
        let inputs = Binding::from([
            ("embeddings".to_owned(), run.output_hash("embed", "embeddings.safetensors")),
            ("train".to_owned(), split.train.hash()),
            (SETTINGS.to_owned(), settings),
        ]);
        let codebooks = ["codebooks/codebooks.safetensors", "codebooks/codebooks.json"];
        let outputs = [&["catalog.json", "quality.json"], &codebooks[..]].concat();
        run.stage("quantize", inputs, &outputs, |run| {
            let vectors = self.item_vectors(embed, &run.path("embeddings.safetensors"), split)?;
            let per_level = sids.iterations * sids.restarts;
            let total = per_level * sids.codebook_sizes.len();
            let params = RqKMeans::params(sids.codebook_sizes.clone(), self.recipe.seed)
                .max_iterations(sids.iterations)
                .restarts(sids.restarts)
                .balance(sids.balance);
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
            write_json(&run.path("quality.json"), &quality)?;
            Ok(catalog.save(&run.path("catalog.json"))?)
        })
    }

    /// Text vectors, with the collaborative part beside them where the settings ask for it.
    fn item_vectors(
        &self,
        config: &EmbedConfig,
        path: &Path,
        split: &Split,
    ) -> Result<Array2<f32>, LabError> {
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
        if config.collaborative_weight <= 0.0 {
            return Ok(text);
        }
        let sequences: Vec<&[ItemId]> = split.train.sequences().map(|s| s.events).collect();
        let settings =
            PpmiConfig::new(self.recipe.seed).with_dimensions(config.collaborative_dimensions);
        let settings = Ppmi::try_from(settings)?;
        let vectors = PpmiVectors::fit(&settings, self.dataset.num_items(), &sequences)?;
        Ok(concat_embeddings(text.view(), vectors.vectors(), config.collaborative_weight)?)
    }

    /// The tokenizer, with a token for each code, and the weights of a pretrained model.
    pub(crate) fn vocabulary(
        &self,
        run: &mut Run,
        catalog: &Catalog,
        split: &Split,
        prompts: &PromptSet,
        texts: &Texts,
    ) -> Result<(), LabError> {
        match (&self.recipe.pretrained, &self.recipe.tokenizer) {
            (Some(pretrained), _) => self.extend(pretrained, run, catalog),
            (None, Some(tokenizer)) => {
                self.train_tokenizer(tokenizer, run, catalog, split, prompts, texts)
            }
            // A checked recipe has one of them.
            (None, None) => Ok(()),
        }
    }

    /// Accepts texts without the control tokens of the tokenizer at hand.
    ///
    /// # Errors
    /// [`LabError::Prompt`] for a title, a text or a conversation with such a token, by name.
    pub(crate) fn check_texts(
        &self,
        tokenizer: &SidTokenizer,
        catalog: &Catalog,
        prompts: &PromptSet,
        texts: &Texts,
    ) -> Result<(), LabError> {
        let markers = ControlMarkers::new(tokenizer.control_tokens());
        self.tasks(catalog, prompts, texts, None)?.with_markers(&markers)?;
        for (row, chat) in (0..).zip(&texts.chats) {
            chat.check_markers(row, &markers)?;
        }
        Ok(())
    }

    /// Text pieces of all that is read and written, and a token for each code.
    fn train_tokenizer(
        &self,
        config: &TokenizerConfig,
        run: &mut Run,
        catalog: &Catalog,
        split: &Split,
        prompts: &PromptSet,
        texts: &Texts,
    ) -> Result<(), LabError> {
        let used = self.recipe.used_tasks();
        let settings = run.settings("tokenizer", &self.recipe.for_tokenizer())?;
        let mut inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("spec".to_owned(), hash_json(catalog.spec())?),
            (SETTINGS.to_owned(), settings),
        ]);
        if !used.is_empty() {
            inputs.insert("train".to_owned(), split.train.hash());
            inputs.insert("tasks".to_owned(), hash_json(&(&used, prompts.hash()))?);
            inputs.insert("texts".to_owned(), self.texts_hash(texts)?);
            self.bind_pool(&mut inputs)?;
        }
        let outputs = Outputs { always: &TOKENIZER, perhaps: &[TEMPLATE] };
        let made = run.part("tokenizer", inputs, outputs, |run| {
            let dir = run.path("tokenizer");
            fs::create_dir_all(&dir)
                .map_err(|source| LabError::Io { path: dir.clone(), source })?;
            // The words of the prompts belong to the text that the model reads.
            let titles = self
                .dataset
                .items()
                .iter()
                .map(|item| format!("title: {} sid:title: {} next:", item.title, item.title));
            let pools = self.pools(&split.train, catalog)?;
            let tasks = self.tasks(catalog, prompts, texts, pools.as_ref())?;
            let read = tasks_text(&tasks, &used, split, &texts.chats, self.recipe.seed)?;
            let lines = titles.chain(read);
            let pieces = config.pieces;
            let lines: Vec<String> = lines.collect();
            Ok(SidTokenizer::train(lines.iter(), pieces, catalog.spec())?.save(&dir)?)
        });
        made.map(drop)
    }

    /// A pretrained model with a token for each code, into the folder of the tokenizer.
    fn extend(
        &self,
        config: &PretrainedConfig,
        run: &mut Run,
        catalog: &Catalog,
    ) -> Result<(), LabError> {
        let io = |source| LabError::Io { path: config.base.clone(), source };
        let mut inputs = Binding::from([
            ("spec".to_owned(), hash_json(catalog.spec())?),
            (SETTINGS.to_owned(), run.settings("tokenizer", &self.recipe.for_tokenizer())?),
        ]);
        for entry in fs::read_dir(&config.base).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_file() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                inputs.insert(format!("base/{name}"), hash_file(&path)?);
            }
        }
        let always = [&TOKENIZER[..], &["tokenizer/config.json", PRETRAINED]].concat();
        let outputs = Outputs { always: &always, perhaps: &[TEMPLATE] };
        let made = run.part("tokenizer", inputs, outputs, |run| {
            let out = run.path("tokenizer");
            extend_pretrained(&config.base, catalog.spec(), &config.vocabulary, &out)?;
            Ok(())
        });
        made.map(drop)
    }
}

/// Hashes of the files beside its weights that say how an encoder reads texts.
pub(crate) fn encoder_settings(encoder: &Path) -> Result<Binding, LabError> {
    let names = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    ];
    let there = names.into_iter().filter(|name| encoder.join(name).exists());
    there.map(|name| Ok((format!("encoder/{name}"), hash_file(&encoder.join(name))?))).collect()
}

/// What a tokenizer is on the disk.
const TOKENIZER: [&str; 3] = [
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/generation_config.json",
];
/// Besides, where it has a chat template.
const TEMPLATE: &str = "tokenizer/chat_template.jinja";

/// Hash of an encoder's weights, whole or in shards.
fn encoder_hash(dir: &Path) -> Result<String, LabError> {
    let whole = dir.join("model.safetensors");
    if whole.exists() {
        return Ok(hash_file(&whole)?);
    }
    let io = |source| LabError::Io { path: dir.to_owned(), source };
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            hashes.insert(path.clone(), hash_file(&path)?);
        }
    }
    // Of a folder without any, the encoder itself says what it lacks.
    Ok(hash_json(&hashes.into_values().collect::<Vec<_>>())?)
}

/// Weights of a pretrained model within a run's folder.
pub(crate) const PRETRAINED: &str = "tokenizer/model.safetensors";

/// Samples of a task over candidates whose words a tokenizer is trained on: prompts that repeat the
/// titles, which it reads besides, by the dozen.
const POOL_SAMPLES: usize = 1000;

/// Every sample of these tasks and every conversation as text without codes; of tasks over candidates
/// the first ones.
fn tasks_text(
    tasks: &Tasks<'_>,
    used: &BTreeSet<Task>,
    split: &Split,
    chats: &[Chat],
    seed: u64,
) -> Result<Vec<String>, LabError> {
    let (over_pools, used): (Vec<Task>, Vec<Task>) =
        used.iter().copied().partition(|task| shows_pool(*task));
    let wording = Wording::Varied { seed, epoch: 0 };
    let text = |sample: &Rendered| {
        let mut text = match &sample.prompt {
            Prompt::Plain(text) => text.clone(),
            Prompt::Chat(messages) => {
                let line =
                    |message: &Message| format!("{}: {}\n", message.role.name(), message.content);
                messages.iter().map(line).collect()
            }
        };
        text.push_str(&sample.completion_text());
        without_codes(&text)
    };
    let mut lines = tasks
        .train(&split.train, &used, wording)
        .map(|sample| Ok(text(&sample?)))
        .collect::<Result<Vec<String>, LabError>>()?;
    for task in over_pools {
        for sample in tasks.train(&split.train, &[task], wording).take(POOL_SAMPLES) {
            lines.push(text(&sample?));
        }
    }
    lines.extend((0..).zip(chats).map(|(row, chat)| text(&chat.render(row))));
    Ok(lines)
}
