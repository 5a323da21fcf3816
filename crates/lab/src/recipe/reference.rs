//! The reference of all keys of a recipe, generated from the types that read it.
//!
//! `docs/recipe.md` and `docs/recipe.schema.json` are what [`Recipe::reference`] and [`Recipe::schema`]
//! return; a test compares them. The text of a key is the first paragraph of its doc comment. There, a
//! sentence `Range …` becomes the column of ranges and the bounds of the schema, and a sentence `Default …`
//! is left out, because the default itself is known.

mod page;
mod prose;
mod range;
#[cfg(test)]
mod tests;
mod tidy;
mod value;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::error::LabError;
use crate::recipe::Recipe;

impl Recipe {
    /// The JSON schema (draft 7) of a recipe, for editors that check and complete TOML files.
    ///
    /// A stage may take its settings from another one by `like`, so the schema does not require the keys
    /// that a complete stage needs; a run does.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = Self::whole_schema();
        tidy::without_required_below(&mut schema, "Stage");
        schema["definitions"]["Stage"]["required"] = json!(["name"]);
        schema
    }

    /// The schema of a recipe in which no stage uses `like`.
    fn whole_schema() -> Value {
        let generator = SchemaSettings::draft07().into_generator();
        let mut schema = generator.into_root_schema_for::<Self>().to_value();
        tidy::tidy(&mut schema);
        if let Some(keys) = schema.pointer_mut("/definitions/Stage/properties") {
            keys["like"] = json!({
                "description": "Name of an earlier stage whose settings this one takes over; what stands \
                                here replaces them, key by key. Name and label are never taken over.",
                "type": "string",
            });
        }
        schema
    }

    /// All keys of a recipe as a page of Markdown: a section for each table, a row for each key.
    #[must_use]
    pub fn reference() -> String {
        page::whole(&Self::whole_schema())
    }

    /// The part of [`reference`](Self::reference) about one key and all below it, such as `stage.rl`.
    ///
    /// # Errors
    /// [`LabError::UnknownKey`] lists the keys that there are.
    pub fn reference_of(key: &str) -> Result<String, LabError> {
        page::part(&Self::whole_schema(), key)
    }
}
