//! What a step works in, kept for the next one.

use tch::{Device, Kind, Tensor};

use super::super::ItemPolicy;
use super::super::kernel::TableGradients;
use super::super::tables::HostTables;
use super::block::{self, BlockFound};
use super::gradients::Gradients;
use super::layout::{Layout, Sizes};
use crate::PolicyError;
use crate::weights::share;

/// Copies of the weights, gradients, and the groups' own memory.
#[derive(Debug)]
pub(in super::super) struct Memory {
    pub(super) layout: Layout,
    /// As the layout has them.
    pub(super) weights: Vec<f32>,
    /// The same with rows and columns of the matrices changed, and nothing in other places.
    pub(super) turned: Vec<f32>,
    pub(super) tables: HostTables,
    /// `[C, D]`; empty without categories.
    pub(super) categories: Vec<f32>,
    /// The first level's vectors, `[M₀, D]`.
    pub(super) first_vectors: Vec<f32>,
    /// Zeros between steps.
    pub(super) d_tables: TableGradients,
    pub(super) groups: Vec<Group>,
}

/// Blocks that are computed one after the other.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) gradients: Gradients,
    pub(super) memory: block::Memory,
    /// Of each block.
    pub(super) found: Vec<BlockFound>,
}

impl Memory {
    /// Memory for a policy, nothing in it yet.
    pub(super) fn new(policy: &ItemPolicy) -> Self {
        let config = &policy.config;
        #[allow(clippy::cast_possible_truncation, reason = "applied in f32")]
        let layout = Layout::new(Sizes {
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            inner: config.intermediate_size,
            head_inner: config.head_hidden_size,
            max_history: config.max_history,
            levels: policy.tree.depth(),
            text: policy.features.text().map_or(0, |text| text.dim),
            epsilon: config.layer_norm_eps as f32,
            filter_share: config.filter_share as f32,
            repeats: config.repeats,
        });
        Self {
            weights: vec![0.0; layout.len()],
            turned: vec![0.0; layout.len()],
            layout,
            tables: HostTables::default(),
            categories: Vec::new(),
            first_vectors: Vec::new(),
            d_tables: TableGradients::default(),
            groups: Vec::new(),
        }
    }

    /// Reads the weights of now, and makes room for the gradients by tables.
    pub(super) fn read(&mut self, policy: &ItemPolicy) -> Result<(), PolicyError> {
        let mut rest = self.weights.as_mut_slice();
        for (name, len) in self.layout.names() {
            let (own, after) = rest.split_at_mut(len);
            copy(&share(&policy.weights, name)?, own)?;
            rest = after;
        }
        for matrix in self.layout.matrices() {
            matrix.turn(&self.weights, &mut self.turned);
        }
        self.tables.read(policy)?;
        self.categories.clear();
        if let Some(table) = &policy.categories {
            self.categories.resize(table.numel(), 0.0);
            copy(table, &mut self.categories)?;
        }
        self.d_tables.base.resize(self.tables.base.len(), 0.0);
        self.d_tables.bias.resize(self.tables.bias.len(), 0.0);
        Ok(())
    }
}

impl Group {
    /// Clears the gradients, given the numbers of weights, of values of the first level's vectors, and of its
    /// nodes; and has a place for what is found of each of so many blocks.
    pub(super) fn begin(&mut self, lens: [usize; 3], blocks: usize) {
        let Gradients { weights, first_vectors, first_bias, by_distance } = &mut self.gradients;
        by_distance.fill(0.0);
        for (memory, len) in [weights, first_vectors, first_bias].into_iter().zip(lens) {
            memory.clear();
            memory.resize(len, 0.0);
        }
        self.found.resize_with(blocks, BlockFound::default);
    }
}

/// Whether a tensor's values can be copied as they are.
pub(in super::super) fn is_plain(tensor: &Tensor) -> bool {
    tensor.kind() == Kind::Float && tensor.device() == Device::Cpu
}

/// The values of an f32 tensor on the CPU.
pub(in super::super) fn copy(tensor: &Tensor, out: &mut [f32]) -> Result<(), PolicyError> {
    let (what, found, expected) = ("values of a weight", tensor.numel(), out.len());
    if found != expected {
        return Err(PolicyError::Size { what, found, expected });
    }
    Ok(tensor.f_copy_data(out, expected)?)
}
