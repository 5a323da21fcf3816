//! The texts beside titles: settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::recipe::learned::used_kinds;
use crate::recipe::stage::{Stage, Training};
use crate::setting::check_counts;

/// Texts beside titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextsConfig {
    /// Who wrote about items and users; nobody where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// File of general conversations, a JSON object a line, as
    /// [`Chat::read`](sidereal_prompts::Chat::read) reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<PathBuf>,
    /// Words of a description that are shown, the first ones; all where it is left out. Range `1..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description_words: Option<usize>,
}

/// Who wrote about items and users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TeacherConfig {
    /// Rules over the metadata, offline, as part of the run
    /// ([`MetadataTeacher`](sidereal_teacher::MetadataTeacher)).
    Metadata,
    /// Whoever wrote this file, which `sidereal enrich` makes and
    /// [`Enrichments::read`](sidereal_prompts::Enrichments::read) reads.
    File(PathBuf),
}

impl TextsConfig {
    /// Refuses texts that nobody reads, and texts that are asked for and not there.
    pub(crate) fn check(&self, stages: &[Stage]) -> Result<(), LabError> {
        check_counts(&[("texts.description_words", self.description_words.unwrap_or(1))])?;
        if self.teacher.is_some() && used_kinds(stages).is_empty() {
            return Err(LabError::Setting {
                field: "texts.teacher".to_owned(),
                found: "a teacher".to_owned(),
                needed: "a stage whose mixture learns a teacher's texts",
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
                "without `texts.chat`",
                "a file of conversations",
            ),
            (None, Some(_)) => {
                ("texts.chat".to_owned(), "a file", "a stage whose mixture takes conversations")
            }
            _ => return Ok(()),
        };
        Err(LabError::Setting { field, found: found.to_owned(), needed })
    }
}
