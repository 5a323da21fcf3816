//! How a tokenizer cuts a text before its merges, by the name that GGUF has for it.

use serde_json::{Value, json};

/// How texts are cut into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// The words of GPT-2: letters, numbers, other signs, each with a space before it, and white space.
    Gpt2,
    /// The same after every digit was cut off.
    Digits,
    /// The words of Llama 3; a word that is a token needs no merges.
    Llama3,
    /// The words of Qwen2. As in llama.cpp and in transformers' reader of GGUF, the text is not brought into the normal
    /// form C of Unicode before, as Qwen's own `tokenizer.json` does.
    Qwen2,
}

/// The pattern of Llama 3.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The pattern of Qwen2.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Split {
    /// The names that are known, for messages.
    pub(super) const KNOWN: &str =
        "gpt-2, smollm, starcoder, refact, llama-bpe, llama3, llama-v3, qwen2 and deepseek-r1-qwen";

    /// The way of a `tokenizer.ggml.pre`, as in `llama-vocab.cpp`.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "gpt-2" => Self::Gpt2,
            "smollm" | "starcoder" | "refact" => Self::Digits,
            "llama-bpe" | "llama3" | "llama-v3" => Self::Llama3,
            "qwen2" | "deepseek-r1-qwen" => Self::Qwen2,
            _ => return None,
        })
    }

    /// `pre_tokenizer` of `tokenizer.json`.
    pub(super) fn pre_tokenizer(self) -> Value {
        let bytes = |own_words: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                "use_regex": own_words,
            })
        };
        let first = match self {
            Self::Gpt2 => return bytes(true),
            Self::Digits => json!({ "type": "Digits", "individual_digits": true }),
            Self::Llama3 | Self::Qwen2 => {
                let pattern = if self == Self::Llama3 { LLAMA3 } else { QWEN2 };
                json!({
                    "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated",
                    "invert": false,
                })
            }
        };
        json!({ "type": "Sequence", "pretokenizers": [first, bytes(self == Self::Digits)] })
    }

    /// Whether a word that is a token is that token, whatever the merges say.
    pub(super) const fn ignores_merges(self) -> bool {
        matches!(self, Self::Llama3)
    }

    /// Whether a text begins with a token of its own if the file does not say it.
    pub(super) const fn adds_bos(self) -> bool {
        matches!(self, Self::Llama3)
    }
}
