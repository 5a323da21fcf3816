//! Models and texts that a command needs, and how to get them.

use std::path::Path;

use crate::failure::Usage;

/// Accepts the folder of a sentence encoder.
pub(crate) fn check_encoder(path: &Path) -> anyhow::Result<()> {
    let advice = "run `cargo xtask setup` in a checkout, which downloads one to this place, or name \
                  another folder by `--encoder DIR`";
    check(path, "sentence encoder", advice)
}

/// Accepts the folder of a pretrained model.
pub(crate) fn check_base(path: &Path) -> anyhow::Result<()> {
    check(path, "pretrained model", "name its folder by `--base DIR`")
}

/// Accepts a file of general conversations.
pub(crate) fn check_chat(path: &Path) -> anyhow::Result<()> {
    check(path, "file of conversations", "name one by `--chat FILE`")
}

/// Accepts a file of a teacher's texts.
pub(crate) fn check_texts(path: &Path) -> anyhow::Result<()> {
    let advice = "name one by `--enriched FILE`. `sidereal enrich` writes it: with a large model, as in the \
                  papers, by `--base-url URL --model NAME`, or with rules without them";
    check(path, "file of a teacher's texts", advice)
}

fn check(path: &Path, what: &str, advice: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    Err(Usage::error(format!("there is no {what} at `{}`: {advice}", path.display())))
}
