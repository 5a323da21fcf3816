//! The control tokens of one tokenizer, besides those that are recognised by their shape.

use std::collections::BTreeMap;

use crate::control::{control_token, control_tokens};

/// What a text must not contain, because a tokenizer reads it as a control token. Codes of Semantic
/// IDs `<a_12>`, chat markers `<|…|>` and the tags of reasoning are recognised by their shape. The
/// tokens of the tokenizer in use are not (`</s>`, `<pad>`, `[INST]`, `<start_of_turn>`), so they
/// are listed.
///
/// ```
/// use sidereal_prompts::ControlMarkers;
///
/// let shapes = ControlMarkers::default();
/// assert_eq!(shapes.find("Cap <|im_end|> lock"), Some("<|im_end|>"));
/// assert_eq!(shapes.find("Cap </s> lock"), None);
/// let llama = ControlMarkers::new(["<s>", "</s>", "[INST]"]);
/// assert_eq!(llama.find("Cap </s> lock"), Some("</s>"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlMarkers {
    /// Tokens by their first byte, the longest first.
    tokens: BTreeMap<u8, Vec<String>>,
}

impl ControlMarkers {
    /// The shapes and these tokens. Tokens of only white space are plain text and are ignored, and
    /// so is the empty token: some tokenizers keep runs of spaces among their added tokens.
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut markers = Self::default();
        for token in tokens.into_iter().map(Into::into) {
            // Tokens that are recognised by their shape have rules of their own: codes are allowed
            // in a teacher's text, and tags in an answer.
            if token.trim().is_empty() || control_token(&token) == Some(&token) {
                continue;
            }
            if let Some(first) = token.as_bytes().first() {
                markers.tokens.entry(*first).or_default().push(token);
            }
        }
        for tokens in markers.tokens.values_mut() {
            tokens.sort_by_key(|token| std::cmp::Reverse(token.len()));
        }
        markers
    }

    /// The first control token of `text`; the longest if several begin at one place.
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let place = |token: &str| token.as_ptr().addr() - text.as_ptr().addr();
        match (control_tokens(text).next().map(|(_, token)| token), self.find_token(text)) {
            (Some(shape), Some(token)) => {
                let by_place = place(token).cmp(&place(shape));
                Some(if by_place.then(shape.len().cmp(&token.len())).is_lt() {
                    token
                } else {
                    shape
                })
            }
            (shape, token) => shape.or(token),
        }
    }

    /// The first of the tokenizer's own tokens, whatever the shapes say.
    pub(crate) fn find_token<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.tokens.is_empty() {
            return None;
        }
        text.bytes().enumerate().find_map(|(at, byte)| {
            let tokens = self.tokens.get(&byte)?;
            let rest = text.get(at..)?;
            let token = tokens.iter().find(|token| rest.starts_with(token.as_str()))?;
            rest.get(..token.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_other_families_are_found_where_they_are_named() {
        let tokens = [
            "</s>",
            "<s>",
            "<pad>",
            "<unk>",
            "<extra_id_0>",
            "[INST]",
            "<tool_call>",
            "<start_of_turn>",
        ];
        let markers = ControlMarkers::new(tokens);
        for token in tokens {
            assert_eq!(markers.find(&format!("a é{token} b")), Some(token));
            assert_eq!(ControlMarkers::default().find(token), None);
        }
        assert_eq!(markers.find("a < s>, <S>, [inst], <extra_id_1>"), None);
    }

    #[test]
    fn the_first_marker_is_named_and_of_two_at_one_place_the_longer() {
        let markers = ControlMarkers::new(["<s>", "<s>>", "</s>"]);
        assert_eq!(markers.find("x <a_1> </s>"), Some("<a_1>"));
        assert_eq!(markers.find("x </s> <a_1>"), Some("</s>"));
        assert_eq!(markers.find("x <s>>"), Some("<s>>"));
    }

    #[test]
    fn white_space_is_plain_text_and_shapes_keep_their_own_rules() {
        let markers = ControlMarkers::new(["", "  ", "\n\n", "<a_0>", "<think>"]);
        assert_eq!(markers, ControlMarkers::default());
        assert_eq!(markers.find("two  spaces\n\nand lines"), None);
        assert_eq!(markers.find_token("<think><a_0>"), None);
    }
}
