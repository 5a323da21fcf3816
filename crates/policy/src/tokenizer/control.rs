//! The tokens of a tokenizer that a text of an item must not contain.

use std::collections::BTreeMap;

use tokenizers::AddedToken;

use super::SidTokenizer;

/// Elements of HTML that some tokenizers have as added tokens. They are ordinary text, not markers.
const ELEMENTS: [&str; 36] = [
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

impl SidTokenizer {
    /// The tokens, by id, that a text from outside may not hold: the tokenizer would read them as the
    /// end of a text, a turn, a mask and the like. Codes of Semantic IDs, and the marks of their style, are
    /// not among them.
    ///
    /// These are the tokens that the folder calls special, and those other added tokens that are
    /// written as markers are, in angles, brackets or braces (`<tool_call>`, `[INST]`). Added tokens
    /// that are ordinary text stay out: words, characters, runs of white space, elements of HTML.
    #[must_use]
    pub fn control_tokens(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder();
        let added: BTreeMap<u32, AddedToken> = added.into_iter().collect();
        let by_role = [Some(self.pad), Some(self.end_of_turn), self.bos];
        added
            .into_iter()
            .filter(|(id, token)| {
                let special = token.special || by_role.contains(&Some(*id));
                !self.is_of_sids(*id)
                    && !is_blank(&token.content)
                    && (special || is_marker(&token.content))
            })
            .map(|(_, token)| token.content)
            .collect()
    }
}

/// White space alone, also as `SentencePiece` writes it.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\u{2581}')
}

/// A name in angles, brackets or braces.
fn is_marker(text: &str) -> bool {
    let inside = [('<', '>'), ('[', ']'), ('{', '}')]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inside.is_some_and(|inside| {
        let element = inside.strip_prefix('/').unwrap_or(inside);
        !is_blank(inside) && !ELEMENTS.contains(&element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_brackets_are_markers_and_ordinary_text_is_none() {
        for text in ["<tool_call>", "</tool_call>", "[INST]", "{cite}", "<\u{ff5c}User\u{ff5c}>"] {
            assert!(is_marker(text), "{text}");
        }
        for text in ["the", "  ", "\n\n", "<b>", "</table>", "<>", "[ ]", "õ", ">>", "<-", "1]"] {
            assert!(!is_marker(text), "{text}");
        }
        assert!(is_blank("\u{2581}\u{2581}") && is_blank("") && !is_blank("\u{2581}a"));
    }
}
