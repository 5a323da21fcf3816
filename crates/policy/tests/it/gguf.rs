//! Models in GGUF against transformers' reading of the same files (`tests/parity/gguf_models.py`).

use std::fs;
use std::path::{Path, PathBuf};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sidereal_policy::{
    AnyPolicy, ChatMessage, ChatOptions, Decoder, PolicyError, PolicyKind, SidTokenizer,
    VocabularyExtension, WordTokenizer, extend_pretrained, is_gguf, unpack_gguf,
};
use sidereal_sid::SidSpec;
use tch::Device;

use crate::parity::{fixture, largest_difference, logits_of_last};

fn spec() -> SidSpec {
    SidSpec::new(vec![4, 4], 0).unwrap()
}

fn file(name: &str) -> PathBuf {
    fixture("gguf").join(format!("{name}.gguf"))
}

fn of<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// What transformers makes of a model: ids of texts, a conversation, logits.
struct Reference {
    texts: Vec<String>,
    messages: Vec<ChatMessage>,
    ids: Vec<Vec<u32>>,
    conversation: String,
    prompts: Vec<Vec<u32>>,
    logits_of_last: Vec<Vec<Vec<f32>>>,
}

impl Reference {
    fn new(shared: &Value, own: &Value) -> Self {
        Self {
            texts: of(&shared["texts"]),
            messages: of(&shared["messages"]),
            ids: of(&own["ids"]),
            conversation: of(&own["conversation"]),
            prompts: own.get("prompts").map(of).unwrap_or_default(),
            logits_of_last: own.get("logits_of_last").map(of).unwrap_or_default(),
        }
    }

    fn of_fixture(name: &str) -> Self {
        let text = fs::read_to_string(fixture("gguf").join("expected.json")).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        Self::new(&all, &all[name])
    }

    fn check_tokenizer(&self, base: &Path) {
        let tokenizer = SidTokenizer::extend(base, &spec(), None).unwrap();
        let words = WordTokenizer::load(base).unwrap();
        assert_eq!(words.vocab_size() + 8, tokenizer.vocab_size(), "no codes");
        assert_eq!(words.end_of_turn(), tokenizer.end_of_turn());
        assert!(!self.texts.is_empty() && self.texts.len() == self.ids.len());
        for (text, ids) in self.texts.iter().zip(&self.ids) {
            assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{text:?}");
            assert_eq!(&words.encode(text).unwrap(), ids, "{text:?}");
            let prompt = tokenizer.encode_prompt(text).unwrap();
            assert_eq!(words.encode_prompt(text).unwrap(), prompt, "{text:?}");
            assert_eq!(words.decode(ids).unwrap(), tokenizer.decode(ids).unwrap(), "{text:?}");
        }
        let options = ChatOptions { add_generation_prompt: true, ..ChatOptions::default() };
        let template = tokenizer.chat_template().unwrap();
        assert_eq!(template.render(&self.messages, &options).unwrap(), self.conversation);
    }

    /// The largest difference of logits.
    fn difference(&self, base: &Path) -> f32 {
        let model = Decoder::load(base, Device::Cpu).unwrap();
        let count = self.logits_of_last[0].len();
        let ours = logits_of_last(&model, &self.prompts, count);
        largest_difference(&ours, &self.logits_of_last)
    }
}

#[test]
fn logits_equal_those_of_transformers_for_every_element_type() {
    for name in ["llama", "qwen3"] {
        let reference = Reference::of_fixture(name);
        let spread = reference.logits_of_last.iter().flatten().flatten();
        let spread = spread.fold(0f32, |most, logit| most.max(logit.abs()));
        assert!(spread > 1.0, "the fixture's logits are far from flat");
        let worst = reference.difference(&file(name));
        assert!(worst < 1e-4 * spread.max(1.0), "{name}: {worst} of {spread}");
        assert_eq!(PolicyKind::of(&file(name)).unwrap(), PolicyKind::Decoder);
    }
}

#[test]
fn ids_and_conversations_equal_those_of_transformers() {
    for name in ["llama", "qwen3", "llama3_words"] {
        Reference::of_fixture(name).check_tokenizer(&file(name));
    }
    // Only this one puts a beginning before every text.
    let tokenizer = SidTokenizer::extend(&file("llama3_words"), &spec(), None).unwrap();
    assert_eq!(tokenizer.encode_prompt("a").unwrap()[0], 1);
    let tokenizer = SidTokenizer::extend(&file("llama"), &spec(), None).unwrap();
    assert_eq!(tokenizer.encode_prompt("a").unwrap(), tokenizer.encode("a").unwrap());
}

#[test]
fn a_folder_with_one_file_is_that_file_and_with_several_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!is_gguf(dir.path()).unwrap());
    fs::copy(file("qwen3"), dir.path().join("a.GGUF")).unwrap();
    fs::write(dir.path().join("LICENSE"), "free").unwrap();
    assert!(is_gguf(dir.path()).unwrap());
    assert!(AnyPolicy::load(dir.path(), Device::Cpu).is_ok());
    fs::copy(file("qwen3"), dir.path().join("b.gguf")).unwrap();
    let error = AnyPolicy::load(dir.path(), Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("several models, a.GGUF, b.gguf"), "{error}");
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    assert!(!is_gguf(dir.path()).unwrap());
}

#[test]
fn an_unpacked_folder_is_the_same_model() {
    for name in ["llama", "qwen3"] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unpacked_{name}"));
        unpack_gguf(&file(name), &dir).unwrap();
        let reference = Reference::of_fixture(name);
        assert!(!is_gguf(&dir).unwrap());
        reference.check_tokenizer(&dir);
        let (direct, unpacked) = (reference.difference(&file(name)), reference.difference(&dir));
        assert_eq!(direct.to_bits(), unpacked.to_bits());
        // For `decoders.py --check`, which opens the folder with transformers.
        let expected = json!({
            "prompts": reference.prompts, "logits_of_last": reference.logits_of_last,
        });
        fs::write(dir.join("expected.json"), expected.to_string()).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let error = unpack_gguf(&fixture("qwen2"), out.path()).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { field: "model", .. }), "{error}");
}

#[test]
fn an_extended_model_knows_the_codes_and_computes_what_the_base_computes() {
    for name in ["llama", "qwen3"] {
        let out = tempfile::tempdir().unwrap();
        let how = VocabularyExtension::default();
        let tokenizer = extend_pretrained(&file(name), &spec(), &how, out.path()).unwrap();
        let base = Decoder::load(&file(name), Device::Cpu).unwrap();
        let model = AnyPolicy::load(out.path(), Device::Cpu).unwrap();
        model.check_vocabulary(&tokenizer).unwrap();
        let AnyPolicy::Decoder(model) = model else { panic!("a decoder") };
        // The seven unused rows of the Qwen3 become rows of codes.
        let rows = base.config().vocab_size;
        assert_eq!(model.config().vocab_size, if name == "llama" { rows + 8 } else { rows + 1 });
        assert_eq!(tokenizer.vocab_size(), model.config().vocab_size);
        let prompts = [vec![5, 9, 200], vec![17]];
        let known = tokenizer.vocab_size() - 8;
        let kept = |model: &Decoder| -> Vec<Vec<Vec<f32>>> {
            let mut logits = logits_of_last(model, &prompts, 2);
            for row in logits.iter_mut().flatten() {
                row.truncate(known);
            }
            logits
        };
        let worst = largest_difference(&kept(&base), &kept(&model));
        // A head of more rows may add its products in another order.
        assert!(worst < 1e-4, "{name}: {worst}");
        SidTokenizer::load(out.path(), &spec()).unwrap();
    }
}

/// A fixture with the first occurrence of some bytes replaced by others of the same length.
fn changed(name: &str, from: &[u8], to: &[u8]) -> tempfile::TempDir {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(file(name)).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.gguf"), bytes).unwrap();
    dir
}

/// Why the tokenizer or the model in a folder is refused, with the causes.
fn refusal(dir: &tempfile::TempDir) -> String {
    let tokenizer = SidTokenizer::extend(dir.path(), &spec(), None).err();
    let error = tokenizer.or_else(|| Decoder::load(dir.path(), Device::Cpu).err()).unwrap();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn what_is_not_computed_here_is_refused_by_its_name() {
    for (name, from, to, words) in [
        ("qwen3", "qwen2", "quen2", "`tokenizer.ggml.pre` is quen2"),
        ("qwen3", "gpt2", "llam", "`tokenizer.ggml.model` is llam"),
        ("qwen3", "ggml.merges", "ggml.margin", "no setting `tokenizer.ggml.merges`"),
        ("qwen3", "ggml.tokens", "ggml.strings", "no setting `tokenizer.ggml.tokens`"),
        ("llama", "attention.head_count_kv", "attention.head_count_k2", "self_attn.k_proj.weight"),
        ("llama", "llama.block_count", "llama.block_amoun", "no setting `llama.block_count`"),
        ("llama", "blk.0.attn_q.weight", "blk.0.attn_x.weight", "`blk.0.attn_x.weight`"),
        ("llama", "blk.0.attn_norm.weight", "blk.9.attn_norm.weight", "input_layernorm"),
    ] {
        let (from, to) = (from.as_bytes(), &to.as_bytes()[..from.len()]);
        let text = refusal(&changed(name, from, to));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn more_positions_than_memory_holds_are_refused() {
    let key = b"qwen3.context_length\x04\0\0\0";
    let (from, to) = ([key.as_slice(), &1024u32.to_le_bytes()], [key.as_slice(), &[0xff; 4]]);
    let text = refusal(&changed("qwen3", &from.concat(), &to.concat()));
    assert!(text.contains("`context_length` is 4294967295"), "{text}");
}

#[test]
fn a_token_that_is_there_twice_is_refused() {
    // `<|im_end|>` and `<|im_start|>` differ in length; two pieces of one byte do not.
    let dir = changed(
        "qwen3",
        b"\x01\0\0\0\0\0\0\0!\x01\0\0\0\0\0\0\0\"",
        b"\x01\0\0\0\0\0\0\0!\x01\0\0\0\0\0\0\0!",
    );
    let text = refusal(&dir);
    assert!(
        text.contains("setting `tokenizer.ggml.tokens`: the token `!` is there twice"),
        "{text}"
    );
}

/// No panic on what a random change of a few bytes makes of a file, with or without its weights.
#[test]
fn damaged_files_are_refused_or_read() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let mut refused = 0;
    for (name, rounds) in [("llama3_words", 300), ("qwen3", 60)] {
        let whole = fs::read(file(name)).unwrap();
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..rng.gen_range(1..4) {
                let at = rng.gen_range(0..bytes.len().min(8000));
                bytes[at] = rng.r#gen();
            }
            fs::write(&path, bytes).unwrap();
            let tokenizer = SidTokenizer::extend(&path, &spec(), None).is_err();
            let model = Decoder::load(&path, Device::Cpu).is_err();
            refused += u32::from(tokenizer || model);
        }
    }
    assert!(refused > 300, "the first file has no weights");
}

#[test]
#[ignore = "needs `cargo xtask model smollm2` and target/tmp/smollm2.json, which tests/parity/gguf_models.py writes: \
            python crates/policy/tests/parity/gguf_models.py --model target/smollm2 --items FILE.item target/tmp/smollm2.json"]
fn smollm2() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let text = fs::read_to_string(target.join("tmp/smollm2.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let reference = Reference::new(&all, &all);
    assert_eq!(reference.texts.len(), 1000);
    let base = target.join("smollm2");
    reference.check_tokenizer(&base);
    let worst = reference.difference(&base);
    assert!(worst < 1e-3, "{worst}");
}
