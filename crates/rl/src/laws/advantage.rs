use std::fmt;

use proptest::strategy::Strategy;

use super::{Violation, check, close};
use crate::{
    AdvantageEstimator, ObjectiveScores, RewardBatch, RlError, Segments, is_flat, strategies,
};

/// Laws for an advantage estimator: any [`AdvantageEstimator`], one of your own or a closure too.
///
/// Every batch carries hits (the rollouts whose reward is at least 1.5) and two objectives of
/// weight 1 (the reward, and 1 for a hit), whether the estimator needs them or not.
///
/// ```
/// use sidereal_rl::ZScore;
/// use sidereal_rl::laws::AdvantageLaws;
///
/// let laws = AdvantageLaws::new(ZScore::TRL);
/// laws.finite_or_refused()?;
/// laws.shift_invariant()?;
/// # Ok::<(), sidereal_rl::laws::Violation>(())
/// ```
pub struct AdvantageLaws<A> {
    estimator: A,
}

impl<A: AdvantageEstimator> AdvantageLaws<A> {
    /// Laws for `estimator`, over ragged groups, empty ones among them.
    pub const fn new(estimator: A) -> Self {
        Self { estimator }
    }

    /// The advantages of `rewards`. A hit is a rollout whose reward is at least 1.5 in `of`, the
    /// rewards before a law changed them.
    fn estimate(
        &self,
        rewards: &[f64],
        of: &[f64],
        groups: &Segments,
    ) -> Result<Vec<f64>, RlError> {
        let hits: Vec<bool> = of.iter().map(|reward| *reward >= 1.5).collect();
        let apart =
            vec![rewards.to_vec(), hits.iter().map(|hit| f64::from(u8::from(*hit))).collect()];
        let names = vec!["reward".to_owned(), "hit".to_owned()];
        let scores = ObjectiveScores::new(names, vec![1.0; 2], apart, groups.clone())?;
        let batch =
            RewardBatch::new(rewards, groups)?.with_hits(&hits)?.with_objectives(&scores)?;
        Ok(self.estimator.estimate(&batch)?.values)
    }

    fn values(&self, rewards: &[f64], groups: &Segments) -> Result<Vec<f64>, String> {
        self.moved(rewards, rewards, groups)
    }

    fn moved(&self, rewards: &[f64], of: &[f64], groups: &Segments) -> Result<Vec<f64>, String> {
        let values =
            self.estimate(rewards, of, groups).map_err(|error| format!("refused: {error}"))?;
        if values.len() == rewards.len() {
            Ok(values)
        } else {
            Err(format!("{} advantages for {} rewards", values.len(), rewards.len()))
        }
    }

    /// Any floats at all give finite values or an error, never a panic.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn finite_or_refused(&self) -> Result<(), Violation> {
        check("finite_or_refused", &strategies::any_rewards(), |(rewards, groups)| {
            let Ok(values) = self.estimate(rewards, rewards, groups) else {
                return Ok(());
            };
            match values.iter().position(|value| !value.is_finite()) {
                Some(at) => Err(format!("advantage {at} is {}", values[at])),
                None => Ok(()),
            }
        })
    }

    /// Adding a constant to all rewards of a group changes nothing.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn shift_invariant(&self) -> Result<(), Violation> {
        let cases = (strategies::rewards(), (-16i8..=16).prop_map(|n| f64::from(n) / 4.0));
        check("shift_invariant", &cases, |((rewards, groups), shift)| {
            let moved: Vec<f64> = rewards.iter().map(|reward| reward + shift).collect();
            same(&self.values(rewards, groups)?, &self.moved(&moved, rewards, groups)?)
        })
    }

    /// A group of equal rewards has zeros.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn flat_groups_are_zero(&self) -> Result<(), Violation> {
        check("flat_groups_are_zero", &strategies::rewards(), |(rewards, groups)| {
            let values = self.values(rewards, groups)?;
            for range in groups.iter().filter(|range| is_flat(&rewards[range.clone()])) {
                if let Some(value) = values[range].iter().find(|value| !close(**value, 0.0)) {
                    return Err(format!("a flat group has an advantage of {value}"));
                }
            }
            Ok(())
        })
    }

    /// The advantages of a group sum to zero.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn group_sums_are_zero(&self) -> Result<(), Violation> {
        check("group_sums_are_zero", &strategies::rewards(), |(rewards, groups)| {
            let values = self.values(rewards, groups)?;
            for (group, range) in groups.iter().enumerate() {
                let sum: f64 = values[range].iter().sum();
                if !close(sum, 0.0) {
                    return Err(format!("group {group} sums to {sum}"));
                }
            }
            Ok(())
        })
    }

    /// Within a group, a higher reward never has a lower advantage.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn keeps_order(&self) -> Result<(), Violation> {
        check("keeps_order", &strategies::rewards(), |(rewards, groups)| {
            let values = self.values(rewards, groups)?;
            for range in groups.iter() {
                let mut ranked: Vec<usize> = range.collect();
                ranked.sort_by(|a, b| rewards[*a].total_cmp(&rewards[*b]));
                for pair in ranked.windows(2) {
                    let (low, high) = (pair[0], pair[1]);
                    if rewards[low] < rewards[high] && values[low] > values[high] {
                        return Err(format!("{low} has a lower reward than {high} but more"));
                    }
                }
            }
            Ok(())
        })
    }

    /// Groups do not influence each other: each alone has the same advantages.
    ///
    /// # Errors
    /// A [`Violation`] with the smallest counter-example.
    pub fn groups_are_independent(&self) -> Result<(), Violation> {
        check("groups_are_independent", &strategies::rewards(), |(rewards, groups)| {
            let values = self.values(rewards, groups)?;
            for range in groups.iter() {
                let alone = Segments::uniform(1, range.len());
                same(&self.values(&rewards[range.clone()], &alone)?, &values[range])?;
            }
            Ok(())
        })
    }
}

fn same(a: &[f64], b: &[f64]) -> Result<(), String> {
    match a.iter().zip(b).position(|(a, b)| !close(*a, *b)) {
        Some(at) => Err(format!("advantage {at} is {}, then {}", a[at], b[at])),
        None => Ok(()),
    }
}

impl<A> fmt::Debug for AdvantageLaws<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvantageLaws").finish_non_exhaustive()
    }
}
