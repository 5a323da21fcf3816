//! A GGUF file as an HF folder.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::PolicyError;
use crate::gguf::{self, GgufTokenizer};
use crate::weights::{write_safetensors, write_text};

/// Ids of special tokens that generation needs.
const IDS: [&str; 3] = ["bos_token_id", "eos_token_id", "pad_token_id"];

/// Writes the model of a GGUF file, or of a folder that holds one, into `out` as an HF folder, which transformers and
/// every reader here open: `config.json`, `generation_config.json` with the ids of the special tokens alone,
/// `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja` if there is a template, and `model.safetensors`
/// in f32. The weights are written last, so that an incomplete folder does not load.
///
/// # Errors
/// [`PolicyError::Unsupported`] if `base` is neither; [`PolicyError::Gguf`] and the others of a damaged or unknown
/// file; [`PolicyError::Io`] and [`PolicyError::TensorFile`] while writing.
pub fn unpack_gguf(base: &Path, out: &Path) -> Result<(), PolicyError> {
    let path = gguf::find(base)?.ok_or_else(|| PolicyError::Unsupported {
        field: "model",
        found: base.display().to_string(),
        expected: "a file that ends in `.gguf`, or a folder with one and without `config.json`",
    })?;
    let config = gguf::read_config(&path)?;
    let GgufTokenizer { inner, settings, chat } = gguf::read_tokenizer(&path)?;
    let weights = gguf::read_weights(&path, None)?;
    fs::create_dir_all(out).map_err(|source| PolicyError::Io { path: out.to_owned(), source })?;
    let object = |name: &str, object: Map<String, Value>| {
        write_text(&out.join(name), &format!("{:#}\n", Value::Object(object)))
    };
    let id = |name: &str| Some((name.to_owned(), config.get(name)?.clone()));
    object("generation_config.json", IDS.into_iter().filter_map(id).collect())?;
    object("config.json", config)?;
    object("tokenizer_config.json", settings)?;
    let text = inner.to_string(true).map_err(|source| PolicyError::Tokenizer {
        action: "cannot be written as JSON".into(),
        source,
    })?;
    write_text(&out.join("tokenizer.json"), &text)?;
    if let Some(chat) = chat {
        write_text(&out.join("chat_template.jinja"), &chat)?;
    }
    write_safetensors(&out.join("model.safetensors"), &weights)
}

/// Whether [`unpack_gguf`] finds a GGUF file there.
///
/// # Errors
/// [`PolicyError::SeveralGguf`] for a folder of several.
pub fn is_gguf(base: &Path) -> Result<bool, PolicyError> {
    Ok(gguf::find(base)?.is_some())
}
