//! A vocabulary in the folder of a run, made by any part.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sidereal_prompts::Task;

use crate::recipe::Recipe;
use crate::recipe::model::{PretrainedConfig, TokenizerConfig};
use crate::run::part::PartFiles;

/// The name of the part that makes it, and the folder of its files.
pub(crate) const NAME: &str = "tokenizer";
/// The file of the tokenizer.
pub(crate) const TOKENIZER: &str = "tokenizer/tokenizer.json";
/// Weights of a pretrained model.
pub(crate) const WEIGHTS: &str = "tokenizer/model.safetensors";

/// The files of a tokenizer, and others beside it.
pub(crate) fn files(besides: &[&str]) -> PartFiles {
    let always = [TOKENIZER, "tokenizer/tokenizer_config.json", "tokenizer/generation_config.json"];
    PartFiles::always(always.iter().chain(besides).copied())
        .perhaps(["tokenizer/chat_template.jinja"])
}

/// Shape of a pretrained model.
pub(crate) const SHAPE: &str = "tokenizer/config.json";

/// The settings that the part depends on. The path of a pretrained model does not count. The seed
/// counts because it chooses the paraphrases on which a tokenizer is trained.
pub(crate) fn depends_on(
    seed: u64,
    tokenizer: Option<&TokenizerConfig>,
    pretrained: Option<&PretrainedConfig>,
    used: &BTreeSet<Task>,
) -> Recipe {
    let pretrained =
        pretrained.map(|base| PretrainedConfig { base: PathBuf::new(), ..base.clone() });
    let seed = if tokenizer.is_some() && !used.is_empty() { seed } else { 0 };
    Recipe { seed, tokenizer: tokenizer.cloned(), pretrained, ..Recipe::blank() }
}
