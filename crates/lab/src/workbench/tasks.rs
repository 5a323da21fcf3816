//! The tasks of a run.

use sidereal_data::Dataset;
use sidereal_policy::SidTokenizer;
use sidereal_prompts::{ControlMarkers, Pools, PromptSet, Tasks};
use sidereal_sid::Catalog;

use crate::error::LabError;
use crate::workbench::texts::Texts;

/// The tasks of a run, with all its texts and candidates.
pub(crate) fn tasks<'a>(
    dataset: &'a Dataset,
    catalog: &Catalog,
    prompts: &'a PromptSet,
    texts: &'a Texts,
    pools: Option<&'a Pools<'a>>,
) -> Result<Tasks<'a>, LabError> {
    let tasks = Tasks::new(dataset, catalog, prompts)?
        .with_description_words(texts.description_words)
        .with_enrichments(&texts.enrichments)?;
    Ok(match pools {
        Some(pools) => tasks.with_pools(pools),
        None => tasks,
    })
}

/// Accepts texts without the control tokens of the tokenizer.
///
/// # Errors
/// [`LabError::Prompt`] for a title, a text or a conversation with such a token, by name.
pub(crate) fn check_control_tokens(
    tasks: &Tasks<'_>,
    texts: &Texts,
    tokenizer: &SidTokenizer,
) -> Result<(), LabError> {
    let markers = ControlMarkers::new(tokenizer.control_tokens());
    tasks.clone().with_markers(&markers)?;
    for (row, chat) in (0..).zip(&texts.chats) {
        chat.check_markers(row, &markers)?;
    }
    Ok(())
}
