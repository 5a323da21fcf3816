//! Logits against transformers, in both directions (`tests/parity/qwen3.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidereal_policy::{Qwen3, TokenBatch};
use tch::{Device, Tensor};

use crate::tiny;

#[derive(Deserialize)]
struct Expected {
    prompts: Vec<Vec<u32>>,
    /// Logits of the last tokens of each prompt, `[row][token][V]`.
    logits_of_last: Vec<Vec<Vec<f32>>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

/// Logits of the last `count` real tokens of each prompt, computed as one padded batch.
fn logits_of_last(model: &Qwen3, prompts: &[Vec<u32>], count: usize) -> Vec<Vec<Vec<f32>>> {
    let limit = model.config().max_position_embeddings;
    let batch = TokenBatch::new(prompts, tiny::PAD, limit, Device::Cpu).unwrap();
    let hidden = model.forward(&batch, 0.0).unwrap();
    let of_row = |(row, prompt): (i64, &Vec<u32>)| {
        let logits = model.logits(&hidden.get(row)).unwrap();
        (prompt.len().saturating_sub(count)..prompt.len())
            .map(|at| Vec::try_from(logits.get(i64::try_from(at).unwrap())).unwrap())
            .collect()
    };
    (0..).zip(prompts).map(of_row).collect()
}

fn largest_difference(ours: &[Vec<Vec<f32>>], theirs: &[Vec<Vec<f32>>]) -> f32 {
    let flat =
        |all: &[Vec<Vec<f32>>]| -> Vec<f32> { all.iter().flatten().flatten().copied().collect() };
    let (ours, theirs) = (flat(ours), flat(theirs));
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in ["qwen3_tied", "qwen3_untied"] {
        let dir = fixture(name);
        let model = Qwen3::load(&dir, Device::Cpu).unwrap();
        let text = fs::read_to_string(dir.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let spread =
            expected.logits_of_last.iter().flatten().flatten().fold(0f32, |m, x| m.max(*x));
        assert!(spread > 1.0, "the fixture's logits are far from flat");
        let ours = logits_of_last(&model, &expected.prompts, 3);
        let worst = largest_difference(&ours, &expected.logits_of_last);
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

/// Leaves checkpoints and logits for `qwen3.py --check`.
#[test]
fn a_saved_checkpoint_loads_with_equal_logits() {
    for (name, tied) in [("saved_tied", true), ("saved_untied", false)] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let model = tiny::model(tiny::config(64, 2, tied), 5);
        model.save(&dir).unwrap();
        let prompts = vec![vec![1, 2, 3, 4, 5, 6, 7], vec![9], vec![63, 0, 31]];
        let ours = logits_of_last(&model, &prompts, 3);
        let expected = serde_json::json!({ "prompts": prompts, "logits_of_last": ours });
        fs::write(dir.join("expected.json"), expected.to_string()).unwrap();

        let back = Qwen3::load(&dir, Device::Cpu).unwrap();
        assert_eq!(back.config(), model.config());
        assert_eq!(back.weights().len(), model.weights().len());
        let worst = largest_difference(&ours, &logits_of_last(&back, &prompts, 3));
        assert!(worst == 0.0, "{name}: {worst}");
    }
}

#[test]
fn padding_and_neighbours_do_not_reach_a_row() {
    let model = tiny::model(tiny::config(64, 2, true), 5);
    let rows = [vec![4, 8, 15], vec![16, 23, 42, 7, 7, 7, 1]];
    let together = model.forward(&tiny::batch(&rows), 0.0).unwrap();
    for (index, row) in (0..).zip(&rows) {
        let alone = model.forward(&tiny::batch(std::slice::from_ref(row)), 0.0).unwrap().get(0);
        let len = i64::try_from(row.len()).unwrap();
        let worst = tiny::difference(&together.get(index).narrow(0, 0, len), &alone);
        assert!(worst < 1e-5, "row {index}: {worst}");
    }
}

#[test]
fn a_frozen_copy_does_not_follow_its_source() {
    let model = tiny::model(tiny::config(64, 2, false), 5).require_grad(true);
    let copy = model.frozen_copy().unwrap();
    let _guard = tch::no_grad_guard();
    for (name, weight) in model.weights() {
        let kept = &copy.weights()[name];
        assert!(!kept.requires_grad());
        let before: Tensor = kept.copy();
        let _ = weight.shallow_clone().fill_(7.0);
        assert!(tiny::difference(&before, kept) == 0.0, "{name}");
    }
}
