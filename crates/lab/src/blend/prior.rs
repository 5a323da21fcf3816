//! What the prior of a blend is made of.

use ndarray::Array2;
use sidereal_baselines::{
    CategoryKernel, ItemTransition, Popularity, Prior, Repeats, TermForm, VectorKernel,
};
use sidereal_data::Item;
use sidereal_metrics::SeenItems;

use crate::error::LabError;
use crate::recipe::blend::PriorSource;

/// The terms of a blend's prior in their order, without weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlendPrior {
    /// Number of items `N`.
    pub(crate) num_items: usize,
    pub(crate) terms: Vec<PriorTerm>,
}

/// One term of a prior.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PriorTerm {
    pub(crate) form: TermForm,
    pub(crate) model: TermModel,
}

/// What a term knows of the items.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TermModel {
    /// By the rule for seen items, for which its settings were chosen.
    Transitions {
        kept: ItemTransition,
        removed: ItemTransition,
    },
    /// Text vectors `[N, D]`, and the decay over the history.
    Text {
        vectors: Array2<f32>,
        decay: f64,
    },
    /// The items themselves have the categories.
    Categories {
        decay: f64,
    },
    Popularity(Popularity),
    Repeats,
}

impl TermModel {
    /// What recipes call it.
    pub(crate) const fn source(&self) -> PriorSource {
        match self {
            Self::Transitions { .. } => PriorSource::Transitions,
            Self::Text { .. } => PriorSource::Text,
            Self::Categories { .. } => PriorSource::Categories,
            Self::Popularity(_) => PriorSource::Popularity,
            Self::Repeats => PriorSource::Repeats,
        }
    }
}

impl BlendPrior {
    /// The prior over these items for a rule for seen items, with all weights 0.
    ///
    /// # Errors
    /// [`LabError::Baseline`] for a model of another number of items, or a decay out of its range.
    pub(crate) fn prior(
        &self,
        items: &[Item],
        seen_items: SeenItems,
    ) -> Result<Prior<'static>, LabError> {
        let mut prior = Prior::new(self.num_items);
        for PriorTerm { form, model } in &self.terms {
            let name = model.source().name();
            prior = match model {
                TermModel::Transitions { kept, removed } => {
                    let model = match seen_items {
                        SeenItems::Kept => kept,
                        SeenItems::Removed => removed,
                    };
                    prior.with_term(name, model.clone(), *form, 0.0)?
                }
                TermModel::Text { vectors, decay } => {
                    prior.with_term(name, VectorKernel::new(vectors.view(), *decay)?, *form, 0.0)?
                }
                TermModel::Categories { decay } => {
                    prior.with_term(name, CategoryKernel::fit(items, *decay)?, *form, 0.0)?
                }
                TermModel::Popularity(model) => prior.with_term(name, model.clone(), *form, 0.0)?,
                TermModel::Repeats => {
                    prior.with_term(name, Repeats::new(self.num_items), *form, 0.0)?
                }
            };
        }
        Ok(prior)
    }
}
