//! What is read of the items of a block.
//!
//! ```text
//! x[i] = E₀[node(i, 0)] + Σ_{l > 0} base[node(i, l)] + Σ_c category[c]
//! ```
//! and the texts of its nodes after the first and of itself, side by side. `E₀` has the first level's texts
//! already. An item whose Semantic ID is shorter than others has zeros for the texts of the levels that it lacks.

use super::super::ItemPolicy;
use super::super::features::ItemCategories;
use super::super::tree::Paths;
use super::sums::add;

/// Tables to read items from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items<'a> {
    paths: &'a Paths,
    levels: usize,
    /// `E₀`, `[M₀, D]`.
    first: &'a [f32],
    /// `[M, D]`.
    base: &'a [f32],
    /// Of each item, and the table `[C, D]`.
    categories: Option<(&'a ItemCategories, &'a [f32])>,
    texts: Option<Texts<'a>>,
    /// `D`.
    width: usize,
}

/// Text vectors.
#[derive(Debug, Clone, Copy)]
struct Texts<'a> {
    /// `[M, T]`.
    nodes: &'a [f32],
    /// `[N, T]`.
    items: &'a [f32],
    /// `T`.
    width: usize,
}

impl<'a> Items<'a> {
    /// The items of a policy, given the first level's vectors, the sums of code and node vectors and the table of
    /// categories.
    pub(super) fn new(
        policy: &'a ItemPolicy,
        first: &'a [f32],
        base: &'a [f32],
        categories: &'a [f32],
    ) -> Self {
        let texts = policy.features.text().map(|text| Texts {
            nodes: &text.host,
            items: &text.host_items,
            width: text.dim,
        });
        Self {
            paths: policy.tree.paths(),
            levels: policy.tree.depth(),
            first,
            base,
            categories: policy.features.categories().map(|of_items| (of_items, categories)),
            texts,
            width: policy.config.hidden_size,
        }
    }

    /// Vectors, `[m, D]`, and texts that are to be added, `[m, L·T]`, of items.
    pub(super) fn read(&self, items: &[u32], vectors: &mut Vec<f32>, texts: &mut Vec<f32>) {
        let Self { paths, levels, first, base, categories, width, .. } = *self;
        vectors.clear();
        vectors.resize(items.len() * width, 0.0);
        texts.clear();
        for (vector, item) in vectors.chunks_exact_mut(width).zip(items) {
            let path = paths.of(*item as usize);
            let (first_row, later) = path.split_at(1); // no Semantic ID is empty
            add(vector, 1.0, row_of(first, first_row[0], width));
            for row in later {
                add(vector, 1.0, row_of(base, *row, width));
            }
            if let Some((of_items, table)) = categories {
                for id in of_items.of(*item as usize) {
                    add(vector, 1.0, row_of(table, *id, width));
                }
            }
            if let Some(text) = self.texts {
                for row in later {
                    texts.extend_from_slice(row_of(text.nodes, *row, text.width));
                }
                texts.resize(texts.len() + (levels - path.len()) * text.width, 0.0);
                texts.extend_from_slice(row_of(text.items, *item, text.width));
            }
        }
    }
}

fn row_of(table: &[f32], row: u32, width: usize) -> &[f32] {
    let row = row as usize;
    &table[row * width..(row + 1) * width]
}
