//! Semantic IDs that are made of item vectors.

mod hierarchical;
mod linfa_kmeans;
mod quantized;
mod rq_kmeans;
mod rq_vae;
mod spectral;
mod two_streams;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use linfa::ParamGuard as _;
use ndarray::Array2;
use sidereal_baselines::{Ppmi, PpmiConfig, PpmiVectors, concat_embeddings};
use sidereal_data::{ItemId, TrainSet};
use sidereal_quantizer::{JudgedCodes, QualityReport};
use sidereal_sid::Catalog;
use sidereal_train::{Binding, Observer};
use tch::Device;

use crate::error::LabError;
use crate::judged_codes::judged;
use crate::parts::item_vectors::VectorFile;
use crate::parts::semantic_ids::{FILES, NAME, SemanticIds, tree_folder};
use crate::recipe::Recipe;
use crate::recipe::embed::EmbedConfig;
use crate::recipe::rq_vae::Given;
use crate::recipe::sids::{SidConfig, SidMethod};
use crate::recipe::token_style::TokenStyleConfig;
use crate::run::environment::device_name;
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};

/// The folder of codes that are made without the latest events, while they are judged.
const HELD_OUT: &str = "held-out";

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
            SidMethod::Hierarchical(_) | SidMethod::Spectral(_) | SidMethod::TwoStreams(_) => &[],
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
        let (catalog, quality) = self.ids(self.train, folder, observer)?;
        let quality = self.judged(&catalog, quality, folder, observer)?;
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

    /// Whether the codes depend on events.
    fn reads_events(&self) -> bool {
        match &self.sids.method {
            SidMethod::Hierarchical(config) => config.transitions > 0.0,
            SidMethod::Spectral(_) | SidMethod::TwoStreams(_) | SidMethod::Letter(_) => true,
            SidMethod::RqKMeans(_) | SidMethod::LinfaKMeans(_) | SidMethod::RqVae(_) => {
                self.embed.collaborative_weight > 0.0
            }
        }
    }

    /// The quality with how well codes say which item follows. Codes that were made with the events that they
    /// are judged on would know the answers: others are made without these events, by the same settings, in a
    /// folder that is removed.
    fn judged(
        &self,
        catalog: &Catalog,
        quality: QualityReport,
        folder: &Folder,
        observer: &mut dyn Observer,
    ) -> Result<QualityReport, LabError> {
        if !self.reads_events() {
            return judged(quality, catalog, self.train, JudgedCodes::Own);
        }
        let earlier = self.train.without_latest();
        if earlier.num_samples() == 0 {
            return judged(quality, catalog, self.train, JudgedCodes::MadeWithoutHeldOut);
        }
        let (catalog, _) = self.ids(&earlier, &folder.within(HELD_OUT)?, observer)?;
        remove(&folder.path(HELD_OUT))?;
        judged(quality, &catalog, self.train, JudgedCodes::MadeWithoutHeldOut)
    }

    /// The Semantic IDs of the items, by the method of the settings and of these events.
    fn ids(
        &self,
        train: &TrainSet,
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
                let text = text.view();
                let source = hierarchical::Source { codebook_sizes, text, train, seed };
                return hierarchical::ids(config, &source, observer);
            }
            SidMethod::Spectral(config) => {
                let params = config.params(codebook_sizes, seed);
                return spectral::ids(&params, self.num_items, train, observer);
            }
            SidMethod::TwoStreams(config) => {
                let meaning = self.vectors.value.load()?;
                let behaviour = self.collaborative_vectors(config.behaviour_dimensions, train)?;
                let streams = two_streams::Streams {
                    meaning: meaning.view(),
                    behaviour: behaviour.vectors(),
                };
                return two_streams::ids(config, codebook_sizes, &streams, seed, observer);
            }
            SidMethod::RqKMeans(config) => {
                let params = config.params(codebook_sizes, seed);
                rq_kmeans::codes(params, self.joined_vectors(train)?, folder, observer)?
            }
            SidMethod::LinfaKMeans(config) => {
                let params = config.params(codebook_sizes, seed);
                linfa_kmeans::codes(params, self.joined_vectors(train)?, folder, observer)?
            }
            SidMethod::RqVae(config) => {
                let params = config.params(given)?;
                rq_vae::codes(params, &self.joined_vectors(train)?, None, folder, observer)?
            }
            SidMethod::Letter(config) => {
                let params = config.params(given)?;
                let latent = params.check_ref()?.latent();
                let collaborative = self.collaborative_vectors(latent, train)?;
                let collaborative = Some(collaborative.vectors());
                rq_vae::codes(
                    params,
                    &self.joined_vectors(train)?,
                    collaborative,
                    folder,
                    observer,
                )?
            }
        };
        Ok((quantized.catalog(self.sids.collisions)?, quantized.quality()?))
    }

    /// Text vectors, joined with a collaborative part if the settings ask for it.
    fn joined_vectors(&self, train: &TrainSet) -> Result<Array2<f32>, LabError> {
        let text = self.vectors.value.load()?;
        let weight = self.embed.collaborative_weight;
        if weight <= 0.0 {
            return Ok(text);
        }
        let vectors = self.collaborative_vectors(self.embed.collaborative_dimensions, train)?;
        Ok(concat_embeddings(text.view(), vectors.vectors(), weight)?)
    }

    /// Vectors of items that users chose close to each other.
    fn collaborative_vectors(
        &self,
        dimensions: usize,
        train: &TrainSet,
    ) -> Result<PpmiVectors, LabError> {
        let sequences: Vec<&[ItemId]> = train.sequences().map(|s| s.events).collect();
        let settings = PpmiConfig::new(self.seed).with_dimensions(dimensions);
        Ok(PpmiVectors::fit(&Ppmi::try_from(settings)?, self.num_items, &sequences)?)
    }
}

/// Removes a folder with all that is in it.
fn remove(path: &Path) -> Result<(), LabError> {
    fs::remove_dir_all(path).map_err(|source| LabError::Io { path: path.to_owned(), source })
}
