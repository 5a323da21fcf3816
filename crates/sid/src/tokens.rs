//! Semantic IDs as index files list their tokens, in the notations of several projects.

use crate::{NotationError, SemanticId, TokenStyle};

/// The Semantic ID of a list of tokens, as an index file holds it, whatever the codebooks' sizes.
///
/// | notation | tokens |
/// |---|---|
/// | `MiniOneRec`, LC-Rec, LETTER | `<a_12>`, `<b_5>`, `<c_99>` |
/// | `OpenOneRec` | `<\|sid_begin\|>`, `<s_a_12>`, `<s_b_5>`, `<s_c_99>`, `<\|sid_end\|>`, or without its ends |
///
/// # Errors
/// [`NotationError::Tokens`], which quotes the tokens, for any other notation;
/// [`NotationError::Letter`], [`NotationError::Levels`] and [`NotationError::Range`] for tokens of
/// these that make no Semantic ID.
///
/// ```
/// use sidereal_sid::{SemanticId, sid_of_tokens};
///
/// let tokens = ["<|sid_begin|>", "<s_a_0>", "<s_b_7>", "<|sid_end|>"];
/// assert_eq!(sid_of_tokens(&tokens)?, SemanticId::from([0, 7]));
/// assert_eq!(sid_of_tokens(&["<a_0>", "<b_7>"])?, SemanticId::from([0, 7]));
/// # Ok::<(), sidereal_sid::NotationError>(())
/// ```
pub fn sid_of_tokens<S: AsRef<str>>(tokens: &[S]) -> Result<SemanticId, NotationError> {
    TokenStyle::of_tokens(tokens)?.sid_of_tokens(tokens)
}

impl NotationError {
    /// The error about a list of tokens that is in no notation that is read.
    pub(crate) fn tokens(tokens: &[&str]) -> Self {
        Self::Tokens { text: shown(tokens) }
    }
}

/// Tokens as a message shows them, cut short.
fn shown(tokens: &[&str]) -> String {
    const MOST: usize = 120;
    let text = tokens.join(" ");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_give_the_same_semantic_id() {
        for tokens in [
            &["<a_3>", "<b_0>", "<c_65535>"][..],
            &["<s_a_3>", "<s_b_0>", "<s_c_65535>"],
            &["<|sid_begin|>", "<s_a_3>", "<s_b_0>", "<s_c_65535>", "<|sid_end|>"],
        ] {
            assert_eq!(sid_of_tokens(tokens).unwrap(), SemanticId::from([3, 0, 65535]));
        }
    }

    #[test]
    fn other_notations_are_quoted_with_those_that_are_read() {
        for tokens in [
            &["<C1_23>", "<C2_4>"][..],
            &["a_1", "b_2"],
            &["12", "7"],
            &["<a_1><b_2>", ""],
            &["<a_1", "><b_2>"],
            &["<a_1>", "<s_b_2>"],
            &["<s_a_1>", "<b_2>"],
            &["<|sid_begin|>", "<a_1>", "<|sid_end|>"],
            &["<|sid_begin|>", "<s_a_1>"],
        ] {
            let error = sid_of_tokens(tokens).unwrap_err();
            assert!(matches!(error, NotationError::Tokens { .. }), "{tokens:?}: {error:?}");
            let error = error.to_string();
            assert!(error.contains(tokens[0]) && error.contains("`<s_a_12>`"), "{error}");
        }
        assert!(matches!(sid_of_tokens(&["<b_1>"]), Err(NotationError::Letter { .. })));
        assert!(matches!(sid_of_tokens(&["<a_70000>"]), Err(NotationError::Range { .. })));
        assert!(matches!(sid_of_tokens::<&str>(&[]), Err(NotationError::Levels { found: 0 })));
        let long = "é".repeat(500);
        assert!(sid_of_tokens(&[long.as_str()]).unwrap_err().to_string().len() < 500);
    }
}
