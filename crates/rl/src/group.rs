//! The rollouts of one prompt.

use sidereal_sid::{ItemId, SemanticId};

/// One prompt's target and its rollouts, in generation order (a beam's best first).
///
/// A prompt is *hard* when no rollout of its unguided group hits the target. A group drawn again
/// under a prefix of the target does contain hits, so its hardness has to be carried over from the
/// first draw: [`with_hardness`](Self::with_hardness).
///
/// ```
/// use sidereal_rl::Group;
/// use sidereal_sid::SemanticId;
///
/// let target = SemanticId::from([1, 2, 3]);
/// let unguided = [SemanticId::from([1, 2, 9]), SemanticId::from([4, 2, 3])];
/// let first = Group::new(&target, &unguided);
/// assert!(first.is_hard());
/// assert_eq!(first.prefix_lens().collect::<Vec<_>>(), [2, 0]);
///
/// let guided = [SemanticId::from([1, 2, 3]), SemanticId::from([1, 2, 9])];
/// let second = Group::new(&target, &guided).with_hardness(first.is_hard());
/// assert!(second.is_hard() && second.hits().any(|hit| hit));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    target: &'a SemanticId,
    rollouts: &'a [SemanticId],
    texts: &'a [String],
    slates: Option<Slates<'a>>,
    /// Highest number of codes that count as levels.
    levels: usize,
    /// Position of the first hit; the number of rollouts if there is none.
    first_hit: usize,
    hard: bool,
}

/// The slates of a group, if its rollouts are slates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slates<'a> {
    /// The held-out item.
    pub target: ItemId,
    /// Items of each rollout, best first.
    pub items: &'a [Vec<ItemId>],
}

impl<'a> Group<'a> {
    /// The group of `rollouts` for a prompt whose answer is `target`, hard if none of them hits.
    ///
    /// A rollout that names no Semantic ID is an empty one (`SemanticId::default()`): it shares no
    /// prefix with any target and never hits.
    #[must_use]
    pub fn new(target: &'a SemanticId, rollouts: &'a [SemanticId]) -> Self {
        let hit = rollouts.iter().position(|rollout| is_hit(target, rollout));
        let first_hit = hit.unwrap_or(rollouts.len());
        let levels = usize::MAX;
        Self { target, rollouts, texts: &[], slates: None, levels, first_hit, hard: hit.is_none() }
    }

    /// The same group, in which only the first `levels` codes of a Semantic ID are levels of the
    /// quantizer. A suffix or a slot tells items with the same codes apart. It says nothing about their
    /// content, so rewards for a share of the levels do not count it.
    #[must_use]
    pub const fn with_levels(mut self, levels: usize) -> Self {
        self.levels = levels;
        self
    }

    /// The same group with the hardness that its prompt's unguided group had.
    #[must_use]
    pub const fn with_hardness(mut self, hard: bool) -> Self {
        self.hard = hard;
        self
    }

    /// The same group with the text that each rollout was read from, for rewards on reasoning.
    #[must_use]
    pub const fn with_texts(mut self, texts: &'a [String]) -> Self {
        self.texts = texts;
        self
    }

    /// The same group with the slate that each rollout is, for rewards on slates. A slate names no
    /// Semantic ID: its rollout is an empty one.
    #[must_use]
    pub const fn with_slates(mut self, slates: Slates<'a>) -> Self {
        self.slates = Some(slates);
        self
    }

    /// The Semantic ID of the held-out item, `y*`.
    #[must_use]
    pub const fn target(&self) -> &'a SemanticId {
        self.target
    }

    /// The generated Semantic IDs, in generation order.
    #[must_use]
    pub const fn rollouts(&self) -> &'a [SemanticId] {
        self.rollouts
    }

    /// The generated texts, one per rollout; empty if rollouts are bare Semantic IDs.
    #[must_use]
    pub const fn texts(&self) -> &'a [String] {
        self.texts
    }

    /// The slates, one per rollout; `None` if rollouts are Semantic IDs.
    #[must_use]
    pub const fn slates(&self) -> Option<Slates<'a>> {
        self.slates
    }

    /// Whether the prompt's unguided group has no hit.
    #[must_use]
    pub const fn is_hard(&self) -> bool {
        self.hard
    }

    /// Number of rollouts `G`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rollouts.len()
    }

    /// Whether the group has no rollout.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rollouts.is_empty()
    }

    /// Levels `L` of the target: its codes without a suffix. All of them unless
    /// [`with_levels`](Self::with_levels) says otherwise.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.target.len().min(self.levels)
    }

    /// Number `ℓ` of the target's levels that each rollout has right, from the first on: at most
    /// [`levels`](Self::levels).
    #[must_use]
    pub fn correct_levels(&self) -> impl ExactSizeIterator<Item = usize> + 'a {
        let levels = self.levels();
        self.prefix_lens().map(move |len| len.min(levels))
    }

    /// Length of each rollout's longest common prefix with the target, a suffix included.
    #[must_use]
    pub fn prefix_lens(&self) -> impl ExactSizeIterator<Item = usize> + 'a {
        let target = self.target;
        self.rollouts.iter().map(|rollout| target.common_prefix(rollout))
    }

    /// Whether each rollout is the target.
    #[must_use]
    pub fn hits(&self) -> impl ExactSizeIterator<Item = bool> + 'a {
        let Self { target, first_hit, .. } = *self;
        // Most groups have at most one hit, so rollouts before the first hit need no second
        // comparison.
        self.rollouts.iter().enumerate().map(move |(position, rollout)| {
            position >= first_hit && (position == first_hit || is_hit(target, rollout))
        })
    }
}

/// Whether they are equal and not empty.
fn is_hit(target: &SemanticId, rollout: &SemanticId) -> bool {
    !rollout.is_empty() && target == rollout
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResidualSensitive, Reward as _};

    #[test]
    fn a_suffix_is_not_a_level_but_part_of_the_item() {
        let target = SemanticId::from([1, 2, 3, 1]);
        let rollouts = [[1, 2, 3, 0], [1, 2, 3, 1], [1, 2, 9, 1]].map(SemanticId::from);
        let group = Group::new(&target, &rollouts).with_levels(3);
        assert_eq!(group.levels(), 3);
        assert_eq!(group.correct_levels().collect::<Vec<_>>(), [3, 3, 2]);
        assert_eq!(group.prefix_lens().collect::<Vec<_>>(), [3, 4, 2]);
        assert_eq!(group.hits().collect::<Vec<_>>(), [false, true, false]);
        // Without a suffix the target has its own length.
        let short = SemanticId::from([1, 2]);
        assert_eq!(Group::new(&short, &rollouts).with_levels(3).levels(), 2);
    }

    #[test]
    fn a_slot_is_not_a_level_but_part_of_the_item() {
        // GREAM: four levels and a slot, H = 4 in its equation 14.
        let target = SemanticId::from([1, 2, 3, 4, 0]);
        let rollouts = [[1, 2, 3, 4, 1], [1, 2, 3, 4, 0], [1, 2, 9, 9, 0]].map(SemanticId::from);
        let group = Group::new(&target, &rollouts).with_levels(4);
        let scores = ResidualSensitive::new(1.0).unwrap().score(&group);
        assert_eq!(scores, [1.0, 1.0, 0.5]);
        assert_eq!(group.hits().collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn an_empty_rollout_hits_nothing_not_even_an_empty_target() {
        let nothing = SemanticId::default();
        let rollouts = [SemanticId::default()];
        assert!(Group::new(&nothing, &rollouts).is_hard());
        assert!(Group::new(&nothing, &[]).is_hard());
    }

    #[test]
    fn a_group_tells_what_it_was_given() {
        let target = SemanticId::from([1, 2]);
        let rollouts = [[1, 2], [1, 0], [1, 2]].map(SemanticId::from);
        let texts = ["a", "b", "c"].map(str::to_owned);
        let items = vec![vec![ItemId(3)], vec![], vec![ItemId(4)]];
        let slates = Slates { target: ItemId(4), items: &items };
        let group = Group::new(&target, &rollouts);
        assert!(group.texts().is_empty() && group.slates().is_none() && !group.is_hard());
        assert_eq!((group.len(), group.is_empty()), (3, false));
        assert_eq!(group.hits().collect::<Vec<_>>(), [true, false, true]);
        let group = group.with_texts(&texts).with_slates(slates).with_hardness(true);
        assert_eq!((group.texts(), group.slates()), (&texts[..], Some(slates)));
        assert!(group.is_hard());
        assert_eq!((group.target(), group.rollouts()), (&target, &rollouts[..]));
        assert!(Group::new(&target, &[]).is_empty());
    }
}
