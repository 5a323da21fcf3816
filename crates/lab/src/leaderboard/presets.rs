//! The leaderboards that come with the library.

use std::path::Path;

use super::recipe::BoardRecipe;
use crate::error::LabError;

/// A leaderboard that comes with the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoardPreset {
    /// The name that [`BoardRecipe::preset`] takes: `amazon`.
    pub name: &'static str,
    /// Which systems it has, in one sentence.
    pub about: &'static str,
    /// The recipe as TOML, with its comments.
    pub text: &'static str,
}

/// The preset of a file in the crate's folder `leaderboards`.
macro_rules! preset {
    ($name:literal, $about:literal) => {
        BoardPreset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../leaderboards/", $name, ".toml")),
        }
    };
}

const PRESETS: [BoardPreset; 4] = [
    preset!("demo", "Three systems without training and SASRec, on the shipped shop, in seconds."),
    preset!(
        "amazon-simple",
        "Systems without training and linear ones, for Amazon's reviews of 2014, in minutes."
    ),
    preset!(
        "amazon-neural",
        "Neural recommenders with the settings of their authors, for Amazon's reviews of 2014, in hours."
    ),
    preset!(
        "amazon",
        "All of these with a grid, `strong`, TIGER and other generative systems, in days."
    ),
];

impl BoardRecipe {
    /// The leaderboards that come with the library.
    #[must_use]
    pub const fn presets() -> &'static [BoardPreset] {
        &PRESETS
    }

    /// The leaderboard of this name among those that come with the library.
    ///
    /// # Errors
    /// [`LabError::UnknownBoard`] lists the known ones.
    ///
    /// ```
    /// use sidereal_lab::BoardRecipe;
    /// let recipe = BoardRecipe::preset("amazon-simple")?;
    /// assert!(recipe.systems.iter().any(|system| system.name == "ease"));
    /// # Ok::<(), sidereal_lab::LabError>(())
    /// ```
    pub fn preset(name: &str) -> Result<Self, LabError> {
        let preset = PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let found = PRESETS.map(|preset| preset.name).join(", ");
            LabError::UnknownBoard { name: name.to_owned(), found }
        })?;
        Self::parse(preset.text, Path::new(&format!("{name}.toml")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde_json::Value;
    use sidereal_baselines::neural::{NEURAL_MODELS, NeuralConfig};

    use super::super::from_recipe::recipe_named;
    use super::super::published::PublishedNumbers;
    use super::super::recipe::SystemConfig;
    use super::super::settings::table_of;
    use super::*;
    use crate::recipe::blend::BlendConfig;

    #[test]
    fn every_file_of_the_folder_is_a_preset_and_no_other_is() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("leaderboards");
        let files = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        let found: BTreeSet<String> = files.map(name).collect();
        let known = PRESETS.iter().map(|preset| preset.name.to_owned()).collect();
        assert_eq!(found, known);
    }

    /// The settings of a neural model, with the first and the last value of each setting of the grid.
    fn settings_are_read(system: &SystemConfig) {
        let Some(kind) = system.kind.as_deref().filter(|kind| NEURAL_MODELS.contains(kind)) else {
            return;
        };
        for pick in [<[Value]>::first, <[Value]>::last] {
            let mut settings = system.settings.clone();
            for (name, values) in &system.grid {
                settings.insert(name.clone(), pick(values).unwrap().clone());
            }
            let read = NeuralConfig::from_table(kind, &table_of(&settings));
            read.unwrap_or_else(|error| panic!("{}: {error:?}", system.name));
        }
    }

    #[test]
    fn every_preset_is_valid_and_its_rows_and_published_systems_exist() {
        let numbers = PublishedNumbers::shipped().unwrap();
        for BoardPreset { name, .. } in PRESETS {
            let board = BoardRecipe::preset(name).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let text = toml::to_string(&board).unwrap();
            assert_eq!(BoardRecipe::parse(&text, Path::new(name)).unwrap(), board, "{name}");
            for system in &board.systems {
                settings_are_read(system);
                if let Some(published) = &system.published {
                    assert!(numbers.results.iter().any(|r| r.system == *published), "{published}");
                }
                let Some(recipe) = &system.recipe else { continue };
                let recipe = recipe_named(recipe).unwrap();
                let stages = recipe.stages.iter().map(|stage| stage.label.as_str());
                let labels: Vec<&str> =
                    stages.chain(recipe.blends.iter().map(BlendConfig::label)).collect();
                assert!(system.rows.iter().all(|r| labels.contains(&r.as_str())), "{labels:?}");
            }
        }
    }
}
