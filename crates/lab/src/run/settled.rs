//! The settings that a part of a run was made with.
//!
//! The settings that a part depends on are a recipe in which everything else has a fixed value, so two
//! of them are equal exactly if the part has the same result. They are compared as values and not as
//! text: a key that a later version adds has its default in an older recipe, and changes nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sidereal_files::hash_json;

use crate::error::LabError;
use crate::recipe::Recipe;

/// The settings that a part was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settled {
    /// Their id among the inputs of the part.
    pub(crate) id: String,
    /// The recipe, as far as the part depends on it.
    recipe: Value,
}

impl Settled {
    pub(crate) fn new(recipe: &Recipe) -> Result<Self, LabError> {
        Self::known_as(hash_json(recipe)?, recipe)
    }

    /// Settings to which an earlier version gave an id.
    pub(crate) fn known_as(id: String, recipe: &Recipe) -> Result<Self, LabError> {
        Ok(Self { id, recipe: value_of(recipe)? })
    }

    /// Whether these are the same settings.
    pub(crate) fn is(&self, recipe: &Recipe) -> bool {
        self.read().is_some_and(|own| own == *recipe)
    }

    /// Dotted name of the first setting that differs in `recipe`.
    pub(crate) fn difference(&self, recipe: &Recipe) -> Result<Option<String>, LabError> {
        let Some(own) = self.read() else {
            return Ok(Some("recipe, which this version does not read".to_owned()));
        };
        Ok(first_difference(&value_of(&own)?, &value_of(recipe)?, ""))
    }

    fn read(&self) -> Option<Recipe> {
        Recipe::deserialize(&self.recipe).ok()
    }
}

fn value_of(recipe: &Recipe) -> Result<Value, LabError> {
    serde_json::to_value(recipe)
        .map_err(|source| LabError::Json { path: "settings".into(), source })
}

/// Dotted name of the first setting that differs; stages have their names.
fn first_difference(old: &Value, new: &Value, name: &str) -> Option<String> {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().find_map(|key| match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => first_difference(old, new, &inner(key)),
                _ => Some(inner(key)),
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            old.iter().zip(new).find_map(|(old, new)| {
                let of = old.get("name").and_then(Value::as_str);
                first_difference(old, new, &of.map_or_else(|| name.to_owned(), inner))
            })
        }
        _ => (old != new).then(|| name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "seed = 1\nmax_history = 5\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n\
        [[stage]]\nname = 'sft'\nlabel = 'SFT'\n[stage.sft]\npatience = 3\n";

    #[test]
    fn a_key_missing_from_an_older_version_has_its_default() {
        let old = Recipe::parse(TEXT, Path::new("text")).unwrap();
        let mut settled = Settled::new(&old).unwrap();
        let sft = settled.recipe["stage"][0]["sft"].as_object_mut().unwrap();
        assert!(sft.remove("checkpoint_every").is_some());
        assert!(settled.is(&old));
        let sft = settled.recipe["stage"][0]["sft"].as_object_mut().unwrap();
        sft.insert("no_longer_there".to_owned(), Value::from(1));
        assert!(!settled.is(&old));
    }
}
