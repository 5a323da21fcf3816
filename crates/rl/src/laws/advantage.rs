use std::fmt;

use proptest::strategy::Strategy;

use super::{Violation, check, close};
use crate::{Segments, is_flat, strategies};

/// Laws for an advantage estimator: a function of rewards and groups, giving one value per reward.
///
/// ```
/// use sidereal_rl::ZScore;
/// use sidereal_rl::laws::AdvantageLaws;
///
/// let laws = AdvantageLaws::new(|rewards, groups| {
///     ZScore::TRL.advantages(rewards, groups).map(|advantages| advantages.values)
/// });
/// laws.finite_or_refused()?;
/// laws.shift_invariant()?;
/// # Ok::<(), sidereal_rl::laws::Violation>(())
/// ```
pub struct AdvantageLaws<F> {
    estimate: F,
}

impl<F, E> AdvantageLaws<F>
where
    F: Fn(&[f64], &Segments) -> Result<Vec<f64>, E>,
    E: fmt::Display,
{
    /// Laws for `estimate`, over ragged groups, empty ones among them.
    pub const fn new(estimate: F) -> Self {
        Self { estimate }
    }

    fn values(&self, rewards: &[f64], groups: &Segments) -> Result<Vec<f64>, String> {
        let values =
            (self.estimate)(rewards, groups).map_err(|error| format!("refused: {error}"))?;
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
            let Ok(values) = (self.estimate)(rewards, groups) else {
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
            same(&self.values(rewards, groups)?, &self.values(&moved, groups)?)
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

impl<F> fmt::Debug for AdvantageLaws<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdvantageLaws").finish_non_exhaustive()
    }
}
