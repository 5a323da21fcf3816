//! Generative recommendation over Semantic IDs: every crate of the project under one name.
//!
//! Depend on this crate to use the whole pipeline, or on a single crate to use only its part.
//!
//! ```no_run
//! use sidereal::sid::{Catalog, SemanticId, SidSpec};
//!
//! let sids = vec![SemanticId::from([0, 1]), SemanticId::from([1, 0])];
//! let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0)?, sids)?;
//! assert_eq!(catalog.num_items(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | name | holds |
//! |---|---|
//! | [`sid`] | codes, Semantic IDs, catalogue, trie |
//! | [`quantizer`] | item vectors → Semantic IDs |
//! | [`data`] | readers, datasets, filters, splits, audits |
//! | [`prompts`] | prompts, tasks, mixtures |
//! | [`teacher`] | texts about items and users by a teacher |
//! | [`files`] | files that appear whole, locks on folders |
//! | [`gguf`] | a reader of GGUF files |
//! | [`rl`] | rewards, advantages, objectives, curricula |
//! | [`metrics`] | ranking metrics, intervals, reports |
//! | [`page`] | HTML reports with plots |
//! | [`device`] | CPU or CUDA by name |
//! | [`policy`] | language models, constrained decoding |
//! | [`baselines`] | recommenders to compare with |
//! | [`train`] | training loops, checkpoints, ranking |
//! | [`lab`] | recipes, whole runs, evaluation, reports |
//!
//! # Features
//! - `parquet`: tables in parquet, by `data::read::recif` and `data::read::tabular`.
//! - `page`: the report of prepared data as an HTML page.
//! - `http`: `teacher::OpenAiTeacher`, which asks an endpoint over HTTP.

pub use sidereal_baselines as baselines;
pub use sidereal_data as data;
pub use sidereal_device as device;
pub use sidereal_files as files;
pub use sidereal_gguf as gguf;
pub use sidereal_lab as lab;
pub use sidereal_metrics as metrics;
pub use sidereal_page as page;
pub use sidereal_policy as policy;
pub use sidereal_prompts as prompts;
pub use sidereal_quantizer as quantizer;
pub use sidereal_rl as rl;
pub use sidereal_sid as sid;
pub use sidereal_teacher as teacher;
pub use sidereal_train as train;
