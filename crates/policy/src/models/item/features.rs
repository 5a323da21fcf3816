//! What is known of items besides their Semantic IDs.

use ndarray::Array2;
use tch::{Device, Kind, Tensor};

use super::tree::Tree;
use crate::PolicyError;
use crate::config::unsupported;
use crate::weights::to_i64;

/// What a policy may know of each item besides its Semantic ID. Nothing by default.
#[derive(Debug, Clone, Default)]
pub struct ItemFeatures {
    /// Text vectors `[N, T]`. They are meant to be whitened: centred, the same variance along each axis,
    /// a mean square length of about one.
    pub text: Option<Array2<f32>>,
    /// Categories of each item.
    pub categories: Option<ItemCategories>,
}

/// Categories of items, as compressed sparse rows. An item may have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemCategories {
    /// Start of each item's categories, `[N + 1]`.
    starts: Vec<usize>,
    ids: Vec<u32>,
    count: usize,
}

impl ItemCategories {
    /// The categories `lists[i]` of item `i`, each numbered from 0.
    #[must_use]
    pub fn new<L: AsRef<[u32]>>(lists: &[L]) -> Self {
        let mut starts = vec![0];
        let mut ids = Vec::new();
        for list in lists {
            ids.extend_from_slice(list.as_ref());
            starts.push(ids.len());
        }
        let count = ids.iter().max().map_or(0, |most| *most as usize + 1);
        Self { starts, ids, count }
    }

    /// Number of items.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of categories: one more than the highest.
    #[must_use]
    pub const fn num_categories(&self) -> usize {
        self.count
    }

    /// Categories of an item below [`num_items`](Self::num_items).
    #[must_use]
    pub fn of(&self, item: usize) -> &[u32] {
        &self.ids[self.starts[item]..self.starts[item + 1]]
    }
}

/// Checked features, on the device of the policy.
#[derive(Debug)]
pub(super) struct Features {
    text: Option<Text>,
    categories: Option<ItemCategories>,
}

/// Text vectors of items and of nodes.
#[derive(Debug)]
pub(super) struct Text {
    /// `[N, T]`.
    pub(super) items: Tensor,
    /// Mean of the items below each node, and a row of zeros for no node, `[M + 1, T]`.
    pub(super) nodes: Tensor,
    /// The same on the host, without the last row.
    pub(super) host: Vec<f32>,
    /// Those of the items on the host.
    pub(super) host_items: Vec<f32>,
    /// Root of the mean square length of the items' vectors.
    pub(super) length: f64,
    /// `T`.
    pub(super) dim: usize,
}

impl Features {
    pub(super) fn new(
        features: ItemFeatures,
        tree: &Tree,
        device: Device,
    ) -> Result<Self, PolicyError> {
        let ItemFeatures { text, categories } = features;
        let of_items = |what, found| {
            let expected = tree.num_items();
            if found == expected {
                Ok(())
            } else {
                Err(PolicyError::Size { what, found, expected })
            }
        };
        if let Some(categories) = &categories {
            of_items("items with categories", categories.num_items())?;
        }
        let text = match text {
            None => None,
            Some(text) => {
                of_items("items with text vectors", text.nrows())?;
                Some(Text::new(&text, tree, device)?)
            }
        };
        let categories = categories.filter(|categories| categories.count > 0);
        Ok(Self { text, categories })
    }

    pub(super) const fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    pub(super) const fn categories(&self) -> Option<&ItemCategories> {
        self.categories.as_ref()
    }

    /// The same, sharing tensors.
    pub(super) fn share(&self) -> Self {
        let text = self.text.as_ref().map(|text| Text {
            items: text.items.shallow_clone(),
            nodes: text.nodes.shallow_clone(),
            host: text.host.clone(),
            host_items: text.host_items.clone(),
            ..*text
        });
        Self { text, categories: self.categories.clone() }
    }
}

impl Text {
    fn new(text: &Array2<f32>, tree: &Tree, device: Device) -> Result<Self, PolicyError> {
        let dim = text.ncols();
        if dim == 0 {
            return Err(unsupported("text", "vectors of no width".into(), "one value or more"));
        }
        if let Some(wrong) = text.iter().find(|value| !value.is_finite()) {
            return Err(unsupported("text", format!("a vector with {wrong}"), "finite values"));
        }
        let rows = tree.num_rows();
        let mut sums = vec![0f64; rows * dim];
        let mut counts = vec![0f64; rows];
        for (item, vector) in text.outer_iter().enumerate() {
            for row in tree.path(item) {
                let row = *row as usize;
                counts[row] += 1.0;
                let sums = &mut sums[row * dim..(row + 1) * dim];
                sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
        #[allow(clippy::cast_possible_truncation, reason = "summed in f64, kept in f32")]
        let mut means: Vec<f32> = sums
            .chunks_exact(dim)
            .zip(&counts)
            .flat_map(|(sums, count)| sums.iter().map(move |sum| (sum / count) as f32))
            .collect();
        let square: f64 = text.iter().map(|value| f64::from(*value).powi(2)).sum();
        let items: Vec<f32> = text.iter().copied().collect();
        let tensor = |values: &[f32]| Tensor::from_slice(values).view([-1, to_i64(dim)]);
        means.resize((rows + 1) * dim, 0.0);
        let nodes = tensor(&means).f_to_device(device)?;
        means.truncate(rows * dim);
        Ok(Self {
            items: tensor(&items).f_to_device(device)?.f_to_kind(Kind::Float)?,
            nodes,
            host: means,
            host_items: items,
            length: (square / text.nrows() as f64).sqrt(),
            dim,
        })
    }
}
