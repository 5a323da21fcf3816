use super::{
    Advantages, Srpo, ZScore, check, decoupled_advantages, leave_one_out_advantages,
    mean_only_advantages,
};
use crate::{ObjectiveScores, RlError, Segments};

/// Rewards of groups of rollouts, checked: the input of every advantage estimator.
///
/// # Shapes
/// `R` rollouts in `B` groups, the rollouts of a group adjacent: `rewards`, `hits` `[R]`.
///
/// ```
/// use sidereal_rl::{RewardBatch, Segments};
///
/// let groups = Segments::from_lens([2, 1]);
/// let batch = RewardBatch::new(&[1.0, 0.0, 0.5], &groups)?.with_hits(&[true, false, false])?;
/// assert_eq!((batch.rewards().len(), batch.groups().len()), (3, 2));
/// assert!(RewardBatch::new(&[1.0, f64::NAN, 0.5], &groups).is_err());
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RewardBatch<'a> {
    rewards: &'a [f64],
    groups: &'a Segments,
    hits: Option<&'a [bool]>,
    objectives: Option<&'a ObjectiveScores>,
}

impl<'a> RewardBatch<'a> {
    /// The rewards of rollouts that `groups` cuts into groups; if there are several objectives,
    /// their weighted sum.
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong length; [`RlError::Reward`] on NaN or infinity.
    pub fn new(rewards: &'a [f64], groups: &'a Segments) -> Result<Self, RlError> {
        check("rewards", rewards, groups)?;
        Ok(Self { rewards, groups, hits: None, objectives: None })
    }

    /// The same batch with whether each rollout is the target, `[R]`.
    ///
    /// # Errors
    /// [`RlError::Length`] on a wrong length.
    pub fn with_hits(mut self, hits: &'a [bool]) -> Result<Self, RlError> {
        RlError::length("hits", hits.len(), self.rewards.len(), "rollout of the groups")?;
        self.hits = Some(hits);
        Ok(self)
    }

    /// The same batch with the rewards of each objective.
    ///
    /// # Errors
    /// [`RlError::Length`] unless they are of the same rollouts; the errors of
    /// [`ObjectiveScores::new`].
    pub fn with_objectives(mut self, objectives: &'a ObjectiveScores) -> Result<Self, RlError> {
        let (found, needed) = (objectives.groups.total(), self.rewards.len());
        RlError::length("objective rewards", found, needed, "rollout of the groups")?;
        objectives.check()?;
        self.objectives = Some(objectives);
        Ok(self)
    }

    /// Reward of each rollout, `[R]`.
    #[must_use]
    pub const fn rewards(&self) -> &'a [f64] {
        self.rewards
    }

    /// Which rollouts belong to which group.
    #[must_use]
    pub const fn groups(&self) -> &'a Segments {
        self.groups
    }

    /// Whether each rollout is the target, `[R]`.
    #[must_use]
    pub const fn hits(&self) -> Option<&'a [bool]> {
        self.hits
    }

    /// The rewards of each objective, if they were kept apart.
    #[must_use]
    pub const fn objectives(&self) -> Option<&'a ObjectiveScores> {
        self.objectives
    }
}

/// What a trainer needs from an advantage estimator. For an estimator of your own, implement this
/// trait or pass a closure.
///
/// [`ZScore`], [`MeanOnly`], [`LeaveOneOut`], [`Srpo`] and [`Decoupled`] implement it;
/// `laws::AdvantageLaws` (feature `proptest`) tests any implementation. If your estimator cannot
/// use its input, it returns [`RlError::Refused`].
///
/// ```
/// use sidereal_rl::{AdvantageEstimator, Advantages, RewardBatch, RlError, Segments};
///
/// /// Rewards less the best of their group.
/// struct BelowBest;
///
/// impl AdvantageEstimator for BelowBest {
///     fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
///         Advantages::per_group(batch.rewards(), batch.groups(), |rewards, advantages| {
///             let best = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
///             advantages.iter_mut().zip(rewards).for_each(|(a, reward)| *a = reward - best);
///             true
///         })
///     }
/// }
///
/// let groups = Segments::from_lens([2, 1]);
/// let batch = RewardBatch::new(&[1.0, 0.25, 3.0], &groups)?;
/// let advantages = BelowBest.estimate(&batch)?;
/// assert_eq!((&advantages.values[..], &advantages.flat_groups[..]), (&[0.0, -0.75, 0.0][..], &[1][..]));
/// # Ok::<(), RlError>(())
/// ```
pub trait AdvantageEstimator {
    /// The advantages of a batch of groups. The batch has what the `needs_` methods ask for.
    ///
    /// # Errors
    /// [`RlError`] if the batch or its numbers do not allow an answer.
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError>;

    /// Its name in logs and messages; by default the name of the type.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// Whether it reads [`RewardBatch::hits`]. If so, it works only for rollouts that can be the
    /// target.
    fn needs_hits(&self) -> bool {
        false
    }

    /// Whether it reads [`RewardBatch::objectives`]. If so, it works only for rewards of several
    /// objectives.
    fn needs_objectives(&self) -> bool {
        false
    }
}

impl<F> AdvantageEstimator for F
where
    F: Fn(&RewardBatch<'_>) -> Result<Advantages, RlError>,
{
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        self(batch)
    }
}

/// Implements the trait for pointers to an estimator.
macro_rules! pass_on {
    ($($pointer:ty),*) => {$(
        impl AdvantageEstimator for $pointer {
            fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
                (**self).estimate(batch)
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn needs_hits(&self) -> bool {
                (**self).needs_hits()
            }

            fn needs_objectives(&self) -> bool {
                (**self).needs_objectives()
            }
        }
    )*};
}

pass_on!(&dyn AdvantageEstimator, Box<dyn AdvantageEstimator + '_>);

impl AdvantageEstimator for ZScore {
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        self.advantages(batch.rewards(), batch.groups())
    }

    fn name(&self) -> &'static str {
        "z-score"
    }
}

/// The estimator of [`mean_only_advantages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MeanOnly;

impl AdvantageEstimator for MeanOnly {
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        mean_only_advantages(batch.rewards(), batch.groups())
    }

    fn name(&self) -> &'static str {
        "mean only"
    }
}

/// The estimator of [`leave_one_out_advantages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaveOneOut;

impl AdvantageEstimator for LeaveOneOut {
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        leave_one_out_advantages(batch.rewards(), batch.groups())
    }

    fn name(&self) -> &'static str {
        "leave one out"
    }
}

impl AdvantageEstimator for Srpo {
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        let missing = RlError::Missing { objective: "SRPO", what: "hits" };
        self.advantages(batch.rewards(), batch.hits().ok_or(missing)?, batch.groups())
    }

    fn name(&self) -> &'static str {
        "SRPO"
    }

    fn needs_hits(&self) -> bool {
        true
    }
}

/// The estimator of [`decoupled_advantages`], with its standardisation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decoupled(
    /// Standardisation within the groups, and over the batch.
    pub ZScore,
);

impl AdvantageEstimator for Decoupled {
    fn estimate(&self, batch: &RewardBatch<'_>) -> Result<Advantages, RlError> {
        let what = "the rewards of each objective";
        let missing = RlError::Missing { objective: "the decoupled advantage", what };
        decoupled_advantages(batch.objectives().ok_or(missing)?, self.0)
    }

    fn name(&self) -> &'static str {
        "decoupled"
    }

    fn needs_objectives(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_input_of_an_estimator_is_named() {
        let groups = Segments::uniform(1, 2);
        let batch = RewardBatch::new(&[1.0, 0.0], &groups).unwrap();
        let estimators: [Box<dyn AdvantageEstimator>; 5] = [
            Box::new(ZScore::TRL),
            Box::new(MeanOnly),
            Box::new(LeaveOneOut),
            Box::new(Srpo::default()),
            Box::new(Decoupled(ZScore::TRL)),
        ];
        for estimator in &estimators {
            let lacks = estimator.needs_hits() || estimator.needs_objectives();
            let refused = matches!(estimator.estimate(&batch), Err(RlError::Missing { .. }));
            assert_eq!(refused, lacks, "{}", estimator.name());
        }
        let scores = ObjectiveScores::new(
            vec!["one".into()],
            vec![1.0],
            vec![vec![1.0, 0.0]],
            groups.clone(),
        );
        let scores = scores.unwrap();
        let whole = batch.with_hits(&[true, false]).unwrap().with_objectives(&scores).unwrap();
        for estimator in &estimators {
            // The first rollout is the better one by whatever is looked at.
            let values = estimator.estimate(&whole).unwrap().values;
            assert!(values[0] > 0.0 && values[1] < 0.0, "{}: {values:?}", estimator.name());
        }
    }

    #[test]
    fn hits_and_objectives_of_other_rollouts_are_refused() {
        let groups = Segments::uniform(1, 2);
        let batch = RewardBatch::new(&[1.0, 0.0], &groups).unwrap();
        assert!(matches!(batch.with_hits(&[true]), Err(RlError::Length { found: 1, .. })));
        let other = Segments::uniform(1, 3);
        let scores = ObjectiveScores::new(vec!["a".into()], vec![1.0], vec![vec![0.0; 3]], other);
        let scores = scores.unwrap();
        assert!(matches!(batch.with_objectives(&scores), Err(RlError::Length { found: 3, .. })));
        assert!(RewardBatch::new(&[1.0], &groups).is_err());
        assert!(RewardBatch::new(&[1.0, f64::INFINITY], &groups).is_err());
    }
}
