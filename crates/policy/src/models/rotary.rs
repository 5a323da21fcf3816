//! Rotary positions.

use std::f64::consts::TAU;

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::config::DecoderConfig;
use crate::weights::to_i64;

/// `x·cos + rotate_half(x)·sin` over the last axis.
pub(crate) fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let turned = Tensor::cat(&[-&halves[1], halves[0].shallow_clone()], -1);
    x * cos + turned * sin
}

/// Cosines and sines `[P, hd]` of position times frequency, each frequency twice.
pub(crate) fn rotary_table(
    config: &DecoderConfig,
    device: Device,
) -> Result<(Tensor, Tensor), PolicyError> {
    let frequencies: Vec<f32> = frequencies(config);
    let positions =
        Tensor::f_arange(to_i64(config.max_position_embeddings), (Kind::Float, Device::Cpu))?;
    let angles = positions.f_outer(&Tensor::from_slice(&frequencies))?; // [P, hd/2]
    let angles = Tensor::f_cat(&[&angles, &angles], 1)?.f_to_device(device)?;
    Ok((angles.f_cos()?, angles.f_sin()?))
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
