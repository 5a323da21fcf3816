//! Branches of prompts on their way down a trie, for any policy.

use std::fmt::Debug;

use sidereal_sid::{NodeId, Trie};

use crate::PolicyError;
use crate::decode::constraint::{Constraint, Scoring};

/// Branches (beams, rollouts) of prompts on their way down a trie, and what the policy has read of them.
///
/// The caller owns this state; the policy itself never changes.
pub trait Branches: Debug {
    /// Number of prompts, `U`.
    fn num_prompts(&self) -> usize;

    /// Scores of the children of each branch's node; `nodes[u][w]` is the node of branch `w` of
    /// prompt `u`.
    ///
    /// # Errors
    /// Those of tensors; [`PolicyError::Unsupported`] for a scoring that the policy does not have.
    fn scores(
        &self,
        constraint: &Constraint,
        scoring: Scoring,
        nodes: &[Vec<NodeId>],
    ) -> Result<ChildScores, PolicyError>;

    /// Continues the branches: branch `w` of prompt `u` becomes branch `next[u][w].parent` with one
    /// more token. At least one prompt has a branch; prompts may have different numbers of them.
    ///
    /// # Errors
    /// [`PolicyError::Positions`] if a branch gets too long.
    fn advance(&mut self, constraint: &Constraint, next: &[Vec<Onward>])
    -> Result<(), PolicyError>;
}

/// How a branch is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onward {
    /// Branch that it continues.
    pub parent: usize,
    /// Flat token that it adds.
    pub token: u32,
}

/// Scores of the children of branches' nodes.
///
/// Under [`Scoring::Full`] these are log-probabilities, in nats. Under [`Scoring::Renormalised`]
/// they are log-probabilities up to a constant for each node: decoding subtracts the log-sum-exp
/// over the children of the node.
#[derive(Debug)]
pub struct ChildScores(Form);

#[derive(Debug)]
enum Form {
    /// Of all codes of each branch's level.
    Levels(LevelScores),
    /// `[u][w][k]`: of the children alone.
    Children(Vec<Vec<Vec<f32>>>),
}

/// Scores of each level's codes.
#[derive(Debug)]
pub(crate) struct LevelScores {
    /// First flat token of each level, and the total.
    pub(crate) offsets: Vec<u32>,
    /// Branches of a prompt, the unused ones counted.
    pub(crate) slots: usize,
    /// From a branch to its row of its level.
    pub(crate) row: Vec<usize>,
    pub(crate) levels: Vec<Vec<f32>>,
}

impl ChildScores {
    /// Scores of each branch's children: `scores[u][w][k]` is that of the `k`-th child
    /// ([`Trie::children`]) of the node of branch `w` of prompt `u`.
    #[must_use]
    pub const fn of_children(scores: Vec<Vec<Vec<f32>>>) -> Self {
        Self(Form::Children(scores))
    }

    pub(crate) const fn of_levels(scores: LevelScores) -> Self {
        Self(Form::Levels(scores))
    }

    /// Accepts a score for each child of each node.
    pub(crate) fn check(&self, trie: &Trie, nodes: &[Vec<NodeId>]) -> Result<(), PolicyError> {
        let Form::Children(scores) = &self.0 else { return Ok(()) };
        let same = |what, found, expected| {
            let wrong = PolicyError::Size { what, found, expected };
            if found == expected { Ok(()) } else { Err(wrong) }
        };
        same("prompts with scores", scores.len(), nodes.len())?;
        for (scores, nodes) in scores.iter().zip(nodes) {
            same("branches with scores", scores.len(), nodes.len())?;
            for (scores, node) in scores.iter().zip(nodes) {
                same("scores of a node's children", scores.len(), trie.children(*node).len())?;
            }
        }
        Ok(())
    }

    /// Scores of the children of a branch's node of this level, whose flat tokens are `tokens`.
    pub(crate) fn of<'s>(
        &'s self,
        user: usize,
        slot: usize,
        level: usize,
        tokens: &'s [u32],
    ) -> impl Iterator<Item = f32> + Clone + 's {
        let (scores, first) = match &self.0 {
            Form::Children(scores) => (scores[user][slot].as_slice(), None),
            Form::Levels(LevelScores { offsets, slots, row, levels }) => {
                let (first, end) = (offsets[level], offsets[level + 1]);
                let size = (end - first) as usize;
                let row = row[user * slots + slot] * size;
                (&levels[level][row..row + size], Some(first))
            }
        };
        tokens.iter().enumerate().map(move |(k, token)| match first {
            Some(first) => scores[(*token - first) as usize],
            None => scores[k],
        })
    }
}

/// Scores of the children of branches' nodes, checked.
pub(crate) fn child_scores(
    branches: &dyn Branches,
    constraint: &Constraint,
    scoring: Scoring,
    nodes: &[Vec<NodeId>],
) -> Result<ChildScores, PolicyError> {
    let scores = branches.scores(constraint, scoring, nodes)?;
    scores.check(constraint.trie(), nodes)?;
    Ok(scores)
}

/// Continues the branches; false if no prompt has a branch left.
pub(crate) fn advance(
    branches: &mut dyn Branches,
    constraint: &Constraint,
    next: &[Vec<Onward>],
) -> Result<bool, PolicyError> {
    let any = next.iter().any(|branches| !branches.is_empty());
    if any {
        branches.advance(constraint, next)?;
    }
    Ok(any)
}

/// What renormalised scoring subtracts from the scores of a node's codes.
pub(crate) fn normaliser(scoring: Scoring, codes: impl Iterator<Item = f32> + Clone) -> f32 {
    match scoring {
        Scoring::Full => 0.0,
        Scoring::Renormalised => log_sum_exp(codes),
    }
}

/// `ln Σ exp`, −∞ for no values.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let max = values.clone().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return max;
    }
    max + values.map(|value| (value - max).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_another_number_than_the_children_are_named() {
        let trie = Trie::from_sequences(&[[1u32, 5], [1, 6], [2, 5]]).unwrap();
        let nodes = [vec![Trie::ROOT, trie.walk(&[1]).unwrap()], vec![trie.walk(&[2]).unwrap()]];
        let check =
            |scores: Vec<Vec<Vec<f32>>>| ChildScores::of_children(scores).check(&trie, &nodes);
        let whole = vec![vec![vec![0.0; 2], vec![0.0; 2]], vec![vec![0.0]]];
        assert!(check(whole.clone()).is_ok());
        let wrong = |change: fn(&mut Vec<Vec<Vec<f32>>>), named: &str, sizes: (usize, usize)| {
            let mut scores = whole.clone();
            change(&mut scores);
            match check(scores).unwrap_err() {
                PolicyError::Size { what, found, expected } => {
                    assert_eq!((what, (found, expected)), (named, sizes));
                }
                other => panic!("{other}"),
            }
        };
        wrong(|scores| drop(scores.pop()), "prompts with scores", (1, 2));
        wrong(|scores| drop(scores[0].pop()), "branches with scores", (1, 2));
        wrong(|scores| scores[1][0].push(0.0), "scores of a node's children", (2, 1));
    }
}
