//! Floating-point operations of training, by a formula.

use crate::config::DecoderConfig;

impl DecoderConfig {
    /// Floating-point operations that learning from some sequences takes: `lens` are their numbers of tokens, and
    /// `num_targets` tokens of them all are learned.
    ///
    /// ```text
    /// C = 6·N·T + 6·V·D·M + Σ_sequences 6·L·H·h·n·(n + 1)
    /// N = L·(2·D·H·h + 2·D·K·h + 3·D·F)      weights in the matrices of the layers
    /// ```
    /// with `T` tokens, `M` targets, `V` rows of the output head, width `D`, `L` layers, `H` query heads and `K`
    /// heads of keys and values of width `h`, and `F` the width of the feed-forward layer.
    ///
    /// A product of a vector and a matrix takes a multiplication and an addition for each weight, so a pass forward
    /// takes `2·N` for a token. The backward pass takes the same twice, once for the gradient of the input and once
    /// for that of the matrix: together 6. The head is computed for learned tokens only. In attention the `t`-th
    /// token of a sequence multiplies its query with `t` keys and weighs `t` values, `4·H·h·t` in a layer; the sum
    /// over the sequence is `2·H·h·n·(n + 1)`, three times that with the backward pass. The first two terms are the
    /// `C ≈ 6·N·D` of Kaplan and others, [arXiv:2001.08361](https://arxiv.org/abs/2001.08361), section 2.1.
    ///
    /// These are operations that the model needs, whatever computes them. Padding and layers that are computed
    /// again in the backward pass do not count, and frozen matrices count as if they were trained. Norms,
    /// activations, rotations and the softmax are left out: they grow with `D` where the rest grows with `D²`.
    #[must_use]
    pub fn training_flops(&self, lens: &[usize], num_targets: usize) -> f64 {
        let [vocabulary, width, inner, layers, heads, kv_heads, head] = [
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.head_dim,
        ]
        .map(|size| size as f64);
        let matrices = layers * width * (2.0 * heads * head + 2.0 * kv_heads * head + 3.0 * inner);
        let tokens: usize = lens.iter().sum();
        let pairs: f64 = lens.iter().map(|len| *len as f64 * (*len as f64 + 1.0)).sum();
        6.0 * matrices * tokens as f64
            + 6.0 * vocabulary * width * num_targets as f64
            + 6.0 * layers * heads * head * pairs
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::models::decoder::Decoder;

    #[test]
    fn each_weight_of_a_matrix_counts_six_times_a_token() {
        let config = DecoderConfig::tiny(50);
        let model = Decoder::random(config.clone(), 1, Device::Cpu).unwrap();
        let matrices = model.weights().iter().filter(|(name, weight)| {
            weight.dim() == 2 && !name.contains("embed") && !name.contains("lm_head")
        });
        let weights: usize = matrices.map(|(_, weight)| weight.numel()).sum();
        let width = config.num_attention_heads * config.head_dim;
        // Attention token by token and key by key: query with key, weight with value, forward and twice backward.
        let attended = |len: usize| -> usize {
            (1..=len).map(|keys| 3 * 2 * 2 * width * keys * config.num_hidden_layers).sum()
        };
        for (lens, targets) in [(&[7usize][..], 0), (&[1, 12, 5], 0), (&[3, 3], 4), (&[], 0)] {
            let tokens: usize = lens.iter().sum();
            let head = 6 * 50 * config.hidden_size * targets;
            let expected =
                6 * weights * tokens + head + lens.iter().map(|len| attended(*len)).sum::<usize>();
            let found = config.training_flops(lens, targets);
            assert!((found - expected as f64).abs() < 0.5, "{lens:?}: {found} {expected}");
        }
    }
}
