//! Models and texts that a command needs, and how to get them.

use std::path::Path;

use sidereal_lab::{base_folder, is_named_base};

use crate::failure::Usage;

/// Accepts the folder of a sentence encoder.
pub(crate) fn check_encoder(path: &Path) -> anyhow::Result<()> {
    let advice = "run `cargo xtask setup` in a checkout, which downloads one to this place, or name \
                  another folder by `--encoder DIR`";
    check(path, "sentence encoder", advice)
}

/// Accepts the folder, the GGUF file or the name of a pretrained model.
pub(crate) fn check_base(path: &Path) -> anyhow::Result<()> {
    let advice = if is_named_base(path) {
        "run `cargo xtask model smollm2` in a checkout, which downloads it to `target/smollm2`, and start from there, \
         or name another model by `--base`"
    } else {
        "name its folder or GGUF file by `--base`, or `smollm2` for the model that `cargo xtask model smollm2` fetches"
    };
    check(&base_folder(path), "pretrained model", advice)
}

/// Accepts the folder, the GGUF file or the name of a model that writes texts.
pub(crate) fn check_teacher(path: &Path) -> anyhow::Result<()> {
    let advice = "name its folder or GGUF file by `--teacher`, or `smollm2` after `cargo xtask model smollm2` in a \
                  checkout, which downloads it to `target/smollm2`";
    check(&base_folder(path), "model for a teacher", advice)
}

/// Accepts a file of general conversations.
pub(crate) fn check_chat(path: &Path) -> anyhow::Result<()> {
    check(path, "file of conversations", "name one by `--chat FILE`")
}

/// Accepts a file of a teacher's texts.
pub(crate) fn check_texts(path: &Path) -> anyhow::Result<()> {
    let advice = "name one by `--enriched FILE`. `sidereal enrich` writes it: with a large model, as in the \
                  papers, by `--base-url URL --model NAME`, with a model on this machine by `--teacher MODEL`, or with \
                  rules without them";
    check(path, "file of a teacher's texts", advice)
}

fn check(path: &Path, what: &str, advice: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    Err(Usage::error(format!("there is no {what} at `{}`: {advice}", path.display())))
}
