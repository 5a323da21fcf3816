//! A trained policy on disk, with everything that is needed to use it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sidereal_data::{Dataset, Item};
use sidereal_files::{read_json, write_json, write_json_line};
use sidereal_policy::{AnyPolicy, Scoring, SidTokenizer, Trainable as _};
use sidereal_prompts::{PromptSpec, Task};
use sidereal_sid::Catalog;
use sidereal_train::Binding;
use tch::Device;

use crate::error::LabError;
use crate::recipe::compute::Compute;

const MODEL: &str = "model.safetensors";
const BINDING: &str = "sidereal.json";
const CATALOG: &str = "catalog.json";
const CARD: &str = "policy.json";
const ITEMS: &str = "items.json";

/// How a policy is used: the file `policy.json` of its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyCard {
    /// Name and version of the program that trained it.
    pub made_by: String,
    /// The stage that trained it.
    pub stage: String,
    /// The task of the policy. A policy that chooses titles from a pool cannot recommend by itself.
    pub task: Task,
    /// How the probability of a code is normalised.
    pub scoring: Scoring,
    /// The element type of matrix products.
    pub compute: Compute,
    /// Number of items of a history that it reads; the latest ones are read.
    pub max_history: usize,
    /// Users that are decoded together.
    pub batch_size: usize,
    /// Whether items of the history are left out of the answers, unless the caller asks otherwise.
    pub removes_seen: bool,
    /// The wording of its prompts; `None` for a policy that reads items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptSpec>,
}

/// A policy read from the folder of a stage, which needs nothing else to answer users.
///
/// The folder is an HF directory: `config.json`, which gives the kind of the policy, `model.safetensors` and
/// the tokenizer. It also holds the Semantic IDs of the items (`catalog.json`, which is also the trie), the
/// items with keys and titles (`items.json`), how the policy is used (`policy.json`) and the hashes of what
/// it was made for (`sidereal.json`).
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainedPolicy {
    /// The model.
    pub model: AnyPolicy,
    /// Its tokenizer; `None` for a policy that reads items.
    pub tokenizer: Option<SidTokenizer>,
    /// Items and their Semantic IDs.
    pub catalog: Catalog,
    /// How it is used; `None` in folders of versions before there were cards.
    pub card: Option<PolicyCard>,
    /// The items, without users; `None` in folders of versions before they were kept.
    pub items: Option<Dataset>,
    /// Hashes of `catalogue`, `tokenizer`, `prompts` and `split`, and of `domains` if the data have several.
    pub made_for: Binding,
}

impl TrainedPolicy {
    /// The files that [`save`](Self::save) always writes: those of a policy that reads items, or of one
    /// that reads words.
    pub(crate) const fn files(reads_items: bool) -> &'static [&'static str] {
        const OF_WORDS: [&str; 7] = [
            MODEL,
            BINDING,
            CATALOG,
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ];
        const OF_ITEMS: [&str; 4] = [MODEL, BINDING, CATALOG, "config.json"];
        if reads_items { &OF_ITEMS } else { &OF_WORDS }
    }

    /// Further files that it may write: a chat template if the tokenizer has one, and files that
    /// folders of earlier versions lack.
    pub(crate) const MORE_FILES: [&str; 3] = ["chat_template.jinja", CARD, ITEMS];

    /// Whether a folder holds a policy and its card.
    pub(crate) fn is_whole(dir: &Path) -> bool {
        dir.join(MODEL).exists() && dir.join(CARD).exists()
    }

    /// Opens the folder of a stage.
    ///
    /// # Errors
    /// Missing and damaged files by name, and [`LabError::Binding`] if the catalogue in the folder
    /// is not the one that the model was made for.
    pub fn open(dir: &Path, device: Device) -> Result<Self, LabError> {
        let made_for: Binding = read_json(&dir.join(BINDING))?;
        let catalog = Catalog::load(&dir.join(CATALOG))?;
        let model = AnyPolicy::load(dir, device)?;
        let reads_words = !model.kind().reads_items();
        let tokenizer = reads_words.then(|| SidTokenizer::load(dir, catalog.spec())).transpose()?;
        if let Some(tokenizer) = &tokenizer {
            model.check_vocabulary(tokenizer)?;
        }
        let there = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        let card = there(CARD).map(|path| read_json(&path)).transpose()?;
        let items = there(ITEMS).map(|path| read_json::<Vec<Item>>(&path)).transpose()?;
        let items = items.map(Dataset::of_items).transpose()?;
        let policy = Self { model, tokenizer, catalog, card, items, made_for };
        let found = Binding::from([("catalogue".to_owned(), policy.catalog.hash())]);
        policy.check(dir, &found)?;
        Ok(policy)
    }

    /// Accepts the policy for use with these parts; `dir` is for messages.
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

    /// Writes a policy with everything that is needed to use it.
    ///
    /// # Errors
    /// Those of files.
    pub fn save(dir: &Path, parts: &PolicyParts<'_>) -> Result<(), LabError> {
        let PolicyParts { model, tokenizer, catalog, card, items, made_for } = parts;
        model.save(dir)?;
        if let Some(tokenizer) = tokenizer {
            tokenizer.save(dir)?;
        }
        catalog.save(&dir.join(CATALOG))?;
        write_json(&dir.join(CARD), card)?;
        write_json_line(&dir.join(ITEMS), items)?;
        Ok(write_json(&dir.join(BINDING), made_for)?)
    }
}

/// The contents of the folder of a policy.
#[derive(Debug, Clone, Copy)]
pub struct PolicyParts<'a> {
    /// The model.
    pub model: &'a AnyPolicy,
    /// Its tokenizer; `None` for a policy that reads items.
    pub tokenizer: Option<&'a SidTokenizer>,
    /// Items and their Semantic IDs.
    pub catalog: &'a Catalog,
    /// How it is used.
    pub card: &'a PolicyCard,
    /// The items by identity.
    pub items: &'a [Item],
    /// Hashes of what it was made for.
    pub made_for: &'a Binding,
}
