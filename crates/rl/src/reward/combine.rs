//! Rewards made of rewards.

use std::borrow::Cow;

use crate::{Group, Reward};

/// Callback that receives the name and the scores of a part.
type Visit<'v> = &'v mut dyn FnMut(&str, &[f64]);

/// A reward whose scores are logged under a name; made by [`Reward::named`].
#[derive(Debug, Clone, PartialEq)]
pub struct Named<A> {
    name: Cow<'static, str>,
    inner: A,
}

/// A reward times a weight; made by [`Reward::weighted`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted<A> {
    weight: f64,
    inner: A,
}

/// The sum of two rewards; made by [`Reward::plus`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sum<A, B> {
    left: A,
    right: B,
}

/// A reward limited to an interval; made by [`Reward::clipped`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clipped<A> {
    low: f64,
    high: f64,
    inner: A,
}

/// One reward for hard groups and one for the others; made by [`Reward::on_hard_else`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByHardness<H, E> {
    hard: H,
    easy: E,
}

impl<A> Named<A> {
    pub(super) const fn new(name: Cow<'static, str>, inner: A) -> Self {
        Self { name, inner }
    }
}

impl<A> Weighted<A> {
    pub(super) const fn new(weight: f64, inner: A) -> Self {
        Self { weight, inner }
    }
}

impl<A, B> Sum<A, B> {
    pub(super) const fn new(left: A, right: B) -> Self {
        Self { left, right }
    }
}

impl<A> Clipped<A> {
    pub(super) const fn new(low: f64, high: f64, inner: A) -> Self {
        Self { low, high, inner }
    }
}

impl<H, E> ByHardness<H, E> {
    pub(super) const fn new(hard: H, easy: E) -> Self {
        Self { hard, easy }
    }
}

impl<A: Reward> Reward for Named<A> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.inner.score(group)
    }

    fn score_parts(&self, group: &Group<'_>, visit: Visit<'_>) -> Vec<f64> {
        let scores = self.inner.score_parts(group, visit);
        visit(&self.name, &scores);
        scores
    }
}

impl<A: Reward> Reward for Weighted<A> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.score_parts(group, &mut |_, _| {})
    }

    fn score_parts(&self, group: &Group<'_>, visit: Visit<'_>) -> Vec<f64> {
        let mut scores = self.inner.score_parts(group, visit);
        for score in &mut scores {
            *score *= self.weight;
        }
        scores
    }
}

impl<A: Reward, B: Reward> Reward for Sum<A, B> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.score_parts(group, &mut |_, _| {})
    }

    fn score_parts(&self, group: &Group<'_>, visit: Visit<'_>) -> Vec<f64> {
        let left = self.left.score_parts(group, visit);
        let right = self.right.score_parts(group, visit);
        left.into_iter().zip(right).map(|(a, b)| a + b).collect()
    }
}

impl<A: Reward> Reward for Clipped<A> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.score_parts(group, &mut |_, _| {})
    }

    fn score_parts(&self, group: &Group<'_>, visit: Visit<'_>) -> Vec<f64> {
        let mut scores = self.inner.score_parts(group, visit);
        // NaN scores stay NaN, to be refused where scores are checked; `f64::clamp` would panic on
        // bounds out of order, `min` and `max` alone would turn NaN into a bound.
        for score in scores.iter_mut().filter(|score| !score.is_nan()) {
            *score = score.min(self.high).max(self.low);
        }
        scores
    }
}

impl<H: Reward, E: Reward> Reward for ByHardness<H, E> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        if group.is_hard() { self.hard.score(group) } else { self.easy.score(group) }
    }

    fn score_parts(&self, group: &Group<'_>, visit: Visit<'_>) -> Vec<f64> {
        if group.is_hard() {
            self.hard.score_parts(group, visit)
        } else {
            self.easy.score_parts(group, visit)
        }
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::SemanticId;

    use super::*;

    #[test]
    fn clipping_keeps_nan_and_never_panics() {
        let target = SemanticId::from([1]);
        let rollouts = vec![SemanticId::from([1]); 3];
        let raw = |_: &Group<'_>| vec![f64::NAN, f64::INFINITY, -3.0];
        let group = Group::new(&target, &rollouts);
        let scores = raw.clipped(-1.0, 1.0).score(&group);
        assert!(scores[0].is_nan());
        assert_eq!(scores[1..], [1.0, -1.0]);
        assert_eq!(raw.clipped(2.0, f64::NAN).score(&group)[2..], [2.0]);
    }
}
