use std::fmt;
use std::ops::RangeInclusive;

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use sidereal_sid::{Catalog, SemanticId};

use super::{Violation, check};
use crate::strategies::{self, GroupCase};
use crate::{Group, Reward};

/// Laws for a reward over random groups.
///
/// Not every reward obeys every law, nor should it: a rank penalty depends on the order of the
/// rollouts, an accuracy gives nothing for prefixes. State the laws that your reward is meant to
/// obey.
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

    /// The score of a rollout does not depend on its position in the group.
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

    /// Under a policy that is right, the first rollout of a group has a better mean reward than the
    /// last.
    ///
    /// ```text
    /// rollout p is the target with probability q_p = P · p^-a / Σ_j j^-a,   a ∈ [0.75, 2]
    /// none of the group is, with probability 1 - P
    /// Σ_t q_t · R(y_1 | target t)  >  Σ_t q_t · R(y_G | target t)
    /// ```
    /// The group is ordered best first, as a beam is, and its Semantic IDs share no code, so that
    /// only hits and positions can matter. The probabilities fall with the position as in ranked
    /// lists, from a little flatter than `1 / p` to its square. The Semantic IDs do not come from a
    /// catalogue, also after [`over_catalog`](Self::over_catalog). Under a reward that breaks this
    /// law, the most likely rollout loses more by the penalties of its misses than it gains by its
    /// hits.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example: the shares `q`.
    pub fn first_above_last(&self) -> Result<(), Violation> {
        let cases = (2..=16usize, 0.75..=2.0f64, 0.01..=1.0f64).prop_map(|(len, fall, total)| {
            let shares: Vec<f64> = (1..=len).map(|place| (place as f64).powf(-fall)).collect();
            let unit = total / shares.iter().sum::<f64>();
            shares.into_iter().map(|share| share * unit).collect::<Vec<f64>>()
        });
        check("first_above_last", &cases, |shares| {
            let stranger =
                |at: usize| SemanticId::from(vec![u16::try_from(at).unwrap_or(u16::MAX); 2]);
            let rollouts: Vec<SemanticId> = (0..shares.len()).map(stranger).collect();
            let nowhere = 1.0 - shares.iter().sum::<f64>();
            let (mut first, mut last) = (0.0, 0.0);
            for (at, share) in shares.iter().chain([&nowhere]).enumerate() {
                let scores = self.reward.score(&Group::new(&stranger(at), &rollouts));
                first += share * scores.first().copied().unwrap_or(f64::NAN);
                last += share * scores.last().copied().unwrap_or(f64::NAN);
            }
            if first > last {
                Ok(())
            } else {
                Err(format!("the first has a mean reward of {first}, the last of {last}"))
            }
        })
    }
}

impl<R> fmt::Debug for RewardLaws<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewardLaws").finish_non_exhaustive()
    }
}
