use crate::{Advantages, RlError, Segments, is_flat};

/// Keeps groups that teach: rejects those without spread, asks for more, and stops at a bound.
///
/// GREAM's variance-guided dynamic sampling, and DAPO's: a group whose rewards are all equal has
/// advantages of zero, so another prompt's group takes its place. Settled here, where the papers are
/// silent: a bound on the groups drawn, after which the step goes on with fewer live ones.
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
    /// Groups beyond what was wanted are left out and counted neither way.
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

    /// As [`offer`](Self::offer), judged by the advantages: by each objective of
    /// [`decoupled_advantages`](crate::decoupled_advantages) apart, whose weighted sum may be flat
    /// where they are not.
    ///
    /// # Errors
    /// [`RlError::Length`] where advantages and groups are of different rollouts.
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

    /// Counts groups of which is told whether they are flat; returns those to keep.
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

    /// Groups rejected so far for want of spread.
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
