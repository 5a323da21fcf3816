use std::fmt;
use std::ops::RangeInclusive;

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use sidereal_sid::Catalog;

use super::{Violation, check};
use crate::Reward;
use crate::strategies::{self, GroupCase};

/// Laws for a reward over random groups.
///
/// Not every reward obeys every law, nor should it: a rank penalty depends on the order of the
/// rollouts, an accuracy gives nothing for prefixes. State the ones yours is meant to obey.
pub struct RewardLaws<R> {
    reward: R,
    groups: BoxedStrategy<GroupCase>,
    ladders: BoxedStrategy<GroupCase>,
}

impl<R: Reward> RewardLaws<R> {
    /// Laws over groups of up to 16 rollouts of Semantic IDs of 1 to 4 levels.
    pub fn new(reward: R) -> Self {
        let groups = strategies::group_case(16).boxed();
        Self { reward, groups, ladders: strategies::ladder().boxed() }
    }

    /// The same laws over Semantic IDs of a catalogue, for rewards that know one.
    #[must_use]
    pub fn over_catalog(mut self, catalog: &Catalog) -> Self {
        self.groups = strategies::group_in(catalog, 16).boxed();
        self.ladders = self.groups.clone();
        self
    }

    /// There is one finite score for every rollout of any group, also an empty one, hard or not.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn complete(&self) -> Result<(), Violation> {
        check("complete", &self.groups, |case| {
            for hard in [false, true] {
                let scores = self.reward.score(&case.group().with_hardness(hard));
                if scores.len() != case.rollouts.len() {
                    let (found, needed) = (scores.len(), case.rollouts.len());
                    return Err(format!("{found} scores for {needed} rollouts"));
                }
                if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
                    return Err(format!("rollout {at} scores {}", scores[at]));
                }
            }
            Ok(())
        })
    }

    /// Every score lies in `range`.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn bounded(&self, range: RangeInclusive<f64>) -> Result<(), Violation> {
        check("bounded", &self.groups, |case| {
            let scores = self.reward.score(&case.group());
            match scores.iter().position(|score| !range.contains(score)) {
                Some(at) => Err(format!("rollout {at} scores {}, outside {range:?}", scores[at])),
                None => Ok(()),
            }
        })
    }

    /// Within a group, a longer common prefix with the target never scores less.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn monotone_in_prefix(&self) -> Result<(), Violation> {
        check("monotone_in_prefix", &self.ladders, |case| {
            let scores = self.reward.score(&case.group());
            let mut rungs: Vec<_> = case.group().prefix_lens().zip(scores).collect();
            rungs.sort_by_key(|(len, _)| *len);
            for pair in rungs.windows(2) {
                let ((short, less), (long, more)) = (pair[0], pair[1]);
                if short < long && more.partial_cmp(&less).is_none_or(std::cmp::Ordering::is_lt) {
                    return Err(format!(
                        "a prefix of {long} scores {more}, one of {short} scores {less}"
                    ));
                }
            }
            Ok(())
        })
    }

    /// Within a group, nothing but the target scores as much as the target.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn maximal_only_at_target(&self) -> Result<(), Violation> {
        check("maximal_only_at_target", &self.ladders, |case| {
            let scores = self.reward.score(&case.group());
            let hits: Vec<bool> = case.group().hits().collect();
            for (hit, best) in hits.iter().zip(&scores).filter(|(hit, _)| **hit) {
                let rival = hits.iter().zip(&scores).position(|(other, score)| {
                    other != hit && score.partial_cmp(best).is_none_or(std::cmp::Ordering::is_ge)
                });
                if let Some(at) = rival {
                    return Err(format!("the target scores {best}, rollout {at} {}", scores[at]));
                }
            }
            Ok(())
        })
    }

    /// A rollout's score does not depend on where in the group it stands.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example: the group, and an order in which a
    /// rollout's score changes.
    pub fn order_invariant(&self) -> Result<(), Violation> {
        let orders = self.groups.clone().prop_flat_map(|case| {
            let order: Vec<usize> = (0..case.rollouts.len()).collect();
            (Just(case), Just(order).prop_shuffle())
        });
        check("order_invariant", &orders, |(case, order)| {
            let scores = self.reward.score(&case.group());
            let rollouts = order.iter().map(|at| case.rollouts[*at].clone()).collect();
            let moved = GroupCase { target: case.target.clone(), rollouts };
            let again = self.reward.score(&moved.group());
            for (to, from) in order.iter().enumerate() {
                let (before, after) = (scores.get(*from), again.get(to));
                if before != after {
                    return Err(format!(
                        "rollout {from} scores {before:?}, and {after:?} at position {to}"
                    ));
                }
            }
            Ok(())
        })
    }
}

impl<R> fmt::Debug for RewardLaws<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewardLaws").finish_non_exhaustive()
    }
}
