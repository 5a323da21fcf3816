use crate::{Advantages, RlError, Segments, is_flat};

/// Keeps groups that teach: rejects those without spread, asks for more, and stops at a bound.
///
/// GREAM's variance-guided dynamic sampling, and DAPO's: a group whose rewards are all equal has
/// advantages of zero, so another prompt's group takes its place. Settled here, where the papers
/// are silent: a bound on the groups drawn, after which the step goes on with fewer live groups.
///
/// ```
/// use sidereal_rl::{Segments, VarianceGuidedSampling};
///
/// let mut sampling = VarianceGuidedSampling::new(2, 5);
/// assert_eq!(sampling.needed(), 2);
/// let pairs = Segments::uniform(2, 2);
/// assert_eq!(sampling.offer(&[0.0, 0.0, 1.0, 0.0], &pairs)?, [1]); // the first group is flat
/// assert_eq!(sampling.needed(), 1);
/// assert_eq!(sampling.offer(&[1.0, 0.5], &Segments::uniform(1, 2))?, [0]);
/// assert_eq!(sampling.needed(), 0);
/// assert_eq!((sampling.accepted(), sampling.rejected()), (2, 1));
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarianceGuidedSampling {
    wanted: usize,
    max_drawn: usize,
    accepted: usize,
    rejected: usize,
}

impl VarianceGuidedSampling {
    /// A step that wants `wanted` groups and draws at most `max_drawn`.
    #[must_use]
    pub const fn new(wanted: usize, max_drawn: usize) -> Self {
        Self { wanted, max_drawn, accepted: 0, rejected: 0 }
    }

    /// Number of groups to draw now; 0 when the step is full or the bound is reached.
    #[must_use]
    pub fn needed(&self) -> usize {
        let drawn = self.accepted.saturating_add(self.rejected);
        self.wanted.saturating_sub(self.accepted).min(self.max_drawn.saturating_sub(drawn))
    }

    /// Judges drawn groups by their rewards and returns the indices of those to keep, ascending.
    /// Groups beyond the number that was wanted are left out, and count neither as accepted nor as
    /// rejected.
    ///
    /// # Shapes
    /// `rewards`: `[R]`, the rollouts of a group adjacent.
    ///
    /// # Errors
    /// [`RlError::Length`] and [`RlError::Reward`] on NaN or infinity; nothing is counted then.
    pub fn offer(&mut self, rewards: &[f64], groups: &Segments) -> Result<Vec<usize>, RlError> {
        crate::advantage::check("rewards", rewards, groups)?;
        Ok(self.accept(groups.iter().map(|range| is_flat(&rewards[range]))))
    }

    /// As [`offer`](Self::offer), but judged by the advantages. With those of
    /// [`decoupled_advantages`](crate::decoupled_advantages), a group is flat only if it is flat
    /// under every objective.
    ///
    /// # Errors
    /// [`RlError::Length`] if advantages and groups are of different rollouts.
    pub fn offer_advantages(
        &mut self,
        advantages: &Advantages,
        groups: &Segments,
    ) -> Result<Vec<usize>, RlError> {
        let rollouts = advantages.values.len();
        RlError::length("advantages", rollouts, groups.total(), "rollout of the groups")?;
        let flat = &advantages.flat_groups;
        Ok(self.accept((0..groups.len()).map(|group| flat.binary_search(&group).is_ok())))
    }

    /// Counts groups, given whether each is flat; returns those to keep.
    fn accept(&mut self, flat: impl Iterator<Item = bool>) -> Vec<usize> {
        let mut keep = Vec::new();
        for (group, flat) in flat.enumerate() {
            if self.accepted >= self.wanted {
                break;
            }
            if flat {
                self.rejected += 1;
            } else {
                self.accepted += 1;
                keep.push(group);
            }
        }
        keep
    }

    /// Groups kept so far.
    #[must_use]
    pub const fn accepted(&self) -> usize {
        self.accepted
    }

    /// Groups rejected so far because their rewards were all equal.
    #[must_use]
    pub const fn rejected(&self) -> usize {
        self.rejected
    }

    /// Whether the bound was reached before the step was full.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.needed() == 0 && self.accepted < self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_live_groups_until_it_is_full() {
        let mut sampling = VarianceGuidedSampling::new(2, 9);
        assert_eq!(sampling.needed(), 2);
        let (flat, live) = ([1.0, 1.0], [1.0, 0.0]);
        let pairs = Segments::uniform(2, 2);
        assert_eq!(sampling.offer(&[flat, live].concat(), &pairs).unwrap(), [1]);
        assert_eq!((sampling.needed(), sampling.accepted(), sampling.rejected()), (1, 1, 1));
        assert!(!sampling.is_exhausted());
        // The second is not wanted any more: counted neither way.
        assert_eq!(sampling.offer(&[live, live].concat(), &pairs).unwrap(), [0]);
        assert_eq!((sampling.needed(), sampling.accepted(), sampling.rejected()), (0, 2, 1));
        assert!(!sampling.is_exhausted());
    }

    #[test]
    fn a_step_stops_at_its_bound_with_fewer_live_groups() {
        let mut sampling = VarianceGuidedSampling::new(2, 3);
        let pairs = Segments::uniform(2, 2);
        assert_eq!(sampling.offer(&[0.0, 0.0, 1.0, 0.0], &pairs).unwrap(), [1]);
        assert_eq!((sampling.needed(), sampling.is_exhausted()), (1, false));
        assert_eq!(sampling.rejected(), 1);
        assert!(sampling.offer(&[0.0, 0.0], &Segments::uniform(1, 2)).unwrap().is_empty());
        assert_eq!((sampling.needed(), sampling.is_exhausted()), (0, true));
        assert_eq!(sampling.rejected(), 2);
    }

    #[test]
    fn advantages_judge_by_the_groups_they_report_as_flat() {
        let advantages = Advantages { values: vec![0.0, 0.0, 1.0, -1.0], flat_groups: vec![0] };
        let mut sampling = VarianceGuidedSampling::new(2, 4);
        let pairs = Segments::uniform(2, 2);
        assert_eq!(sampling.offer_advantages(&advantages, &pairs).unwrap(), [1]);
        assert_eq!((sampling.accepted(), sampling.rejected()), (1, 1));
        let refused = sampling.offer_advantages(&advantages, &Segments::uniform(1, 2));
        assert!(matches!(refused, Err(RlError::Length { found: 4, needed: 2, .. })));
        assert_eq!((sampling.accepted(), sampling.rejected()), (1, 1));
    }
}
