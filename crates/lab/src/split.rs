//! What is held out for validation and test.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sidereal_data::{Dataset, Shares, Split, global_time, leave_one_out};

use crate::error::LabError;

/// What is held out for validation and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SplitConfig {
    /// Each user's last event for the test, the one before for validation (GREAM, SAGE).
    #[default]
    LeaveOneOut,
    /// All samples by time, 8:1:1 (SINGER, `SIDReasoner`). The data must have times.
    GlobalTime,
    /// The split that was published with the data.
    Published,
}

impl SplitConfig {
    /// The split that a recipe asks for: the published one if the recipe says so and the data have
    /// one, otherwise its own.
    pub(crate) fn choose(
        self,
        dataset: &Dataset,
        published: Option<&Split>,
        max_history: usize,
    ) -> Result<Split, LabError> {
        match (self, published) {
            (Self::Published, Some(published)) => Ok(published.clone()),
            (own, _) => own.split(dataset, max_history),
        }
    }

    /// Splits a dataset; histories keep their latest `max_history` items.
    ///
    /// # Errors
    /// Those of the split; [`LabError::Setting`] for [`Published`](Self::Published), which comes
    /// with the data.
    pub fn split(self, dataset: &Dataset, max_history: usize) -> Result<Split, LabError> {
        let window = NonZeroUsize::new(max_history).unwrap_or(NonZeroUsize::MIN);
        Ok(match self {
            Self::LeaveOneOut => leave_one_out(dataset, window)?,
            Self::GlobalTime => {
                global_time(dataset, Shares { train: 8, valid: 1, test: 1 }, window)?
            }
            Self::Published => {
                let (field, found) = ("split".to_owned(), "published".to_owned());
                let needed = "data that was published with a split";
                return Err(LabError::Setting { field, found, needed });
            }
        })
    }
}
