//! Exact log-probabilities of all items and of all prefixes.

use tch::Tensor;

use super::ItemPolicy;
use super::branches::host;
use super::host::is_plain;
use super::host::scores::{Nodes, of_items};
use super::pack::Packed;
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
        Ok(ItemScorer { policy: self, nodes, items })
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

impl ItemScorer<'_> {
    /// States `[U, D]` after histories of item ids, each read from its latest
    /// [`max_history`](crate::ItemPolicyConfig::max_history) items.
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no histories or an empty one; [`PolicyError::UnknownItem`].
    pub fn states<H: AsRef<[u32]>>(&self, histories: &[H]) -> Result<Tensor, PolicyError> {
        let policy = self.policy;
        let packed = Packed::new(histories, policy.config.max_history, policy.num_items())?;
        let ids = indices(packed.items.iter().map(|item| i64::from(*item)), self.items.device());
        let vectors = Tensor::f_embedding(&self.items, &ids, -1, false, false)?;
        packed.last_states(policy, &vectors)
    }

    /// Log-probability of every prefix, level by level: `[U, nodes of the level]`, in nats, in the order of
    /// the trie's nodes. The probabilities of the children of a prefix sum to its probability.
    ///
    /// ```text
    /// log p(m) = log p(parent(m)) + z[m] − log Σ exp z over the children of parent(m)
    /// ```
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn prefixes(&self, states: &Tensor) -> Result<Vec<Tensor>, PolicyError> {
        let levels = self.levels(states)?;
        levels.iter().map(|level| Ok(level.f_transpose(0, 1)?)).collect()
    }

    /// Log-probability of every item, `[U, N]`, in nats: that of its leaf, in equal parts if items share
    /// it. They sum to one over the catalogue.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn items(&self, states: &Tensor) -> Result<Tensor, PolicyError> {
        match self.items_on_host(states)? {
            Some(items) => Ok(items),
            None => self.items_by_libtorch(states),
        }
    }

    /// The log-probabilities computed on the host, where all is f32 on the CPU and no gradient is recorded.
    pub(super) fn items_on_host(&self, states: &Tensor) -> Result<Option<Tensor>, PolicyError> {
        let policy = self.policy;
        let levels = (0..policy.tree.depth()).map(|level| policy.level_states(level, states));
        let levels = levels.collect::<Result<Vec<_>, _>>()?;
        let bias = policy.bias.f_mul_scalar(1.0)?; // of the leaf it cannot be seen whether gradients are recorded
        let is_host = |tensor: &Tensor| is_plain(tensor) && !tensor.requires_grad();
        if !levels.iter().chain([&bias, &self.nodes]).all(is_host) {
            return Ok(None);
        }
        let (vectors, bias) = (host(&self.nodes)?, host(&bias)?);
        let of_level = |(level, states)| Ok((policy.tree.level(level).len(), host(states)?));
        let levels = levels.iter().enumerate().map(of_level);
        let levels = levels.collect::<Result<Vec<_>, PolicyError>>()?;
        let (trie, width) = (policy.tree.trie(), policy.config.hidden_size);
        let found = of_items(Nodes { trie, vectors: &vectors, bias: &bias, width }, &levels);
        Ok(Some(Tensor::from_slice(&found).view([-1, to_i64(policy.num_items())])))
    }

    /// The log-probabilities by libtorch's operations, with the backward pass.
    pub(super) fn items_by_libtorch(&self, states: &Tensor) -> Result<Tensor, PolicyError> {
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
    fn levels(&self, states: &Tensor) -> Result<Vec<Tensor>, PolicyError> {
        self.policy.prefixes(&self.nodes, states, None)
    }
}

impl ItemPolicy {
    /// Log-probabilities of prefixes, `[nodes of the level, U]`, level by level, given the vectors `[M, D]` of
    /// all nodes and the states `[U, D]`; scores are divided by `temperature`, where there is one.
    pub(super) fn prefixes(
        &self,
        nodes: &Tensor,
        states: &Tensor,
        temperature: Option<f64>,
    ) -> Result<Vec<Tensor>, PolicyError> {
        let mut levels: Vec<Tensor> = Vec::with_capacity(self.tree.depth());
        for level in 0..self.tree.depth() {
            let rows = self.tree.level(level);
            let (start, len) = (to_i64(rows.start), to_i64(rows.len()));
            let states = self.level_states(level, states)?;
            let bias = self.bias.f_narrow(0, start, len)?.unsqueeze(1);
            let scores =
                nodes.f_narrow(0, start, len)?.f_matmul(&states.f_transpose(0, 1)?)? + bias;
            let scores = match temperature {
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
