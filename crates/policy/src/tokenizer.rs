//! Text ↔ token ids, with one token for each code of a Semantic ID.

use std::fs;
use std::path::Path;

use sidereal_sid::SidSpec;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TokenizerBuilder, TokenizerImpl,
};

use crate::PolicyError;

/// End of a turn of text: what a completion in words ends with.
pub const END_OF_TURN: &str = "<|im_end|>";
/// Padding and end of a document.
pub const PAD: &str = "<|endoftext|>";

/// A `tokenizer.json` that knows every code of a [`SidSpec`] as one token.
#[derive(Debug, Clone)]
pub struct SidTokenizer {
    inner: Tokenizer,
    spec: SidSpec,
    /// Vocabulary id of each flat token index.
    sid_ids: Vec<u32>,
    pad: u32,
    end_of_turn: u32,
}

impl SidTokenizer {
    /// Trains a byte-level BPE on `texts` and adds the tokens of `spec`.
    ///
    /// `num_pieces` bounds the pieces of text; the codes, the end of turn and the padding come on
    /// top. Equal texts in equal order give an equal tokenizer.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn train<S: AsRef<str> + Send + Sync>(
        texts: impl Iterator<Item = S> + Send,
        num_pieces: usize,
        spec: &SidSpec,
    ) -> Result<Self, PolicyError> {
        let fail = |action: &'static str| {
            move |source| PolicyError::Tokenizer { action: action.into(), source }
        };
        let bytes = ByteLevel::new(false, true, true);
        let mut bpe: TokenizerImpl<
            BPE,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(Some(NFC.into()))
            .with_pre_tokenizer(Some(bytes.into()))
            .with_post_processor(Some(bytes.into()))
            .with_decoder(Some(bytes.into()))
            .build()
            .map_err(fail("cannot be built"))?;
        let mut trainer = BpeTrainerBuilder::new()
            .show_progress(false)
            .vocab_size(num_pieces)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        bpe.train(&mut trainer, texts).map_err(fail("cannot be trained"))?;
        let mut inner = Tokenizer::from(bpe);
        let special = [PAD, END_OF_TURN].map(|text| AddedToken::from(text, true));
        inner.add_special_tokens(&special);
        Self::extend(inner, spec)
    }

    /// Adds the tokens of `spec` to a tokenizer that may lack them.
    ///
    /// # Errors
    /// [`PolicyError::MissingToken`]: end of turn or padding.
    pub fn extend(mut inner: Tokenizer, spec: &SidSpec) -> Result<Self, PolicyError> {
        let codes: Vec<AddedToken> = spec
            .vocabulary()
            .into_iter()
            .map(|text| AddedToken::from(text, false).normalized(false))
            .collect();
        inner.add_tokens(&codes);
        Self::new(inner, spec)
    }

    /// Reads the `tokenizer.json` of a checkpoint directory.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`]; [`PolicyError::MissingToken`] where a code of `spec` has no
    /// token of its own.
    pub fn load(dir: &Path, spec: &SidSpec) -> Result<Self, PolicyError> {
        let path = dir.join("tokenizer.json");
        let inner = Tokenizer::from_file(&path).map_err(|source| PolicyError::Tokenizer {
            action: format!("cannot read `{}`", path.display()),
            source,
        })?;
        Self::new(inner, spec)
    }

    fn new(inner: Tokenizer, spec: &SidSpec) -> Result<Self, PolicyError> {
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| PolicyError::MissingToken { token: token.to_owned() })
        };
        let sid_ids = spec.vocabulary().iter().map(|t| id(t)).collect::<Result<Vec<_>, _>>()?;
        let (pad, end_of_turn) = (id(PAD)?, id(END_OF_TURN)?);
        Ok(Self { inner, spec: spec.clone(), sid_ids, pad, end_of_turn })
    }

    /// Writes `tokenizer.json`; an existing file is replaced whole or not at all.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`] and [`PolicyError::Io`].
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        let path = dir.join("tokenizer.json");
        let text = self.to_json()?;
        let partial = path.with_extension("partial");
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|source| PolicyError::Io { path, source })
    }

    /// The contents of `tokenizer.json`.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn to_json(&self) -> Result<String, PolicyError> {
        self.inner.to_string(true).map_err(|source| PolicyError::Tokenizer {
            action: "cannot be written as JSON".into(),
            source,
        })
    }

    /// Token ids of a text; codes in their notation become their own tokens.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, PolicyError> {
        let encoding = self.inner.encode_fast(text, false).map_err(|source| {
            PolicyError::Tokenizer { action: "cannot encode a text".into(), source }
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, PolicyError> {
        self.inner.decode(ids, true).map_err(|source| PolicyError::Tokenizer {
            action: "cannot decode tokens".into(),
            source,
        })
    }

    /// Number of token ids, which a model's vocabulary must at least have.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Vocabulary id of each flat token index of the spec.
    #[must_use]
    pub fn sid_ids(&self) -> &[u32] {
        &self.sid_ids
    }

    /// Levels and codebook sizes that this tokenizer spells.
    #[must_use]
    pub const fn spec(&self) -> &SidSpec {
        &self.spec
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> SidTokenizer {
        let spec = SidSpec::new(vec![4, 4], 2).unwrap();
        let texts = ["red lipstick with shine", "matte red lipstick", "shine spray for hair"];
        SidTokenizer::train(texts.iter(), 300, &spec).unwrap()
    }

    #[test]
    fn each_code_is_one_token_and_text_survives() {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode("<a_3><b_0><c_1>").unwrap();
        assert_eq!(ids, [3, 4, 9].map(|flat| tokenizer.sid_ids()[flat]));
        let text = "red lipstick, naïve 10 ml";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
        let ids = tokenizer.encode("red<|im_end|>").unwrap();
        assert_eq!(ids.last(), Some(&tokenizer.end_of_turn()));
    }

    #[test]
    fn text_and_codes_split_at_the_codes() {
        let tokenizer = tokenizer();
        let whole = tokenizer.encode("next:<a_1><b_2><a_3><b_0>").unwrap();
        let mut parts = tokenizer.encode("next:<a_1><b_2>").unwrap();
        parts.extend(tokenizer.encode("<a_3><b_0>").unwrap());
        assert_eq!(whole, parts);
    }

    #[test]
    fn a_saved_tokenizer_loads_equal_and_a_wider_spec_is_refused() {
        let tokenizer = tokenizer();
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        let back = SidTokenizer::load(dir.path(), tokenizer.spec()).unwrap();
        assert_eq!(back.to_json().unwrap(), tokenizer.to_json().unwrap());
        let wide = SidSpec::new(vec![5, 4], 2).unwrap();
        let error = SidTokenizer::load(dir.path(), &wide).unwrap_err();
        assert!(matches!(error, PolicyError::MissingToken { token } if token == "<a_4>"));
    }
}
