//! The recipes that come with the library.

use std::path::Path;

use crate::{LabError, Recipe};

/// A recipe that comes with the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// The name that [`Recipe::preset`] takes: `singer/small`.
    pub name: &'static str,
    /// What it trains, in one sentence.
    pub about: &'static str,
    /// The recipe as TOML, with its comments.
    pub text: &'static str,
}

/// The preset of a file in the crate's folder `recipes`.
macro_rules! preset {
    ($name:literal, $about:literal) => {
        Preset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../recipes/", $name, ".toml")),
        }
    };
}

/// By system; of each the one for two CPU cores first.
const PRESETS: [Preset; 51] = [
    preset!(
        "demo",
        "A policy that reads items, a prior, and reinforcement on the shipped shop, in a minute."
    ),
    preset!(
        "demo-tokens",
        "A decoder from scratch that writes Semantic IDs token by token, on the shipped shop."
    ),
    preset!(
        "demo-fresh",
        "The parts of SINGER on the shipped shop, on users that are new to the policy."
    ),
    preset!(
        "demo-objectives",
        "GRPO, GBPO and SAGE on the shipped shop, on users that are new to the policy."
    ),
    preset!(
        "strong",
        "The strongest recommender here, for any catalogue: reads items, priors, two trees; in minutes."
    ),
    preset!(
        "strong-objectives",
        "GRPO, GSPO, GBPO, SAGE, SRPO, SINGER's reward, S-DPO and DPO over the policy of `strong`."
    ),
    preset!("singer/small", "SINGER and the variants that its paper compares, for two CPU cores."),
    preset!("singer/paper", "SINGER at the size of its paper: a pretrained model on a GPU."),
    preset!("singer/cross-domain", "SINGER trained on the domain `source` and tested on `target`."),
    preset!(
        "singer/language",
        "SINGER on a real language model: with and without alignment, pretrained and from scratch."
    ),
    preset!(
        "singer/language-domains",
        "SINGER on a real language model, trained on `source` and tested on `target`, on two CPU cores."
    ),
    preset!("sdpo/small", "S-DPO with every kind of negatives, and DPO, for two CPU cores."),
    preset!(
        "sdpo/paper",
        "S-DPO at the size of its paper: titles from a pool, a pretrained model on a GPU."
    ),
    preset!("sdpo/titles", "S-DPO that chooses a title from a pool, for two CPU cores."),
    preset!(
        "sdpo/language",
        "S-DPO on a real language model that chooses a title from a pool, on two CPU cores."
    ),
    preset!("sage/small", "SAGE, GBPO and GRPO over Semantic IDs, for two CPU cores."),
    preset!("sage/paper", "SAGE at the size of its paper: a pretrained model on a GPU."),
    preset!(
        "sage/recif",
        "SAGE, GBPO and GRPO on a domain of RecIF-Bench with behaviours, for two CPU cores."
    ),
    preset!(
        "sage/slates",
        "SAGE, GBPO, GRPO and ablations over slates of Semantic IDs, for two CPU cores."
    ),
    preset!(
        "sage/catalogue-slates",
        "SAGE, GBPO and GRPO over slates of the whole catalogue, for two CPU cores."
    ),
    preset!("sage/text", "SAGE over slates of titles from a pool, for two CPU cores."),
    preset!(
        "sage/text-paper",
        "SAGE over slates of titles from a pool: a pretrained model on a GPU."
    ),
    preset!(
        "sage/language",
        "SAGE on a real language model, over slates of titles from a pool, on two CPU cores."
    ),
    preset!("sidreasoner/small", "SIDReasoner step by step, with reasoning, for two CPU cores."),
    preset!(
        "sidreasoner/paper",
        "SIDReasoner at the size of its paper: a pretrained model on a GPU."
    ),
    preset!(
        "sidreasoner/cross-domain",
        "SIDReasoner trained on the domain `source` and tested on `target`."
    ),
    preset!(
        "sidreasoner/language",
        "SIDReasoner on a real language model, the six rows of its table 3, on two CPU cores."
    ),
    preset!(
        "sidreasoner/language-domains",
        "SIDReasoner on a real language model, trained on `source` and tested on `target`."
    ),
    preset!(
        "gream/small",
        "GREAM with direct answers, with reasoning and with both, for two CPU cores."
    ),
    preset!("gream/paper", "GREAM at the size of its paper: a pretrained model on a GPU."),
    preset!(
        "gream/scaling",
        "GREAM's Pass@k over the FLOPs of its activation of reasoning, for two CPU cores."
    ),
    preset!(
        "gream/language",
        "GREAM on a real language model, with direct answers and with reasoning, on two CPU cores."
    ),
    preset!("tiger/small", "TIGER: a T5 over the codes of an RQ-VAE, for two CPU cores."),
    preset!("tiger/paper", "TIGER at the size of its paper: a T5 from scratch, on a GPU."),
    preset!(
        "letter/small",
        "LETTER-TIGER: codes that follow the interactions, and a ranking-guided loss, for two CPU cores."
    ),
    preset!("letter/paper", "LETTER-TIGER at the size of its paper: a T5 from scratch, on a GPU."),
    preset!(
        "p5-cid/small",
        "P5-CID: codes of spectral clusters of the users' items, for two CPU cores."
    ),
    preset!("p5-cid/paper", "P5-CID at the size of its paper: a pretrained T5 on a GPU."),
    preset!(
        "lc-rec/small",
        "LC-Rec: a decoder that learns its alignment tasks, for two CPU cores."
    ),
    preset!("lc-rec/paper", "LC-Rec at the size of its paper: a pretrained model on a GPU."),
    preset!(
        "eager-llm/small",
        "EAGER-LLM: codes of meaning and of behaviour, its tasks, then an adapter, for two CPU cores."
    ),
    preset!("eager-llm/paper", "EAGER-LLM at the size of its paper: a pretrained model on a GPU."),
    preset!(
        "onerec/small",
        "OneRec with supervised training alone, GRPO and GBPO, for two CPU cores."
    ),
    preset!("onerec/paper", "OneRec as SAGE compares it: a pretrained model on a GPU."),
    preset!(
        "bigrec/small",
        "BIGRec and D³: titles of the whole catalogue, grounded or with an assistant, for two CPU cores."
    ),
    preset!("bigrec/paper", "BIGRec and D³ as SINGER compares them: a pretrained model on a GPU."),
    preset!(
        "r2ec/small",
        "R²ec: a chain in words, then a head that scores all items, and RecPO, for two CPU cores."
    ),
    preset!("r2ec/paper", "R²ec at the size of its paper: a pretrained model on a GPU."),
    preset!(
        "zero-shot/small",
        "A model that learned nothing, by titles and by Semantic IDs: rows of chance."
    ),
    preset!("zero-shot/paper", "A pretrained model as it is, by titles and by Semantic IDs."),
    preset!(
        "zero-shot/language",
        "A real language model as it is, by titles and by Semantic IDs, on two CPU cores."
    ),
];

impl Recipe {
    /// The recipes that come with the library.
    #[must_use]
    pub const fn presets() -> &'static [Preset] {
        &PRESETS
    }

    /// The recipe of this name among those that come with the library.
    ///
    /// # Errors
    /// [`LabError::UnknownPreset`] lists the known presets.
    ///
    /// # Examples
    /// ```
    /// use sidereal_lab::Recipe;
    ///
    /// let recipe = Recipe::preset("singer/small")?;
    /// assert_eq!(recipe.stages[0].name, "sft");
    /// # Ok::<(), sidereal_lab::LabError>(())
    /// ```
    pub fn preset(name: &str) -> Result<Self, LabError> {
        let preset = PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let found = PRESETS.map(|preset| preset.name).join(", ");
            LabError::UnknownPreset { name: name.to_owned(), found }
        })?;
        Self::parse(preset.text, Path::new(&format!("{name}.toml")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn files(dir: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_file_of_the_folder_is_a_preset_and_no_other_is() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let names: BTreeSet<String> = files(&dir)
            .iter()
            .map(|path| path.strip_prefix(&dir).unwrap().with_extension("").display().to_string())
            .collect();
        let presets: BTreeSet<String> =
            Recipe::presets().iter().map(|preset| preset.name.to_owned()).collect();
        assert_eq!(presets, names);
    }

    #[test]
    fn every_preset_is_valid_and_says_the_same_once_resolved() {
        for Preset { name, .. } in Recipe::presets() {
            let recipe = Recipe::preset(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            // What the folder of a run stores.
            let resolved = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::parse(&resolved, Path::new(name)).unwrap(), recipe, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = Recipe::preset("singer").unwrap_err().to_string();
        assert!(error.contains("`singer`") && error.contains("singer/small"), "{error}");
    }
}
