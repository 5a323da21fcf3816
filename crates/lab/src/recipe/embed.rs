//! Vectors of the items: settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::setting::check_counts;

/// Vectors from which Semantic IDs are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbedConfig {
    /// Folder of the sentence encoder, as sentence-transformers writes it.
    pub encoder: PathBuf,
    /// What is embedded of an item: these texts, one a line in this order. A text that an item lacks is
    /// left out. At least one, none twice.
    #[schemars(extend("default" = ["title"]))]
    #[serde(default = "titles", skip_serializing_if = "is_titles")]
    pub fields: Vec<ItemField>,
    /// Texts encoded together. Range `1..`.
    pub batch_size: usize,
    /// Length of the collaborative part (PPMI vectors of the training sequences) beside the text
    /// part of length one; 0 leaves it out, and Semantic IDs speak of texts alone. Range `[0, ∞)`.
    pub collaborative_weight: f32,
    /// Dimensions of the collaborative part. Range `0..`.
    pub collaborative_dimensions: usize,
}

/// A text that an item may have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemField {
    /// Its title.
    Title,
    /// Its maker or shop.
    Brand,
    /// Its categories, coarse to fine, with commas between them.
    Categories,
    /// What the seller says of it.
    Description,
    /// What the teacher of `[texts]` makes of its title, its description and its reviews: texts of
    /// kind `item-description` (GREAM §4.1).
    Rewritten,
}

fn titles() -> Vec<ItemField> {
    vec![ItemField::Title]
}

fn is_titles(fields: &[ItemField]) -> bool {
    fields == [ItemField::Title]
}

impl EmbedConfig {
    /// Whether a text of a teacher is embedded.
    pub(crate) fn rewrites(&self) -> bool {
        self.fields.contains(&ItemField::Rewritten)
    }

    /// Whether only titles are embedded.
    pub(crate) fn is_of_titles(&self) -> bool {
        is_titles(&self.fields)
    }

    /// Accepts settings with which vectors can be made.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        check_counts(&[("embed.batch_size", self.batch_size)])?;
        let refuse = |field: &str, found: String, needed| {
            Err(LabError::Setting { field: field.to_owned(), found, needed })
        };
        let mut fields = self.fields.clone();
        fields.sort_unstable();
        fields.dedup();
        if fields.is_empty() || fields.len() < self.fields.len() {
            let needed = "at least one field of an item, each only once";
            return refuse("embed.fields", format!("{:?}", self.fields), needed);
        }
        let weight = self.collaborative_weight;
        if !(weight >= 0.0 && weight.is_finite()) {
            return refuse(
                "embed.collaborative_weight",
                weight.to_string(),
                "a number that is at least 0",
            );
        }
        Ok(())
    }
}
