//! The texts besides titles: those of a teacher, and general conversations.

use sidereal_data::read::RowPolicy;
use sidereal_files::{hash_file, hash_json};
use sidereal_prompts::{Chat, Enrichments};

use crate::error::LabError;
use crate::recipe::texts::TextsConfig;

/// The texts of a run.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) enrichments: Enrichments,
    pub(crate) chats: Vec<Chat>,
    /// Largest number of words of a description that are shown.
    pub(crate) description_words: usize,
    /// Hash of everything that texts add to what a stage learns.
    pub(crate) hash: String,
}

impl Texts {
    /// A teacher's texts, with the conversations that the settings name.
    pub(crate) fn read(config: &TextsConfig, enrichments: Enrichments) -> Result<Self, LabError> {
        let mut chats = Vec::new();
        let mut chats_hash = String::new();
        if let Some(path) = &config.chat {
            Chat::read(path, &RowPolicy::strict(), |chat| chats.push(chat))?;
            chats_hash = hash_file(path)?;
        }
        let hash = hash_json(&(enrichments.hash(), chats_hash, config.description_words))?;
        let description_words = config.description_words.unwrap_or(usize::MAX);
        Ok(Self { enrichments, chats, description_words, hash })
    }
}
