//! Logits against transformers, in both directions (`tests/parity/decoders.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidereal_policy::{
    Architecture, Decoder, DecoderConfig, LanguageModel, Llama3Rope, TokenBatch,
};
use tch::{Device, Kind, Tensor};

use crate::tiny;

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) prompts: Vec<Vec<u32>>,
    /// Logits of the last tokens of each prompt, `[row][token][V]`.
    pub(crate) logits_of_last: Vec<Vec<Vec<f32>>>,
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

/// Logits of the last `count` real tokens of each prompt, computed as one padded batch.
pub(crate) fn logits_of_last(
    model: &Decoder,
    prompts: &[Vec<u32>],
    count: usize,
) -> Vec<Vec<Vec<f32>>> {
    let limit = model.config().max_position_embeddings;
    let batch = TokenBatch::new(prompts, tiny::PAD, limit, Device::Cpu).unwrap();
    let hidden = model.forward(&batch, 0.0).unwrap();
    let of_row = |(row, prompt): (i64, &Vec<u32>)| {
        let logits = model.head().logits(&hidden.get(row)).unwrap();
        (prompt.len().saturating_sub(count)..prompt.len())
            .map(|at| Vec::try_from(logits.get(i64::try_from(at).unwrap())).unwrap())
            .collect()
    };
    (0..).zip(prompts).map(of_row).collect()
}

pub(crate) fn largest_difference(ours: &[Vec<Vec<f32>>], theirs: &[Vec<Vec<f32>>]) -> f32 {
    let flat =
        |all: &[Vec<Vec<f32>>]| -> Vec<f32> { all.iter().flatten().flatten().copied().collect() };
    let (ours, theirs) = (flat(ours), flat(theirs));
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in ["qwen3_tied", "qwen3_untied", "qwen2", "llama3_sharded", "llama_biased"] {
        let dir = fixture(name);
        let model = Decoder::load(&dir, Device::Cpu).unwrap();
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

/// Leaves checkpoints and logits for `decoders.py --check`.
#[test]
fn a_saved_checkpoint_loads_with_equal_logits() {
    let qwen3 = |tied| tiny::config(64, 2, tied);
    let scaling = Llama3Rope {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 16,
    };
    let llama = DecoderConfig { architecture: Architecture::Llama, ..qwen3(false) };
    for (name, config) in [
        ("saved_tied", qwen3(true)),
        ("saved_untied", qwen3(false)),
        ("saved_qwen2", DecoderConfig { architecture: Architecture::Qwen2, ..qwen3(true) }),
        ("saved_llama3", DecoderConfig { rope_scaling: Some(scaling), ..llama.clone() }),
        ("saved_llama_biased", DecoderConfig { attention_bias: true, ..llama }),
    ] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let model = tiny::model(config, 5);
        model.save(&dir).unwrap();
        let prompts = vec![vec![1, 2, 3, 4, 5, 6, 7], vec![9], vec![63, 0, 31]];
        let ours = logits_of_last(&model, &prompts, 3);
        let expected = serde_json::json!({ "prompts": prompts, "logits_of_last": ours });
        fs::write(dir.join("expected.json"), expected.to_string()).unwrap();

        let back = Decoder::load(&dir, Device::Cpu).unwrap();
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

#[test]
fn bf16_products_over_f32_weights_stay_near_and_reach_every_weight() {
    let dir = fixture("qwen2");
    let model = Decoder::load(&dir, Device::Cpu).unwrap();
    let prompts = [vec![3, 9, 60, 1, 1, 2], vec![7, 63, 0, 12]];
    let plain = logits_of_last(&model, &prompts, 3);
    let model = model.computing_in(Kind::BFloat16).require_grad(true);
    let batch = TokenBatch::new(&prompts, tiny::PAD, 64, Device::Cpu).unwrap();
    let hidden = model.forward(&batch, 0.0).unwrap();
    assert_eq!(hidden.kind(), Kind::BFloat16);
    let logits = model.head().logits(&hidden.get(0)).unwrap().to_kind(Kind::Float);
    let scale = plain.iter().flatten().flatten().fold(0f32, |most, x| most.max(x.abs()));
    let last: Vec<f32> = Vec::try_from(logits.get(5).detach()).unwrap();
    let worst = last.iter().zip(&plain[0][2]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.05 * scale, "{worst} of {scale}");
    logits.sum(Kind::Float).backward();
    for (name, weight) in model.weights() {
        assert_eq!(weight.grad().kind(), Kind::Float, "{name}");
    }
}

#[test]
fn a_half_width_checkpoint_takes_half_the_memory_and_computes_in_its_type() {
    let dir = fixture("llama3_sharded");
    let model = Decoder::load_as(&dir, Device::Cpu, Kind::BFloat16).unwrap();
    assert!(model.weights().values().all(|weight| weight.kind() == Kind::BFloat16));
    assert_eq!(model.kind(), Kind::BFloat16);
}
