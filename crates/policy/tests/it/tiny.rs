//! Policies small enough to compute everything by hand.

use sidereal_policy::{Constraint, Decoder, DecoderConfig, SidTokenizer, TokenBatch};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use tch::{Device, Tensor};

pub(crate) const PAD: u32 = 0;

/// Two layers, width 16, four query heads on `kv_heads` key heads.
pub(crate) fn config(vocab_size: usize, kv_heads: usize, tied: bool) -> DecoderConfig {
    DecoderConfig {
        num_key_value_heads: kv_heads,
        tie_word_embeddings: tied,
        ..DecoderConfig::tiny(vocab_size)
    }
}

/// A random model whose weights are far enough from their first values that each matters.
pub(crate) fn model(config: DecoderConfig, seed: i64) -> Decoder {
    let model = Decoder::random(config, seed, Device::Cpu).unwrap();
    let _guard = tch::no_grad_guard();
    for weight in model.weights().values() {
        let mut weight = weight.shallow_clone();
        if weight.dim() == 1 {
            weight += Tensor::randn_like(&weight) * 0.2;
        } else {
            weight *= 12.0;
        }
    }
    model
}

/// Items of two and three codes; several prefixes have one child only.
pub(crate) fn catalog() -> Catalog {
    let sids: [&[u16]; 9] = [
        &[0, 1],
        &[0, 3],
        &[1, 2, 0],
        &[1, 2, 1],
        &[1, 2, 3],
        &[1, 0],
        &[2, 2],
        &[4, 4, 0],
        &[4, 4, 2],
    ];
    let sids = sids.iter().map(|codes| SemanticId::from(codes.to_vec())).collect();
    Catalog::new(SidSpec::new(vec![5, 5], 4).unwrap(), sids).unwrap()
}

pub(crate) fn tokenizer(catalog: &Catalog) -> SidTokenizer {
    let texts = ["next item", "red lipstick"];
    SidTokenizer::train(texts.iter(), 260, catalog.spec()).unwrap()
}

/// A catalogue's constraint, and the smallest vocabulary that its tokenizer needs.
pub(crate) fn constraint(catalog: &Catalog) -> (Constraint, SidTokenizer) {
    let tokenizer = tokenizer(catalog);
    (Constraint::new(catalog, &tokenizer, Device::Cpu).unwrap(), tokenizer)
}

pub(crate) fn batch(rows: &[Vec<u32>]) -> TokenBatch {
    TokenBatch::new(rows, PAD, 64, Device::Cpu).unwrap()
}

/// Largest absolute difference of two tensors of one shape.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    f64::try_from((a - b).abs().max()).unwrap()
}
