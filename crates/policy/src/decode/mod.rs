//! Writing Semantic IDs under a trie.

mod beam;
mod constraint;

pub use beam::{BeamSearch, Hypothesis, KeptPrefix};
pub use constraint::{Constraint, Scoring};
