//! Residual quantisation of item embeddings into Semantic IDs.
//!
//! This crate turns a matrix of embeddings, with one row for each item, into a
//! [`Catalog`](sidereal_sid::Catalog), and measures its quality before anything is trained on it. Use
//! it to make Semantic IDs; `sidereal-sid` is enough to read and use them. Only RQ-VAE needs a tensor
//! library.
//!
//! ```
//! use linfa::prelude::*;
//! use ndarray::Array2;
//! use sidereal_quantizer::{Collisions, QualityReport, RqKMeans};
//!
//! let embeddings = Array2::from_shape_fn((60, 8), |(i, d)| ((i * 7 + d * d * i) % 13) as f32);
//! let model = RqKMeans::params([4, 4, 4], 7).fit(&DatasetBase::from(embeddings.view()))?;
//!
//! let report = QualityReport::from_codes(model.codes().view(), &model.codebooks().sizes())?
//!     .with_reconstruction(model.codebooks(), embeddings.view(), model.codes().view())?;
//! println!("{report}");
//!
//! let catalog =
//!     Collisions::Suffix.catalog(model.codebooks(), embeddings.view(), model.codes().view())?;
//! assert_eq!(catalog.num_sids(), 60); // every item has a Semantic ID of its own
//! # Ok::<(), sidereal_quantizer::QuantizerError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `params` | [`RqKMeansParams`], and checked [`RqKMeansValidParams`] |
//! | `rq_kmeans` | [`RqKMeans`]: residual k-means, [`FitObserver`] |
//! | `residual` | [`ResidualQuantizer`]: levels of any clusterer with linfa's `Fit` and `Predict` |
//! | `hierarchical`, `capped` | [`HierarchicalKMeans`]: clusters of bounded size within clusters, and a leaf number |
//! | `spectral` | [`Spectral`]: clusters of items that the same users chose, within clusters (P5-CID) |
//! | `method` | [`QuantizerConfig`]: `rq-kmeans`, `linfa-kmeans` |
//! | `rq_vae`, `sinkhorn` | `RqVae`, `RqVaeTraining`: RQ-VAE on libtorch (feature `torch`) |
//! | `codebooks` | [`Codebooks`]: rows ↔ codes |
//! | `storage` | codebooks as safetensors with a JSON spec |
//! | `collisions` | [`Collisions`]: items that share all codes |
//! | `matrix`, `npy` | [`Matrix`]: `.npy` and safetensors, mapped |
//! | `index` | [`read_index`], [`read_index_in`], [`write_index`]: `*.index.json` of MiniOneRec, LC-Rec and OpenOneRec |
//! | `quality`, `neighbours`, `thresholds` | [`QualityReport`], [`Thresholds`] that fail a build |
//! | `prediction` | [`Prediction`]: how well codes say which item follows |
//! | `balance` | [`Balance`]: every code is used equally often |
//! | `page` | the report as a section of an HTML page (feature `page`) |
//! | `kmeans`, `assign`, `sums`, `init` | Lloyd's iterations by matrix products, in blocks |
//!
//! # Conventions
//! `N` rows or items, `D` columns, `L` levels, `K` codes of a level. Errors are squared Euclidean
//! distances; entropies are in nats.
//!
//! # References
//! SINGER §2.1 and GREAM §3.1.2 (residual k-means); Arthur and Vassilvitskii 2007 (k-means++);
//! TIGER, [arXiv:2305.05065](https://arxiv.org/abs/2305.05065) (collisions, RQ-VAE); LC-Rec,
//! [arXiv:2311.09049](https://arxiv.org/abs/2311.09049) (collisions, balanced assignment);
//! SIDReasoner eqs 2-5 (RQ-VAE); LETTER, [arXiv:2405.07314](https://arxiv.org/abs/2405.07314)
//! (alignment and diversity); P5-CID, [arXiv:2305.06569](https://arxiv.org/abs/2305.06569)
//! (collaborative indexing).

mod assign;
mod balance;
mod capped;
mod codebooks;
mod collisions;
mod error;
mod hierarchical;
mod index;
mod init;
mod kmeans;
mod matrix;
mod method;
mod neighbours;
mod npy;
#[cfg(feature = "page")]
mod page;
mod params;
mod prediction;
mod product;
mod quality;
mod residual;
mod rows;
mod rq_kmeans;
#[cfg(feature = "torch")]
mod rq_vae;
#[cfg(feature = "torch")]
mod sinkhorn;
mod spectral;
mod storage;
mod sums;
mod thresholds;

pub use balance::Balance;
pub use codebooks::Codebooks;
pub use collisions::Collisions;
pub use error::QuantizerError;
pub use hierarchical::{HierarchicalKMeans, HierarchicalKMeansParams, HierarchyLevel};
pub use index::{read_index, read_index_in, write_index};
pub use init::Init;
pub use matrix::Matrix;
pub use method::{LinfaKMeansParams, Quantized, QuantizerConfig};
pub use params::{RqKMeansParams, RqKMeansValidParams};
pub use prediction::{LevelPrediction, Prediction};
pub use quality::{JudgedCodes, LevelQuality, Predicted, QualityReport, catalog_codes};
pub use residual::{ResidualParams, ResidualQuantizer};
pub use rq_kmeans::{FitObserver, FitStep, LevelFit, RqKMeans};
#[cfg(feature = "torch")]
pub use rq_vae::{
    CodebookSchedule, EarlyStop, RqVae, RqVaeEvaluation, RqVaeLosses, RqVaeObserver, RqVaeParams,
    RqVaeTraining, RqVaeValidParams, StopMetric,
};
pub use spectral::{Spectral, SpectralParams};
pub use thresholds::Thresholds;
