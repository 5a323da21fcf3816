//! A vocabulary as it stands in the folder of a run, whoever made it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sidereal_prompts::Task;

use crate::recipe::Recipe;
use crate::recipe::model::{PretrainedConfig, TokenizerConfig};
use crate::run::part::PartFiles;

/// The name of the part that makes it, and the folder of its files.
pub(crate) const NAME: &str = "tokenizer";
/// The file that says what the tokenizer is.
pub(crate) const TOKENIZER: &str = "tokenizer/tokenizer.json";
/// Weights of a pretrained model.
pub(crate) const WEIGHTS: &str = "tokenizer/model.safetensors";

/// The files of a tokenizer, and others beside it.
pub(crate) fn files(besides: &[&str]) -> PartFiles {
    let always = [TOKENIZER, "tokenizer/tokenizer_config.json", "tokenizer/generation_config.json"];
    PartFiles::always(always.iter().chain(besides).copied())
        .perhaps(["tokenizer/chat_template.jinja"])
}

/// The settings that the part depends on. Where a pretrained model is does not count; samples of tasks
/// that a tokenizer is trained on are worded by seed.
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
