//! The files of a tokenizer in an HF directory, or the one GGUF file that has all of it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::{ModelWrapper, Tokenizer};

use super::{SpecialTokens, added, chat, frame};
use crate::PolicyError;
use crate::gguf::{self, GgufTokenizer};

/// File of the settings beside `tokenizer.json`.
pub(super) const SETTINGS: &str = "tokenizer_config.json";
/// File of a chat template that is not in the settings.
pub(super) const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// File of the special tokens in folders of older versions.
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// What a directory says about its tokenizer.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) inner: Tokenizer,
    pub(super) settings: Map<String, Value>,
    pub(super) special: SpecialTokens,
    /// Source of the chat template.
    pub(super) chat: Option<String>,
    /// Whether the directory's model reads prompts in an encoder.
    pub(super) has_encoder: bool,
}

impl Files {
    pub(super) fn read(dir: &Path) -> Result<Self, PolicyError> {
        if let Some(path) = gguf::find(dir)? {
            let GgufTokenizer { inner, settings, chat } = gguf::read_tokenizer(&path)?;
            let special = SpecialTokens::of(&settings, &Map::new());
            return Ok(Self { inner, settings, special, chat, has_encoder: false });
        }
        let path = dir.join("tokenizer.json");
        let fail = |source| PolicyError::Tokenizer {
            action: format!("cannot read `{}`", path.display()),
            source,
        };
        let mut inner = Tokenizer::from_file(&path).map_err(fail)?;
        // These are left over from a call that cut or padded its batch before the tokenizer
        // was saved; transformers ignores them too.
        inner.with_truncation(None).map_err(fail)?;
        inner.with_padding(None);
        without_dropout(&mut inner, &path);
        let mut settings = read_object(&dir.join(SETTINGS))?;
        if settings.remove("split_special_tokens") == Some(Value::Bool(true)) {
            let path = path.display();
            tracing::warn!(
                "`{path}`: `split_special_tokens` is ignored, because chat templates need whole special tokens"
            );
        }
        added::add_stated(&mut inner, &settings)?;
        let special = SpecialTokens::of(&settings, &read_object(&dir.join(SPECIAL_TOKENS))?);
        let chat = read_if_there(&dir.join(CHAT_TEMPLATE))?;
        let chat = match chat {
            Some(source) => Some(source),
            None => chat::in_settings(&settings)?,
        };
        let has_encoder = frame::has_encoder(&read_object(&dir.join("config.json"))?, &settings);
        Ok(Self { inner, settings, special, chat, has_encoder })
    }
}

/// Removes the dropout that makes the pieces of a text random; it is a setting for the
/// training of the base.
fn without_dropout(inner: &mut Tokenizer, path: &Path) {
    let ModelWrapper::BPE(bpe) = inner.get_model() else { return };
    if let Some(dropout) = bpe.dropout.filter(|dropout| *dropout > 0.0) {
        let path = path.display();
        tracing::warn!(
            "`{path}`: `dropout` of {dropout} is ignored, because a text must always give the same tokens"
        );
        let mut bpe = bpe.clone();
        bpe.dropout = None;
        inner.with_model(bpe);
    }
}

/// The object in a JSON file; an empty one if there is no file.
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
