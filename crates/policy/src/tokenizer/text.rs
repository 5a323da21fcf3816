//! Texts to token ids and back.

use super::SidTokenizer;
use super::ids::{decode, encode};
use crate::PolicyError;

impl SidTokenizer {
    /// Token ids of a text; codes in their notation become their own tokens.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        self.encode_as(text, false)
    }

    /// As [`encode`](Self::encode), framed as the tokenizer frames a whole text: after the
    /// beginning token of Llama, or before the end token of T5.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode_framed(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        self.encode_as(text, true)
    }

    /// Token ids of a plain prompt, in the form in which the model saw texts in training: after the
    /// beginning token that a tokenizer such as Llama's puts before every text and, if an encoder
    /// reads the prompt, before the end token of T5's. A decoder continues its prompt, so its
    /// prompts get no end.
    ///
    /// The output of a chat template is not plain: it already contains the beginning token if the
    /// model needs one, and is read by [`encode`](Self::encode).
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        Ok(self.frame.prompt(self.encode(text)?))
    }

    /// Whether a plain prompt ends with a token of its own, as for an encoder of T5's, so that no
    /// prompt is the beginning of a longer one.
    #[must_use]
    pub const fn ends_prompts(&self) -> bool {
        self.frame.ends()
    }

    /// As [`encode`](Self::encode), for a text that the tokenizer must be able to write.
    ///
    /// # Errors
    /// [`PolicyError::MissingToken`] if the ids decode to another text.
    pub(crate) fn encode_exact(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        let ids = self.encode(text)?;
        let back = self.inner.decode(&ids, false).map_err(|source| PolicyError::Tokenizer {
            action: "cannot decode tokens".into(),
            source,
        })?;
        if back == text { Ok(ids) } else { Err(PolicyError::MissingToken { token: text.into() }) }
    }

    fn encode_as(&self, text: &str, framed: bool) -> Result<Vec<u32>, PolicyError> {
        encode(&self.inner, text, framed)
    }

    /// Text of token ids, special tokens left out; codes and the marks of their style stay, also where a
    /// base calls them special.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, PolicyError> {
        decode(&self.inner, ids, |id| self.is_of_sids(id))
    }
}
