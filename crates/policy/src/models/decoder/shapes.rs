//! The tensors that a checkpoint must hold.

use crate::config::DecoderConfig;
use crate::weights::{Shapes, to_i64};

/// Tensor names and shapes of a checkpoint with these settings.
pub(super) fn shapes(config: &DecoderConfig) -> Shapes {
    let size = |n: usize| to_i64(n);
    let (d, ff, hd) =
        (size(config.hidden_size), size(config.intermediate_size), size(config.head_dim));
    let (q, kv) = (size(config.num_attention_heads) * hd, size(config.num_key_value_heads) * hd);
    let mut shapes = Shapes::from([
        ("model.embed_tokens.weight".to_owned(), vec![size(config.vocab_size), d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ]);
    if !config.tie_word_embeddings {
        shapes.insert("lm_head.weight".to_owned(), vec![size(config.vocab_size), d]);
    }
    for layer in 0..config.num_hidden_layers {
        let matrices = [
            ("self_attn.q_proj", [q, d], config.input_bias()),
            ("self_attn.k_proj", [kv, d], config.input_bias()),
            ("self_attn.v_proj", [kv, d], config.input_bias()),
            ("self_attn.o_proj", [d, q], config.output_bias()),
            ("mlp.gate_proj", [ff, d], false),
            ("mlp.up_proj", [ff, d], false),
            ("mlp.down_proj", [d, ff], false),
        ];
        for (name, shape, biased) in matrices {
            if biased {
                shapes.insert(format!("model.layers.{layer}.{name}.bias"), vec![shape[0]]);
            }
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape.to_vec());
        }
        let mut norms = vec![("input_layernorm", d), ("post_attention_layernorm", d)];
        if config.architecture.normalises_heads() {
            norms.extend([("self_attn.q_norm", hd), ("self_attn.k_norm", hd)]);
        }
        for (name, width) in norms {
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), vec![width]);
        }
    }
    shapes
}
