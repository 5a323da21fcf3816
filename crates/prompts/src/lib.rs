//! Samples as text: prompts, tasks, and the order in which training sees them.
//!
//! Training, evaluation and serving use one registry of prompts, which are named, versioned and
//! hashed. The crate needs no tensor library and no tokenizer: it ends at the text of a prompt and
//! its completion.
//!
//! ```
//! use std::num::NonZeroUsize;
//! use sidereal_data::{Dataset, Item, ItemId, User, leave_one_out};
//! use sidereal_prompts::{PromptRegistry, Task, Tasks, Wording};
//! use sidereal_sid::{Catalog, SemanticId, SidSpec};
//!
//! let items = ["Green tea", "Tea kettle", "Tea whisk"].map(|title| Item::new(title, title));
//! let user = User::new("ann", [0, 1, 2, 0].map(ItemId).to_vec());
//! let dataset = Dataset::new(items.to_vec(), vec![user])?;
//! let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
//! let sids = [[0, 0], [0, 1], [1, 0]].map(SemanticId::from).to_vec(); // a quantiser makes them
//! let catalog = Catalog::new(SidSpec::new(vec![2, 2], 0)?, sids)?;
//!
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
//! | `registry`, `set`, `template` | [`PromptRegistry`]: [`PromptSet`]s of versioned [`Template`]s, checked and hashed |
//! | `task` | [`Task`]: the kinds of prompts; [`Facts`] and [`Variable`]s that its templates show |
//! | `message` | [`Prompt`], [`Message`], [`Segment`]: what a model reads and writes |
//! | `wording` | [`Wording`]: which paraphrase a sample gets |
//! | `reasoning`, `rewriting` | [`ReasoningFrame`]: what opens and closes a chain of thought; [`REWRITING`]: its last part |
//! | `item_mark` | [`PromptSet::item_mark`]: where a recommendation head scores items |
//! | `tasks` | [`Tasks`]: samples as text, [`Rendered`]; [`Pools`] of candidates |
//! | `enrichment`, `enrichment_kind` | [`Enrichments`]: what teachers wrote about items and users |
//! | `control`, `markers` | [`control_tokens`], [`ControlMarkers`]: what a text must not contain, by shape and by tokenizer |
//! | `chat`, `exercises` | [`Chat`]: general conversations to mix in; [`exercises`] by rule |
//! | `ability` | [`ability_questions`] with rules that check an answer: [`AbilityCheck`] |
//! | `mixing` | [`Shuffle`], [`Mixture`]: the order of training over one source or several, in shards, resumable mid-epoch |
//!
//! # References
//! SINGER's alignment tasks, and the tasks of `SIDReasoner`, GREAM, SAGE and S-DPO as their papers
//! describe them.

mod ability;
mod chat;
mod control;
mod enrichment;
mod enrichment_kind;
mod error;
mod exercises;
mod item_mark;
mod markers;
mod message;
mod mixing;
mod reasoning;
mod registry;
mod rewriting;
mod set;
mod task;
mod tasks;
mod template;
mod verdict;
mod wording;

pub use ability::{AbilityCheck, AbilityKind, AbilityQuestion, ability_questions};
pub use chat::Chat;
pub use control::{ControlKind, control_tokens, without_codes};
pub use enrichment::{Enrichment, Enrichments, LoadedEnrichments};
pub use enrichment_kind::EnrichmentKind;
pub use error::PromptError;
pub use exercises::exercises;
pub use markers::ControlMarkers;
pub use message::{Format, Message, Prompt, Role, Segment, SegmentKind};
pub use mixing::{
    Amount, Batches, CurriculumStage, Cursor, Insertion, MixError, Mixture, MixtureRow, Shard,
    Shuffle,
};
pub use reasoning::ReasoningFrame;
pub use registry::{END_OF_TURN, PromptRegistry};
pub use rewriting::REWRITING;
pub use set::PromptSet;
pub use task::{Facts, Task, TaskError, Variable};
pub use tasks::{PoolConfig, Pools, Rendered, Tasks};
pub use template::{Piece, PromptSpec, Template};
pub use verdict::{NO, YES};
pub use wording::Wording;
