//! Simple recommenders to compare with (popularity, item transitions), and the evaluation of any recommender.
//!
//! Use this crate to see how good a result really is. Your own system implements [`Recommender`]
//! and is evaluated under the same rules.
//!
//! ```
//! use rand::SeedableRng as _;
//! use sidereal_baselines::{Case, ItemTransition, Recommender, Transition, TransitionConfig};
//! use sidereal_baselines::{evaluate, recommend};
//! use sidereal_metrics::{Placement, SeenItems};
//! use sidereal_sid::ItemId;
//!
//! let [tea, cup, pen] = [0, 1, 2].map(ItemId);
//! let sequences = [[tea, cup], [tea, cup], [pen, tea]];
//! let settings = Transition::try_from(TransitionConfig::default())?;
//! let model = ItemTransition::fit(&settings, 3, &sequences)?;
//!
//! let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
//! assert_eq!(recommend(&model, &[tea], &[tea], 2, &mut rng)?, [cup, pen]);
//!
//! let case = Case { sample: 7_u64, history: &[tea], seen: &[tea], target: pen };
//! let run = evaluate(&model, &[case], SeenItems::Removed)?;
//! let second = Placement::At(2.try_into()?);
//! assert!(run.placements().eq([(&7, second)]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `recommender` | [`Recommender`], [`fingerprint`], [`recommend`], [`top_k`] |
//! | `item_neighbours` | [`ItemNeighbours`]: items that the same users chose |
//! | `ease` | [`Ease`]: a linear model in closed form |
//! | `evaluate` | [`Case`], [`evaluate`] into a [`RankingRun`](sidereal_metrics::RankingRun) |
//! | `oracle` | [`Recommender`] for the law of a [synthetic shop](sidereal_data::synthetic) |
//! | `per_domain` | [`PerDomain`]: a recommender for each domain of a union of datasets |
//! | `popularity` | [`Popularity`] |
//! | `ppmi` | [`PpmiVectors`]: collaborative item vectors, to join with text by [`concat_embeddings`] |
//! | `transition_vectors` | [`TransitionVectors`]: the same from damped transitions |
//! | `principal` | [`PrincipalComponents`] of text embeddings, plain and whitened |
//! | `repeats` | [`Repeats`]: what the history has already, for a [`Prior`] |
//! | `transition` | [`ItemTransition`], its settings [`Transition`], and [`TransitionArrays`] for files |
//! | `vector_kernel` | [`VectorKernel`]: items whose vectors are near those of the history |
//! | `category_kernel` | [`CategoryKernel`]: items that share rare categories with the history |
//! | `word_kernel` | [`WordKernel`]: items whose texts share rare words with those of the history |
//! | `prior` | [`Prior`]: recommenders as a prior for a policy, [`PriorSearch`]: its weights |
//! | `neural` | `SASRec` and other neural sequential recommenders, with the feature `torch` |
//! | `walk` | [`walk()`]: looks for the best point of a grid |
//! | `search` | [`TransitionSearch`]: settings chosen on validation cases |
//!
//! # Conventions
//! `N` items, numbered `0..N`. Histories and sequences are ordered earliest first. Scores order
//! items; `−∞` takes an item out of the ranking.
//!
//! # Features
//! - `torch`: the module `neural`, on libtorch.

mod category_kernel;
mod concat;
mod ease;
mod error;
mod evaluate;
mod history;
mod idf_vectors;
mod inverse;
mod item_neighbours;
#[cfg(feature = "torch")]
pub mod neural;
mod oracle;
mod per_domain;
mod popularity;
mod ppmi;
mod principal;
mod prior;
mod recommender;
mod repeats;
mod search;
mod sparse;
mod spectral;
mod touched;
mod transition;
mod transition_vectors;
mod vector_error;
mod vector_kernel;
mod walk;
mod word_kernel;

pub use category_kernel::CategoryKernel;
pub use concat::concat_embeddings;
pub use ease::{Ease, EaseConfig};
pub use error::BaselineError;
pub use evaluate::{Case, evaluate};
pub use item_neighbours::{ItemNeighbours, Neighbours, NeighboursConfig};
pub use per_domain::PerDomain;
pub use popularity::Popularity;
pub use ppmi::{Ppmi, PpmiConfig, PpmiMatrix, PpmiVectors};
pub use principal::PrincipalComponents;
pub use prior::{
    Contribution, Explanation, GroupTrial, HistoryWeights, Prior, PriorCases, PriorFit,
    PriorSearch, PriorTrial, PriorWeights, ScaleBy, ScaleTrial, TermForm, TermWeight, UserScale,
};
pub use recommender::{Recommender, fingerprint, recommend, top_k};
pub use repeats::Repeats;
pub use search::{Selection, TransitionSearch, Trial};
pub use transition::{ItemTransition, Transition, TransitionArrays, TransitionConfig};
pub use transition_vectors::{TransitionSvd, TransitionSvdConfig, TransitionVectors};
pub use vector_error::VectorError;
pub use vector_kernel::VectorKernel;
pub use walk::walk;
pub use word_kernel::WordKernel;
