//! Vectors of nodes and of items, with the backward pass.

use tch::{Device, Tensor};

use super::ItemPolicy;
use crate::PolicyError;
use crate::weights::to_i64;

impl ItemPolicy {
    /// Vectors `[R, D]` of the nodes of ascending rows.
    pub(super) fn node_vectors(&self, rows: &[usize]) -> Result<Tensor, PolicyError> {
        let device = self.nodes.device();
        let tokens = self.tree.tokens();
        let codes: Vec<i64> = rows.iter().map(|row| i64::from(tokens[*row])).collect();
        let index = indices(rows.iter().map(|row| to_i64(*row)), device);
        let codes = Tensor::from_slice(&codes).to_device(device);
        let own = Tensor::f_embedding(&self.nodes, &index, -1, false, false)?;
        let vectors = own + Tensor::f_embedding(&self.codes, &codes, -1, false, false)?;
        let (Some(text), Some((levels, _))) = (self.features.text(), &self.text) else {
            return Ok(vectors);
        };
        let mut parts = Vec::new();
        for level in 0..self.tree.depth() {
            let range = self.tree.level(level);
            let start = rows.partition_point(|row| *row < range.start);
            let len = rows[start..].partition_point(|row| *row < range.end);
            if len > 0 {
                let index = index.f_narrow(0, to_i64(start), to_i64(len))?;
                let of_level = text.nodes.f_index_select(0, &index)?;
                parts.push(of_level.f_matmul(&levels.get(to_i64(level)))?);
            }
        }
        Ok(if parts.is_empty() { vectors } else { vectors + Tensor::f_cat(&parts, 0)? })
    }

    /// What is read of items, `[n, D]`.
    pub(super) fn item_vectors(&self, items: &[u32]) -> Result<Tensor, PolicyError> {
        let device = self.nodes.device();
        let tokens = self.tree.tokens();
        let (mut rows, mut codes, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            starts.push(to_i64(rows.len()));
            for row in self.tree.path(*item as usize) {
                rows.push(i64::from(*row));
                codes.push(i64::from(tokens[*row as usize]));
            }
        }
        let mut vectors = bags(&self.nodes, &rows, &starts)? + bags(&self.codes, &codes, &starts)?;
        if let (Some(text), Some((levels, of_items))) = (self.features.text(), &self.text) {
            for level in 0..self.tree.depth() {
                let of_level = text.nodes.f_index_select(0, &self.rows_at(level, items))?;
                vectors += of_level.f_matmul(&levels.get(to_i64(level)))?;
            }
            let index = indices(items.iter().map(|item| i64::from(*item)), device);
            vectors += text.items.f_index_select(0, &index)?.f_matmul(of_items)?;
        }
        if let (Some(categories), Some(table)) = (self.features.categories(), &self.categories) {
            let (mut ids, mut starts) = (Vec::new(), Vec::new());
            for item in items {
                starts.push(to_i64(ids.len()));
                ids.extend(categories.of(*item as usize).iter().map(|id| i64::from(*id)));
            }
            if !ids.is_empty() {
                vectors += bags(table, &ids, &starts)?;
            }
        }
        Ok(vectors)
    }

    /// The rows of items' nodes of a level, `[n]`, i64; one after the last row for items whose Semantic
    /// ID is shorter.
    pub(super) fn rows_at(&self, level: usize, items: &[u32]) -> Tensor {
        let none = to_i64(self.tree.num_rows());
        let row = |item: &u32| self.tree.path(*item as usize).get(level).map(|row| i64::from(*row));
        let rows = items.iter().map(|item| row(item).unwrap_or(none));
        indices(rows, self.nodes.device())
    }
}

/// Sums of rows of a table; bag `n` has those from `starts[n]` on.
fn bags(table: &Tensor, ids: &[i64], starts: &[i64]) -> Result<Tensor, PolicyError> {
    let device = table.device();
    let ids = Tensor::from_slice(ids).to_device(device);
    let starts = Tensor::from_slice(starts).to_device(device);
    let sum = 0;
    let no_weights = None::<&Tensor>;
    let (bags, ..) =
        Tensor::f_embedding_bag(table, &ids, &starts, false, sum, false, no_weights, false)?;
    Ok(bags)
}

/// Indices on a device.
pub(super) fn indices(values: impl Iterator<Item = i64>, device: Device) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>()).to_device(device)
}
