//! Texts about items and users by a teacher: asked for, checked, paid for once.
//!
//! ```text
//! item-paragraph   analyse the item, integrate               two requests (SIDReasoner)
//! user-narrative   reason towards the held-out item without
//!                  revealing it, integrate                   two requests (SIDReasoner)
//! preference       sum the history up                        one request (GREAM)
//! reasoning        evidence, preferences, intent,
//!                  recommendation, rewriting                 one request, five labels (GREAM)
//! ```
//! A [`Teacher`] answers one [`Request`]; an [`Enricher`] asks for all texts, several requests at
//! once, within limits of rate and spending, and checks every answer: Semantic IDs exist and were
//! shown, the held-out item is not named, tags are well formed, lengths are kept. What fails a
//! check is asked for again with the reason. An [`AnswerCache`] holds every whole answer, accepted
//! or not, by what was asked, so that a killed run goes on where it was and pays for nothing twice.
//!
//! [`MetadataTeacher`] composes texts by rule from titles, categories, makers and descriptions: it
//! needs no network and costs nothing; in the papers' tables it is the weakest row. `OpenAiTeacher`
//! (feature `http`) asks any endpoint that speaks `OpenAI`'s chat completions.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sidereal_teacher::{EnrichConfig, Enricher, Job, MetadataTeacher};
//! use sidereal_data::{Dataset, Item, ItemId, User, leave_one_out};
//! use sidereal_prompts::EnrichmentKind;
//! use sidereal_sid::{Catalog, SemanticId, SidSpec};
//!
//! let items = ["Green tea", "Steel tea kettle", "Bamboo tea whisk"].map(|t| Item::new(t, t));
//! let events = [0, 1, 2, 0].map(ItemId).to_vec();
//! let dataset = Dataset::new(items.to_vec(), vec![User::new("ann", events)])?;
//! let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec();
//! let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0)?, sids)?;
//! let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
//!
//! let enricher = Enricher::new(&dataset, &catalog, EnrichConfig::new(1))?;
//! let jobs: Vec<Job<'_>> = Job::events(EnrichmentKind::Preference, &split.train).collect();
//! let enriched = enricher.run(&MetadataTeacher, None, &jobs, &mut |_| {})?;
//! assert_eq!(enriched.enrichments.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Events come from a training set alone, so that no text speaks of a validation or test target
//! of its user.
//!
//! | module | holds |
//! |---|---|
//! | `answer` | [`Teacher`]: whoever answers a [`Request`]; [`Answer`], [`AskError`] |
//! | `job` | [`Job`]: a text to be written; the [`RequestStage`]s it takes, the [`Subject`] it is about |
//! | `prompts` | [`TeacherPrompts`]: the words of a request, versioned and hashed |
//! | `enricher`, `config`, `progress` | [`Enricher`]: the run, its settings, what came of it |
//! | `check` | [`Rejection`]: why an answer is no text |
//! | `cache` | [`AnswerCache`]: answers by what was asked |
//! | `budget`, `limiter` | limits of spending and of rate |
//! | `metadata` | [`MetadataTeacher`]: texts by rule |
//! | `openai`, `stream` | `OpenAiTeacher`, with the feature `http` |
//!
//! # Features
//! - `http`: `OpenAiTeacher`, which asks an endpoint over HTTP.
//!
//! # References
//! The tasks of `SIDReasoner` and GREAM as their papers describe them, in our own words. Open there:
//! GREAM's five stages are one request here, whose answer holds them under five labels, because
//! five requests cost five times the history.

mod answer;
mod budget;
mod cache;
mod check;
mod config;
mod enricher;
mod error;
mod job;
mod limiter;
mod metadata;
#[cfg(feature = "http")]
mod openai;
mod progress;
mod prompts;
#[cfg(feature = "http")]
mod stream;
mod wording;

pub use answer::{Answer, AskError, AskErrorKind, Finish, Request, Sampling, Teacher, Usage};
pub use cache::{AnswerCache, Durability};
pub use check::Rejection;
pub use config::{EnrichConfig, Prices};
pub use enricher::Enricher;
pub use error::TeacherError;
pub use job::{Job, RequestStage, Shown, Subject};
pub use metadata::MetadataTeacher;
#[cfg(feature = "http")]
pub use openai::{EndpointConfig, OpenAiTeacher};
pub use progress::{Enriched, Failed, Progress, Reason, Stopped};
pub use prompts::TeacherPrompts;
