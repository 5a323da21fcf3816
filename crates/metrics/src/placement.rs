//! The place of the target in a ranking.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// The rank of the target among the recommended items, as far as the system decides it.
///
/// A system that scores several items alike has not ordered them. Its metrics are then expected
/// values over the undecided order; breaking ties by item id instead leaks the answer, because the
/// ids of public files follow first appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Placement {
    /// Not ranked at all.
    #[default]
    Absent,
    /// At this 1-based rank.
    At(NonZeroUsize),
    /// In a block of `count` items whose order is undecided, which starts at rank `first`: every
    /// rank `first, …, first + count − 1` has probability `1 / count`.
    Tied {
        /// 1-based rank of the block's first item.
        first: NonZeroUsize,
        /// Items in the block, the target among them.
        count: NonZeroUsize,
    },
    /// At `rank` with probability `1 / count`, else absent: the place holds a Semantic ID that
    /// `count` items share, and the system shows one of them, drawn uniformly.
    Drawn {
        /// 1-based rank of the shared Semantic ID.
        rank: NonZeroUsize,
        /// Items that share the Semantic ID, the target among them.
        count: NonZeroUsize,
    },
}

impl Placement {
    /// The placement of item `target` when items are ranked by falling score.
    ///
    /// Equal scores tie. An item whose score is `−∞` or NaN is out of the ranking: as the target it
    /// is [`Absent`](Self::Absent), and it is never before another item. Returns `None` if `target`
    /// has no score.
    ///
    /// ```
    /// use sidereal_metrics::{Placement, hit_rate};
    /// use std::num::NonZeroUsize;
    /// let placement = Placement::from_scores(&[0.5, 0.9, 0.5], 2).unwrap(); // rank 2 or 3
    /// assert_eq!(hit_rate(placement, NonZeroUsize::new(2).unwrap()), 0.5);
    /// ```
    #[must_use]
    #[allow(clippy::float_cmp, reason = "only scores that are exactly equal tie")]
    pub fn from_scores(scores: &[f32], target: usize) -> Option<Self> {
        let own = *scores.get(target)?;
        if own.is_nan() || own == f32::NEG_INFINITY {
            return Some(Self::Absent);
        }
        let (mut above, mut equal) = (0, 0);
        for part in scores.chunks(1 << 16) {
            // Narrow counters: a processor adds up more of them at once.
            above += part.iter().map(|score| u32::from(*score > own)).sum::<u32>() as usize;
            equal += part.iter().map(|score| u32::from(*score == own)).sum::<u32>() as usize;
        }
        Some(Self::tied(above, NonZeroUsize::new(equal).unwrap_or(NonZeroUsize::MIN)))
    }

    /// The placement of an item in an unordered block of `count` items, with `num_before` items
    /// before the block.
    ///
    /// This is the item-level placement if all Semantic IDs of a beam are resolved to all their
    /// items: `num_before` is the number of items of the better Semantic IDs.
    #[must_use]
    pub fn tied(num_before: usize, count: NonZeroUsize) -> Self {
        let first = NonZeroUsize::MIN.saturating_add(num_before);
        if count == NonZeroUsize::MIN { Self::At(first) } else { Self::Tied { first, count } }
    }

    /// The expected value of `gain(rank)` over the ranks up to `k`.
    pub(crate) fn expected(self, k: NonZeroUsize, gain: impl Fn(usize) -> f64) -> f64 {
        match self {
            Self::At(rank) if rank <= k => gain(rank.get()),
            Self::Drawn { rank, count } if rank <= k => gain(rank.get()) / count.get() as f64,
            Self::Absent | Self::At(_) | Self::Drawn { .. } => 0.0,
            Self::Tied { first, count } => {
                let last = first.get().saturating_add(count.get() - 1).min(k.get());
                (first.get()..=last).map(gain).sum::<f64>() / count.get() as f64
            }
        }
    }
}

impl From<NonZeroUsize> for Placement {
    fn from(rank: NonZeroUsize) -> Self {
        Self::At(rank)
    }
}

/// `None` is [`Placement::Absent`].
impl From<Option<NonZeroUsize>> for Placement {
    fn from(rank: Option<NonZeroUsize>) -> Self {
        rank.map_or(Self::Absent, Self::At)
    }
}

/// The 1-based rank of `target` in a ranked list, best first; `None` if it is not there.
///
/// A list that repeats the target counts its best place.
///
/// ```
/// assert_eq!(sidereal_metrics::rank_of(&["pen", "cup"], &"cup").map(|r| r.get()), Some(2));
/// ```
#[must_use]
pub fn rank_of<T: PartialEq>(ranked: &[T], target: &T) -> Option<NonZeroUsize> {
    ranked.iter().position(|item| item == target).map(|p| NonZeroUsize::MIN.saturating_add(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(value: usize) -> NonZeroUsize {
        NonZeroUsize::new(value).unwrap()
    }

    #[test]
    fn scores_that_tie_share_their_ranks() {
        let scores = [1.0, 3.0, 2.0, 2.0, f32::NEG_INFINITY, f32::NAN];
        assert_eq!(Placement::from_scores(&scores, 1), Some(Placement::At(n(1))));
        assert_eq!(
            Placement::from_scores(&scores, 2),
            Some(Placement::Tied { first: n(2), count: n(2) })
        );
        assert_eq!(Placement::from_scores(&scores, 0), Some(Placement::At(n(4))));
        assert_eq!(Placement::from_scores(&scores, 4), Some(Placement::Absent));
        assert_eq!(Placement::from_scores(&scores, 5), Some(Placement::Absent));
        assert_eq!(Placement::from_scores(&scores, 6), None);
    }

    #[test]
    fn an_enormous_tie_does_not_overflow() {
        let placement = Placement::Tied { first: n(usize::MAX), count: n(usize::MAX) };
        assert!(placement.expected(n(10), |_| 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_place_in_a_list_counts_from_one_and_takes_the_best() {
        let list = ["pen", "cup", "ink", "cup"];
        assert_eq!(rank_of(&list, &"cup"), Some(n(2)));
        assert_eq!(rank_of(&list, &"pen"), Some(n(1)));
        assert_eq!(rank_of(&list, &"tea"), None);
    }

    #[test]
    fn gains_are_expected_over_what_is_undecided() {
        let gain = |rank: usize| 10.0 / rank as f64;
        let expected = |placement: Placement, k| placement.expected(n(k), gain);
        for (placement, k, value) in [
            (Placement::Absent, 5, 0.0),
            (Placement::At(n(2)), 2, 5.0),
            (Placement::At(n(2)), 1, 0.0),
            (Placement::Drawn { rank: n(2), count: n(4) }, 2, 1.25),
            (Placement::Drawn { rank: n(2), count: n(4) }, 1, 0.0),
            // Ranks 1 and 2 of a block of two, then only the first.
            (Placement::Tied { first: n(1), count: n(2) }, 9, 7.5),
            (Placement::Tied { first: n(1), count: n(2) }, 1, 5.0),
            (Placement::Tied { first: n(5), count: n(2) }, 4, 0.0),
        ] {
            assert!((expected(placement, k) - value).abs() < 1e-12, "{placement:?} at {k}");
        }
        assert_eq!(Placement::tied(3, n(1)), Placement::At(n(4)));
        assert_eq!(Placement::tied(0, n(2)), Placement::Tied { first: n(1), count: n(2) });
        assert_eq!(
            [None, Some(n(2))].map(Placement::from),
            [Placement::Absent, Placement::At(n(2))]
        );
    }
}
