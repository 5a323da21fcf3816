//! How much more or less likely items are that the history holds already.
//!
//! ```text
//! w[d]     = 12 · tanh(level + distance[d])     d: places between the last item and the item's latest place
//! r(leaf)  = mean of exp(w) over the items of the leaf; 1 in place of exp(w) for those not in the history
//! r(m)     = Σ_c p₀(c | m) · r(c)               over the children of m, so 1 where none below is in the history
//! p(c | m) = p₀(c | m) · r(c) / r(m)            so p(leaf) = p₀(leaf) · r(leaf) / r(root)
//! ```
//! `p₀` is what the nodes' scores say. `log r` is added to the score of a node among its siblings, and the
//! normalisation over them does the rest. Only nodes above items of the history have an `r` other than 1.

use tch::{Kind, Tensor};

use sidereal_sid::NodeId;

use super::ItemPolicy;
use super::children::{by_fan_out, child_logits};
use super::lesson::Lesson;
use super::seen::Seen;
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::{Weights, share, to_i64};

/// No item becomes more than e¹² times more or less likely: the weight keeps a gradient.
pub(super) const BOUND: f64 = 12.0;

/// Names of the weights.
pub(super) const LEVEL: &str = "repeats.level";
pub(super) const DISTANCE: &str = "repeats.distance.weight";

/// The learned weights.
#[derive(Debug)]
pub(super) struct RepeatWeights {
    /// `[1]`.
    level: Tensor,
    /// `[P, 1]`.
    distance: Tensor,
}

impl RepeatWeights {
    pub(super) fn new(weights: &Weights) -> Result<Self, PolicyError> {
        Ok(Self { level: share(weights, LEVEL)?, distance: share(weights, DISTANCE)? })
    }

    /// `w` of each distance, `[P]`.
    pub(super) fn by_distance(&self) -> Result<Tensor, PolicyError> {
        Ok((self.distance.f_reshape([-1])? + &self.level).f_tanh()? * BOUND)
    }
}

/// Whether gradients reach `p₀`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prior {
    /// They do.
    Learned,
    /// `p₀` counts as a constant.
    Fixed,
}

/// `log r` of the nodes above the items of histories.
#[derive(Debug)]
pub(super) struct Repeats {
    levels: Vec<RepeatLevel>,
}

/// The nodes of a level.
#[derive(Debug)]
struct RepeatLevel {
    /// User and row, ascending.
    nodes: Vec<(usize, usize)>,
    /// `log r` of each, and a 0 after the last, `[E + 1]`.
    log_r: Tensor,
}

impl RepeatLevel {
    /// Place of a node; that of the 0 if there is none.
    fn place(&self, user: usize, row: usize) -> usize {
        self.nodes.binary_search(&(user, row)).unwrap_or(self.nodes.len())
    }
}

impl ItemPolicy {
    /// `log r` after histories, given their states `[U, D]` and items; `None` for a policy without weights of
    /// repeats. Gradients flow if they are recorded; where `p₀` is fixed, only to the weights of repeats.
    pub(super) fn repeats(
        &self,
        states: &Tensor,
        seen: &Seen,
        prior: Prior,
    ) -> Result<Option<Repeats>, PolicyError> {
        let Some(weights) = &self.repeats else { return Ok(None) };
        let by_distance = weights.by_distance()?.f_to_kind(states.kind())?;
        let mut levels: Vec<RepeatLevel> = Vec::with_capacity(self.tree.depth());
        for level in (0..self.tree.depth()).rev() {
            let mut nodes = Vec::new();
            for (user, items) in seen.0.iter().enumerate() {
                let row =
                    |(item, _): &(u32, usize)| self.tree.path(*item as usize).get(level).copied();
                nodes.extend(items.iter().filter_map(row).map(|row| (user, row as usize)));
            }
            nodes.sort_unstable();
            nodes.dedup();
            let is_leaf = |row: usize| self.tree.children(node_of(row)).is_empty();
            let (leaves, inner): (Vec<usize>, Vec<usize>) =
                (0..nodes.len()).partition(|at| is_leaf(nodes[*at].1));
            let of = |places: &[usize]| places.iter().map(|at| nodes[*at]).collect::<Vec<_>>();
            let mut parts = vec![self.leaf_factors(&of(&leaves), seen, &by_distance)?];
            if let Some(below) = levels.last().filter(|_| !inner.is_empty()) {
                parts.push(self.inner_factors((level, prior), &of(&inner), states, below)?);
            }
            parts.push(Tensor::f_zeros([1], (states.kind(), states.device()))?);
            let mut order = vec![0i64; nodes.len() + 1];
            for (place, at) in leaves.iter().chain(&inner).chain(&[nodes.len()]).enumerate() {
                order[*at] = to_i64(place);
            }
            let order = indices(order.into_iter(), states.device());
            let log_r = Tensor::f_cat(&parts, 0)?.f_index_select(0, &order)?;
            levels.push(RepeatLevel { nodes, log_r });
        }
        levels.reverse();
        Ok(Some(Repeats { levels }))
    }

    /// What the weights of repeats change in the loss of each level of a lesson, summed over its positions, given
    /// the body's states `[n, D]` and the log-probabilities `[n, M₀]` of the first level; `p₀` is fixed.
    ///
    /// ```text
    /// loss[l] = Σ over positions of log r(parent) − log r(node)     of the next item's node at level l
    /// ```
    pub(super) fn repeat_losses(
        &self,
        lesson: &Lesson,
        states: &Tensor,
        first: &Tensor,
    ) -> Result<Option<Vec<Tensor>>, PolicyError> {
        let seen = Seen::of_beginnings(&lesson.inputs);
        let Some(repeats) = self.repeats(&states.detach(), &seen, Prior::Fixed)? else {
            return Ok(None);
        };
        let first = repeats.add_to(0, 0, &first.detach().f_transpose(0, 1)?)?; // [M₀, n]
        let mut of_parents = first.f_logsumexp([0i64].as_slice(), false)?; // [n]
        let mut losses = Vec::with_capacity(self.tree.depth());
        for level in 0..self.tree.depth() {
            let row =
                |item: &u32| self.tree.path(*item as usize).get(level).map(|row| *row as usize);
            let rows: Vec<Option<usize>> = lesson.targets.iter().map(row).collect();
            let is_there: Vec<bool> = rows.iter().map(Option::is_some).collect();
            let is_there = Tensor::from_slice(&is_there).f_to_device(states.device())?;
            let of_nodes = repeats.of_nodes(level, rows.into_iter())?;
            let differences = (of_parents - &of_nodes) * is_there;
            losses.push(differences.f_sum(Kind::Float)?);
            of_parents = of_nodes;
        }
        Ok(Some(losses))
    }

    /// `log r` of leaves `[n]`, which are ascending.
    fn leaf_factors(
        &self,
        leaves: &[(usize, usize)],
        seen: &Seen,
        by_distance: &Tensor,
    ) -> Result<Tensor, PolicyError> {
        let options = (by_distance.kind(), by_distance.device());
        let (mut at, mut distances, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut others = vec![1f64; leaves.len()];
        for (user, items) in seen.0.iter().enumerate() {
            for (item, distance) in items {
                let Some(row) = self.tree.path(*item as usize).last() else { continue };
                let Ok(leaf) = leaves.binary_search(&(user, *row as usize)) else { continue };
                let share = 1.0 / self.tree.trie().items(node_of(*row as usize)).len() as f64;
                at.push(to_i64(leaf));
                distances.push(to_i64(*distance));
                shares.push(share);
                others[leaf] -= share;
            }
        }
        // What is left of one is rounding.
        others.iter_mut().filter(|other| **other < 1e-9).for_each(|other| *other = 0.0);
        let tensor = |values: &[f64]| -> Result<Tensor, PolicyError> {
            Ok(Tensor::from_slice(values).f_to_device(options.1)?.f_to_kind(options.0)?)
        };
        let at = indices(at.into_iter(), options.1);
        let distances = indices(distances.into_iter(), options.1);
        let of_items = by_distance.f_index_select(0, &distances)?.f_exp()? * tensor(&shares)?;
        Ok(tensor(&others)?.f_index_add(0, &at, &of_items)?.f_log()?)
    }

    /// `log r` of nodes of a level `[n]`, given that of the level below.
    fn inner_factors(
        &self,
        (level, prior): (usize, Prior),
        inner: &[(usize, usize)],
        states: &Tensor,
        below: &RepeatLevel,
    ) -> Result<Tensor, PolicyError> {
        let nodes: Vec<NodeId> = inner.iter().map(|(_, row)| node_of(*row)).collect();
        let (mut parts, mut order) = (Vec::new(), Vec::new());
        for (_, members) in by_fan_out(&self.tree, nodes.iter().copied()) {
            let users: Vec<usize> = members.iter().map(|at| inner[*at].0).collect();
            let nodes: Vec<NodeId> = members.iter().map(|at| nodes[*at]).collect();
            let of_users = indices(users.iter().map(|user| to_i64(*user)), states.device());
            let of_users = states.f_index_select(0, &of_users)?;
            let of_users = self.level_states(level + 1, &of_users)?;
            let logits = child_logits(self, &of_users, &nodes)?; // [n, K]
            let logits = match prior {
                Prior::Learned => logits,
                Prior::Fixed => logits.detach(),
            };
            let log_r = of_children(self, below, &users, &nodes, logits.size()[1])?;
            let logp = logits.f_log_softmax(-1, states.kind())? + log_r;
            parts.push(logp.f_logsumexp([1i64].as_slice(), false)?);
            order.extend(members);
        }
        let mut back = vec![0i64; order.len()];
        for (place, at) in order.into_iter().enumerate() {
            back[at] = to_i64(place);
        }
        let back = indices(back.into_iter(), states.device());
        Ok(Tensor::f_cat(&parts, 0)?.f_index_select(0, &back)?)
    }
}

/// A user, a row of a level, and the `log r` of its node.
pub(super) type Moved = (usize, usize, f32);

impl Repeats {
    /// `log r` of the children of users' nodes, whose children are of one level, `[n, K]`; 0 after the last child.
    pub(super) fn of_children(
        &self,
        policy: &ItemPolicy,
        level: usize,
        users: &[usize],
        nodes: &[NodeId],
        widest: i64,
    ) -> Result<Tensor, PolicyError> {
        of_children(policy, &self.levels[level], users, nodes, widest)
    }

    /// Adds `log r` to the scores `[m, U]` of all nodes of a level, of which `first` is the first row.
    pub(super) fn add_to(
        &self,
        level: usize,
        first: usize,
        scores: &Tensor,
    ) -> Result<Tensor, PolicyError> {
        let RepeatLevel { nodes, log_r } = &self.levels[level];
        if nodes.is_empty() {
            return Ok(scores.shallow_clone());
        }
        let device = scores.device();
        let rows = indices(nodes.iter().map(|(_, row)| to_i64(row - first)), device);
        let users = indices(nodes.iter().map(|(user, _)| to_i64(*user)), device);
        let log_r = log_r.f_narrow(0, 0, to_i64(nodes.len()))?;
        Ok(scores.f_index_put(&[Some(rows), Some(users)], &log_r, true)?)
    }

    /// `log r` of users' nodes of a level, `[n]`; 0 for a user without a node, and for nodes without items below.
    pub(super) fn of_nodes(
        &self,
        level: usize,
        rows: impl Iterator<Item = Option<usize>>,
    ) -> Result<Tensor, PolicyError> {
        let RepeatLevel { nodes, log_r } = &self.levels[level];
        let place = |(user, row): (usize, Option<usize>)| {
            row.map_or(nodes.len(), |row| self.levels[level].place(user, row))
        };
        let places = rows.enumerate().map(|pair| to_i64(place(pair)));
        Ok(log_r.f_index_select(0, &indices(places, log_r.device()))?)
    }

    /// Each level's nodes, as user and row ascending, with their `log r` on the host.
    pub(super) fn on_host(&self) -> Result<Vec<Vec<Moved>>, PolicyError> {
        let of_level = |RepeatLevel { nodes, log_r }: &RepeatLevel| {
            let log_r = log_r.detach().f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
            let log_r = Vec::<f32>::try_from(log_r)?;
            let join = |((user, row), log_r): (&(usize, usize), f32)| (*user, *row, log_r);
            Ok(nodes.iter().zip(log_r).map(join).collect())
        };
        self.levels.iter().map(of_level).collect()
    }
}

/// `log r` of the children of users' nodes, `[n, K]`, given that of the children's level.
fn of_children(
    policy: &ItemPolicy,
    below: &RepeatLevel,
    users: &[usize],
    nodes: &[NodeId],
    widest: i64,
) -> Result<Tensor, PolicyError> {
    let mut places = Vec::new();
    for (user, node) in users.iter().zip(nodes) {
        let children = policy.tree.children(*node);
        let none = (to_i64(children.len())..widest).map(|_| to_i64(below.nodes.len()));
        places.extend(children.map(|row| to_i64(below.place(*user, row))));
        places.extend(none);
    }
    let places = indices(places.into_iter(), below.log_r.device());
    let log_r = below.log_r.f_index_select(0, &places)?;
    Ok(log_r.f_view([to_i64(nodes.len()), widest])?)
}

/// `r` of a leaf of so many items, given `exp w` of those that the history holds.
pub(super) fn leaf_factor(count: usize, held: impl Iterator<Item = f64>) -> f64 {
    let (others, sum) = held.fold((count, 0.0), |(others, sum), factor| (others - 1, sum + factor));
    (others as f64 + sum) / count as f64
}

/// The node of a row.
pub(super) fn node_of(row: usize) -> NodeId {
    NodeId(u32::try_from(row + 1).unwrap_or(u32::MAX)) // rows are nodes, which fit
}
