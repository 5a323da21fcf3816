//! The two terms that LETTER adds: collaborative alignment and diversity of codes, each with its
//! gradient. [arXiv:2405.07314](https://arxiv.org/abs/2405.07314), §3.2.

use rand::Rng;
use tch::{Kind, Tensor};

use crate::QuantizerError;

/// A term's value `[]` and its gradient.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) value: Tensor,
    pub(super) gradient: Tensor,
}

/// Alignment of quantised rows with their items' collaborative embeddings.
///
/// ```text
/// -1/B Σ_i ln softmax_j(ẑ_i · h_j)[i]        d/dẑ = (softmax - I) H / B
/// ```
/// Equation 4 of LETTER.
///
/// # Shapes
/// - `quantised` ẑ: `[B, d]`; `collaborative` H: `[B, d]`; gradient `[B, d]`
pub(super) fn alignment(
    quantised: &Tensor,
    collaborative: &Tensor,
) -> Result<Term, QuantizerError> {
    let batch = quantised.size()[0];
    let logp = quantised.f_mm(&collaborative.f_tr()?)?.f_log_softmax(1, Kind::Float)?; // [B, B]
    let value = -logp.f_diagonal(0, 0, 1)?.f_mean(Kind::Float)?;
    let softmax = logp.f_exp()?.f_mm(collaborative)?; // [B, d]
    let gradient = softmax.f_sub(collaborative)?.f_div_scalar(batch)?;
    Ok(Term { value, gradient })
}

/// Diversity of a codebook: the code of each row is pulled towards another code of its cluster and
/// away from all others.
///
/// ```text
/// -1/B Σ_k n_k (S_k,pos(k) - lse_(j ≠ k) S_kj),  S = C Cᵀ        over codes with a positive
/// dS = (n_k softmax(S)_kj - n_k [j = pos(k)]) / B      d/dC = (dS + dSᵀ) C
/// ```
/// Equation 5 of LETTER. Deviation: one positive a code and step instead of one a row; rows of one
/// code share it.
///
/// # Shapes
/// - `codebook` C: `[K, d]`; `codes`: `[B]`; `positives`: `[K]`, its own index for a code that has
///   none; gradient `[K, d]`
pub(super) fn diversity(
    codebook: &Tensor,
    codes: &Tensor,
    positives: &Tensor,
) -> Result<Term, QuantizerError> {
    let size = codebook.size()[0];
    let own = Tensor::f_arange(size, (Kind::Int64, codebook.device()))?;
    let counts = codes.f_bincount(None::<Tensor>, size)?;
    let counts = counts.f_mul(&positives.f_ne_tensor(&own)?)?; // [K]
    let weight = counts.f_to_kind(Kind::Float)?.f_div_scalar(codes.size()[0])?.f_unsqueeze(1)?;
    let logp = codebook
        .f_mm(&codebook.f_tr()?)?
        .f_index_put(
            &[Some(&own), Some(&own)],
            &Tensor::from(f32::NEG_INFINITY).to_device(codebook.device()),
            false,
        )?
        .f_log_softmax(1, Kind::Float)?; // [K, K], -inf on the diagonal
    let index = positives.f_unsqueeze(1)?; // [K, 1]
    // A code without a positive has weight 0, but -inf at its own index.
    let chosen = logp.f_gather(1, &index, false)?.f_nan_to_num(0.0, 0.0, 0.0)?;
    let value = -chosen.f_mul(&weight)?.f_sum(Kind::Float)?;
    let slope = logp.f_exp()?.f_mul(&weight)?.f_scatter_add(1, &index, &-&weight)?; // [K, K]
    let gradient = slope.f_add(&slope.f_tr()?)?.f_mm(codebook)?; // [K, d]
    Ok(Term { value, gradient })
}

/// For each code another code of its cluster, drawn at random; the code itself if it is alone.
pub(super) fn draw_positives(clusters: &[u16], rng: &mut impl Rng) -> Vec<i64> {
    let mut members: std::collections::BTreeMap<u16, Vec<usize>> =
        std::collections::BTreeMap::new();
    for (code, cluster) in clusters.iter().enumerate() {
        members.entry(*cluster).or_default().push(code);
    }
    let mut positives = Vec::with_capacity(clusters.len());
    for (code, cluster) in clusters.iter().enumerate() {
        let others = members.get(cluster).map_or(&[][..], Vec::as_slice);
        let own = others.partition_point(|other| *other < code);
        let positive = if others.len() < 2 {
            code
        } else {
            let drawn = rng.gen_range(0..others.len() - 1);
            others[if drawn < own { drawn } else { drawn + 1 }]
        };
        positives.push(i64::try_from(positive).unwrap_or(i64::MAX));
    }
    positives
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn a_positive_is_another_code_of_the_same_cluster() {
        let clusters = [0u16, 1, 0, 2, 1, 0];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let positives = draw_positives(&clusters, &mut rng);
            assert_eq!(positives[3], 3, "alone in its cluster");
            assert_eq!((positives[1], positives[4]), (4, 1));
            seen.insert(positives[0]);
        }
        // Each is missed by all 100 draws with odds 2^-100.
        assert!(seen.into_iter().eq([2, 5]));
    }
}
