//! Gets texts about items and users from a teacher, checks them, and pays for each only once.
//!
//! ```text
//! item-paragraph   analyse the item, integrate               two requests (SIDReasoner)
//! item-description rewrite title, description and reviews     one request (GREAM)
//! user-narrative   reason towards the held-out item without
//!                  revealing it, integrate                   two requests (SIDReasoner)
//! monologue        the first of these two requests alone     one request (SIDReasoner)
//! preference       sum the history up                        one request (GREAM)
//! reasoning        evidence, preferences, intent, the
//!                  history rewritten                         one request, four labels (GREAM)
//! ```
//! A [`Teacher`] answers one [`Request`]. An [`Enricher`] requests all texts, several at the same
//! time, within limits of rate and spending. It checks every answer: Semantic IDs must exist and must
//! have been shown, the held-out item must not be named, tags must be well formed, and the length must
//! be allowed. If an answer fails a check, it is requested again with the reason. An [`AnswerCache`]
//! holds every whole answer, accepted or not, by its request. So an interrupted run goes on where it
//! stopped and pays for nothing twice.
//!
//! [`MetadataTeacher`] composes texts by rule from titles, categories, makers and descriptions: it
//! needs no network and costs nothing, but in the tables of the papers it is the weakest teacher. `OpenAiTeacher`
//! (feature `http`) asks any endpoint that speaks `OpenAI`'s chat completions. A language model on this machine needs
//! libtorch, so its adapter is `LocalTeacher` of `sidereal-lab`.
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
//! Events come only from a training set, so no text is about a validation or test target of its
//! user.
//!
//! | module | holds |
//! |---|---|
//! | `answer` | [`Teacher`]: anything that answers a [`Request`]; [`Answer`], [`AskError`] |
//! | `job` | [`Job`]: a text to be written; the [`RequestStage`]s it takes, the [`Subject`] it is about |
//! | `prompts` | [`TeacherPrompts`]: the words of a request, versioned and hashed |
//! | `enricher`, `config`, `progress` | [`Enricher`]: the run, its settings and its results |
//! | `check` | [`Rejection`]: why an answer is rejected |
//! | `cache` | [`AnswerCache`]: answers by their requests |
//! | `budget`, `limiter` | limits of spending and of rate |
//! | `metadata` | [`MetadataTeacher`]: texts by rule |
//! | `openai`, `stream` | `OpenAiTeacher`, with the feature `http` |
//!
//! # Features
//! - `http`: `OpenAiTeacher`, which asks an endpoint over HTTP.
//!
//! # References
//! The tasks of `SIDReasoner` and GREAM as their papers describe them, in our own words. GREAM's chain
//! is asked for in one request, whose answer holds the three steps of its appendix C and the rewritten
//! history under labels. The recommendation, one of the five stages of its section 4.2, is there the
//! sentence with the answer, which the prompts write.

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
