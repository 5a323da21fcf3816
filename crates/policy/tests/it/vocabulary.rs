//! Pretrained vocabularies with the tokens of codes added, against transformers
//! (`tests/parity/vocabulary.py`).

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use sidereal_policy::{
    Decoder, LanguageModel, PolicyError, RowInit, SidTokenizer, T5, VocabularyExtension, Weights,
    extend_pretrained, read_safetensors,
};
use sidereal_sid::SidSpec;
use tch::{Device, Kind, Tensor};

use crate::{parity, t5, tiny};

#[derive(Deserialize)]
struct Expected {
    /// Tokens of the base.
    tokens: usize,
    codes: Vec<u32>,
    texts: Vec<Encoded>,
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    ids: Vec<u32>,
    framed: Vec<u32>,
}

const BASES: [&str; 3] = ["base_qwen", "base_llama3", "base_t5"];

fn spec() -> SidSpec {
    SidSpec::new(vec![4, 4], 0).unwrap()
}

fn expected(base: &str) -> Expected {
    let path = parity::fixture(base).join("expected.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn weights(dir: &Path) -> Weights {
    read_safetensors(&dir.join("model.safetensors")).unwrap()
}

fn rows(matrix: &Tensor, from: usize, to: usize) -> Tensor {
    matrix.narrow(0, i64::try_from(from).unwrap(), i64::try_from(to - from).unwrap())
}

fn of_tokens(weights: &Weights) -> impl Iterator<Item = (&String, &Tensor)> {
    let names = ["model.embed_tokens.weight", "shared.weight", "lm_head.weight"];
    weights.iter().filter(move |(name, _)| names.contains(&name.as_str()))
}

#[test]
fn texts_with_codes_have_the_ids_that_transformers_gives_them() {
    for base in BASES {
        let expected = expected(base);
        let tokenizer = SidTokenizer::extend(&parity::fixture(base), &spec(), None).unwrap();
        assert_eq!(tokenizer.sid_ids(), expected.codes, "{base}");
        assert_eq!(tokenizer.vocab_size(), expected.tokens + 8, "{base}");
        for Encoded { text, ids, framed } in &expected.texts {
            assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{base}: {text:?}");
            assert_eq!(&tokenizer.encode_framed(text).unwrap(), framed, "{base}: {text:?}");
        }
    }
}

/// Leaves checkpoints, ids and logits for `vocabulary.py --check`.
#[test]
fn an_extended_checkpoint_reads_and_predicts_as_before() {
    for base in BASES {
        let from = parity::fixture(base);
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(base.replace("base", "extended"));
        let how = VocabularyExtension { pad_to_multiple_of: 32, seed: 4, ..Default::default() };
        let tokenizer = extend_pretrained(&from, &spec(), &how, &out).unwrap();
        let back = SidTokenizer::load(&out, &spec()).unwrap();
        assert_eq!(back.to_json().unwrap(), tokenizer.to_json().unwrap());

        let prompts = tiny::batch(&[vec![1, 2, 3, 4, 5, 6, 7], vec![9], vec![63, 0, 31]]);
        let known = i64::try_from(expected(base).tokens).unwrap();
        let logits = |model: &dyn LanguageModel| {
            let (hidden, _) = model.prefill(&prompts, &[0, 0, 0]).unwrap();
            model.head().logits(&hidden).unwrap()
        };
        let mut left = json(&from.join("expected.json"));
        let with_codes = [vec![tokenizer.sid_ids()[3], 7, tokenizer.sid_ids()[4]], vec![5]];
        let (before, after) = if base == "base_t5" {
            let load = |dir: &Path| T5::load(dir, Device::Cpu).unwrap();
            let new = load(&out);
            let answers = [tokenizer.sid_ids()[2..5].to_vec(), vec![5]];
            left["prompts"] = serde_json::json!(with_codes);
            left["answers"] = serde_json::json!(answers);
            left["logits"] = serde_json::json!(t5::logits(&new, &with_codes, &answers));
            (logits(&load(&from)), logits(&new))
        } else {
            let load = |dir: &Path| Decoder::load(dir, Device::Cpu).unwrap();
            let new = load(&out);
            new.check_vocabulary(&tokenizer).unwrap();
            left["prompts"] = serde_json::json!(with_codes);
            left["logits_of_last"] =
                serde_json::json!(parity::logits_of_last(&new, &with_codes, 3));
            (logits(&load(&from)), logits(&new))
        };
        let difference = tiny::difference(&before.narrow(1, 0, known), &after.narrow(1, 0, known));
        assert!(difference < 1e-6, "{base}: {difference}");
        fs::write(out.join("expected.json"), left.to_string()).unwrap();
    }
}

#[test]
fn rows_grow_by_the_rule_and_known_ones_stay() {
    for base in BASES {
        let expected = expected(base);
        let from = parity::fixture(base);
        let before = weights(&from);
        for init in [RowInit::Random, RowInit::Mean { noise: 0.0 }, RowInit::Mean { noise: 0.01 }] {
            let out = tempfile::tempdir().unwrap();
            let how = VocabularyExtension { init, pad_to_multiple_of: 16, ..Default::default() };
            extend_pretrained(&from, &spec(), &how, out.path()).unwrap();
            let after = weights(out.path());
            let grown: Vec<&String> = of_tokens(&after).map(|(name, _)| name).collect();
            let untied = usize::from(base == "base_llama3");
            assert_eq!(grown.len(), 1 + untied, "{base}: {grown:?}");
            for (name, matrix) in &after {
                let old = &before[name];
                if !grown.contains(&name) {
                    assert!(tiny::difference(old, matrix) == 0.0, "{name}");
                    continue;
                }
                let (known, used) = (expected.tokens, expected.tokens + 8);
                let known_rows = rows(old, 0, known);
                assert!(tiny::difference(&known_rows, &rows(matrix, 0, known)) == 0.0);
                let size = usize::try_from(matrix.size()[0]).unwrap();
                let had = usize::try_from(old.size()[0]).unwrap();
                assert_eq!(size, used.max(had).next_multiple_of(16));
                let padding = rows(matrix, used.max(had), size);
                assert!(f64::try_from(padding.abs().sum(Kind::Float)).unwrap() == 0.0);
                if had > used {
                    let kept = tiny::difference(&rows(old, used, had), &rows(matrix, used, had));
                    assert!(kept == 0.0, "rows that no token has");
                }

                let new = rows(matrix, known, used);
                let mean = known_rows.mean_dim([0i64].as_slice(), true, Kind::Float);
                let spread = f64::try_from(new.std(true)).unwrap();
                if let RowInit::Mean { noise } = init {
                    let off = f64::try_from((&new - mean).std(true)).unwrap();
                    assert!((off - noise).abs() <= 0.3 * noise + 1e-6, "{off} {noise}");
                } else {
                    let sigma = if base == "base_t5" { 1.0 } else { 0.02 };
                    assert!((spread / sigma - 1.0).abs() < 0.3, "{base}: {spread}");
                }
            }
            let config = json(&out.path().join("config.json"));
            let embedding = of_tokens(&after).next().unwrap().1.size()[0];
            assert_eq!(config["vocab_size"], embedding);
        }
    }
}

#[test]
fn generation_settings_are_the_special_tokens_and_nothing_else() {
    for (base, names) in [
        ("base_qwen", vec!["eos_token_id", "pad_token_id"]),
        ("base_llama3", vec!["bos_token_id", "eos_token_id", "pad_token_id"]),
        ("base_t5", vec!["decoder_start_token_id", "eos_token_id", "pad_token_id"]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let how = VocabularyExtension::default();
        extend_pretrained(&parity::fixture(base), &spec(), &how, out.path()).unwrap();
        let found = json(&out.path().join("generation_config.json"));
        let found: Vec<&String> = found.as_object().unwrap().keys().collect();
        assert_eq!(found, names, "{base}");
    }
}

#[test]
fn the_end_of_a_turn_can_be_another_than_the_end_of_a_text() {
    let base = parity::fixture("base_qwen");
    let out = tempfile::tempdir().unwrap();
    let how =
        |end: &str| VocabularyExtension { end_of_turn: Some(end.to_owned()), ..Default::default() };
    let tokenizer = extend_pretrained(&base, &spec(), &how("<|endoftext|>"), out.path()).unwrap();
    assert_eq!(tokenizer.end_of_turn(), tokenizer.id("<|endoftext|>").unwrap());
    let back = SidTokenizer::load(out.path(), &spec()).unwrap();
    assert_eq!(back.end_of_turn(), tokenizer.end_of_turn());
    let error = extend_pretrained(&base, &spec(), &how("</turn>"), out.path()).unwrap_err();
    assert!(matches!(error, PolicyError::MissingToken { token } if token == "</turn>"));
}

#[test]
fn bases_that_cannot_be_extended_are_refused_by_name() {
    let how = VocabularyExtension::default();
    let base = parity::fixture("base_qwen");
    let again = tempfile::tempdir().unwrap();
    assert!(extend_pretrained(&base, &spec(), &how, &base).is_err(), "the base stays");
    for how in [
        VocabularyExtension { pad_to_multiple_of: 0, ..how.clone() },
        VocabularyExtension { init: RowInit::Mean { noise: f64::NAN }, ..how.clone() },
    ] {
        let error = extend_pretrained(&base, &spec(), &how, again.path()).unwrap_err();
        assert!(matches!(error, PolicyError::Unsupported { .. }), "{error}");
    }

    // Fewer rows than tokens, and no embedding at all.
    let small = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(base.join(file), small.path().join(file)).unwrap();
    }
    let path = small.path().join("model.safetensors");
    let mut weights = weights(&base);
    let embedding = weights["model.embed_tokens.weight"].narrow(0, 0, 100).contiguous();
    weights.insert("model.embed_tokens.weight".into(), embedding);
    sidereal_policy::write_safetensors(&path, &weights).unwrap();
    let error = extend_pretrained(small.path(), &spec(), &how, again.path()).unwrap_err();
    assert!(matches!(error, PolicyError::Vocabulary { model: 100, .. }), "{error}");
    weights.remove("model.embed_tokens.weight");
    sidereal_policy::write_safetensors(&path, &weights).unwrap();
    let error = extend_pretrained(small.path(), &spec(), &how, again.path()).unwrap_err();
    assert!(error.to_string().contains("model.embed_tokens.weight"), "{error}");
}

#[test]
fn a_code_that_is_read_in_pieces_is_refused() {
    // A piece of the vocabulary that has a code's text, which no text is ever split into.
    let dir = tempfile::tempdir().unwrap();
    let out = parity::fixture("base_qwen");
    let mut file = json(&out.join("tokenizer.json"));
    let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
    vocabulary.insert("<b_1>".into(), (310).into());
    fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    fs::copy(out.join("tokenizer_config.json"), dir.path().join("tokenizer_config.json")).unwrap();
    let error = SidTokenizer::extend(dir.path(), &spec(), None).unwrap_err();
    assert!(matches!(&error, PolicyError::TakenToken { token, id: 310 } if token == "<b_1>"));
    let one = SidSpec::new(vec![1], 0).unwrap();
    let mut file = json(&dir.path().join("tokenizer.json"));
    file["model"]["vocab"]["<a_0>"] = 311.into();
    fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    let error = SidTokenizer::load(dir.path(), &one).unwrap_err();
    assert!(matches!(&error, PolicyError::SplitToken { token, .. } if token == "<a_0>"), "{error}");
}
