//! The tokens that a tokenizer puts around every text.

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::ids::encode;
use crate::PolicyError;

/// The tokens that a tokenizer's `post_processor` puts around every text: a beginning token before
/// it for Llama, an end token after it for T5.
///
/// Settings such as `add_bos_token` have no effect here, as in transformers 5; only the
/// `post_processor` decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    before: Vec<u32>,
    /// The tokens after a prompt; none if a decoder continues it.
    after: Vec<u32>,
}

impl Frame {
    /// The frame of a tokenizer that reads `probe` as the one token `id`.
    pub(super) fn of(
        inner: &Tokenizer,
        (probe, id): (&str, u32),
        has_encoder: bool,
    ) -> Result<Self, PolicyError> {
        let framed = encode(inner, probe, true)?;
        let Some(at) = framed.iter().position(|other| *other == id) else {
            return Err(PolicyError::SplitToken { token: probe.into(), found: framed });
        };
        let after = if has_encoder { &framed[at + 1..] } else { &[] };
        Ok(Self { before: framed[..at].to_vec(), after: after.to_vec() })
    }

    /// The frame of a tokenizer, seen around a letter.
    pub(super) fn around_a_text(inner: &Tokenizer, has_encoder: bool) -> Result<Self, PolicyError> {
        const LETTER: &str = "a";
        let (alone, framed) = (encode(inner, LETTER, false)?, encode(inner, LETTER, true)?);
        // A tokenizer may drop a letter that it does not know.
        let len = alone.len().max(1);
        let Some(at) = framed.windows(len).position(|part| part == alone) else {
            return Err(PolicyError::SplitToken { token: LETTER.into(), found: framed });
        };
        let after = if has_encoder { framed[at + len..].to_vec() } else { Vec::new() };
        Ok(Self { before: framed[..at].to_vec(), after })
    }

    /// The tokens of a text as a prompt. A text that already begins or ends with these tokens does
    /// not get them twice.
    pub(super) fn prompt(&self, ids: Vec<u32>) -> Vec<u32> {
        let before = if ids.starts_with(&self.before) { &[] } else { self.before.as_slice() };
        let after = if ids.ends_with(&self.after) { &[] } else { self.after.as_slice() };
        if before.is_empty() && after.is_empty() { ids } else { [before, &ids, after].concat() }
    }

    /// Whether a prompt ends with a token of its own, so that none continues another.
    pub(super) const fn ends(&self) -> bool {
        !self.after.is_empty()
    }
}

/// Whether the model of a folder reads its prompts in an encoder, by its `config.json` or, if that
/// does not say, the class of its tokenizer.
pub(super) fn has_encoder(config: &Map<String, Value>, settings: &Map<String, Value>) -> bool {
    let text = |from: &Map<String, Value>, key: &str| {
        from.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let stated = config.get("is_encoder_decoder").and_then(Value::as_bool);
    stated.unwrap_or_else(|| {
        let model = text(config, "model_type");
        model == "t5" || model.is_empty() && text(settings, "tokenizer_class").starts_with("T5")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_that_is_framed_already_is_left_as_it_is() {
        let frame = Frame { before: vec![1], after: vec![2, 3] };
        assert_eq!(frame.prompt(vec![7]), [1, 7, 2, 3]);
        assert_eq!(frame.prompt(vec![1, 7]), [1, 7, 2, 3]);
        assert_eq!(frame.prompt(vec![1, 7, 2, 3]), [1, 7, 2, 3]);
        assert_eq!(frame.prompt(Vec::new()), [1, 2, 3]);
        assert_eq!(Frame::default().prompt(vec![7]), [7]);
    }

    #[test]
    fn the_configuration_tells_an_encoder_and_else_the_tokenizers_class() {
        let of = |config: Value, settings: Value| {
            has_encoder(config.as_object().unwrap(), settings.as_object().unwrap())
        };
        assert!(of(json!({ "model_type": "t5" }), json!({})));
        assert!(of(json!({ "is_encoder_decoder": true, "model_type": "mt5" }), json!({})));
        assert!(of(json!({}), json!({ "tokenizer_class": "T5TokenizerFast" })));
        assert!(!of(json!({ "model_type": "llama" }), json!({ "tokenizer_class": "T5Tokenizer" })));
        assert!(!of(json!({}), json!({})));
    }
}
