//! The codes of Semantic IDs as tokens of a pretrained tokenizer.

use sidereal_sid::SidSpec;
use tokenizers::{AddedToken, Tokenizer};

use crate::PolicyError;

/// What happened to the codes of a spec in an existing tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes {
    /// Number of ids before: one more than the highest.
    pub(crate) known: usize,
    /// Codes that the tokenizer had, with ids of their own.
    pub(crate) kept: usize,
    /// Codes that were added, in their order.
    pub(crate) added: Vec<String>,
}

impl Codes {
    /// Gives a token to each code of `spec` that has none. The token is recognised as a whole at
    /// any place of a text.
    ///
    /// Codes that the tokenizer already has as added tokens, because its model was trained on
    /// Semantic IDs, keep their ids.
    ///
    /// # Errors
    /// [`PolicyError::TakenToken`] for a code that is a piece of text in the vocabulary,
    /// [`PolicyError::OtherNotation`] for a tokenizer that spells codes in another way, and
    /// [`PolicyError::Unsupported`] for a vocabulary with gaps.
    pub(crate) fn add(inner: &mut Tokenizer, spec: &SidSpec) -> Result<Self, PolicyError> {
        let known = num_ids(inner);
        let (mut kept, mut added) = (0, Vec::new());
        for code in spec.vocabulary() {
            match inner.token_to_id(&code) {
                None => added.push(code),
                Some(id) => {
                    if !inner.get_added_vocabulary().get_vocab().contains_key(&code) {
                        return Err(PolicyError::TakenToken { token: code, id });
                    }
                    kept += 1;
                }
            }
        }
        if kept == 0
            && let Some(token) = other_notation(inner)
        {
            return Err(PolicyError::OtherNotation { token });
        }
        let tokens: Vec<AddedToken> = added
            .iter()
            .map(|text| AddedToken::from(text.as_str(), false).normalized(false))
            .collect();
        inner.add_tokens(&tokens);
        let id = |code: &String| {
            let missing = || PolicyError::MissingToken { token: code.clone() };
            Ok((code.clone(), inner.token_to_id(code).ok_or_else(missing)?))
        };
        let ids = added.iter().map(id).collect::<Result<Vec<_>, PolicyError>>()?;
        match ids.into_iter().find(|(_, id)| (*id as usize) < known) {
            None => Ok(Self { known, kept, added }),
            Some((code, id)) => Err(PolicyError::Unsupported {
                field: "model.vocab of tokenizer.json",
                found: format!("with gaps: the new token `{code}` would get the old id {id}"),
                expected: "ids without gaps",
            }),
        }
    }
}

/// One more than the highest id.
pub(super) fn num_ids(inner: &Tokenizer) -> usize {
    inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
}

/// A token that is a code as `OpenOneRec` writes it, `<s_a_12>`.
fn other_notation(inner: &Tokenizer) -> Option<String> {
    let is_code = |text: &str| {
        let inside = text.strip_prefix("<s_").and_then(|rest| rest.strip_suffix('>'));
        inside.and_then(|inside| inside.split_once('_')).is_some_and(|(level, code)| {
            level.len() == 1
                && level.bytes().all(|b| b.is_ascii_lowercase())
                && !code.is_empty()
                && code.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let added = inner.get_added_vocabulary().get_vocab();
    let first = added.iter().filter(|(text, _)| is_code(text)).min_by_key(|(_, id)| **id);
    first.map(|(text, _)| text.clone())
}
