//! Branches of prompts: a state for each prompt, and only a node for each branch.

use std::ops::Range;

use rayon::prelude::*;
use sidereal_sid::NodeId;
use tch::{Device, Kind, Tensor};

use super::ItemPolicy;
use super::host::sums::dot;
use super::pack::Packed;
use super::repeats::Prior;
use super::seen::Seen;
use crate::PolicyError;
use crate::decode::branches::{Branches, ChildScores, Onward};
use crate::decode::constraint::{Constraint, Scoring};

/// What the policy has read of prompts.
#[derive(Debug)]
pub(super) struct ItemBranches<'p> {
    policy: &'p ItemPolicy,
    /// States of each level, `[U, D]`, on the host.
    states: Vec<Vec<f32>>,
    /// What is added to the scores of some nodes of each level: user, row, value; ascending.
    repeats: Option<Vec<Vec<(usize, usize, f32)>>>,
    num_prompts: usize,
}

impl<'p> ItemBranches<'p> {
    pub(super) fn read(policy: &'p ItemPolicy, packed: &Packed) -> Result<Self, PolicyError> {
        let _guard = tch::no_grad_guard();
        let vectors = policy.item_vectors(&packed.items)?;
        let states = packed.last_states(policy, &vectors)?;
        let repeats = policy.repeats(&states, &Seen::of(packed), Prior::Learned)?;
        let repeats = repeats.map(|repeats| repeats.on_host()).transpose()?;
        let of_level = |level| host(&policy.level_states(level, &states)?);
        let states = (0..policy.tree.depth()).map(of_level).collect::<Result<_, _>>()?;
        Ok(Self { policy, states, repeats, num_prompts: packed.lens.len() })
    }
}

impl Branches for ItemBranches<'_> {
    fn num_prompts(&self) -> usize {
        self.num_prompts
    }

    fn scores(
        &self,
        constraint: &Constraint,
        scoring: Scoring,
        nodes: &[Vec<NodeId>],
    ) -> Result<ChildScores, PolicyError> {
        let _guard = tch::no_grad_guard();
        let Self { policy, .. } = self;
        policy.tree.check(constraint)?;
        renormalised(scoring)?;
        if nodes.len() != self.num_prompts {
            let (found, expected) = (nodes.len(), self.num_prompts);
            return Err(PolicyError::Size { what: "prompts with branches", found, expected });
        }
        let (tree, dim) = (&policy.tree, policy.config.hidden_size);
        let mut met: Vec<NodeId> = nodes.concat();
        met.sort_unstable();
        met.dedup();
        let rows: Vec<usize> = met.iter().flat_map(|node| tree.children(*node)).collect();
        if rows.is_empty() {
            let none = nodes.iter().map(|nodes| vec![Vec::new(); nodes.len()]).collect();
            return Ok(ChildScores::of_children(none));
        }
        let vectors = host(&policy.node_vectors(&rows)?)?;
        let bias = host(&policy.bias)?;
        // For each node that occurs: its level, its children, and where they begin among the rows.
        let places: Vec<(usize, Range<usize>, usize)> = met
            .iter()
            .scan(0, |next, node| {
                let (start, children) = (*next, tree.children(*node));
                *next += children.len();
                Some((tree.level_of(children.start), children, start))
            })
            .collect();
        let (states, repeats) = (&self.states, self.repeats.as_ref());
        let of_branch = |user: usize, node: &NodeId| -> Vec<f32> {
            let (level, children, start) = &places[met.partition_point(|other| other < node)];
            if children.is_empty() {
                return Vec::new();
            }
            let state = &states[*level][user * dim..(user + 1) * dim];
            let vectors = vectors[start * dim..].chunks_exact(dim);
            let scores = children.clone().zip(vectors).map(|(row, v)| dot(state, v) + bias[row]);
            let mut scores: Vec<f32> = scores.collect();
            if let Some(levels) = repeats {
                let all = &levels[*level];
                let from = all.partition_point(|(u, row, _)| (*u, *row) < (user, children.start));
                let own =
                    all[from..].iter().take_while(|(u, row, _)| *u == user && *row < children.end);
                own.for_each(|(_, row, log_r)| scores[row - children.start] += log_r);
            }
            scores
        };
        let scores = nodes
            .par_iter()
            .enumerate()
            .map(|(user, nodes)| nodes.iter().map(|node| of_branch(user, node)).collect())
            .collect();
        Ok(ChildScores::of_children(scores))
    }

    fn advance(&mut self, _: &Constraint, _: &[Vec<Onward>]) -> Result<(), PolicyError> {
        Ok(()) // a branch is its node
    }
}

/// Accepts the one scoring that the policy has.
pub(super) fn renormalised(scoring: Scoring) -> Result<(), PolicyError> {
    if scoring == Scoring::Renormalised {
        return Ok(());
    }
    Err(PolicyError::Unsupported {
        field: "scoring",
        found: "`full`".to_owned(),
        expected: "`renormalised` for a policy that reads items: no token is illegal",
    })
}

/// A tensor's values, row by row.
pub(super) fn host(tensor: &Tensor) -> Result<Vec<f32>, PolicyError> {
    let tensor = tensor.detach().f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    Ok(Vec::<f32>::try_from(tensor.f_reshape([-1])?)?)
}
