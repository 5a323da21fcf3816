//! The tokenizer of a model that reads and writes words alone.

use std::path::Path;

use tokenizers::Tokenizer;

use super::chat::ChatTemplate;
use super::codes::num_ids;
use super::files::Files;
use super::frame::Frame;
use super::ids;
use super::special::SpecialTokens;
use crate::PolicyError;

/// The tokenizer of a pretrained model as it is, without a token for each code of a Semantic ID.
///
/// A Semantic ID is a text like any other here, unless the model already has tokens for codes. Who trains a policy
/// or decodes under a trie needs a [`SidTokenizer`](super::SidTokenizer).
#[derive(Debug, Clone)]
pub struct WordTokenizer {
    inner: Tokenizer,
    num_ids: usize,
    special: SpecialTokens,
    pad: u32,
    end_of_turn: u32,
    frame: Frame,
    /// Source of the chat template.
    chat: Option<String>,
}

impl WordTokenizer {
    /// Reads the tokenizer of a model's directory or GGUF file, as
    /// [`SidTokenizer::load`](super::SidTokenizer::load) does.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Tokenizer`];
    /// [`PolicyError::MissingToken`] where a special token is missing that its settings name.
    pub fn load(base: &Path) -> Result<Self, PolicyError> {
        let Files { inner, special, chat, has_encoder, .. } = Files::read(base)?;
        let id = |token: &str| {
            let missing = || PolicyError::MissingToken { token: token.to_owned() };
            inner.token_to_id(token).ok_or_else(missing)
        };
        let (pad, end_of_turn) = (id(&special.pad)?, id(&special.end_of_turn)?);
        let frame = Frame::around_a_text(&inner, has_encoder)?;
        Ok(Self { num_ids: num_ids(&inner), inner, special, pad, end_of_turn, frame, chat })
    }

    /// Token ids of a text, such as the output of a chat template.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        ids::encode(&self.inner, text, false)
    }

    /// Token ids of a plain prompt, after the beginning token if the tokenizer puts one before every text.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        Ok(self.frame.prompt(self.encode(text)?))
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, PolicyError> {
        ids::decode(&self.inner, tokens, |_| false)
    }

    /// The conversation format that the model was taught.
    ///
    /// # Errors
    /// [`PolicyError::NoChatTemplate`] if the tokenizer has none; [`PolicyError::Template`] for one
    /// that cannot be read.
    pub fn chat_template(&self) -> Result<ChatTemplate, PolicyError> {
        let source = self.chat.as_deref().ok_or(PolicyError::NoChatTemplate)?;
        ChatTemplate::new(source, &self.special)
    }

    /// Number of token ids; the vocabulary of a model must have at least as many.
    #[must_use]
    pub const fn vocab_size(&self) -> usize {
        self.num_ids
    }

    /// Id of the padding token.
    #[must_use]
    pub const fn pad(&self) -> u32 {
        self.pad
    }

    /// Id of the token that ends a completion in words.
    #[must_use]
    pub const fn end_of_turn(&self) -> u32 {
        self.end_of_turn
    }
}
