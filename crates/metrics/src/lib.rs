//! Metrics for recommenders: functions over slices, accumulators that merge, intervals over users,
//! paired tests, and reports that state their protocol.
//!
//! Use this crate with any system that ranks items or draws samples. It does not depend on
//! models, datasets or tensors.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sidereal_metrics::{Bootstrap, BootstrapConfig, Metric, Placement, RankingRun, rank_of};
//!
//! const K: NonZeroUsize = NonZeroUsize::new(2).unwrap();
//! let lists = [["pen", "ink"], ["cup", "pen"], ["ink", "cup"]];
//! let targets = ["pen", "pen", "pen"]; // at rank 1, at rank 2, not ranked
//! let run: RankingRun = (0..)
//!     .zip(lists.iter().zip(targets))
//!     .map(|(sample, (list, target))| (sample, Placement::from(rank_of(list, &target))))
//!     .collect();
//!
//! let bootstrap = Bootstrap::try_from(BootstrapConfig::new(7))?;
//! let values = run.evaluate(&[Metric::HitRate(K), Metric::Mrr(K)], &bootstrap)?;
//! assert_eq!(values[0].value, 2.0 / 3.0);
//! assert_eq!(values[1].value, (1.0 + 0.5) / 3.0);
//! # Ok::<(), sidereal_metrics::MetricError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `placement` | [`Placement`]: the place of the target, with ties and shared Semantic IDs |
//! | `ranking` | [`hit_rate`], [`ndcg`], [`mrr`], [`RankHistogram`] |
//! | `relevance` | [`Relevance`]: recall, precision, NDCG, MAP, MRR of several relevant items a user |
//! | `pass_at_k` | [`pass_at_k`], [`best_of_k`], [`Draws`]: metrics of several answers drawn for one prompt |
//! | `diversity` | [`entropy`], [`ExposureCounts`] (coverage, Gini) |
//! | `cold_start` | [`ColdItems`]: the least frequent items of the training data |
//! | `auc` | [`auc`] |
//! | `mean` | [`Mean`]: sum and count |
//! | `interval` | [`Bootstrap`], [`Interval`], [`PairedTest`] |
//! | `fit` | [`PolynomialFit`]: a line or a curve of least squares, with R² |
//! | `metric`, `average` | [`Metric`]: the name of a value, `NDCG@10`; [`Average`]: the mean of several |
//! | `run` | [`RankingRun`], [`SamplingRun`]: placements, or drawn answers, of one system by sample |
//! | `consistency` | [`check_consistency`]: rejects values that no ranking can have |
//! | `protocol` | [`Protocol`]: how a number was measured |
//! | `report` | [`Report`]: systems × metrics, as text and through serde |
//! | `page` | a report's tables and plots on an HTML page |
//!
//! # Conventions
//! Ranks count from one. Every metric of a share or gain lies in `[0, 1]`; entropies are in nats.
//! There is one target per user, except in [`Relevance`], so `Recall@k` equals [`hit_rate`]. A mean divides once, by the number of
//! users that were pushed.
//!
//! # Features
//! - `text` (default): a [`Report`] displays as text tables; without it, it is read, checked and
//!   written all the same.
//! - `rayon`: bootstrap resamples on all cores; every resample has its own random stream, so the
//!   numbers are the same without it.
//! - `page`: `Report::push_to` adds a report to a page of `sidereal-page`.

mod auc;
mod average;
mod cold_start;
mod consistency;
mod diversity;
mod error;
mod fit;
mod interval;
mod mean;
mod metric;
#[cfg(feature = "page")]
mod page;
mod pass_at_k;
mod placement;
mod protocol;
mod ranking;
mod relevance;
mod report;
mod run;

pub use auc::auc;
pub use average::Average;
pub use cold_start::ColdItems;
pub use consistency::check_consistency;
pub use diversity::{ExposureCounts, entropy};
pub use error::MetricError;
pub use fit::PolynomialFit;
pub use interval::{Bootstrap, BootstrapConfig, Interval, PairedTest};
pub use mean::Mean;
pub use metric::{Metric, MetricSource};
pub use pass_at_k::{Draws, best_of_k, pass_at_k};
pub use placement::{Placement, rank_of};
pub use protocol::{Candidates, Chains, EvaluationSplit, Level, Protocol, ScoreKind, SeenItems};
pub use ranking::{RankHistogram, hit_rate, mrr, ndcg};
pub use relevance::Relevance;
pub use report::{MetricValue, Note, Report, Row};
pub use run::{Outcome, RankingRun, Run, SamplingRun};
