//! Added tokens as the settings beside `tokenizer.json` state them.

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use crate::PolicyError;
use crate::config::unsupported;

const STATED: &str = "added_tokens_decoder";

/// Adds and redefines the tokens of `added_tokens_decoder` in `tokenizer_config.json`, which
/// has precedence over `tokenizer.json` in transformers. A token may only be listed there, or
/// may take the spaces beside it.
///
/// # Errors
/// [`PolicyError::Unsupported`] for a token that cannot have the id that the settings give it.
pub(super) fn add_stated(
    inner: &mut Tokenizer,
    settings: &Map<String, Value>,
) -> Result<(), PolicyError> {
    let Some(stated) = settings.get(STATED).and_then(Value::as_object) else { return Ok(()) };
    let token = |(id, value): (&String, &Value)| Some((id.parse().ok()?, added_token(value)?));
    let mut stated: Vec<(u32, AddedToken)> = stated.iter().filter_map(token).collect();
    stated.sort_by_key(|(id, _)| *id);
    let known = inner.get_added_tokens_decoder();
    stated.retain(|(id, token)| known.get(id) != Some(token));
    let tokens: Vec<AddedToken> = stated.iter().map(|(_, token)| token.clone()).collect();
    inner.add_tokens(&tokens);
    for (id, token) in stated {
        let found = inner.token_to_id(&token.content);
        if found != Some(id) {
            let found = format!("`{}` with the id {id}, where {found:?} is free", token.content);
            return Err(unsupported(STATED, found, "the ids of `tokenizer.json`, and the next"));
        }
    }
    Ok(())
}

/// A token as Python's `AddedToken` takes its fields, with its defaults.
fn added_token(value: &Value) -> Option<AddedToken> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(value.get("content")?.as_str()?, special)
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .single_word(flag("single_word").unwrap_or(false));
    Some(match flag("normalized") {
        Some(normalized) => token.normalized(normalized),
        None => token,
    })
}
