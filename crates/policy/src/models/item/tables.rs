//! The tables of nodes, codes and features, on the host and in the backward pass.

use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::branches::host;
use super::host::copy;
use super::host::sums::add;
use super::kernel::{TableGradients, Tables};
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

/// Sums of code and node vectors `[M, D]`, and biases `[M]`.
#[derive(Debug, Default)]
pub(super) struct HostTables {
    pub(super) base: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl HostTables {
    /// Reads f32 weights on the CPU as they are now.
    pub(super) fn read(&mut self, policy: &ItemPolicy) -> Result<(), PolicyError> {
        for (memory, table) in [(&mut self.base, &policy.nodes), (&mut self.bias, &policy.bias)] {
            memory.resize(table.numel(), 0.0);
            copy(table, memory)?;
        }
        let mut codes = vec![0.0; policy.codes.numel()];
        copy(&policy.codes, &mut codes)?;
        add_codes(policy, &codes, &mut self.base);
        Ok(())
    }

    pub(super) fn view<'a>(&'a self, policy: &'a ItemPolicy) -> Tables<'a> {
        let text = policy.features.text();
        Tables {
            base: &self.base,
            text: text.map_or(&[], |text| text.host.as_slice()),
            bias: &self.bias,
            dim: policy.config.hidden_size,
            text_dim: text.map_or(0, |text| text.dim),
        }
    }
}

impl ItemPolicy {
    /// Sums of code and node vectors, and the biases, on the host.
    pub(super) fn tables(&self) -> Result<HostTables, PolicyError> {
        let (mut base, codes) = (host(&self.nodes)?, host(&self.codes)?);
        add_codes(self, &codes, &mut base);
        Ok(HostTables { base, bias: host(&self.bias)? })
    }

    /// States of a level, projected for the texts of its nodes, `[n, T]`; of width 0 without text.
    pub(super) fn text_states(&self, level: usize, states: &Tensor) -> Result<Tensor, PolicyError> {
        match &self.text {
            None => Ok(states.f_narrow(1, 0, 0)?),
            Some((levels, _)) => {
                Ok(states.f_matmul(&levels.get(to_i64(level)).f_transpose(0, 1)?)?)
            }
        }
    }

    /// What is read of items, `[n, D]`, given the sums of code and node vectors; no graph.
    pub(super) fn read_items(&self, items: &[u32], base: &[f32]) -> Result<Tensor, PolicyError> {
        let dim = self.config.hidden_size;
        let mut vectors = vec![0f32; items.len() * dim];
        for (vector, item) in vectors.chunks_exact_mut(dim).zip(items) {
            for row in self.tree.path(*item as usize) {
                let row = *row as usize;
                add(vector, 1.0, &base[row * dim..(row + 1) * dim]);
            }
        }
        if let (Some(categories), Some(table)) = (self.features.categories(), &self.categories) {
            let table = host(table)?;
            for (vector, item) in vectors.chunks_exact_mut(dim).zip(items) {
                for id in categories.of(*item as usize) {
                    let id = *id as usize;
                    add(vector, 1.0, &table[id * dim..(id + 1) * dim]);
                }
            }
        }
        let vectors = Tensor::from_slice(&vectors).view([-1, to_i64(dim)]);
        let mut vectors = vectors.to_device(self.nodes.device());
        if let (Some(_), Some((levels, of_items))) = (self.features.text(), &self.text) {
            for level in 0..self.tree.depth() {
                vectors =
                    vectors.f_addmm(&self.texts_at(level, items)?, &levels.get(to_i64(level)))?;
            }
            vectors = vectors.f_addmm(&self.texts_of(items)?, of_items)?;
        }
        Ok(vectors)
    }

    /// Texts of the items' nodes of a level, `[n, T]`.
    fn texts_at(&self, level: usize, items: &[u32]) -> Result<Tensor, PolicyError> {
        let text = self.features.text().ok_or(NO_TEXT)?;
        Ok(text.nodes.f_index_select(0, &self.rows_at(level, items))?)
    }

    /// Texts of items, `[n, T]`.
    fn texts_of(&self, items: &[u32]) -> Result<Tensor, PolicyError> {
        let text = self.features.text().ok_or(NO_TEXT)?;
        let index = indices(items.iter().map(|item| i64::from(*item)), self.nodes.device());
        Ok(text.items.f_index_select(0, &index)?)
    }

    /// Adds the contribution of the derivatives `[n, D]` by the item vectors to the tables and
    /// projections.
    pub(super) fn items_back(
        &self,
        items: &[u32],
        d_vectors: &Tensor,
        out: &mut TableGradients,
    ) -> Result<(), PolicyError> {
        let mut d_categories = vec![0f32; self.categories.as_ref().map_or(0, Tensor::numel)];
        self.scatter(items, &host(d_vectors)?, &mut out.base, &mut d_categories);
        if let Some(table) = &self.categories {
            accumulate(table, &d_categories)?;
        }
        if let Some((levels, of_items)) = &self.text {
            if levels.requires_grad() {
                let d_levels = gradient(levels)?;
                for level in 0..self.tree.depth() {
                    let texts = self.texts_at(level, items)?.f_transpose(0, 1)?;
                    let _ = d_levels.get(to_i64(level)).f_addmm_(&texts, d_vectors)?;
                }
            }
            if of_items.requires_grad() {
                let texts = self.texts_of(items)?.f_transpose(0, 1)?;
                let _ = gradient(of_items)?.f_addmm_(&texts, d_vectors)?;
            }
        }
        Ok(())
    }

    /// Adds the derivatives `[n, D]` by items' vectors to those of the rows that they are sums of.
    pub(super) fn scatter(
        &self,
        items: &[u32],
        d_vectors: &[f32],
        d_base: &mut [f32],
        d_categories: &mut [f32],
    ) {
        let dim = self.config.hidden_size;
        for (d_vector, item) in d_vectors.chunks_exact(dim).zip(items) {
            for row in self.tree.path(*item as usize) {
                let row = *row as usize;
                add(&mut d_base[row * dim..(row + 1) * dim], 1.0, d_vector);
            }
            for id in self.features.categories().map_or(&[][..], |all| all.of(*item as usize)) {
                let id = *id as usize;
                add(&mut d_categories[id * dim..(id + 1) * dim], 1.0, d_vector);
            }
        }
    }

    /// Adds the derivatives by the tables to the weights' gradients.
    pub(super) fn tables_back(&self, out: &TableGradients) -> Result<(), PolicyError> {
        accumulate(&self.bias, &out.bias)?;
        accumulate(&self.nodes, &out.base)?;
        self.codes_back(out)
    }

    /// Adds the derivatives by the nodes to those of the codes that lead to them.
    pub(super) fn codes_back(&self, out: &TableGradients) -> Result<(), PolicyError> {
        if self.codes.requires_grad() {
            let dim = self.config.hidden_size;
            let mut d_codes = vec![0f32; self.codes.numel()];
            for (d_row, token) in out.base.chunks_exact(dim).zip(self.tree.tokens()) {
                let code = *token as usize;
                add(&mut d_codes[code * dim..(code + 1) * dim], 1.0, d_row);
            }
            accumulate(&self.codes, &d_codes)?;
        }
        Ok(())
    }
}

const NO_TEXT: PolicyError = PolicyError::Empty { what: "the set of text vectors" };

/// Adds the vectors of codes to the nodes that they lead to.
fn add_codes(policy: &ItemPolicy, codes: &[f32], nodes: &mut [f32]) {
    let dim = policy.config.hidden_size;
    for (row, token) in nodes.chunks_exact_mut(dim).zip(policy.tree.tokens()) {
        let code = *token as usize;
        add(row, 1.0, &codes[code * dim..(code + 1) * dim]);
    }
}

/// Adds to the gradient of a leaf that is trained.
pub(super) fn accumulate(weight: &Tensor, values: &[f32]) -> Result<(), PolicyError> {
    if !weight.requires_grad() {
        return Ok(());
    }
    let values = Tensor::from_slice(values).view(weight.size().as_slice());
    let _ = gradient(weight)?.f_add_(&values.to_device(weight.device()))?;
    Ok(())
}

/// The gradient of a leaf, made if there is none yet.
pub(super) fn gradient(weight: &Tensor) -> Result<Tensor, PolicyError> {
    if !weight.grad().defined() {
        tch::with_grad(|| (weight.f_narrow(0, 0, 1)? * 0.0).f_sum(Kind::Float)?.f_backward())?;
    }
    Ok(weight.grad())
}
