//! AdamW's update as one pass over the memory of all weights.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Elements of a piece of work: its four arrays fit a core's second-level cache.
const PIECE: usize = 1 << 14;
/// Independent sums, so that additions do not wait for each other.
const LANES: usize = 8;

/// A weight, or rows of one, with its gradient and moments.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) weight: Tensor,
    pub(super) grad: Tensor,
    pub(super) first: Tensor,
    pub(super) second: Tensor,
    /// Whether weight decay applies.
    pub(super) decays: bool,
}

/// The factors of an update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors {
    /// Factor of every gradient; below 1 if the norm of the whole gradient is too large.
    pub(super) scale: f32,
    /// Factor of weights that decay.
    pub(super) keep: f32,
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    /// `lr / (1 − β₁ᵗ)`.
    pub(super) rate: f32,
    /// `1 / √(1 − β₂ᵗ)`.
    pub(super) root_scale: f32,
    pub(super) eps: f32,
}

/// Memory of the same elements of a part's tensors.
struct Piece<'a> {
    weight: &'a mut [f32],
    grad: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    decays: bool,
}

/// All parts' memory in pieces; `None` unless every tensor is a contiguous f32 array on the CPU
/// that does not overlap with any other.
pub(super) struct Pieces<'a>(Vec<Piece<'a>>);

impl<'a> Pieces<'a> {
    #[allow(unsafe_code, reason = "one pass over the tensors' memory instead of ten operations")]
    pub(super) fn new(parts: &'a mut [Part]) -> Option<Self> {
        let mut ranges = Vec::with_capacity(4 * parts.len());
        for part in &*parts {
            let tensors = [&part.weight, &part.grad, &part.first, &part.second];
            let len = part.weight.numel();
            for tensor in tensors {
                let plain = tensor.kind() == Kind::Float
                    && tensor.device() == Device::Cpu
                    && tensor.is_contiguous()
                    && tensor.numel() == len;
                if !plain {
                    return None;
                }
                let start = tensor.data_ptr() as usize;
                ranges.push((start, start + len * size_of::<f32>()));
            }
        }
        ranges.retain(|(start, end)| start < end);
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return None;
        }
        let mut pieces = Vec::new();
        for part in parts.iter().filter(|part| part.weight.numel() > 0) {
            let len = part.weight.numel();
            // SAFETY: the tensors are contiguous f32 arrays of `len` elements in this process's
            // memory, none overlaps another (both checked above), and `part`, which is borrowed
            // exclusively for `'a`, keeps their storage alive. As with every operation in place,
            // no other thread may use these tensors meanwhile.
            let (weight, grad, first, second) = unsafe {
                (
                    std::slice::from_raw_parts_mut(part.weight.data_ptr().cast::<f32>(), len),
                    std::slice::from_raw_parts(part.grad.data_ptr().cast::<f32>(), len),
                    std::slice::from_raw_parts_mut(part.first.data_ptr().cast::<f32>(), len),
                    std::slice::from_raw_parts_mut(part.second.data_ptr().cast::<f32>(), len),
                )
            };
            let arrays = weight
                .chunks_mut(PIECE)
                .zip(grad.chunks(PIECE))
                .zip(first.chunks_mut(PIECE).zip(second.chunks_mut(PIECE)));
            pieces.extend(arrays.map(|((weight, grad), (first, second))| Piece {
                weight,
                grad,
                first,
                second,
                decays: part.decays,
            }));
        }
        Some(Self(pieces))
    }

    /// Sum of the gradients' squares; the same bits for any number of threads.
    pub(super) fn sum_of_squares(&self) -> f64 {
        let sums: Vec<f64> = self.0.par_iter().map(|piece| sum_of_squares(piece.grad)).collect();
        sums.iter().sum()
    }

    /// Updates weights and moments.
    pub(super) fn update(self, factors: Factors) {
        self.0.into_par_iter().for_each(|piece| update(piece, factors));
    }
}

/// Sum of the squares of values. Like the update it is compiled for each width of vectors, with the same bits: no
/// two operations are joined into one.
fn sum_of_squares(values: &[f32]) -> f64 {
    struct Sum<'a>(&'a [f32]);
    impl WithSimd for Sum<'_> {
        type Output = f64;
        #[allow(clippy::inline_always, reason = "or it is compiled for the narrowest vectors")]
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> f64 {
            let mut sums = [0.0; LANES];
            let rows = self.0.chunks_exact(LANES);
            let rest: f64 = rows.remainder().iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            for row in rows {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*x) * f64::from(*x);
                }
            }
            sums.iter().sum::<f64>() + rest
        }
    }
    Arch::new().dispatch(Sum(values))
}

fn update(piece: Piece<'_>, factors: Factors) {
    struct Update<'a>(Piece<'a>, Factors);
    impl WithSimd for Update<'_> {
        type Output = ();
        #[allow(clippy::inline_always, reason = "or it is compiled for the narrowest vectors")]
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(Piece { weight, grad, first, second, decays }, factors) = self;
            let Factors { scale, beta1, beta2, rate, root_scale, eps, .. } = factors;
            let keep = if decays { factors.keep } else { 1.0 };
            let moments = first.iter_mut().zip(second);
            for ((weight, grad), (first, second)) in weight.iter_mut().zip(grad).zip(moments) {
                let grad = grad * scale;
                *first += (1.0 - beta1) * (grad - *first);
                *second = beta2 * *second + (1.0 - beta2) * grad * grad;
                *weight = keep * *weight - rate * *first / (second.sqrt() * root_scale + eps);
            }
        }
    }
    Arch::new().dispatch(Update(piece, factors));
}
