//! What a head adds to a score by the distance between two tokens.

use tch::{Kind, Tensor};

use super::config::T5Config;
use crate::PolicyError;
use crate::weights::to_i64;

/// A weight of each head for each bucket of distances.
///
/// With `d` the distance (key's position minus query's), `n` buckets for a direction and half of
/// them, `e`, for exact distances:
///
/// ```text
/// bucket(d) = |d|                                                    |d| < e
///           = e + ⌊ln(|d| / e) / ln(max_distance / e) · (n − e)⌋     above, at most n − 1
/// ```
/// An encoder has `n = num_buckets / 2` and counts keys after the query in the upper half; a
/// decoder has `n = num_buckets` and only looks back.
/// Raffel et al., [arXiv:1910.10683](https://arxiv.org/abs/1910.10683) §2.1, as transformers
/// computes it.
#[derive(Debug)]
pub(super) struct RelativeBias {
    /// `[num_buckets, H]`.
    weight: Tensor,
    both_ways: bool,
    /// Buckets of a direction, `n`.
    buckets: i64,
    max_distance: f64,
}

impl RelativeBias {
    pub(super) fn new(config: &T5Config, weight: Tensor, both_ways: bool) -> Self {
        let buckets = to_i64(config.relative_attention_num_buckets);
        let max_distance = config.relative_attention_max_distance as f64;
        let buckets = if both_ways { buckets / 2 } else { buckets };
        Self { weight, both_ways, buckets, max_distance }
    }

    /// What the heads add for distances of any shape, `[…, H]`, f32.
    pub(super) fn of(&self, distance: &Tensor) -> Result<Tensor, PolicyError> {
        let buckets = self.buckets_of(distance)?;
        let bias = Tensor::f_embedding(&self.weight, &buckets, -1, false, false)?;
        Ok(bias.f_to_kind(Kind::Float)?)
    }

    fn buckets_of(&self, distance: &Tensor) -> Result<Tensor, PolicyError> {
        let (behind, far) = if self.both_ways {
            let behind = distance.gt(0).to_kind(Kind::Int64) * self.buckets;
            (behind, distance.f_abs()?)
        } else {
            (distance.zeros_like(), (-distance).f_clamp_min(0)?)
        };
        let exact = self.buckets / 2;
        let ratio = far.clamp_min(exact).to_kind(Kind::Float) / exact as f64;
        let steps = ratio.f_log()? / (self.max_distance / exact as f64).ln()
            * (self.buckets - exact) as f64;
        let above = (steps.to_kind(Kind::Int64) + exact).f_clamp_max(self.buckets - 1)?;
        Ok(behind + far.f_where_self(&far.lt(exact), &above)?)
    }
}
