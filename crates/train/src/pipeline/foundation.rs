//! What all stages of a run stand on: item vectors, Semantic IDs, tokenizer.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use ndarray::Array2;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, concat_embeddings};
use sidereal_corpus::{ItemId, Split};
use sidereal_policy::{
    PolicyError, SidTokenizer, TextEncoder, Weights, read_safetensors, write_safetensors,
};
use sidereal_quantizer::{Collisions, FitStep, QualityReport, RqKMeans};
use sidereal_sid::Catalog;
use tch::Tensor;

use super::Pipeline;
use super::run::{Run, hash_file, hash_of, write_json};
use crate::TrainError;
use crate::checkpoint::Binding;
use crate::observe::Observer;

impl Pipeline<'_> {
    /// Sentence vectors of the titles.
    pub(super) fn embed(
        &self,
        run: &mut Run,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let config = &self.recipe.embed;
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
    pub(super) fn quantize(
        &self,
        run: &mut Run,
        split: &Split,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let inputs = Binding::from([
            ("embeddings".to_owned(), run.output_hash("embed", "embeddings.safetensors")),
            ("train".to_owned(), split.train.hash()),
            ("settings".to_owned(), hash_of(&(&self.recipe.embed, &self.recipe.sids))?),
        ]);
        run.stage("quantize", inputs, &["catalog.json", "quality.json"], |run| {
            let vectors = self.item_vectors(&run.path("embeddings.safetensors"), split)?;
            let sids = &self.recipe.sids;
            let per_level = sids.iterations * sids.restarts;
            let total = per_level * sids.codebook_sizes.len();
            let params = RqKMeans::params(sids.codebook_sizes.clone(), self.recipe.seed)
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
            write_json(&run.path("quality.json"), &quality)?;
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
        let config = &self.recipe.embed;
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

    /// Text pieces of the titles, and a token for each code.
    pub(super) fn train_tokenizer(
        &self,
        run: &mut Run,
        catalog: &Catalog,
    ) -> Result<(), TrainError> {
        let inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("spec".to_owned(), hash_of(catalog.spec())?),
            ("settings".to_owned(), hash_of(&self.recipe.tokenizer)?),
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
            let pieces = self.recipe.tokenizer.pieces;
            Ok(SidTokenizer::train(titles, pieces, catalog.spec())?.save(&dir)?)
        })
    }
}
