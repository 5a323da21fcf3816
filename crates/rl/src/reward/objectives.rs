use std::fmt;

use super::check_scores;
use crate::{Group, Reward, RlError, Segments};

/// Several named rewards with weights, kept apart until advantages are formed.
///
/// SAGE eq 1: a rollout has a vector of rewards. [`score_groups`](Self::score_groups) keeps the
/// vector, for [`decoupled_advantages`](crate::decoupled_advantages). Used as a [`Reward`] it gives
/// the weighted sum, in which the objective with the largest spread can dominate a group.
///
/// ```
/// use sidereal_rl::{Accuracy, Group, Objectives, SidLevel, ZScore, decoupled_advantages};
/// use sidereal_sid::SemanticId;
///
/// let objectives =
///     Objectives::new().with("accuracy", 1.0, Accuracy)?.with("prefix", 0.5, SidLevel::default())?;
/// let target = SemanticId::from([1, 2]);
/// let rollouts = [SemanticId::from([1, 2]), SemanticId::from([1, 0]), SemanticId::from([0, 0])];
/// let scores = objectives.score_groups([Group::new(&target, &rollouts)])?;
/// assert_eq!(scores.rewards, [[1.0, 0.0, 0.0], [0.75, 0.5, 0.0]]);
///
/// let advantages = decoupled_advantages(&scores, ZScore::default())?;
/// assert!(advantages.values[0] > advantages.values[1]);
/// # Ok::<(), sidereal_rl::RlError>(())
/// ```
#[derive(Default)]
pub struct Objectives<'r> {
    terms: Vec<Term<'r>>,
}

struct Term<'r> {
    name: String,
    weight: f64,
    reward: Box<dyn Reward + 'r>,
}

/// The rewards of a batch of groups, for each objective.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObjectiveScores {
    /// Name of each objective, `[M]`.
    pub names: Vec<String>,
    /// Weight of each objective, `[M]`.
    pub weights: Vec<f64>,
    /// Reward of each rollout under each objective, `[M][R]`.
    pub rewards: Vec<Vec<f64>>,
    /// Which rollouts belong to which group.
    pub groups: Segments,
}

impl<'r> Objectives<'r> {
    /// No objective yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { terms: Vec::new() }
    }

    /// These objectives and one more.
    ///
    /// # Errors
    /// [`RlError::Setting`] unless the weight is finite.
    pub fn with(
        mut self,
        name: impl Into<String>,
        weight: f64,
        reward: impl Reward + 'r,
    ) -> Result<Self, RlError> {
        let weight = RlError::setting("weight", weight, "a finite value", f64::is_finite)?;
        self.terms.push(Term { name: name.into(), weight, reward: Box::new(reward) });
        Ok(self)
    }

    /// The checked rewards of a batch of groups under each objective.
    ///
    /// # Errors
    /// [`RlError::ScoreCount`] and [`RlError::Reward`], both naming the group.
    pub fn score_groups<'a>(
        &self,
        groups: impl IntoIterator<Item = Group<'a>>,
    ) -> Result<ObjectiveScores, RlError> {
        let mut rewards = vec![Vec::new(); self.terms.len()];
        let mut lens = Vec::new();
        for (index, group) in groups.into_iter().enumerate() {
            for (term, all) in self.terms.iter().zip(&mut rewards) {
                let scores = term.reward.score(&group);
                check_scores(&scores, &group, index)?;
                all.extend(scores);
            }
            lens.push(group.len());
        }
        Ok(ObjectiveScores {
            names: self.terms.iter().map(|term| term.name.clone()).collect(),
            weights: self.terms.iter().map(|term| term.weight).collect(),
            rewards,
            groups: Segments::from_lens(lens),
        })
    }
}

impl ObjectiveScores {
    /// Scores that were computed elsewhere.
    ///
    /// # Errors
    /// [`RlError::Length`] unless there is one name and one weight per objective and one reward per
    /// rollout; [`RlError::Reward`] on NaN or infinity; [`RlError::Setting`] on such a weight.
    pub fn new(
        names: Vec<String>,
        weights: Vec<f64>,
        rewards: Vec<Vec<f64>>,
        groups: Segments,
    ) -> Result<Self, RlError> {
        let scores = Self { names, weights, rewards, groups };
        scores.check()?;
        Ok(scores)
    }

    /// The fields are public, so what uses them checks them.
    pub(crate) fn check(&self) -> Result<(), RlError> {
        RlError::length("names", self.names.len(), self.rewards.len(), "objective")?;
        RlError::length("weights", self.weights.len(), self.rewards.len(), "objective")?;
        for weight in &self.weights {
            RlError::setting("weight", *weight, "a finite value", f64::is_finite)?;
        }
        self.rewards.iter().try_for_each(|rewards| {
            crate::advantage::check("objective rewards", rewards, &self.groups)
        })
    }
}

impl Reward for Objectives<'_> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.score_parts(group, &mut |_, _| {})
    }

    fn score_parts(&self, group: &Group<'_>, visit: &mut dyn FnMut(&str, &[f64])) -> Vec<f64> {
        let mut total = vec![0.0; group.len()];
        for term in &self.terms {
            let scores = term.reward.score_parts(group, visit);
            visit(&term.name, &scores);
            // A short answer must not pass for a complete one.
            total.truncate(scores.len());
            total.iter_mut().zip(scores).for_each(|(sum, score)| *sum += term.weight * score);
        }
        total
    }
}

impl fmt::Debug for Objectives<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.terms.iter().map(|term| (&term.name, term.weight))).finish()
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::SemanticId;

    use super::*;
    use crate::{Accuracy, SidLevel};

    fn objectives() -> Objectives<'static> {
        let objectives = Objectives::new().with("hit", 2.0, Accuracy).unwrap();
        objectives.with("prefix", -0.5, SidLevel::default()).unwrap()
    }

    #[test]
    fn as_one_reward_objectives_are_their_weighted_sum() {
        let target = SemanticId::from([1, 2]);
        let rollouts = [[1, 2], [1, 0], [0, 0]].map(SemanticId::from);
        let group = Group::new(&target, &rollouts);
        // 2 · hit - 1/2 · (1 - 2^-ℓ)
        assert_eq!(objectives().score(&group), [2.0 - 0.375, -0.25, 0.0]);
        let scores =
            objectives().score_groups([group, Group::new(&target, &rollouts[..1])]).unwrap();
        assert_eq!(scores.rewards, [[1.0, 0.0, 0.0, 1.0], [0.75, 0.5, 0.0, 0.75]]);
        assert_eq!(
            (scores.weights, scores.names),
            (vec![2.0, -0.5], vec!["hit".to_owned(), "prefix".to_owned()])
        );
        assert_eq!(scores.groups, Segments::from_lens([3, 1]));
        let logged = crate::score_groups(&objectives(), [group]).unwrap().parts;
        assert_eq!(
            logged.iter().map(|part| (part.name.as_str(), part.sum)).collect::<Vec<_>>(),
            [("hit", 1.0), ("prefix", 1.25)]
        );
        assert_eq!(format!("{:?}", objectives()), r#"{"hit": 2.0, "prefix": -0.5}"#);
    }

    #[test]
    fn objectives_that_do_not_fit_together_are_refused() {
        assert!(Objectives::new().with("nan", f64::NAN, Accuracy).is_err());
        let new = |names: &[&str], weights: &[f64], rewards: Vec<Vec<f64>>| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            ObjectiveScores::new(names, weights.to_vec(), rewards, Segments::uniform(1, 2))
        };
        assert!(new(&["a"], &[1.0], vec![vec![0.0, 1.0]]).is_ok());
        assert!(matches!(
            new(&[], &[1.0], vec![vec![0.0, 1.0]]),
            Err(RlError::Length { what: "names", .. })
        ));
        assert!(matches!(
            new(&["a"], &[], vec![vec![0.0, 1.0]]),
            Err(RlError::Length { what: "weights", .. })
        ));
        assert!(matches!(
            new(&["a"], &[f64::NAN], vec![vec![0.0, 1.0]]),
            Err(RlError::Setting { .. })
        ));
        assert!(matches!(new(&["a"], &[1.0], vec![vec![0.0]]), Err(RlError::Length { .. })));
        assert!(matches!(
            new(&["a"], &[1.0], vec![vec![0.0, f64::NAN]]),
            Err(RlError::Reward { position: 1, .. })
        ));
    }

    #[test]
    fn an_objective_with_too_few_scores_is_an_error() {
        let short = |_: &Group<'_>| vec![1.0];
        let both = objectives().with("short", 1.0, short).unwrap();
        let target = SemanticId::from([1]);
        let rollouts = vec![SemanticId::from([1]); 2];
        let group = Group::new(&target, &rollouts);
        let expected = RlError::ScoreCount { group: 0, found: 1, needed: 2 };
        assert_eq!(crate::score_groups(&both, [group]), Err(expected.clone()));
        assert_eq!(both.score_groups([group]), Err(expected));
    }
}
