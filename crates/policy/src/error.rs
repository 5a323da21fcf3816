//! Why a policy could not be built, loaded or run.

use std::path::PathBuf;

use sidereal_device::DeviceError;
use sidereal_gguf::GgufError;
use sidereal_sid::{ItemId, NodeMassError, NotationError, TrieError};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum PolicyError {
    /// A file could not be read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A JSON file with unexpected contents.
    #[error("`{}` does not have the JSON content that is expected here", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A tensor file that is damaged: truncated, or with a broken header.
    #[error("tensor file `{}` is damaged: copy it again", path.display())]
    TensorFile {
        path: PathBuf,
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A GGUF file that is damaged, or that lacks a setting.
    #[error("`{}` cannot be read", path.display())]
    Gguf {
        path: PathBuf,
        #[source]
        source: GgufError,
    },
    /// A directory of several GGUF files.
    #[error("`{}` holds several models, {found}: name the file of one", dir.display())]
    SeveralGguf { dir: PathBuf, found: String },
    /// A list in a GGUF file with an entry that is wrong, or of another length than it must have.
    #[error("`{}`: setting `{key}`: {what}", path.display())]
    GgufList { path: PathBuf, key: &'static str, what: String },
    /// A directory without weights in a supported format.
    #[error(
        "`{}` has neither `model.safetensors` nor `model.safetensors.index.json`, only `{found}`, which is not \
         read: save the whole model with transformers' `save_pretrained`, or name a GGUF file itself",
        dir.display()
    )]
    NoSafetensors { dir: PathBuf, found: String },
    /// A tensor that the configuration requires is not in the file.
    #[error("`{}` has no tensor `{name}`", path.display())]
    MissingTensor { path: PathBuf, name: String },
    /// The shape of a tensor is not the one that the configuration requires.
    #[error("`{}`: tensor `{name}` has the shape {found:?}, but the configuration asks for {expected:?}", path.display())]
    TensorShape { path: PathBuf, name: String, found: Vec<i64>, expected: Vec<i64> },
    /// A tensor in the file that the configuration does not expect.
    #[error("`{}`: tensor `{name}` is not part of this architecture", path.display())]
    UnknownTensor { path: PathBuf, name: String },
    /// An encoder-decoder whose halves have embeddings of their own.
    #[error(
        "`{}`: tensor `{name}` differs from `shared.weight`; this model must have one embedding that \
         encoder and decoder share",
        path.display()
    )]
    OtherEmbedding { path: PathBuf, name: String },
    /// A tensor of an element type that is not supported.
    #[error("`{}`: tensor `{name}` has the element type {found}; expected F32, F16 or BF16", path.display())]
    TensorType { path: PathBuf, name: String, found: String },
    /// A configuration value that this implementation does not support.
    #[error("configuration: `{field}` is {found}; supported: {expected}")]
    Unsupported { field: &'static str, found: String, expected: &'static str },
    /// The folder of a model of an unknown kind.
    #[error(
        "`{}`: `model_type` is {found}, and the policies that are read are of the types {known}",
        path.display()
    )]
    UnknownKind { path: PathBuf, found: String, known: String },
    /// The tokenizer could not be trained, read or applied.
    #[error("tokenizer: {action}")]
    Tokenizer {
        action: String,
        #[source]
        source: tokenizers::Error,
    },
    /// A token that the tokenizer must know but does not know.
    #[error("the tokenizer has no token `{token}`")]
    MissingToken { token: String },
    /// A code that the vocabulary holds as a piece of text.
    #[error(
        "the tokenizer already has the token `{token}` with the id {id}, but not as an added token, \
         so no text is read as this token"
    )]
    TakenToken { token: String, id: u32 },
    /// A tokenizer that has the codes of Semantic IDs in another style.
    #[error(
        "the tokenizer has the code `{token}`, but the codes of the Semantic IDs at hand are written as \
         `{expected}`: choose the style of the tokenizer (`token_style` of a recipe, `--token-style`), or \
         another pretrained model"
    )]
    OtherNotation { token: String, expected: String },
    /// A catalogue and a tokenizer whose codes are written in different styles.
    #[error(
        "the codes of the catalogue are written as `{catalog}`, but those of the tokenizer as `{tokenizer}`: \
         both must have one token style"
    )]
    OtherStyle { catalog: String, tokenizer: String },
    /// A token that the tokenizer knows and does not read as one.
    #[error("the tokenizer reads `{token}` as the ids {found:?}, but it must read it as one token")]
    SplitToken { token: String, found: Vec<u32> },
    /// A tokenizer without a chat template.
    #[error("the tokenizer has no chat template")]
    NoChatTemplate,
    /// A chat template that cannot be read, or that raised an error for a conversation.
    #[error("chat template: {action}")]
    Template {
        action: &'static str,
        #[source]
        source: minijinja::Error,
    },
    /// More tokens than the model has rows for.
    #[error(
        "the tokenizer has {tokenizer} tokens, but the vocabulary of the model has only {model}"
    )]
    Vocabulary { tokenizer: usize, model: usize },
    /// A prompt that is too long for the positions of the model.
    #[error("prompt {row} has {found} tokens, but at most {limit} fit")]
    PromptLength { row: usize, found: usize, limit: usize },
    /// A sequence that reaches past the last position of the model.
    #[error(
        "a sequence has {found} tokens with its prompt, but the model allows {limit} (`max_position_embeddings`)"
    )]
    Positions { found: i64, limit: i64 },
    /// A batch without rows, or a row without tokens.
    #[error("{what} is empty")]
    Empty { what: &'static str },
    /// A score that is NaN or infinite.
    #[error(
        "{what} of prompt {prompt} of the batch is {found}: the weights hold values that are not \
         finite, or products overflow"
    )]
    NotFinite { what: &'static str, prompt: usize, found: f32 },
    /// Arguments whose sizes disagree.
    #[error("{what}: found {found}, expected {expected}")]
    Size { what: &'static str, found: usize, expected: usize },
    /// A size or an index that is below 0.
    #[error("a size of a tensor, or an index into one, is {found}; expected 0 or more")]
    Negative { found: i64 },
    /// A code after a prefix that it cannot follow.
    #[error(
        "target {target}: the code with flat token {token} cannot follow node {node} of the trie"
    )]
    IllegalCode { target: usize, token: u32, node: u32 },
    /// A Semantic ID that does not fit the vocabulary.
    #[error(transparent)]
    Notation(#[from] NotationError),
    /// Values that do not belong to the items of a trie.
    #[error(transparent)]
    NodeMass(#[from] NodeMassError),
    /// Sequences of which no trie can be made.
    #[error(transparent)]
    Trie(#[from] TrieError),
    /// A constraint over another trie than the policy's own.
    #[error(
        "the constraint's trie ({found} nodes) is not the one that the policy was made for ({expected} \
         nodes): compile the constraint from the catalogue that the policy was made with"
    )]
    OtherTrie { found: usize, expected: usize },
    /// An item that is not in the trie.
    #[error("item {item} is not in the trie")]
    UnknownItem { item: ItemId },
    /// A device that does not exist, or a name that is not that of a device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An operation of libtorch failed.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = PolicyError::Vocabulary { tokenizer: 32_768, model: 32_000 };
        insta::assert_snapshot!(
            error.to_string(),
            @"the tokenizer has 32768 tokens, but the vocabulary of the model has only 32000"
        );
    }
}
