//! The texts besides titles: settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::recipe::learned::learns_of_a_teacher;
use crate::recipe::stage::{Stage, Training};
use crate::setting::check_counts;

/// Texts besides titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextsConfig {
    /// The teacher that wrote texts about items and users. Without it there are no such texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// File of general conversations, a JSON object a line, as
    /// [`Chat::read`](sidereal_prompts::Chat::read) reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<PathBuf>,
    /// The number of words of a description that are shown; the default is all. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_words: Option<usize>,
}

/// The teacher that wrote texts about items and users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TeacherConfig {
    /// Rules over the metadata ([`MetadataTeacher`](sidereal_teacher::MetadataTeacher)),
    /// without a model, as part of the run.
    Metadata,
    /// A file of texts, which `sidereal enrich` writes and
    /// [`Enrichments::read`](sidereal_prompts::Enrichments::read) reads.
    File(PathBuf),
}

impl TextsConfig {
    /// Rejects texts that no stage uses, and stages that use texts which the recipe does not have.
    /// `rewrites` says whether a teacher's texts are embedded.
    pub(crate) fn check(&self, stages: &[Stage], rewrites: bool) -> Result<(), LabError> {
        check_counts(&[("texts.description_words", self.description_words.unwrap_or(1))])?;
        if self.teacher.is_some() && !rewrites && !learns_of_a_teacher(stages) {
            return Err(LabError::Setting {
                field: "texts.teacher".to_owned(),
                found: "set but not used".to_owned(),
                needed: "a stage whose mixture contains texts of a teacher, or `rewritten` in `embed.fields`",
            });
        }
        if self.teacher.is_none() && rewrites {
            return Err(LabError::Setting {
                field: "embed.fields".to_owned(),
                found: "`rewritten` without `texts.teacher`".to_owned(),
                needed: "a teacher as `texts.teacher`, which rewrites the texts of items",
            });
        }
        let takes_chat = |stage: &&Stage| match &stage.training {
            Training::Sft(config) => {
                config.mixture.as_ref().is_some_and(|mixture| mixture.chat > 0.0)
            }
            _ => false,
        };
        let (field, found, needed) = match (stages.iter().find(takes_chat), &self.chat) {
            (Some(stage), None) => (
                format!("stage.{}.sft.mixture.chat", stage.name),
                "above 0 without `texts.chat`",
                "a file of conversations as `texts.chat`",
            ),
            (None, Some(_)) => (
                "texts.chat".to_owned(),
                "set but not used",
                "a stage whose mixture has `chat` above 0",
            ),
            _ => return Ok(()),
        };
        Err(LabError::Setting { field, found: found.to_owned(), needed })
    }
}
