//! Ragged arrays: where each group's rollouts and each rollout's tokens begin and end.

use std::ops::Range;

use crate::RlError;

/// Consecutive segments of a flat array: the rollouts of each group, or the tokens of each rollout.
///
/// Segment `i` covers `offsets[i]..offsets[i + 1]`. Segments may be empty and need not be equally
/// long: a group drawn under a guiding prefix is smaller than `G`, a Semantic ID may carry a suffix.
///
/// ```
/// use sidereal_rl::Segments;
///
/// let groups = Segments::from_lens([2, 0, 3]);
/// assert_eq!(groups.offsets(), [0, 2, 2, 5]);
/// assert_eq!(groups.iter().nth(2), Some(2..5));
/// assert_eq!((groups.len(), groups.total()), (3, 5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// `[segments + 1]`, first 0, never falling.
    offsets: Vec<usize>,
}

impl Segments {
    /// The segments between these offsets.
    ///
    /// # Errors
    /// [`RlError::Offsets`] unless the offsets start with 0 and never fall.
    pub fn new(offsets: Vec<usize>) -> Result<Self, RlError> {
        let Some(first) = offsets.first().copied() else {
            return Err(RlError::Offsets { index: 0, found: 0, needed: "at least one".into() });
        };
        if first != 0 {
            return Err(RlError::Offsets { index: 0, found: first, needed: "0".into() });
        }
        if let Some(at) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            let needed = format!("at least {}", offsets[at]);
            return Err(RlError::Offsets { index: at + 1, found: offsets[at + 1], needed });
        }
        Ok(Self { offsets })
    }

    /// Segments of these lengths; a total beyond `usize` saturates.
    #[must_use]
    pub fn from_lens(lens: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = vec![0];
        let mut end = 0usize;
        for len in lens {
            end = end.saturating_add(len);
            offsets.push(end);
        }
        Self { offsets }
    }

    /// `count` segments of `len` each.
    #[must_use]
    pub fn uniform(count: usize, len: usize) -> Self {
        Self::from_lens(std::iter::repeat_n(len, count))
    }

    /// Number of segments.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no segment.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of the flat array.
    #[must_use]
    pub fn total(&self) -> usize {
        self.offsets[self.len()] // there is one offset more than segments
    }

    /// The offsets, `[segments + 1]`.
    #[must_use]
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The range of each segment in the flat array.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Segment and position within it of the flat index `at`.
    pub(crate) fn locate(&self, at: usize) -> (usize, usize) {
        let segment = self.offsets.partition_point(|start| *start <= at).saturating_sub(1);
        (segment, at - self.offsets[segment])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_must_start_at_zero_and_never_fall() {
        assert!(Segments::new(vec![]).is_err());
        assert!(Segments::new(vec![1, 2]).is_err());
        let falls = Segments::new(vec![0, 3, 2]).unwrap_err();
        assert!(falls.to_string().contains("offset 2 is 2"), "{falls}");
        assert_eq!(Segments::new(vec![0, 0, 4]).unwrap(), Segments::from_lens([0, 4]));
    }

    #[test]
    fn locate_skips_empty_segments() {
        let segments = Segments::from_lens([2, 0, 3]);
        assert_eq!(segments.locate(1), (0, 1));
        assert_eq!(segments.locate(2), (2, 0));
        assert_eq!(segments.locate(4), (2, 2));
    }

    #[test]
    fn segments_of_lengths_tell_offsets_ranges_and_totals() {
        let segments = Segments::from_lens([2, 0, 3]);
        assert_eq!(segments.offsets(), [0, 2, 2, 5]);
        assert_eq!(segments.iter().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!((segments.len(), segments.total(), segments.is_empty()), (3, 5, false));
        assert_eq!(Segments::uniform(2, 3), Segments::from_lens([3, 3]));
        assert!(Segments::from_lens([]).is_empty());
        let falls = Segments::new(vec![0, 3, 2]).unwrap_err();
        assert_eq!(falls, RlError::Offsets { index: 2, found: 2, needed: "at least 3".into() });
    }
}
