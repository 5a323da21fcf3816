//! The tokens that frame a text.

use serde_json::{Map, Value, json};

use super::{END_OF_TURN, PAD};

/// Texts of the tokens that frame a text, as `tokenizer_config.json` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Beginning of a text; most decoders have none.
    pub bos: Option<String>,
    /// The token that ends a completion in words: the end of a turn or of a text.
    pub end_of_turn: String,
    /// Padding, never read.
    pub pad: String,
}

impl Default for SpecialTokens {
    /// [`END_OF_TURN`], [`PAD`] and no beginning.
    fn default() -> Self {
        Self { bos: None, end_of_turn: END_OF_TURN.into(), pad: PAD.into() }
    }
}

impl SpecialTokens {
    /// The tokens that the settings of a tokenizer name or, if the settings do not name them, the
    /// map of special tokens that older versions write beside them. Settings without
    /// `added_tokens_decoder` come from such a version; then the map has precedence, as in
    /// transformers.
    ///
    /// If a tokenizer names an end but no padding, its end is the padding. If it names no end, it
    /// has the default tokens.
    pub(super) fn of(settings: &Map<String, Value>, map: &Map<String, Value>) -> Self {
        // A plain text, or an object that also says how the token is found.
        let text = |from: &Map<String, Value>, key: &str| {
            let value = from.get(key)?;
            value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
        };
        let older = !settings.contains_key("added_tokens_decoder");
        let (first, second) = if older { (map, settings) } else { (settings, map) };
        let named = |key: &str| text(first, key).or_else(|| text(second, key));
        let default = Self::default();
        let (end_of_turn, pad) = match (named("eos_token"), named("pad_token")) {
            (Some(end), pad) => (end.clone(), pad.unwrap_or(end)),
            (None, pad) => (default.end_of_turn, pad.unwrap_or(default.pad)),
        };
        Self { bos: named("bos_token"), end_of_turn, pad }
    }

    /// Names these tokens in the settings of a tokenizer.
    pub(super) fn write(&self, settings: &mut Map<String, Value>) {
        if let Some(bos) = &self.bos {
            settings.insert("bos_token".into(), json!(bos));
        }
        settings.insert("eos_token".into(), json!(self.end_of_turn));
        settings.insert("pad_token".into(), json!(self.pad));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &Value) -> SpecialTokens {
        SpecialTokens::of(settings.as_object().unwrap(), &Map::new())
    }

    #[test]
    fn texts_and_objects_are_read_and_padding_falls_back_on_the_end() {
        let found = of(&json!({ "eos_token": { "content": "</s>" }, "pad_token": "<pad>" }));
        assert_eq!((found.end_of_turn.as_str(), found.pad.as_str()), ("</s>", "<pad>"));
        let found = of(&json!({ "bos_token": "<s>", "eos_token": "</s>", "pad_token": null }));
        assert_eq!((found.bos.as_deref(), found.pad.as_str()), (Some("<s>"), "</s>"));
        assert_eq!(of(&json!({ "bos_token": null })), SpecialTokens::default());
    }
    #[test]
    fn an_older_map_of_special_tokens_wins_and_a_newer_one_fills_gaps() {
        let map = json!({ "eos_token": { "content": "</s>" }, "pad_token": "<pad>" });
        let of = |settings: Value| {
            SpecialTokens::of(settings.as_object().unwrap(), map.as_object().unwrap())
        };
        let found = of(json!({ "eos_token": "<end>", "bos_token": "<s>" }));
        assert_eq!((found.end_of_turn.as_str(), found.pad.as_str()), ("</s>", "<pad>"));
        assert_eq!(found.bos.as_deref(), Some("<s>"));
        let found = of(json!({ "eos_token": "<end>", "added_tokens_decoder": {} }));
        assert_eq!((found.end_of_turn.as_str(), found.pad.as_str()), ("<end>", "<pad>"));
    }
}
