//! What is known of the items besides their Semantic IDs.

use sidereal_metrics::ColdItems;
use sidereal_rl::PolicyObjective;

use crate::TrainError;
use crate::categories::Categories;

/// What lists of items are measured by, besides the place of the target; by default nothing is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct ItemFacts<'a> {
    categories: Option<&'a Categories>,
    cold: Option<&'a ColdItems>,
}

impl<'a> ItemFacts<'a> {
    /// The same with categories, for the diversity of lists. Those of items of which none has any are left out.
    #[must_use]
    pub fn with_categories(mut self, categories: &'a Categories) -> Self {
        self.categories = Some(categories).filter(|categories| !categories.is_empty());
        self
    }

    /// The same with the items that training has hardly seen, whose share of the lists shows whether they are
    /// recommended.
    #[must_use]
    pub const fn with_cold(mut self, cold: &'a ColdItems) -> Self {
        self.cold = Some(cold);
        self
    }

    /// Accepts an objective that looks at the diversity of rollouts if there are categories to measure it by.
    ///
    /// # Errors
    /// [`TrainError::Setting`] says what to do.
    pub fn check_needed(&self, objective: &dyn PolicyObjective) -> Result<(), TrainError> {
        if self.categories.is_none() && objective.needs_diversity() {
            let name = objective.name();
            return Err(TrainError::Setting {
                field: "rl.objective".to_owned(),
                found: format!(
                    "{name}, which looks at the diversity of categories, and no item has a category"
                ),
                needed: "data whose items have categories, or an objective without diversity, as SAGE is \
                         with `diversity_temperature = 0`",
            });
        }
        Ok(())
    }

    /// Categories, of which some item has one.
    pub(crate) const fn categories(&self) -> Option<&'a Categories> {
        self.categories
    }

    /// The items that training has hardly seen.
    pub(crate) const fn cold(&self) -> Option<&'a ColdItems> {
        self.cold
    }
}
