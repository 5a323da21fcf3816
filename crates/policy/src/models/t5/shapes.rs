//! The tensors that a checkpoint must hold, and the spread of initial weights.

use super::config::{T5Config, T5FeedForward};
use crate::weights::{Shapes, to_i64};

/// Tensor names and shapes of a checkpoint with these settings.
pub(super) fn shapes(config: &T5Config) -> Shapes {
    let (d, ff) = (to_i64(config.d_model), to_i64(config.d_ff));
    let (heads, vocabulary) = (to_i64(config.num_heads), to_i64(config.vocab_size));
    let inner = heads * to_i64(config.d_kv);
    let mut shapes = Shapes::from([("shared.weight".to_owned(), vec![vocabulary, d])]);
    if !config.tie_word_embeddings {
        shapes.insert("lm_head.weight".to_owned(), vec![vocabulary, d]);
    }
    let mut add = |name: String, shape: &[i64]| {
        shapes.insert(format!("{name}.weight"), shape.to_vec());
    };
    for (stack, layers, attentions) in [
        ("encoder", config.num_layers, &["SelfAttention"][..]),
        ("decoder", config.num_decoder_layers, &["SelfAttention", "EncDecAttention"]),
    ] {
        add(format!("{stack}.final_layer_norm"), &[d]);
        let buckets = to_i64(config.relative_attention_num_buckets);
        add(
            format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"),
            &[buckets, heads],
        );
        for block in 0..layers {
            let at =
                |layer: usize, part: &str| format!("{stack}.block.{block}.layer.{layer}.{part}");
            for (layer, attention) in attentions.iter().enumerate() {
                add(at(layer, "layer_norm"), &[d]);
                for part in ["q", "k", "v"] {
                    add(at(layer, &format!("{attention}.{part}")), &[inner, d]);
                }
                add(at(layer, &format!("{attention}.o")), &[d, inner]);
            }
            let last = attentions.len();
            add(at(last, "layer_norm"), &[d]);
            for part in inputs(config.feed_forward_proj) {
                add(at(last, &format!("DenseReluDense.{part}")), &[ff, d]);
            }
            add(at(last, "DenseReluDense.wo"), &[d, ff]);
        }
    }
    shapes
}

/// Names of the first matrices of a feed-forward layer.
pub(super) const fn inputs(feed_forward: T5FeedForward) -> &'static [&'static str] {
    match feed_forward {
        T5FeedForward::Relu => &["wi"],
        T5FeedForward::GatedGelu => &["wi_0", "wi_1"],
    }
}

/// Standard deviation of a fresh matrix, as transformers draws it; `None` for norms, which are one.
///
/// Queries are narrower than keys by `√d_kv`: attention does not divide by it.
pub(super) fn spread(config: &T5Config, name: &str) -> Option<f64> {
    let (d, ff) = (config.d_model as f64, config.d_ff as f64);
    let (width, heads) = (config.d_kv as f64, config.num_heads as f64);
    let part = name.trim_end_matches(".weight").rsplit('.').next().unwrap_or_default();
    match part {
        "layer_norm" | "final_layer_norm" => None,
        "shared" | "lm_head" => Some(1.0),
        "q" => Some((d * width).powf(-0.5)),
        "o" => Some((heads * width).powf(-0.5)),
        "wo" => Some(ff.powf(-0.5)),
        _ => Some(d.powf(-0.5)), // k, v, wi, wi_0, wi_1, relative_attention_bias
    }
}
