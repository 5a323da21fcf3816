//! Sentence vectors against sentence-transformers (`tests/parity/minilm.py`, `encoders.py`).

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidereal_policy::{EncoderOptions, PolicyError, Pooling, Prefix, TextEncoder};
use tch::Device;

use crate::parity::fixture;

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    tokens: Vec<usize>,
    limit: usize,
    vectors: Vec<Vec<f32>>,
}

/// The encoder's directory: `SIDEREAL_ENCODER`, or where the project's set-up puts it.
fn encoder_dir() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/all-MiniLM-L6-v2");
    let dir = env::var_os("SIDEREAL_ENCODER").map_or(usual, PathBuf::from);
    dir.join("model.safetensors").exists().then_some(dir)
}

#[test]
fn vectors_equal_those_of_sentence_transformers() {
    let Some(dir) = encoder_dir() else {
        eprintln!("skipped: no all-MiniLM-L6-v2 in target/ (run `cargo xtask setup`)");
        return;
    };
    let text = fs::read_to_string(fixture("minilm.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert!(expected.tokens.iter().any(|n| *n > expected.limit), "one text is cut");
    let encoder = TextEncoder::load(&dir, Device::Cpu).unwrap();
    for batch_size in [1, 4, 64] {
        let mut heard = Vec::new();
        let vectors = encoder.encode(&expected.texts, batch_size, |n| heard.push(n)).unwrap();
        assert_eq!(vectors.dim(), (expected.texts.len(), encoder.dim()));
        assert_eq!(heard.last(), Some(&expected.texts.len()));
        assert!(heard.is_sorted());
        for ((row, expected), text) in
            vectors.rows().into_iter().zip(&expected.vectors).zip(&expected.texts)
        {
            let worst = row.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "batches of {batch_size}, {text:?}: {worst}");
        }
    }
    let none = encoder.encode::<&str>(&[], 8, |_| ()).unwrap();
    assert_eq!(none.dim(), (0, encoder.dim()));
}

#[derive(Deserialize)]
struct Made {
    texts: Vec<String>,
    /// By name of the settings.
    vectors: BTreeMap<String, Vec<Vec<f32>>>,
}

#[test]
fn a_decoders_vectors_equal_those_of_sentence_transformers() {
    let dir = fixture("qwen3_encoder");
    let text = fs::read_to_string(dir.join("expected.json")).unwrap();
    let made: Made = serde_json::from_str(&text).unwrap();
    let query = || EncoderOptions::default().with_prefix(Prefix::Named("query".into()));
    let said = Prefix::Text("find the best item for the query ".into());
    for (name, options) in [
        ("last token", EncoderOptions::default()),
        ("last token, query", query()),
        ("last token, query", EncoderOptions::default().with_prefix(said)),
        ("mean, as it comes", query().with_pooling(Pooling::Mean).with_normalise(false)),
        ("first token", EncoderOptions::default().with_pooling(Pooling::FirstToken)),
    ] {
        let encoder = TextEncoder::load_with(&dir, Device::Cpu, &options).unwrap();
        for batch_size in [1, 4] {
            let vectors = encoder.encode(&made.texts, batch_size, |_| ()).unwrap();
            for ((row, expected), text) in
                vectors.rows().into_iter().zip(&made.vectors[name]).zip(&made.texts)
            {
                let difference = row.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let worst = difference.fold(0.0, f32::max);
                assert!(worst < 1e-4, "{name}, batches of {batch_size}, {text:?}: {worst}");
            }
        }
    }
}

/// A copy of the small encoder in which `file` (removed where `None`) is something else.
fn changed(file: &str, text: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let source = fixture("qwen3_encoder");
    fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    for name in [
        "config.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
        "1_Pooling/config.json",
    ] {
        fs::copy(source.join(name), dir.path().join(name)).unwrap();
    }
    match text {
        Some(text) => fs::write(dir.path().join(file), text).unwrap(),
        None => fs::remove_file(dir.path().join(file)).unwrap(),
    }
    dir
}

#[test]
fn encoder_settings_that_are_not_followed_are_refused_by_name() {
    let load = |file, text| {
        TextEncoder::load(changed(file, Some(text)).path(), Device::Cpu).unwrap_err().to_string()
    };
    let dense = r#"[{"path": "3_Dense", "type": "sentence_transformers.models.Dense"}]"#;
    for (file, text, named) in [
        ("modules.json", dense, "Dense"),
        ("1_Pooling/config.json", r#"{"pooling_mode": "max"}"#, "pooling_mode"),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}"#,
            "max_tokens+mean_tokens",
        ),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode": "mean", "include_prompt": false}"#,
            "include_prompt",
        ),
        ("sentence_bert_config.json", r#"{"do_lower_case": true}"#, "do_lower_case"),
        ("config_sentence_transformers.json", r#"{"default_prompt_name": "passage"}"#, "passage"),
    ] {
        let error = load(file, text);
        assert!(error.contains(named), "{file}: {error}");
    }
    let none = EncoderOptions::default().with_prefix(Prefix::Named("absent".into()));
    let error = TextEncoder::load_with(&fixture("qwen3_encoder"), Device::Cpu, &none).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { field: "prompt", .. }), "{error}");
}

#[test]
fn without_files_of_pooling_a_decoder_takes_the_last_token_at_length_one() {
    let expected = TextEncoder::load(&fixture("qwen3_encoder"), Device::Cpu).unwrap();
    let plain = changed("modules.json", None);
    let plain = TextEncoder::load(plain.path(), Device::Cpu).unwrap();
    let texts = ["red lipstick", "hair oil for dry hair"];
    assert_eq!(
        plain.encode(&texts, 2, |_| ()).unwrap(),
        expected.encode(&texts, 2, |_| ()).unwrap()
    );
    let cut = EncoderOptions::default().with_max_length(3);
    let cut = TextEncoder::load_with(&fixture("qwen3_encoder"), Device::Cpu, &cut).unwrap();
    assert_eq!(
        cut.encode(&["hair oil for dry hair"], 1, |_| ()).unwrap(),
        expected.encode(&["hair oil"], 1, |_| ()).unwrap(),
        "the end of sequence stays"
    );
}
