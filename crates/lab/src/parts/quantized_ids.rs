//! Semantic IDs that are made of item vectors.

use std::ops::ControlFlow;
use std::path::PathBuf;

use linfa::ParamGuard as _;
use ndarray::Array2;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, concat_embeddings};
use sidereal_corpus::{ItemId, TrainSet};
use sidereal_quantizer::{Collisions, FitStep, QualityReport, RqKMeans};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::item_vectors::VectorFile;
use crate::parts::semantic_ids::{FILES, NAME, SemanticIds};
use crate::recipe::Recipe;
use crate::recipe::sids::{EmbedConfig, SidConfig};
use crate::run::part::{Files, Folder, Made, Part, Remarks};

/// Unique Semantic IDs of the item vectors, with the collaborative part beside them where the settings ask
/// for it.
pub(crate) struct QuantizedIds<'a> {
    pub(crate) seed: u64,
    pub(crate) embed: &'a EmbedConfig,
    pub(crate) sids: &'a SidConfig,
    pub(crate) vectors: &'a Made<VectorFile>,
    pub(crate) num_items: usize,
    pub(crate) train: &'a TrainSet,
}

/// The settings that the part depends on. Where the encoder is does not count.
pub(crate) fn depends_on(seed: u64, embed: &EmbedConfig, sids: &SidConfig) -> Recipe {
    let embed = EmbedConfig { encoder: PathBuf::new(), ..embed.clone() };
    Recipe { seed, embed: Some(embed), sids: Some(sids.clone()), ..Recipe::blank() }
}

impl Part for QuantizedIds<'_> {
    type Output = SemanticIds;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn settings(&self) -> Option<Recipe> {
        Some(depends_on(self.seed, self.embed, self.sids))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([
            ("embeddings".to_owned(), self.vectors.hash(VectorFile::NAME)),
            ("train".to_owned(), self.train.hash()),
        ]))
    }

    fn files(&self) -> Files {
        let codebooks = ["codebooks/codebooks.safetensors", "codebooks/codebooks.json"];
        Files::always(FILES.into_iter().chain(codebooks))
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let vectors = self.joined_vectors()?;
        let sids = self.sids;
        let per_level = sids.iterations * sids.restarts;
        let total = per_level * sids.codebook_sizes.len();
        let params = RqKMeans::params(sids.codebook_sizes.clone(), self.seed)
            .max_iterations(sids.iterations)
            .restarts(sids.restarts)
            .balance(sids.balance)
            .check()?;
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
        model.codebooks().save(&folder.path("codebooks"))?;
        SemanticIds::write(folder, &catalog, &quality)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<SemanticIds, LabError> {
        SemanticIds::read(folder)
    }
}

impl QuantizedIds<'_> {
    /// Text vectors, with the collaborative part beside them where the settings ask for it.
    fn joined_vectors(&self) -> Result<Array2<f32>, LabError> {
        let text = self.vectors.value.load()?;
        let weight = self.embed.collaborative_weight;
        if weight <= 0.0 {
            return Ok(text);
        }
        let vectors = self.collaborative_vectors(self.embed.collaborative_dimensions)?;
        Ok(concat_embeddings(text.view(), vectors.vectors(), weight)?)
    }

    /// Vectors of who bought what near what.
    fn collaborative_vectors(&self, dimensions: usize) -> Result<PpmiVectors, LabError> {
        let sequences: Vec<&[ItemId]> = self.train.sequences().map(|s| s.events).collect();
        let settings = PpmiConfig::new(self.seed).with_dimensions(dimensions);
        Ok(PpmiVectors::fit(&Ppmi::try_from(settings)?, self.num_items, &sequences)?)
    }
}
