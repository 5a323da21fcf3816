//! Sentence vectors against sentence-transformers (`tests/parity/minilm.py`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidereal_policy::TextEncoder;
use tch::Device;

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
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/minilm.json");
    let expected: Expected = serde_json::from_str(&fs::read_to_string(fixture).unwrap()).unwrap();
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
