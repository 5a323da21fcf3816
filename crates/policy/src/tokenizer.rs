//! Text ↔ token ids, with one token for each code of a Semantic ID.

mod added;
mod chat;
mod codes;
mod control;
mod files;
mod frame;
mod ids;
mod special;
mod text;
mod words;

use std::path::Path;

use serde_json::{Map, Value, json};
use sidereal_sid::SidSpec;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TokenizerBuilder, TokenizerImpl,
};

pub use self::chat::{ChatMessage, ChatOptions, ChatTemplate};
pub(crate) use self::codes::Codes;
use self::codes::{num_ids, other_notation};
use self::files::{CHAT_TEMPLATE, Files, SETTINGS, read_object, remove_if_there};
use self::frame::Frame;
pub use self::special::SpecialTokens;
pub use self::words::WordTokenizer;
use crate::PolicyError;
use crate::weights::write_text;

/// End of a turn of text in tokenizers that are trained here.
pub const END_OF_TURN: &str = "<|im_end|>";
/// Padding in tokenizers that are trained here.
pub const PAD: &str = "<|endoftext|>";

/// A `tokenizer.json` that knows every code of a [`SidSpec`] as one token.
#[derive(Debug, Clone)]
pub struct SidTokenizer {
    inner: Tokenizer,
    spec: SidSpec,
    /// Vocabulary id of each flat token index.
    sid_ids: Vec<u32>,
    /// Ids of the marks around the codes, in a style that has them.
    marks: Option<[u32; 2]>,
    /// One more than the highest id.
    num_ids: usize,
    special: SpecialTokens,
    pad: u32,
    end_of_turn: u32,
    bos: Option<u32>,
    /// The tokens around every text.
    frame: Frame,
    /// `tokenizer_config.json`, kept for other programs that read the directory.
    settings: Map<String, Value>,
    /// Source of the chat template, from whichever file.
    chat: Option<String>,
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
        Codes::add(&mut inner, spec)?;
        let settings = Map::from_iter([no_class()]);
        let special = SpecialTokens::default();
        let files =
            Files { inner, settings, special: special.clone(), chat: None, has_encoder: false };
        Self::new(files, spec, special)
    }

    /// Reads the tokenizer of a pretrained model's directory or GGUF file and adds the tokens of `spec` that it
    /// lacks; those that it has keep their ids.
    ///
    /// `end_of_turn` is the token that ends a completion in words, if this is not the `eos_token`
    /// of `tokenizer_config.json`, as in base models that also know the end of a turn.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Tokenizer`];
    /// [`PolicyError::TakenToken`] where a code is a piece of text in the vocabulary;
    /// [`PolicyError::OtherNotation`] where the tokenizer has codes in another published style;
    /// [`PolicyError::MissingToken`] where it lacks a special token that its settings name.
    pub fn extend(
        base: &Path,
        spec: &SidSpec,
        end_of_turn: Option<&str>,
    ) -> Result<Self, PolicyError> {
        Self::extend_counted(base, spec, end_of_turn).map(|(tokenizer, _)| tokenizer)
    }

    /// As [`extend`](Self::extend), with what happened to the codes.
    pub(crate) fn extend_counted(
        base: &Path,
        spec: &SidSpec,
        end_of_turn: Option<&str>,
    ) -> Result<(Self, Codes), PolicyError> {
        let mut files = Files::read(base)?;
        files.settings.extend([no_class()]);
        let mut special = files.special.clone();
        if let Some(end) = end_of_turn {
            end.clone_into(&mut special.end_of_turn);
        }
        let codes = Codes::add(&mut files.inner, spec)?;
        Ok((Self::new(files, spec, special)?, codes))
    }

    /// Reads the tokenizer of a GGUF file, or of a checkpoint directory: `tokenizer.json`, and, if they are there,
    /// `tokenizer_config.json` and `special_tokens_map.json` for the special tokens,
    /// `chat_template.jinja`, and `config.json` for whether an encoder reads the prompts.
    ///
    /// Ids are those of the text alone. What a training script left in `tokenizer.json`, that is
    /// `truncation`, `padding` and the `dropout` of merges, is neither used nor saved.
    ///
    /// # Errors
    /// [`PolicyError::Io`], [`PolicyError::Json`] and [`PolicyError::Tokenizer`];
    /// [`PolicyError::OtherNotation`] where its codes are in another published style than those of `spec`;
    /// [`PolicyError::MissingToken`] where a code of `spec` or a special token is missing;
    /// [`PolicyError::SplitToken`] where a code is not read as its one token.
    pub fn load(dir: &Path, spec: &SidSpec) -> Result<Self, PolicyError> {
        let files = Files::read(dir)?;
        let special = files.special.clone();
        Self::new(files, spec, special)
    }

    fn new(files: Files, spec: &SidSpec, special: SpecialTokens) -> Result<Self, PolicyError> {
        let Files { inner, mut settings, chat, has_encoder, .. } = files;
        let id = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| PolicyError::MissingToken { token: token.to_owned() })
        };
        let sid_ids = spec.vocabulary().iter().map(|t| id(t)).collect::<Result<Vec<_>, _>>();
        let sid_ids = sid_ids.map_err(|error| other_notation(&inner, spec).unwrap_or(error))?;
        let marks = match spec.style().marks() {
            Some([begin, end]) => Some([id(begin)?, id(end)?]),
            None => None,
        };
        let (pad, end_of_turn) = (id(&special.pad)?, id(&special.end_of_turn)?);
        let bos = special.bos.as_deref().map(id).transpose()?;
        special.write(&mut settings);
        let mut tokenizer = Self {
            num_ids: num_ids(&inner),
            inner,
            spec: spec.clone(),
            sid_ids,
            marks,
            special,
            pad,
            end_of_turn,
            bos,
            frame: Frame::default(),
            settings,
            chat,
        };
        tokenizer.check_codes()?;
        if let (Some(code), Some(id)) = (spec.vocabulary().first(), tokenizer.sid_ids.first()) {
            tokenizer.frame = Frame::of(&tokenizer.inner, (code, *id), has_encoder)?;
        }
        Ok(tokenizer)
    }

    /// Accepts a tokenizer that reads every code, and every mark, as its one token, wherever it stands.
    fn check_codes(&self) -> Result<(), PolicyError> {
        let marks = self.spec.style().marks().into_iter().flatten().map(str::to_owned);
        let tokens: Vec<String> = self.spec.vocabulary().into_iter().chain(marks).collect();
        let of_marks = self.marks.into_iter().flatten();
        let ids: Vec<u32> = self.sid_ids.iter().copied().chain(of_marks).collect();
        let whole = tokens.concat();
        let together = self.encode(&whole)?;
        if together == ids {
            return Ok(());
        }
        for (token, id) in tokens.into_iter().zip(ids) {
            let found = self.encode(&token)?;
            if found != [id] {
                return Err(PolicyError::SplitToken { token, found });
            }
        }
        Err(PolicyError::SplitToken { token: whole, found: together })
    }

    /// Whether an id is that of a code or of a mark around codes.
    fn is_of_sids(&self, id: u32) -> bool {
        self.sid_ids.contains(&id) || self.marks.is_some_and(|marks| marks.contains(&id))
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, the chat template if there is one, and
    /// `generation_config.json` with only the ids of the special tokens, so that other programs do
    /// not inherit a setting of generation. An existing file is replaced whole or not at all.
    ///
    /// The first token of an encoder-decoder is taken from its `config.json`, which must be in
    /// `dir` before.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`], [`PolicyError::Io`], and [`PolicyError::Json`] for a damaged
    /// `config.json`.
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        write_text(&dir.join("tokenizer.json"), &self.to_json()?)?;
        let mut settings = self.settings.clone();
        settings.remove("chat_template");
        let settings = Value::Object(settings);
        write_text(&dir.join(SETTINGS), &format!("{settings:#}\n"))?;
        match &self.chat {
            Some(source) => write_text(&dir.join(CHAT_TEMPLATE), source)?,
            None => remove_if_there(&dir.join(CHAT_TEMPLATE))?,
        }
        let mut ids = self.special_ids();
        let start = "decoder_start_token_id";
        if let Some(id) = read_object(&dir.join("config.json"))?.remove(start) {
            ids.insert(start.to_owned(), id);
        }
        let ids = Value::Object(ids);
        write_text(&dir.join("generation_config.json"), &format!("{ids:#}\n"))
    }

    /// Ids of the special tokens under the names that HF configurations give them.
    pub(crate) fn special_ids(&self) -> Map<String, Value> {
        let mut ids = Map::from_iter([
            ("eos_token_id".to_owned(), json!(self.end_of_turn)),
            ("pad_token_id".to_owned(), json!(self.pad)),
        ]);
        if let Some(bos) = self.bos {
            ids.insert("bos_token_id".to_owned(), json!(bos));
        }
        ids
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

    /// Id of one token by its text.
    ///
    /// # Errors
    /// [`PolicyError::MissingToken`].
    pub fn id(&self, token: &str) -> Result<u32, PolicyError> {
        let missing = || PolicyError::MissingToken { token: token.to_owned() };
        self.inner.token_to_id(token).ok_or_else(missing)
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

    /// Vocabulary id of each flat token index of the spec.
    #[must_use]
    pub fn sid_ids(&self) -> &[u32] {
        &self.sid_ids
    }

    /// Ids of the tokens before the first code and after the last, in a style that has such marks. A policy
    /// reads them and never chooses them.
    #[must_use]
    pub const fn marks(&self) -> Option<[u32; 2]> {
        self.marks
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

/// The setting that lets transformers read `tokenizer.json` as it is. Other tokenizer classes may
/// build another pipeline around its vocabulary.
fn no_class() -> (String, Value) {
    ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"))
}

#[cfg(test)]
mod tests {
    use sidereal_sid::{SemanticId, TokenStyle};

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
    fn codes_of_another_style_are_tokens_with_their_marks_and_another_style_is_an_error() {
        let style = TokenStyle::open_one_rec();
        let spec = SidSpec::new(vec![4, 4], 2).unwrap().with_style(style.clone());
        let marked = SidTokenizer::train(["red lipstick"].iter(), 300, &spec).unwrap();
        let sid = SemanticId::from([3, 0, 1]);
        let text = spec.text(&sid);
        let [begin, end] = marked.marks().unwrap();
        let codes = [3, 4, 9].map(|flat| marked.sid_ids()[flat]);
        let ids: Vec<u32> = [begin].into_iter().chain(codes).chain([end]).collect();
        assert!(marked.encode(&format!("red{text}")).unwrap().ends_with(&ids));
        assert_eq!(marked.decode(&ids).unwrap(), text);
        assert!(!marked.control_tokens().iter().any(|token| text.contains(token.as_str())));
        assert_eq!(tokenizer().marks(), None);

        let dir = tempfile::tempdir().unwrap();
        marked.save(dir.path()).unwrap();
        assert_eq!(SidTokenizer::load(dir.path(), &spec).unwrap().marks(), marked.marks());
        let error = SidTokenizer::load(dir.path(), tokenizer().spec()).unwrap_err();
        assert!(matches!(&error, PolicyError::OtherNotation { token, .. } if token == "<s_a_0>"));
        assert!(error.to_string().contains("`<{level}_{code}>`"), "{error}");
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
