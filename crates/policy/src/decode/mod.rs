//! Writing Semantic IDs under a trie.

mod beam;
mod constraint;

pub use beam::{BeamSearch, Hypothesis};
pub use constraint::{Constraint, Scoring};
