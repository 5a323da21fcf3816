//! A trained policy on disk, with all that it was made for.

use std::path::Path;

use sidereal_files::{read_json, write_json};
use sidereal_policy::{Decoder, SidTokenizer};
use sidereal_sid::Catalog;
use sidereal_train::Binding;
use tch::Device;

use crate::error::LabError;

const MODEL: &str = "model.safetensors";
const BINDING: &str = "sidereal.json";
const CATALOG: &str = "catalog.json";

/// A policy read from the folder of a stage: an HF directory beside which stand the catalogue and,
/// in `sidereal.json`, the hashes of what the policy was made for.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainedPolicy {
    /// The model.
    pub model: Decoder,
    /// Its tokenizer.
    pub tokenizer: SidTokenizer,
    /// Items and their Semantic IDs.
    pub catalog: Catalog,
    /// Hashes of `catalogue`, `tokenizer`, `prompts` and `split`, and of `domains` where the data have several.
    pub made_for: Binding,
}

impl TrainedPolicy {
    /// The files that [`save`](Self::save) writes.
    pub(crate) const FILES: [&str; 7] = [
        MODEL,
        BINDING,
        CATALOG,
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    /// The file that it writes where the tokenizer has a chat template.
    pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";

    /// Opens the folder of a stage.
    ///
    /// # Errors
    /// Missing and damaged files by name, and [`LabError::Binding`] where the catalogue beside
    /// the model is not the one that it was made for.
    pub fn open(dir: &Path, device: Device) -> Result<Self, LabError> {
        let made_for: Binding = read_json(&dir.join(BINDING))?;
        let catalog = Catalog::load(&dir.join(CATALOG))?;
        let tokenizer = SidTokenizer::load(dir, catalog.spec())?;
        let model = Decoder::load(dir, device)?;
        model.check_vocabulary(&tokenizer)?;
        let policy = Self { model, tokenizer, catalog, made_for };
        let found = Binding::from([("catalogue".to_owned(), policy.catalog.hash())]);
        policy.check(dir, &found)?;
        Ok(policy)
    }

    /// Accepts use with these things; `dir` is for messages.
    ///
    /// # Errors
    /// [`LabError::Binding`] names the first part that the policy was not made for.
    pub fn check(&self, dir: &Path, parts: &Binding) -> Result<(), LabError> {
        for (part, needed) in parts {
            let found = self.made_for.get(part).cloned().unwrap_or_default();
            if found != *needed {
                let (path, part, needed) = (dir.join(BINDING), part.clone(), needed.clone());
                return Err(LabError::Binding { path, part, found, needed });
            }
        }
        Ok(())
    }

    /// Writes a policy and what it was made for.
    ///
    /// # Errors
    /// Those of files.
    pub fn save(
        dir: &Path,
        model: &Decoder,
        tokenizer: &SidTokenizer,
        catalog: &Catalog,
        made_for: &Binding,
    ) -> Result<(), LabError> {
        model.save(dir)?;
        tokenizer.save(dir)?;
        catalog.save(&dir.join(CATALOG))?;
        Ok(write_json(&dir.join(BINDING), made_for)?)
    }
}
