//! `tokenizer.json` and its settings from the lists of a GGUF file.

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use super::model::Model;
use super::split::Split;
use crate::PolicyError;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// A tokenizer as an HF folder states it.
#[derive(Debug)]
pub(crate) struct GgufTokenizer {
    /// `tokenizer.json`.
    pub(crate) inner: Tokenizer,
    /// `tokenizer_config.json`, without the template.
    pub(crate) settings: Map<String, Value>,
    /// Source of the chat template.
    pub(crate) chat: Option<String>,
}

/// What a token is, of the numbers of llama.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenType {
    /// A piece of text, with a letter for each byte.
    Piece,
    /// A token such as the end of a turn, which stands for no text.
    Control,
    /// A text that is always one token.
    Whole,
    /// A row of the embedding that no token has.
    Unused,
}

impl TokenType {
    const fn of(number: i128) -> Option<Self> {
        Some(match number {
            1 | 2 | 6 => Self::Piece,
            3 => Self::Control,
            4 => Self::Whole,
            5 => Self::Unused,
            _ => return None,
        })
    }
}

pub(super) fn tokenizer(model: &Model<'_>) -> Result<GgufTokenizer, PolicyError> {
    let metadata = model.file.metadata();
    let split = split(model)?;
    let (tokens, types) = vocabulary(model)?;
    let merges = model.need(MERGES, metadata.texts(MERGES))?;
    let pairs = merges.into_iter().enumerate().map(|(number, merge)| {
        let pair = merge
            .split_once(' ')
            .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '));
        let wrong = || {
            list(
                model,
                MERGES,
                format!(
                    "entry {number} is `{merge}`; expected two pieces with one space between them"
                ),
            )
        };
        pair.map(|(left, right)| json!([left, right])).ok_or_else(wrong)
    });
    let pairs = pairs.collect::<Result<Vec<Value>, PolicyError>>()?;
    let vocab: Map<String, Value> =
        (0u32..).zip(&tokens).map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let is_added = |kind: TokenType| matches!(kind, TokenType::Control | TokenType::Whole);
    let added = (0u32..).zip(tokens.iter().zip(&types)).filter(|(_, (_, kind))| is_added(**kind));
    let added: Vec<Value> = added
        .map(|(id, (token, kind))| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == TokenType::Control,
            })
        })
        .collect();
    let special = |key: &str| token_of(model, key, &tokens);
    let (bos, eos) = (special("bos_token_id")?, special("eos_token_id")?);
    let contents = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": split.pre_tokenizer(),
        "post_processor": frame(model, split, bos, eos)?,
        "decoder": {
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": split.ignores_merges(), "vocab": vocab, "merges": pairs,
        },
    });
    let fail = |source| PolicyError::Tokenizer {
        action: format!("cannot be built from `{}`", model.path.display()),
        source,
    };
    let inner = Tokenizer::from_bytes(contents.to_string()).map_err(fail)?;
    let named = [
        ("bos_token", bos),
        ("eos_token", eos),
        ("unk_token", special("unknown_token_id")?),
        ("pad_token", special("padding_token_id")?),
    ];
    let mut settings = Map::from_iter([
        ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast")),
        ("clean_up_tokenization_spaces".to_owned(), json!(false)),
    ]);
    settings.extend(named.into_iter().filter_map(|(name, found)| {
        let (_, text) = found?;
        Some((name.to_owned(), json!(text)))
    }));
    let chat = model.may(metadata.text("tokenizer.chat_template"))?.map(str::to_owned);
    Ok(GgufTokenizer { inner, settings, chat })
}

/// What is wrong with a list.
fn list(model: &Model<'_>, key: &'static str, what: String) -> PolicyError {
    PolicyError::GgufList { path: model.path.to_owned(), key, what }
}

/// How texts are cut, of a tokenizer that is a byte-level BPE.
fn split(model: &Model<'_>) -> Result<Split, PolicyError> {
    let metadata = model.file.metadata();
    let [kind, pre] = ["tokenizer.ggml.model", "tokenizer.ggml.pre"];
    let found = model.need(kind, metadata.text(kind))?;
    if found != "gpt2" {
        let (field, found) = ("tokenizer.ggml.model", found.to_owned());
        return Err(PolicyError::Unsupported { field, found, expected: "gpt2, a byte-level BPE" });
    }
    let space = "tokenizer.ggml.add_space_prefix";
    if model.may(metadata.flag(space))? == Some(true) {
        let (field, found) = ("tokenizer.ggml.add_space_prefix", "true".to_owned());
        return Err(PolicyError::Unsupported { field, found, expected: "false" });
    }
    let found = model.need(pre, metadata.text(pre))?;
    Split::of(found).ok_or_else(|| PolicyError::Unsupported {
        field: "tokenizer.ggml.pre",
        found: found.to_owned(),
        expected: Split::KNOWN,
    })
}

/// The tokens in the order of their ids, and what they are; without the unused ones at the end.
fn vocabulary<'a>(model: &Model<'a>) -> Result<(Vec<&'a str>, Vec<TokenType>), PolicyError> {
    let metadata = model.file.metadata();
    let mut tokens = model.need(TOKENS, metadata.texts(TOKENS))?;
    let types = model.need(TYPES, metadata.integers(TYPES))?;
    if tokens.len() != types.len() {
        let what = format!("it has {} entries for {} tokens", types.len(), tokens.len());
        return Err(list(model, TYPES, what));
    }
    let kind = |(id, number): (usize, i128)| {
        let wrong = || list(model, TYPES, format!("entry {id} is {number}; expected 1 to 6"));
        TokenType::of(number).ok_or_else(wrong)
    };
    let mut types =
        types.into_iter().enumerate().map(kind).collect::<Result<Vec<_>, PolicyError>>()?;
    let used = types.iter().rposition(|kind| *kind != TokenType::Unused).map_or(0, |last| last + 1);
    tokens.truncate(used);
    types.truncate(used);
    let mut sorted: Vec<&str> = tokens.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(list(model, TOKENS, format!("the token `{}` is there twice", twice[0]))),
        None => Ok((tokens, types)),
    }
}

/// Id and text of the token that a setting names; `None` without the setting.
fn token_of<'a>(
    model: &Model<'a>,
    name: &str,
    tokens: &[&'a str],
) -> Result<Option<(usize, &'a str)>, PolicyError> {
    let key = format!("tokenizer.ggml.{name}");
    let Some(id) = model.may(model.file.metadata().count(&key))? else { return Ok(None) };
    let text = tokens.get(id).ok_or_else(|| {
        list(model, TOKENS, format!("it has {} tokens, but `{key}` is {id}", tokens.len()))
    })?;
    Ok(Some((id, text)))
}

/// `post_processor` of `tokenizer.json`: the tokens around every text.
fn frame(
    model: &Model<'_>,
    split: Split,
    bos: Option<(usize, &str)>,
    eos: Option<(usize, &str)>,
) -> Result<Value, PolicyError> {
    let adds = |name: &str| {
        model.may(model.file.metadata().flag(&format!("tokenizer.ggml.add_{name}_token")))
    };
    let before = if adds("bos")?.unwrap_or(split.adds_bos()) { bos } else { None };
    let after = if adds("eos")?.unwrap_or(false) { eos } else { None };
    if before.is_none() && after.is_none() {
        return Ok(Value::Null);
    }
    let of = |(_, text): (usize, &str), kind: u8| json!({ "SpecialToken": { "id": text, "type_id": kind } });
    let text = |name: &str, kind: u8| json!({ "Sequence": { "id": name, "type_id": kind } });
    let around = |name: &str, kind: u8| -> Vec<Value> {
        let (before, after) =
            (before.map(|token| of(token, kind)), after.map(|token| of(token, kind)));
        before.into_iter().chain([text(name, kind)]).chain(after).collect()
    };
    let known: Map<String, Value> = before
        .into_iter()
        .chain(after)
        .map(|(id, text)| (text.to_owned(), json!({ "id": text, "ids": [id], "tokens": [text] })))
        .collect();
    let single = around("A", 0);
    let pair = [around("A", 0), around("B", 1)].concat();
    Ok(json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known,
    }))
}
