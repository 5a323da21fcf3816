//! Datasets for recommendation: read, filtered, split and audited.
//!
//! This crate turns published files into samples that you can trust: item ids reveal nothing, and
//! training, validation and test sets have three different types. It needs no tensor library.
//! `sidereal-prompts` turns the samples into prompts.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sidereal_data::read::recbole::{ReadOptions, read};
//! use sidereal_data::synthetic::{Shop, ShopConfig};
//! use sidereal_data::{HeldOut as _, Statistics, audit, leave_one_out, write};
//!
//! // The synthetic shop stands for files of your own.
//! let dir = tempfile::tempdir()?;
//! let (interactions, items) = (dir.path().join("x.inter"), dir.path().join("x.item"));
//! let shop = Shop::new(ShopConfig::new(1).with_num_users(60))?.generate()?;
//! write::recbole::write(&shop, &interactions, &items)?;
//!
//! let dataset = read(&interactions, &items, &ReadOptions::new(42))?.dataset;
//! let split = leave_one_out(&dataset, NonZeroUsize::new(20).unwrap())?;
//! assert_eq!(split.test.num_samples(), 60);
//! assert_eq!(audit(&dataset, &split).targets_in_history, 0);
//! assert_eq!(Statistics::new(&dataset).users, 60);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `dataset`, `item`, `user` | [`Dataset`]: [`Item`]s, [`User`]s and their events, hashed |
//! | `behaviours` | [`Labels`]: what else a user did with an item, such as a like |
//! | `domains`, `union` | [`Dataset::union`]: several datasets as one, each of which is a domain; [`Domains`] |
//! | `find` | [`Dataset::find`]: an item by its key or title |
//! | [`read`] | Amazon 2014, 2018 and 2023, `MiniOneRec`, LC-Rec and LETTER, `RecBole`, `RecIF-Bench` and plain tables, each into [`ReadData`](read::ReadData); the policy on rows with problems |
//! | `interactions`, `keys`, `ties` | [`Interactions`]: who chose what when, before it is a dataset |
//! | [`filter`] | k-core, time window, longest title |
//! | [`prepare`](mod@prepare) | from raw files to a split dataset by a [`PrepareConfig`](prepare::PrepareConfig), with a report of each step |
//! | [`write`](mod@write) | `RecBole`'s atomic files, samples as CSV, items and Semantic IDs |
//! | `time` | [`Timestamp`]: milliseconds since 1970 in UTC |
//! | `sample` | [`SampleId`], [`Sample`]: one prediction to make |
//! | `split` | [`leave_one_out`], [`global_time`], [`user_split`] into [`TrainSet`], [`ValidSet`], [`TestSet`] |
//! | `negatives` | [`Negatives`]: items that a user did not choose: random, by popularity or by common codes |
//! | `statistics` | [`Statistics`]: counts and spreads, compared with [`Expected`] ones |
//! | `audit` | [`audit`](fn@audit): counts common leaks; [`EventOrder`]: orders that are artefacts of a file |
//! | `digest` | [`Digest`]: the hash of datasets, splits and prompts |
//! | [`synthetic`] | a shop whose best possible hit rate is known |
//! | `strategies` | property-test strategies (feature `proptest`) |
//!
//! # Conventions
//! `N` items. Events are ordered earliest first, positions count from 0, lines of files from 1.
//!
//! # References
//! - leave-one-out as in `SASRec`, [arXiv:1808.09781](https://arxiv.org/abs/1808.09781) §IV-A
//!
//! # Features
//! - `page`: the report of prepared data as an HTML page.
//! - `parquet`: tables in parquet: the reader `read::recif`, and `read::tabular` of such files.
//! - `proptest`: the module `strategies`, for property tests of code that consumes datasets.

mod audit;
mod behaviours;
mod dataset;
mod digest;
mod domains;
mod error;
pub mod filter;
mod find;
mod interactions;
mod item;
mod keys;
mod negatives;
#[cfg(feature = "page")]
mod page;
pub mod prepare;
mod query;
pub mod read;
mod sample;
mod split;
mod statistics;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod synthetic;
mod ties;
mod time;
mod union;
mod user;
pub mod write;

pub use audit::{Audit, CrossUserFuture, EqualTimes, EventOrder, IdentityOrder, audit};
pub use behaviours::Labels;
pub use dataset::Dataset;
pub use digest::Digest;
pub use domains::{DomainId, Domains};
pub use error::DataError;
pub use interactions::{Assembly, Interaction, Interactions, Numbering};
pub use item::Item;
pub use keys::Keys;
pub use negatives::{NegativeKind, Negatives};
pub use query::Query;
pub use sample::{Sample, SampleId, SampleIdError};
#[doc(no_inline)]
pub use sidereal_sid::ItemId;
pub use split::{
    HeldOut, Shares, Split, SplitProtocol, TestSet, TrainSet, UserSequence, ValidSet, global_time,
    leave_one_out, user_split,
};
pub use statistics::{Difference, Expected, Spread, Statistics};
pub use ties::Ties;
pub use time::{Timestamp, TimestampError};
pub use user::{User, UserId};
