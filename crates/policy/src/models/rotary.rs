//! Rotary positions.

use std::f64::consts::TAU;

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::config::DecoderConfig;
use crate::weights::to_i64;

/// `x·cos + swap_halves(x)·sin` over the last axis, that of a head, which `x` must have; `sin` is negative in
/// its first half.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let half = x.size()[x.dim() - 1] / 2;
    let swapped = x.roll([half].as_slice(), [-1].as_slice());
    (x * cos).addcmul_(&swapped, sin)
}

/// Cosines and sines `[P, hd]` of position times frequency, each frequency twice, as [`rotate`]
/// takes them.
pub(crate) fn rotary_table(
    config: &DecoderConfig,
    device: Device,
) -> Result<(Tensor, Tensor), PolicyError> {
    let frequencies: Vec<f32> = frequencies(config);
    let positions =
        Tensor::f_arange(to_i64(config.max_position_embeddings), (Kind::Float, Device::Cpu))?;
    let angles = positions.f_outer(&Tensor::from_slice(&frequencies))?; // [P, hd/2]
    let (cos, sin) = (angles.f_cos()?, angles.f_sin()?);
    let cos = Tensor::f_cat(&[&cos, &cos], 1)?.f_to_device(device)?;
    let sin = Tensor::f_cat(&[&-&sin, &sin], 1)?.f_to_device(device)?;
    Ok((cos, sin))
}

/// `theta^(−2i/hd)` for `i` below `hd/2`, stretched as the configuration says.
#[allow(clippy::cast_possible_truncation, reason = "angles are f32, as in transformers")]
fn frequencies(config: &DecoderConfig) -> Vec<f32> {
    let dim = config.head_dim;
    let base = |i: usize| config.rope_theta.powf(-((2 * i) as f64) / dim as f64);
    let stretch = |frequency: f64| {
        let Some(scaling) = config.rope_scaling else { return frequency };
        // Periods that fit into the original length.
        let periods = scaling.original_max_position_embeddings as f64 * frequency / TAU;
        let (low, high) = (scaling.low_freq_factor, scaling.high_freq_factor);
        let kept = ((periods - low) / (high - low)).clamp(0.0, 1.0);
        frequency * (kept + (1.0 - kept) / scaling.factor)
    };
    (0..dim / 2).map(|i| stretch(base(i)) as f32).collect()
}
