//! Semantic IDs that are made of item vectors.

mod hierarchical;
mod linfa_kmeans;
mod quantized;
mod rq_kmeans;
mod rq_vae;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use linfa::ParamGuard as _;
use ndarray::Array2;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, concat_embeddings};
use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::QualityReport;
use sidereal_sid::Catalog;
use sidereal_train::{Binding, Observer};
use tch::Device;

use crate::error::LabError;
use crate::parts::item_vectors::VectorFile;
use crate::parts::semantic_ids::{FILES, NAME, SemanticIds, tree_folder};
use crate::recipe::Recipe;
use crate::recipe::embed::EmbedConfig;
use crate::recipe::rq_vae::Given;
use crate::recipe::sids::{SidConfig, SidMethod};
use crate::recipe::token_style::TokenStyleConfig;
use crate::run::environment::device_name;
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};

/// Semantic IDs of the item vectors, joined with a collaborative part if the settings ask
/// for it.
pub(crate) struct QuantizedIds<'a> {
    /// Number of the tree, from 1. Each tree has its own seed.
    pub(crate) tree: NonZeroUsize,
    pub(crate) seed: u64,
    pub(crate) embed: &'a EmbedConfig,
    pub(crate) sids: &'a SidConfig,
    /// How the codes are written.
    pub(crate) token_style: Option<&'a TokenStyleConfig>,
    pub(crate) vectors: &'a Made<VectorFile>,
    pub(crate) num_items: usize,
    pub(crate) train: &'a TrainSet,
    pub(crate) device: Device,
}

/// The settings that the part depends on. Where the encoder is does not count.
pub(crate) fn depends_on(
    seed: u64,
    embed: &EmbedConfig,
    sids: &SidConfig,
    token_style: Option<&TokenStyleConfig>,
) -> Recipe {
    let embed = Some(EmbedConfig { encoder: PathBuf::new(), ..embed.clone() });
    let (sids, token_style) = (Some(sids.clone()), token_style.cloned());
    Recipe { seed, embed, sids, token_style, ..Recipe::blank() }
}

impl Part for QuantizedIds<'_> {
    type Output = SemanticIds;

    fn name(&self) -> String {
        match self.tree {
            NonZeroUsize::MIN => NAME.to_owned(),
            tree => format!("{NAME} tree {tree}"),
        }
    }

    fn settings(&self) -> Option<Recipe> {
        Some(depends_on(self.seed, self.embed, self.sids, self.token_style))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([
            ("embeddings".to_owned(), self.vectors.hash(VectorFile::NAME)?),
            ("train".to_owned(), self.train.hash()),
        ]))
    }

    fn files(&self) -> PartFiles {
        let model = match self.sids.method {
            SidMethod::RqKMeans(_) | SidMethod::LinfaKMeans(_) => &rq_kmeans::FILES[..],
            SidMethod::Hierarchical(_) => &[],
            SidMethod::RqVae(_) | SidMethod::Letter(_) => &rq_vae::FILES,
        };
        let folder = tree_folder(self.tree);
        let files = FILES.iter().chain(model);
        PartFiles::always(files.map(|file| format!("{folder}{file}")))
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let folder = &folder.within(&tree_folder(self.tree))?;
        let (catalog, quality) = self.ids(folder, observer)?;
        let style = self.token_style.map(TokenStyleConfig::style).transpose()?;
        let catalog = catalog.with_style(style.unwrap_or_default());
        tracing::info!("semantic ids\n{quality}");
        SemanticIds::write(folder, &catalog, &quality)?;
        Ok(Remarks::default())
    }

    fn tidy(&self, folder: &Folder) -> Result<(), LabError> {
        rq_vae::tidy(&folder.within(&tree_folder(self.tree))?)
    }

    fn read(&self, folder: &Folder) -> Result<SemanticIds, LabError> {
        SemanticIds::read(&folder.within(&tree_folder(self.tree))?)
    }
}

impl QuantizedIds<'_> {
    /// The seed of the tree.
    fn seed(&self) -> u64 {
        self.seed.wrapping_add(self.tree.get() as u64 - 1)
    }

    /// The Semantic IDs of the items, by the method of the settings.
    fn ids(
        &self,
        folder: &Folder,
        observer: &mut dyn Observer,
    ) -> Result<(Catalog, QualityReport), LabError> {
        let seed = self.seed();
        let device = device_name(self.device);
        let codebook_sizes = &self.sids.codebook_sizes;
        let given = Given { codebook_sizes, seed, device: &device };
        let quantized = match &self.sids.method {
            SidMethod::Hierarchical(config) => {
                let text = self.vectors.value.load()?;
                let (text, train) = (text.view(), self.train);
                let source = hierarchical::Source { codebook_sizes, text, train, seed };
                return hierarchical::ids(config, &source, observer);
            }
            SidMethod::RqKMeans(config) => {
                let params = config.params(codebook_sizes, seed);
                rq_kmeans::codes(params, self.joined_vectors()?, folder, observer)?
            }
            SidMethod::LinfaKMeans(config) => {
                let params = config.params(codebook_sizes, seed);
                linfa_kmeans::codes(params, self.joined_vectors()?, folder, observer)?
            }
            SidMethod::RqVae(config) => {
                let params = config.params(given)?;
                rq_vae::codes(params, &self.joined_vectors()?, None, folder, observer)?
            }
            SidMethod::Letter(config) => {
                let params = config.params(given)?;
                let latent = params.check_ref()?.latent();
                let collaborative = self.collaborative_vectors(latent)?;
                let collaborative = Some(collaborative.vectors());
                rq_vae::codes(params, &self.joined_vectors()?, collaborative, folder, observer)?
            }
        };
        Ok((quantized.catalog(self.sids.collisions)?, quantized.quality()?))
    }

    /// Text vectors, joined with a collaborative part if the settings ask for it.
    fn joined_vectors(&self) -> Result<Array2<f32>, LabError> {
        let text = self.vectors.value.load()?;
        let weight = self.embed.collaborative_weight;
        if weight <= 0.0 {
            return Ok(text);
        }
        let vectors = self.collaborative_vectors(self.embed.collaborative_dimensions)?;
        Ok(concat_embeddings(text.view(), vectors.vectors(), weight)?)
    }

    /// Vectors of items that users chose close to each other.
    fn collaborative_vectors(&self, dimensions: usize) -> Result<PpmiVectors, LabError> {
        let sequences: Vec<&[ItemId]> = self.train.sequences().map(|s| s.events).collect();
        let settings = PpmiConfig::new(self.seed).with_dimensions(dimensions);
        Ok(PpmiVectors::fit(&Ppmi::try_from(settings)?, self.num_items, &sequences)?)
    }
}
