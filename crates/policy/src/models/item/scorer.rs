//! Exact log-probabilities of all items and of all prefixes.

use tch::Tensor;

use super::ItemPolicy;
use super::branches::host;
use super::host::is_plain;
use super::host::reweigh::reweigh;
use super::host::scores::{Nodes, of_items};
use super::pack::Packed;
use super::repeats::{Prior, RepeatWeights, Repeats};
use super::seen::Seen;
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

/// The current vectors of all nodes and items, to score many histories.
///
/// They are computed once. A scorer that was made before an update of the weights scores with the
/// old weights. Gradients flow if they are recorded.
#[derive(Debug)]
pub struct ItemScorer<'p> {
    policy: &'p ItemPolicy,
    /// `[M, D]`.
    nodes: Tensor,
    /// The same on the host, where they are f32 on the CPU and no gradient is recorded.
    vectors: Option<Vec<f32>>,
    /// `[N, D]`.
    items: Tensor,
}

impl ItemPolicy {
    /// A scorer with the current weights.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn scorer(&self) -> Result<ItemScorer<'_>, PolicyError> {
        let rows: Vec<usize> = (0..self.tree.num_rows()).collect();
        let items: Vec<u32> = (0..).take(self.num_items()).collect();
        let (nodes, items) = (self.node_vectors(&rows)?, self.item_vectors(&items)?);
        let vectors = is_host(&nodes).then(|| host(&nodes)).transpose()?;
        Ok(ItemScorer { policy: self, nodes, vectors, items })
    }

    /// Log-probability of every item after each history, `[U, N]`, in nats: exact, by one matrix product a
    /// level. [`scorer`](Self::scorer) saves work if many batches are scored.
    ///
    /// # Errors
    /// As [`ItemScorer::states`].
    pub fn log_probs_of_items<H: AsRef<[u32]>>(
        &self,
        histories: &[H],
    ) -> Result<Tensor, PolicyError> {
        let scorer = self.scorer()?;
        scorer.items(&scorer.states(histories)?)
    }
}

/// States after histories, and the items that the histories hold.
#[derive(Debug)]
pub struct ItemStates {
    /// `[U, D]`.
    states: Tensor,
    seen: Seen,
}

impl ItemScorer<'_> {
    /// States after histories of item ids, each read from its latest
    /// [`max_history`](crate::ItemPolicyConfig::max_history) items.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no histories or an empty one; [`PolicyError::UnknownItem`].
    pub fn states<H: AsRef<[u32]>>(&self, histories: &[H]) -> Result<ItemStates, PolicyError> {
        let policy = self.policy;
        let packed = Packed::new(histories, policy.config.max_history, policy.num_items())?;
        let ids = indices(packed.items.iter().map(|item| i64::from(*item)), self.items.device());
        let vectors = Tensor::f_embedding(&self.items, &ids, -1, false, false)?;
        let states = packed.last_states(policy, &vectors)?;
        Ok(ItemStates { states, seen: Seen::of(&packed) })
    }

    /// Log-probability of every prefix, level by level: `[U, nodes of the level]`, in nats, in the order of
    /// the trie's nodes. The probabilities of the children of a prefix sum to its probability.
    ///
    /// ```text
    /// log p(m) = log p(parent(m)) + z[m] − log Σ exp z over the children of parent(m)
    /// ```
    /// A policy with weights of repeats adds the logarithms of their factors to `z`.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn prefixes(&self, states: &ItemStates) -> Result<Vec<Tensor>, PolicyError> {
        let levels = self.levels(states)?;
        levels.iter().map(|level| Ok(level.f_transpose(0, 1)?)).collect()
    }

    /// Log-probability of every item, `[U, N]`, in nats: that of its leaf, in equal parts if items share
    /// it. They sum to one over the catalogue.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn items(&self, states: &ItemStates) -> Result<Tensor, PolicyError> {
        match self.items_on_host(states)? {
            Some(items) => Ok(items),
            None => self.items_by_libtorch(states),
        }
    }

    /// Sets `out` to the values of [`items`](Self::items), row after row, `[U · N]`. Its memory is used again.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn values(&self, states: &ItemStates, out: &mut Vec<f32>) -> Result<(), PolicyError> {
        if !self.values_on_host(states, out)? {
            *out = host(&self.items_by_libtorch(states)?)?;
        }
        Ok(())
    }

    pub(super) fn items_on_host(&self, after: &ItemStates) -> Result<Option<Tensor>, PolicyError> {
        let (items, mut values) = (to_i64(self.policy.num_items()), Vec::new());
        let is_done = self.values_on_host(after, &mut values)?;
        Ok(is_done.then(|| Tensor::from_slice(&values).view([-1, items])))
    }

    /// Computes the log-probabilities on the host; false where not all is f32 on the CPU or gradients are
    /// recorded.
    fn values_on_host(&self, after: &ItemStates, out: &mut Vec<f32>) -> Result<bool, PolicyError> {
        let (policy, ItemStates { states, seen }) = (self.policy, after);
        let levels = (0..policy.tree.depth()).map(|level| policy.level_states(level, states));
        let levels = levels.collect::<Result<Vec<_>, _>>()?;
        let bias = policy.bias.f_mul_scalar(1.0)?; // of the leaf it cannot be seen whether gradients are recorded
        let of_repeats = policy.repeats.as_ref().map(RepeatWeights::by_distance).transpose()?;
        let Some(vectors) = &self.vectors else { return Ok(false) };
        if !levels.iter().chain([&bias]).chain(&of_repeats).all(is_host) {
            return Ok(false);
        }
        let bias = host(&bias)?;
        let of_level = |(level, states)| Ok((policy.tree.level(level).len(), host(states)?));
        let levels = levels.iter().enumerate().map(of_level);
        let levels = levels.collect::<Result<Vec<_>, PolicyError>>()?;
        let (trie, width) = (policy.tree.trie(), policy.config.hidden_size);
        of_items(Nodes { trie, vectors, bias: &bias, width }, &levels, out);
        if let Some(by_distance) = of_repeats {
            reweigh(trie, &host(&by_distance)?, seen, out);
        }
        Ok(true)
    }

    /// The log-probabilities by libtorch's operations, with the backward pass.
    pub(super) fn items_by_libtorch(&self, states: &ItemStates) -> Result<Tensor, PolicyError> {
        let tree = &self.policy.tree;
        let all = Tensor::f_cat(&self.levels(states)?, 0)?; // [M, U]
        let items = Tensor::f_embedding(&all, tree.leaves(), -1, false, false)?; // [N, U]
        let items = match tree.shared() {
            None => items,
            Some(logs) => items.f_sub(&logs.unsqueeze(1))?,
        };
        Ok(items.f_transpose(0, 1)?)
    }

    /// Log-probabilities of prefixes, `[nodes of the level, U]`.
    fn levels(&self, after: &ItemStates) -> Result<Vec<Tensor>, PolicyError> {
        let ItemStates { states, seen } = after;
        let repeats = self.policy.repeats(states, seen, Prior::Learned)?;
        self.policy.prefixes(
            &self.nodes,
            states,
            Law { repeats: repeats.as_ref(), ..Law::default() },
        )
    }
}

/// Whether a tensor's values are at hand, and no gradient of them is recorded.
fn is_host(tensor: &Tensor) -> bool {
    is_plain(tensor) && !tensor.requires_grad()
}

/// What the scores of nodes become before they are normalised.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Law<'a> {
    /// They are divided by it.
    pub(super) temperature: Option<f64>,
    /// Added before the division.
    pub(super) repeats: Option<&'a Repeats>,
}

impl ItemPolicy {
    /// Log-probabilities of prefixes, `[nodes of the level, U]`, level by level, given the vectors `[M, D]` of
    /// all nodes and the states `[U, D]`.
    pub(super) fn prefixes(
        &self,
        nodes: &Tensor,
        states: &Tensor,
        law: Law<'_>,
    ) -> Result<Vec<Tensor>, PolicyError> {
        let mut levels: Vec<Tensor> = Vec::with_capacity(self.tree.depth());
        for level in 0..self.tree.depth() {
            let rows = self.tree.level(level);
            let (start, len) = (to_i64(rows.start), to_i64(rows.len()));
            let states = self.level_states(level, states)?;
            let bias = self.bias.f_narrow(0, start, len)?.unsqueeze(1);
            let scores =
                nodes.f_narrow(0, start, len)?.f_matmul(&states.f_transpose(0, 1)?)? + bias;
            let scores = match law.repeats {
                None => scores,
                Some(repeats) => repeats.add_to(level, rows.start, &scores)?,
            };
            let scores = match law.temperature {
                None => scores,
                Some(temperature) => scores / temperature,
            };
            levels.push(match levels.last() {
                None => scores.f_log_softmax(0, scores.kind())?,
                Some(before) => {
                    let parents = self.tree.parents(level);
                    let of_prefix = Tensor::f_embedding(before, parents, -1, false, false)?;
                    let sums = self.tree.families(level).log_sums(&scores)?;
                    scores + of_prefix - sums
                }
            });
        }
        Ok(levels)
    }
}
