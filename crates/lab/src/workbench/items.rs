//! The features of items that a policy reads besides their Semantic IDs.

use std::collections::BTreeMap;

use ndarray::Array2;
use sidereal_baselines::PrincipalComponents;
use sidereal_data::Dataset;
use sidereal_policy::{ItemCategories, ItemFeatures};

use crate::error::LabError;
use crate::parts::item_vectors::VectorFile;
use crate::recipe::shape::ItemShape;
use crate::run::part::Made;

/// Texts and categories of the items of a run.
#[derive(Clone, Copy)]
pub(crate) struct ItemTexts<'a> {
    pub(crate) dataset: &'a Dataset,
    /// Sentence vectors, if the recipe embeds texts.
    pub(crate) vectors: Option<&'a Made<VectorFile>>,
}

impl ItemTexts<'_> {
    /// The features that a shape asks for. Features that the data or the recipe do not have are
    /// left out, and the log says so.
    pub(crate) fn features(&self, shape: &ItemShape) -> Result<ItemFeatures, LabError> {
        let mut features = ItemFeatures::default();
        if shape.text_dimensions > 0 {
            match self.vectors {
                None => tracing::warn!("no `[embed]`: the policy reads no texts of items"),
                Some(vectors) => {
                    let vectors = vectors.value.load()?;
                    let dimensions = shape.text_dimensions.min(vectors.ncols());
                    let components = PrincipalComponents::fit(vectors.view(), dimensions)?;
                    features.text = Some(components.whiten(vectors.view())?);
                }
            }
        }
        if shape.categories {
            let lists = categories(self.dataset);
            if lists.iter().all(Vec::is_empty) {
                tracing::warn!("the data have no categories: the policy reads none");
            } else {
                features.categories = Some(ItemCategories::new(&lists));
            }
        }
        Ok(features)
    }

    /// The first principal components of the sentence vectors, `[N, dimensions]`, for similarities;
    /// `None` if the recipe embeds no texts.
    pub(crate) fn projected(&self, dimensions: usize) -> Result<Option<Array2<f32>>, LabError> {
        let Some(vectors) = self.vectors else { return Ok(None) };
        let vectors = vectors.value.load()?;
        let dimensions = dimensions.min(vectors.ncols());
        let components = PrincipalComponents::fit(vectors.view(), dimensions)?;
        Ok(Some(components.project(vectors.view())?))
    }
}

/// Each item's categories, numbered in the order of their names.
fn categories(dataset: &Dataset) -> Vec<Vec<u32>> {
    let items = dataset.items();
    let mut numbers: BTreeMap<&str, u32> =
        items.iter().flat_map(|item| &item.categories).map(|name| (name.as_str(), 0)).collect();
    (0..).zip(numbers.values_mut()).for_each(|(next, number)| *number = next);
    let of_item = |names: &Vec<String>| {
        let mut list: Vec<u32> = names.iter().map(|name| numbers[name.as_str()]).collect();
        list.sort_unstable();
        list.dedup();
        list
    };
    items.iter().map(|item| of_item(&item.categories)).collect()
}
