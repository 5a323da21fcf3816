//! Codes, Semantic IDs and item identities.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// One entry of a Semantic ID: the index of a centroid in its level's codebook.
pub type Code = u16;

/// Dense identity of an item: its row in every matrix and list of a run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ItemId(pub u32);

impl ItemId {
    /// The identity as an index into item-major arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An item's code sequence, coarse to fine; length may differ between items (suffix codes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SemanticId(Box<[Code]>);

impl SemanticId {
    /// A Semantic ID of these codes, coarsest first.
    #[must_use]
    pub fn new(codes: impl Into<Box<[Code]>>) -> Self {
        Self(codes.into())
    }

    /// The codes, coarsest first.
    #[must_use]
    pub fn codes(&self) -> &[Code] {
        &self.0
    }

    /// Length `ℓ` of the longest common prefix with another code sequence.
    ///
    /// ```
    /// use sidereal_sid::SemanticId;
    /// assert_eq!(SemanticId::from([1, 2, 3]).common_prefix(&[1, 2, 4]), 2);
    /// ```
    #[must_use]
    pub fn common_prefix(&self, other: &[Code]) -> usize {
        self.0.iter().zip(other).take_while(|(a, b)| a == b).count()
    }
}

impl Deref for SemanticId {
    type Target = [Code];

    fn deref(&self) -> &[Code] {
        &self.0
    }
}

impl<const L: usize> From<[Code; L]> for SemanticId {
    fn from(codes: [Code; L]) -> Self {
        Self(Box::new(codes))
    }
}

impl From<Vec<Code>> for SemanticId {
    fn from(codes: Vec<Code>) -> Self {
        Self(codes.into())
    }
}

impl FromIterator<Code> for SemanticId {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        Self(codes.into_iter().collect())
    }
}

/// `<a_12><b_5><c_99>`: the notation that the tokens use.
impl fmt::Display for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(level, code)| crate::notation::write_token(f, level, *code))
    }
}

impl fmt::Debug for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_prefix_stops_at_the_shorter_sequence() {
        let sid = SemanticId::from([7, 8]);
        assert_eq!(sid.common_prefix(&[7, 8, 9]), 2);
        assert_eq!(sid.common_prefix(&[]), 0);
        assert_eq!(sid.common_prefix(&[8, 8]), 0);
    }

    #[test]
    fn display_is_the_token_notation() {
        let sid = SemanticId::from([0, 255, 3, 1]);
        assert_eq!(sid.to_string(), "<a_0><b_255><c_3><d_1>");
        assert_eq!(format!("{sid:?}"), "<a_0><b_255><c_3><d_1>");
    }

    #[test]
    fn a_level_beyond_the_alphabet_shows_as_a_question_mark() {
        let text = SemanticId::new(vec![5; 27]).to_string();
        assert!(text.ends_with("<y_5><z_5><?_5>"), "{text}");
    }

    #[test]
    fn collected_codes_are_the_semantic_ids_codes() {
        assert_eq!(SemanticId::from_iter([7, 0, 9]).codes(), [7, 0, 9]);
    }
}
