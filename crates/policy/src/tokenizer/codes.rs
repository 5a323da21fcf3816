//! The codes of Semantic IDs as tokens of a pretrained tokenizer.

use sidereal_sid::{SidSpec, TokenStyle};
use tokenizers::{AddedToken, Tokenizer};

use crate::PolicyError;

/// What happened to the codes of a spec in an existing tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes {
    /// Number of ids before: one more than the highest.
    pub(crate) known: usize,
    /// Codes that the tokenizer had, with ids of their own.
    pub(crate) kept: usize,
    /// Codes that were added, in their order, and after them the marks of their style.
    pub(crate) added: Vec<String>,
}

impl Codes {
    /// Gives a token to each code of `spec`, and to each mark of its style, that has none, found whole
    /// wherever its text stands.
    ///
    /// Codes that the tokenizer already has as added tokens, because its model was trained on
    /// Semantic IDs, keep their ids.
    ///
    /// # Errors
    /// [`PolicyError::TakenToken`] for a code that is a piece of text in the vocabulary,
    /// [`PolicyError::OtherNotation`] for a tokenizer that has codes in another published style, and
    /// [`PolicyError::Unsupported`] for a vocabulary with gaps.
    pub(crate) fn add(inner: &mut Tokenizer, spec: &SidSpec) -> Result<Self, PolicyError> {
        let known = num_ids(inner);
        let (mut kept, mut added) = (0, Vec::new());
        let codes = spec.vocabulary();
        let marks = spec.style().marks().into_iter().flatten().map(str::to_owned);
        let num_codes = codes.len();
        for (place, token) in codes.into_iter().chain(marks).enumerate() {
            match inner.token_to_id(&token) {
                None => added.push(token),
                Some(id) => {
                    if !inner.get_added_vocabulary().get_vocab().contains_key(&token) {
                        return Err(PolicyError::TakenToken { token, id });
                    }
                    kept += usize::from(place < num_codes);
                }
            }
        }
        if kept == 0
            && let Some(error) = other_notation(inner, spec)
        {
            return Err(error);
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

/// The error about a tokenizer that has codes in another published style than that of `spec`; `None` for
/// one without such codes.
pub(super) fn other_notation(inner: &Tokenizer, spec: &SidSpec) -> Option<PolicyError> {
    let mut others = TokenStyle::published().to_vec();
    others.retain(|style| style.template() != spec.style().template());
    let added = inner.get_added_vocabulary().get_vocab();
    let is_other = |text: &str| others.iter().any(|style| style.is_code(text));
    let first = added.iter().filter(|(text, _)| is_other(text)).min_by_key(|(_, id)| **id);
    let (token, expected) = (first?.0.clone(), spec.style().to_string());
    Some(PolicyError::OtherNotation { token, expected })
}
