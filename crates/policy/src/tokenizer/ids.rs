//! Text to token ids and back, by a `tokenizer.json` as it is.

use tokenizers::Tokenizer;

use crate::PolicyError;

/// Token ids of a text, framed as the tokenizer frames a whole text or not.
pub(super) fn encode(inner: &Tokenizer, text: &str, framed: bool) -> Result<Vec<u32>, PolicyError> {
    let encoding = inner.encode_fast(text, framed).map_err(|source| PolicyError::Tokenizer {
        action: "cannot encode a text".into(),
        source,
    })?;
    Ok(encoding.get_ids().to_vec())
}

/// Text of token ids, without the special tokens that `keeps` does not keep.
pub(super) fn decode(
    inner: &Tokenizer,
    ids: &[u32],
    keeps: impl Fn(u32) -> bool,
) -> Result<String, PolicyError> {
    let added = inner.get_added_vocabulary();
    let special =
        |id: u32| added.simple_id_to_token(id).is_some_and(|text| added.is_special_token(&text));
    let ids: Vec<u32> = ids.iter().copied().filter(|id| !special(*id) || keeps(*id)).collect();
    inner
        .decode(&ids, false)
        .map_err(|source| PolicyError::Tokenizer { action: "cannot decode tokens".into(), source })
}
