//! Rewards: what each rollout of a group is worth.

mod accuracy;
mod behaviour;
mod combine;
mod fused;
mod legal;
mod objectives;
mod rank;
mod residual;
mod sid_level;
mod singer;
mod stepwise;
mod text;

pub use accuracy::Accuracy;
pub use behaviour::Behaviour;
pub use combine::{ByHardness, Clipped, Named, Sum, Weighted};
pub use fused::FusedReward;
pub use legal::Legal;
pub use objectives::{ObjectiveScores, Objectives};
pub use rank::RankReward;
pub use residual::ResidualSensitive;
pub use sid_level::SidLevel;
pub use singer::Singer;
pub use stepwise::Stepwise;
pub use text::{OverlongPenalty, TaggedFormat, TextReward, find_sid};

use std::borrow::Cow;

use crate::{Group, RlError, Segments};

/// A score for every rollout of a group. Implement [`score`](Self::score), or pass a closure.
///
/// ```
/// use sidereal_rl::{Accuracy, Group, Reward};
/// use sidereal_sid::SemanticId;
///
/// let first_code = |group: &Group<'_>| -> Vec<f64> {
///     group.prefix_lens().map(|len| f64::from(u8::from(len >= 1))).collect()
/// };
/// let reward = Accuracy.named("accuracy").plus(first_code.named("first_code").weighted(0.5));
///
/// let target = SemanticId::from([7, 8]);
/// let rollouts = [SemanticId::from([7, 8]), SemanticId::from([7, 0]), SemanticId::from([0, 0])];
/// assert_eq!(reward.score(&Group::new(&target, &rollouts)), [1.5, 0.5, 0.0]);
/// ```
pub trait Reward {
    /// One finite score per rollout, in the order of [`Group::rollouts`].
    fn score(&self, group: &Group<'_>) -> Vec<f64>;

    /// As [`score`](Self::score); calls `visit` with the name and the scores of each named part
    /// that was used, for logging. Only combinators need to override it.
    fn score_parts(&self, group: &Group<'_>, visit: &mut dyn FnMut(&str, &[f64])) -> Vec<f64> {
        let _ = visit;
        self.score(group)
    }

    /// This reward, its scores logged under `name` before any outer weight or clip.
    #[must_use]
    fn named(self, name: impl Into<Cow<'static, str>>) -> Named<Self>
    where
        Self: Sized,
    {
        Named::new(name.into(), self)
    }

    /// `weight` times this reward.
    #[must_use]
    fn weighted(self, weight: f64) -> Weighted<Self>
    where
        Self: Sized,
    {
        Weighted::new(weight, self)
    }

    /// This reward plus another, rollout by rollout.
    #[must_use]
    fn plus<B: Reward>(self, other: B) -> Sum<Self, B>
    where
        Self: Sized,
    {
        Sum::new(self, other)
    }

    /// This reward limited to `[low, high]`; the result is `low` if `low` is above `high`.
    #[must_use]
    fn clipped(self, low: f64, high: f64) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped::new(low, high, self)
    }

    /// This reward on hard groups, `easy` on the others.
    #[must_use]
    fn on_hard_else<E: Reward>(self, easy: E) -> ByHardness<Self, E>
    where
        Self: Sized,
    {
        ByHardness::new(self, easy)
    }
}

impl<F: Fn(&Group<'_>) -> Vec<f64>> Reward for F {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self(group)
    }
}

impl Reward for Box<dyn Reward + '_> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.as_ref().score(group)
    }

    fn score_parts(&self, group: &Group<'_>, visit: &mut dyn FnMut(&str, &[f64])) -> Vec<f64> {
        self.as_ref().score_parts(group, visit)
    }
}

/// The rewards of a batch of groups.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scores {
    /// Reward of each rollout, `[R]`, the rollouts of a group adjacent.
    pub rewards: Vec<f64>,
    /// Which rollouts belong to which group.
    pub groups: Segments,
    /// The named parts, in the order in which they were first scored.
    pub parts: Vec<RewardPart>,
}

/// A named part of a reward over the rollouts that it scored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RewardPart {
    /// Name given with [`Reward::named`].
    pub name: String,
    /// Sum of its scores.
    pub sum: f64,
    /// Number of rollouts that it scored: fewer than all where hardness decides.
    pub count: usize,
}

impl RewardPart {
    /// Mean score over the rollouts that this part scored; 0 if there is none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

/// The checked rewards of a batch of groups, with the means of their named parts.
///
/// # Shapes
/// `B` groups of any sizes; `Scores::rewards` has one value per rollout, groups in order.
///
/// # Errors
/// [`RlError::ScoreCount`] if `reward` returns a wrong number of scores for a group, and
/// [`RlError::Reward`] on NaN or infinity; both name the group.
///
/// ```
/// use sidereal_rl::{Group, Singer, score_groups};
/// use sidereal_sid::SemanticId;
///
/// let target = SemanticId::from([1, 2, 3]);
/// let (hit, near) = (target.clone(), SemanticId::from([1, 2, 0]));
/// let (easy, hard) = ([near.clone(), hit], [near]);
/// let scores = score_groups(
///     &Singer::default(),
///     [Group::new(&target, &easy), Group::new(&target, &hard)],
/// )?;
/// // easy: rank reward of the miss at position 1, accuracy of the hit; hard: 1 - 0.5^2
/// assert_eq!(scores.rewards, [-1.0 / 2f64.ln(), 1.0, 0.75]);
/// assert_eq!(scores.groups.offsets(), [0, 2, 3]);
/// assert_eq!(scores.parts[2].name, "sid_level");
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
pub fn score_groups<'a>(
    reward: &(impl Reward + ?Sized),
    groups: impl IntoIterator<Item = Group<'a>>,
) -> Result<Scores, RlError> {
    let mut rewards = Vec::new();
    let mut lens = Vec::new();
    let mut parts: Vec<RewardPart> = Vec::new();
    let mut visit = |name: &str, scores: &[f64]| {
        let at = parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
            parts.push(RewardPart { name: name.to_owned(), sum: 0.0, count: 0 });
            parts.len() - 1
        });
        parts[at].sum += scores.iter().sum::<f64>();
        parts[at].count += scores.len();
    };
    for (index, group) in groups.into_iter().enumerate() {
        let scores = reward.score_parts(&group, &mut visit);
        check_scores(&scores, &group, index)?;
        rewards.extend(scores);
        lens.push(group.len());
    }
    Ok(Scores { rewards, groups: Segments::from_lens(lens), parts })
}

/// Rejects scores that are not one finite value per rollout.
fn check_scores(scores: &[f64], group: &Group<'_>, index: usize) -> Result<(), RlError> {
    let (found, needed) = (scores.len(), group.len());
    if found != needed {
        return Err(RlError::ScoreCount { group: index, found, needed });
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(position) => {
            let (what, found) = ("reward", scores[position]);
            Err(RlError::Reward { what, group: index, position, found })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::SemanticId;

    use super::*;

    #[test]
    fn a_wrong_number_of_scores_names_the_group() {
        let target = SemanticId::from([1]);
        let rollouts = [SemanticId::from([1]), SemanticId::from([2])];
        let groups = [Group::new(&target, &[]), Group::new(&target, &rollouts)];
        let error = score_groups(&|_: &Group<'_>| Vec::new(), groups).unwrap_err();
        assert_eq!(error, RlError::ScoreCount { group: 1, found: 0, needed: 2 });
        let error = score_groups(&|g: &Group<'_>| vec![f64::NAN; g.len()], groups).unwrap_err();
        assert!(matches!(error, RlError::Reward { group: 1, position: 0, .. }));
    }

    #[test]
    fn parts_count_only_the_groups_they_scored() {
        let target = SemanticId::from([1]);
        let (hit, miss) = ([SemanticId::from([1])], [SemanticId::from([2])]);
        let reward = Accuracy.named("hard").on_hard_else(Accuracy.named("easy").weighted(2.0));
        let groups = [Group::new(&target, &hit), Group::new(&target, &miss)];
        let scores = score_groups(&reward, groups).unwrap();
        assert_eq!(scores.rewards, [2.0, 0.0]);
        let seen: Vec<_> = scores.parts.iter().map(|p| (p.name.as_str(), p.sum, p.count)).collect();
        assert_eq!(seen, [("easy", 1.0, 1), ("hard", 0.0, 1)]);
    }

    #[test]
    fn boxed_rewards_are_rewards() {
        let target = SemanticId::from([1]);
        let rollouts = [SemanticId::from([1])];
        let boxed: Vec<Box<dyn Reward>> = vec![Box::new(Accuracy), Box::new(SidLevel::default())];
        let scores: Vec<_> =
            boxed.iter().map(|r| r.score(&Group::new(&target, &rollouts))[0]).collect();
        assert_eq!(scores, [1.0, 0.5]);
    }

    #[test]
    fn weights_sums_and_names_combine_rollout_by_rollout() {
        let first_code = |group: &Group<'_>| -> Vec<f64> {
            group.prefix_lens().map(|len| f64::from(u8::from(len >= 1))).collect()
        };
        let reward = Accuracy.named("accuracy").plus(first_code.named("first").weighted(0.5));
        let target = SemanticId::from([7, 8]);
        let rollouts = [[7, 8], [7, 0], [0, 0], [7, 8]].map(SemanticId::from);
        let group = Group::new(&target, &rollouts);
        assert_eq!(reward.score(&group), [1.5, 0.5, 0.0, 1.5]);
        assert_eq!(Accuracy.named("accuracy").score(&group), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(Accuracy.weighted(0.5).score(&group), [0.5, 0.0, 0.0, 0.5]);
        let by_hardness = Accuracy.weighted(2.0).on_hard_else(Accuracy);
        assert_eq!(by_hardness.score(&group), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(by_hardness.score(&group.with_hardness(true)), [2.0, 0.0, 0.0, 2.0]);
        assert_eq!(reward.clipped(0.25, 1.0).score(&group), [1.0, 0.5, 0.25, 1.0]);
        let boxed: Box<dyn Reward> =
            Box::new(Accuracy.named("accuracy").plus(first_code.named("first")));
        let scores = score_groups(&boxed, [group, group]).unwrap();
        assert_eq!(scores.rewards, [2.0, 1.0, 0.0, 2.0, 2.0, 1.0, 0.0, 2.0]);
        let seen: Vec<_> =
            scores.parts.iter().map(|p| (p.name.as_str(), p.count, p.mean())).collect();
        assert_eq!(seen, [("accuracy", 8, 0.5), ("first", 8, 0.75)]);
        assert!(
            RewardPart { name: String::new(), sum: 0.0, count: 0 }.mean().abs() < f64::MIN_POSITIVE
        );
    }

    #[test]
    fn levels_of_three_earn_by_the_papers_tables() {
        let target = SemanticId::from([1, 2, 3]);
        let rollouts = [[0, 2, 3], [1, 0, 3], [1, 2, 0], [1, 2, 3]].map(SemanticId::from);
        let group = Group::new(&target, &rollouts);
        assert_eq!(Stepwise.score(&group), [0.0, 0.25, 0.5, 1.0]);
        assert_eq!(SidLevel::default().score(&group), [0.0, 0.5, 0.75, 0.875]);
        assert_eq!(SidLevel::new(0.25).unwrap().score(&group)[1..3], [0.75, 0.9375]);
        let linear = ResidualSensitive::new(1.0).unwrap().score(&group);
        assert_eq!(linear, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
        // Easy, so accuracy and the rank penalty -1/ln(p + 1) of each miss.
        let singer = Singer::default().score(&group);
        let expected = [2.0, 3.0, 4.0].map(|p: f64| -1.0 / p.ln());
        for (score, expected) in singer.iter().zip(expected.into_iter().chain([1.0])) {
            assert!((score - expected).abs() < 1e-15, "{singer:?}");
        }
        let hard = Singer::default().score(&group.with_hardness(true));
        assert_eq!(hard, [0.0, 0.5, 0.75, 0.875]);
    }

    #[test]
    fn settings_of_level_rewards_are_told_and_refused_out_of_range() {
        assert!((SidLevel::new(0.25).unwrap().decay() - 0.25).abs() < f64::EPSILON);
        let quarter = ResidualSensitive::new(0.25).unwrap();
        assert!((quarter.exponent() - 0.25).abs() < f64::EPSILON);
        assert_eq!(serde_json::from_str::<ResidualSensitive>("0.25").unwrap(), quarter);
        assert!(serde_json::from_str::<ResidualSensitive>("1.5").is_err());
        for refused in [0.0, -0.5, 1.5, f64::NAN] {
            assert!(SidLevel::new(refused).is_err() && ResidualSensitive::new(refused).is_err());
        }
        assert!(SidLevel::new(1.0).is_err(), "a decay of 1 rewards nothing");
        assert_eq!(serde_json::to_string(&SidLevel::default()).unwrap(), "0.5");
        assert_eq!(serde_json::to_string(&quarter).unwrap(), "0.25");
    }
}
