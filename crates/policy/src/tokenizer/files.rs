//! The files of a tokenizer in an HF directory.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::chat;
use crate::PolicyError;

/// File of the settings beside `tokenizer.json`.
pub(super) const SETTINGS: &str = "tokenizer_config.json";
/// File of a chat template that does not stand in the settings.
pub(super) const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// What a directory says about its tokenizer.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) inner: Tokenizer,
    pub(super) settings: Map<String, Value>,
    /// Source of the chat template.
    pub(super) chat: Option<String>,
}

impl Files {
    pub(super) fn read(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("tokenizer.json");
        let inner = Tokenizer::from_file(&path).map_err(|source| PolicyError::Tokenizer {
            action: format!("cannot read `{}`", path.display()),
            source,
        })?;
        let settings = read_object(&dir.join(SETTINGS))?;
        let chat = read_if_there(&dir.join(CHAT_TEMPLATE))?;
        let chat = chat.or_else(|| chat::in_settings(&settings));
        Ok(Self { inner, settings, chat })
    }
}

/// The object in a JSON file; an empty one where there is no file.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, PolicyError> {
    let Some(text) = read_if_there(path)? else { return Ok(Map::new()) };
    serde_json::from_str(&text)
        .map_err(|source| PolicyError::Json { path: path.to_owned(), source })
}

fn read_if_there(path: &Path) -> Result<Option<String>, PolicyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PolicyError::Io { path: path.to_owned(), source }),
    }
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), PolicyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(PolicyError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
