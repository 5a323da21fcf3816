//! Names of tensors in GGUF and in HF checkpoints.

/// The parts of a layer.
const OF_LAYERS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The embedding in GGUF.
pub(super) const EMBEDDING: &str = "token_embd.weight";
/// The output head in GGUF; a model without one has the embedding as its head.
pub(super) const HEAD: &str = "output.weight";

/// The name in HF checkpoints; `None` for a tensor that these models do not have.
pub(super) fn hf(name: &str) -> Option<String> {
    match name {
        EMBEDDING => return Some("model.embed_tokens.weight".to_owned()),
        HEAD => return Some("lm_head.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    // `01` would be another name for the layer 1.
    let canonical = layer.parse::<usize>().is_ok_and(|number| number.to_string() == layer);
    let (_, part) = OF_LAYERS.into_iter().find(|(gguf, _)| *gguf == part)?;
    (canonical && ["weight", "bias"].contains(&kind))
        .then(|| format!("model.layers.{layer}.{part}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hf_and_others_have_none() {
        assert_eq!(
            hf("blk.12.attn_output.weight").as_deref(),
            Some("model.layers.12.self_attn.o_proj.weight")
        );
        assert_eq!(
            hf("blk.0.attn_q.bias").as_deref(),
            Some("model.layers.0.self_attn.q_proj.bias")
        );
        for other in [
            "blk.01.attn_q.weight",
            "blk.0.ffn_gate_exps.weight",
            "blk.0.attn_q.scale",
            "blk.0",
            "x",
        ] {
            assert_eq!(hf(other), None, "{other}");
        }
    }
}
