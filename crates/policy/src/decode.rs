//! Writing Semantic IDs and titles under a trie, and free text.

mod beam;
pub(crate) mod branches;
mod conditions;
pub(crate) mod constraint;
mod ground;
mod gumbel;
mod prior;
mod reason;
mod sample;
pub(crate) mod sampling;
mod slate;
mod text;
pub(crate) mod walk;

pub use beam::{BeamSearch, Hypothesis, KeptPrefix};
pub use branches::{Branches, ChildScores, Onward};
pub use conditions::{Conditions, Excluded};
pub use constraint::{Constraint, Scoring};
pub use ground::{Grounding, popularity_weighted};
pub use gumbel::DistinctRollout;
pub use prior::TriePrior;
pub use reason::{Chain, ChainEnd, ReasonedPrompts, Reasoner, ReasoningMarkers, merge_chains};
pub use sample::{Rollout, Sampler};
pub use sampling::SamplingConfig;
pub use slate::{Slate, SlateSampler};
pub use text::{Drawn, Text, TextEnd, TextSampler, WrittenToken};
pub use walk::Prefilled;
