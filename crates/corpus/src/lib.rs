//! Datasets, splits, prompts and tasks for generative recommendation.
//!
//! From files as they are published to samples that can be trusted: identities that leak nothing,
//! training, validation and test sets of three different types, and one registry of prompts for
//! training, evaluation and serving. No tensor library; a tokenizer takes over where this crate
//! ends, at the text of a prompt and its completion.
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//! use std::path::Path;
//! use sidereal_corpus::read::recbole::{ReadOptions, read};
//! use sidereal_corpus::{PromptRegistry, Task, Tasks, Wording, leave_one_out};
//! use sidereal_sid::Catalog;
//!
//! let files = (Path::new("shop.inter"), Path::new("shop.item"));
//! let dataset = read(files.0, files.1, &ReadOptions::new(42))?.dataset;
//! let split = leave_one_out(&dataset, NonZeroUsize::new(20).unwrap())?;
//! let catalog = Catalog::load(Path::new("catalog.json"))?; // a quantiser made it
//! let prompts = PromptRegistry::builtin()?;
//! let tasks = Tasks::new(&dataset, &catalog, prompts.set("singer")?)?;
//! let wording = Wording::Varied { seed: 42, epoch: 0 };
//! for row in tasks.train(&split.train, &[Task::NextItem, Task::TitleToSid], wording) {
//!     let row = row?;
//!     println!("{} {:?} -> {}", row.id, row.prompt, row.completion_text());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `dataset` | [`Dataset`]: [`Item`]s, [`User`]s and their events, hashed |
//! | `domains` | [`Dataset::union`]: several datasets as one, each a domain of its own; [`Domains`] |
//! | `find` | [`Dataset::find`]: an item by what a person calls it |
//! | [`read`] | Amazon 2014, 2018 and 2023, `MiniOneRec`, LC-Rec and LETTER, `RecBole`, `RecIF-Bench`; the policy on rows with problems |
//! | `interactions`, `keys` | [`Interactions`]: who chose what when, before it is a dataset |
//! | [`filter`] | k-core, time window, longest title |
//! | [`prepare`](mod@prepare) | raw files to a split dataset by a [`Recipe`](prepare::Recipe), each step accounted for |
//! | [`write`](mod@write) | `RecBole`'s atomic files, samples as CSV |
//! | `time` | [`Timestamp`]: milliseconds since 1970 in UTC |
//! | `sample` | [`SampleId`], [`Sample`]: one prediction to make |
//! | `split` | [`leave_one_out`], [`global_time`], [`user_split`] into [`TrainSet`], [`ValidSet`], [`TestSet`] |
//! | `statistics` | [`Statistics`]: counts and spreads, held against [`Expected`] ones |
//! | `audit` | [`audit`](fn@audit): the usual leaks, counted |
//! | `prompts` | [`PromptRegistry`]: [`PromptSet`]s of versioned [`Template`]s, checked and hashed |
//! | `enrichment` | [`Enrichments`]: what teachers wrote about items and users |
//! | [`teacher`] | whoever writes them: prompts, checks, cache, limits of rate and spending |
//! | `tasks` | [`Tasks`]: samples as text, [`Rendered`]; [`Pools`] of candidates |
//! | `markers` | [`ControlMarkers`]: what a text may not hold, by shape and by tokenizer |
//! | `chat` | [`Chat`]: general conversations to mix in |
//! | `negatives` | [`Negatives`]: items not chosen, by chance, popularity or common codes |
//! | `mixing` | [`Shuffle`], [`Mixture`]: the order of training over one source or several, in shards, resumable mid-epoch |
//! | [`synthetic`] | a shop whose best possible hit rate is known |
//! | `strategies` | property-test strategies (feature `proptest`) |
//!
//! # Conventions
//! `N` items. Events are ordered earliest first, positions count from 0, lines of files from 1.
//!
//! # References
//! - SINGER's alignment tasks; leave-one-out as in `SASRec`,
//!   [arXiv:1808.09781](https://arxiv.org/abs/1808.09781) §IV-A
//!
//! # Features
//! - `page`: the report of prepared data as an HTML page.
//! - `parquet`: the reader of tables in parquet, `read::recif`.
//! - `teacher`: `teacher::OpenAiTeacher`, which asks an endpoint over HTTP.
//! - `proptest`: the module `strategies`, for property tests of code that consumes datasets.

mod audit;
mod chat;
mod control;
mod dataset;
mod domains;
mod enrichment;
mod error;
pub mod filter;
mod find;
mod interactions;
mod keys;
mod markers;
mod mixing;
mod negatives;
#[cfg(feature = "page")]
mod page;
pub mod prepare;
mod prompts;
pub mod read;
mod sample;
mod split;
mod statistics;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod synthetic;
mod tasks;
pub mod teacher;
mod time;
pub mod write;

pub use audit::{Audit, CrossUserFuture, IdentityOrder, audit};
pub use chat::Chat;
pub use control::without_codes;
pub use dataset::{Dataset, Item, User, UserId};
pub use domains::{DomainId, Domains};
pub use enrichment::{Enrichment, EnrichmentKind, Enrichments, LoadedEnrichments};
pub use error::CorpusError;
pub use interactions::{Assembly, Interaction, Interactions, Numbering};
pub use keys::Keys;
pub use markers::ControlMarkers;
pub use mixing::{
    Amount, Batches, Cursor, Insertion, MixError, Mixture, Row, Shard, Shuffle, Stage,
};
pub use negatives::{NegativeKind, Negatives};
pub use prompts::{
    END_OF_TURN, Facts, Format, Message, Piece, Prompt, PromptError, PromptRegistry, PromptSet,
    PromptSpec, Role, Segment, SegmentKind, Task, TaskError, Template, ThoughtFrame, Variable,
    Wording,
};
pub use sample::{Sample, SampleId, SampleIdError};
#[doc(no_inline)]
pub use sidereal_sid::ItemId;
pub use split::{
    HeldOut, Protocol, Shares, Split, TestSet, TrainSet, UserSequence, ValidSet, global_time,
    leave_one_out, user_split,
};
pub use statistics::{Difference, Expected, Spread, Statistics};
pub use tasks::{PoolConfig, Pools, Rendered, Tasks};
pub use time::{Timestamp, TimestampError};
