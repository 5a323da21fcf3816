//! The control tokens of one tokenizer, besides those that are recognised by their shape.

use std::collections::BTreeMap;

use sidereal_sid::TokenStyle;

use crate::control::control_tokens;

/// What a text may not hold, because a tokenizer reads it as a control token: Semantic IDs' codes
/// `<a_12>` and the marks around them, chat markers `<|…|>` and the tags of reasoning, which are recognised
/// by their shape, and the tokens of the tokenizer at hand, which are not (`</s>`, `<pad>`, `[INST]`, `<start_of_turn>`).
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
    /// How codes are written, besides the published styles.
    style: TokenStyle,
}

impl ControlMarkers {
    /// The shapes and these tokens. Tokens of only white space are plain text and are ignored, and
    /// so is the empty token: some tokenizers keep runs of spaces among their added tokens.
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut markers = Self::default();
        for token in tokens.into_iter().map(Into::into) {
            // What has a shape has rules of its own: codes may stand in a teacher's text, tags in
            // an answer.
            let shape = control_tokens(&token, &markers.style).next();
            if token.trim().is_empty() || shape.is_some_and(|(_, shape)| shape == token) {
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

    /// The same, for Semantic IDs whose codes are written in this style.
    #[must_use]
    pub fn with_style(mut self, style: TokenStyle) -> Self {
        self.style = style;
        self
    }

    /// The first control token of `text`; the longest where several begin at one place.
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let place = |token: &str| token.as_ptr().addr() - text.as_ptr().addr();
        let shape = control_tokens(text, &self.style).next().map(|(_, token)| token);
        match (shape, self.find_token(text)) {
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

    #[test]
    fn codes_of_the_style_at_hand_are_control_tokens() {
        let markers = ControlMarkers::new(["</s>"]);
        assert_eq!(markers.find("a [a:3] </s>"), Some("</s>"));
        let style = TokenStyle::new("[{level}:{code}]").unwrap();
        assert_eq!(markers.with_style(style).find("a [a:3] </s>"), Some("[a:3]"));
    }
}
