//! The full softmax over all items, in pieces.

use tch::{Device, Reduction, Tensor};

use super::NeuralError;

/// Scores of a piece of the softmax: what stays in a processor's cache, and what fills a GPU.
const CELLS_CPU: i64 = 1 << 21;
const CELLS_GPU: i64 = 1 << 26;

/// States with the items that came next.
#[derive(Debug)]
pub(crate) struct Scored<'s> {
    /// `[M, D]`.
    pub(crate) states: &'s Tensor,
    /// `[N, D]`.
    pub(crate) items: &'s Tensor,
    /// What is added to each item's score, `[N]`.
    pub(crate) bias: Option<&'s Tensor>,
    /// `[M]`.
    pub(crate) targets: &'s Tensor,
}

impl Scored<'_> {
    /// The mean of −log softmax over all items at the targets, `[]`.
    ///
    /// The scores `[M, N]` are made in pieces that fit a cache, with their gradients at once:
    ///
    /// ```text
    /// g = (softmax(S Mᵀ + b) − onehot(target)) / M       dS = g M     dM = gᵀ S     db = Σ g
    /// ```
    pub(crate) fn softmax(&self) -> Result<Tensor, NeuralError> {
        let ((count, _), num_items) = (self.states.size2()?, self.items.size2()?.0);
        let cells = if self.states.device() == Device::Cpu { CELLS_CPU } else { CELLS_GPU };
        let rows = (cells / num_items.max(1)).max(1);
        let found = {
            let _guard = tch::no_grad_guard();
            let mut total = Totals::new(self)?;
            for start in (0..count).step_by(usize::try_from(rows).unwrap_or(1)) {
                total.add(self, start, rows.min(count - start))?;
            }
            total
        };
        // A linear function with these gradients, moved to the value of the loss.
        let mut slope = self.states.f_mul(&Tensor::f_cat(&found.states, 0)?)?.f_sum(None)?;
        slope = slope.f_add(&self.items.f_mul(&found.items)?.f_sum(None)?)?;
        if let (Some(bias), Some(gradient)) = (self.bias, &found.bias) {
            slope = slope.f_add(&bias.f_mul(gradient)?.f_sum(None)?)?;
        }
        Ok(slope.f_sub(&slope.detach())?.f_add(&found.loss)?)
    }
}

/// What the pieces of a softmax add up to.
#[derive(Debug)]
struct Totals {
    /// `[]`.
    loss: Tensor,
    /// Pieces of `[M, D]`.
    states: Vec<Tensor>,
    /// `[N, D]`.
    items: Tensor,
    /// `[N]`.
    bias: Option<Tensor>,
}

impl Totals {
    fn new(scored: &Scored<'_>) -> Result<Self, NeuralError> {
        Ok(Self {
            loss: scored.states.f_sum(None)?.f_zeros_like()?,
            states: Vec::new(),
            items: scored.items.f_zeros_like()?,
            bias: scored.bias.map(Tensor::f_zeros_like).transpose()?,
        })
    }

    /// Adds `rows` targets from `start`.
    fn add(&mut self, scored: &Scored<'_>, start: i64, rows: i64) -> Result<(), NeuralError> {
        let all = scored.targets.size1()? as f64;
        let states = scored.states.f_narrow(0, start, rows)?; // [R, D]
        let targets = scored.targets.f_narrow(0, start, rows)?.f_unsqueeze(1)?; // [R, 1]
        let mut share = states.f_linear(scored.items, scored.bias)?; // [R, N]
        let most = share.f_amax([1].as_slice(), true)?; // [R, 1]
        let own = share.f_gather(1, &targets, false)?.f_sub(&most)?; // [R, 1]
        let _ = share.f_sub_(&most)?.f_exp_()?;
        let sum = share.f_sum_dim_intlist([1].as_slice(), true, None)?; // [R, 1]
        let loss = sum.f_log()?.f_sub(&own)?.f_sum(None)?.f_div_scalar(all)?;
        let _ = self.loss.f_add_(&loss)?;
        let _ = share.f_div_(&sum.f_mul_scalar(all)?)?;
        let own = Tensor::f_full([rows, 1], -1.0 / all, (share.kind(), share.device()))?;
        let _ = share.f_scatter_add_(1, &targets, &own)?; // the gradient of the scores
        self.states.push(share.f_mm(scored.items)?); // [R, D]
        let _ = self.items.f_addmm_(&share.f_tr()?, &states)?;
        if let Some(bias) = &mut self.bias {
            let _ = bias.f_add_(&share.f_sum_dim_intlist([0].as_slice(), false, None)?)?;
        }
        Ok(())
    }
}

/// The mean of −log softmax at the targets: scores `[M, K]`, targets `[M]` → `[]`.
pub(crate) fn cross_entropy(scores: &Tensor, targets: &Tensor) -> Result<Tensor, NeuralError> {
    Ok(scores.f_cross_entropy_loss(targets, None::<&Tensor>, Reduction::Mean, -100, 0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_in_pieces_has_the_value_and_the_gradients_of_one_in_whole() {
        tch::manual_seed(1);
        let draw = |shape: &[i64]| {
            Tensor::randn(shape, (tch::Kind::Double, Device::Cpu)).set_requires_grad(true)
        };
        // 7 rows of 2²⁰ scores are four pieces.
        let num_items = 1 << 20;
        let (states, items, bias) = (draw(&[7, 2]), draw(&[num_items, 2]), draw(&[num_items]));
        let targets = Tensor::from_slice(&[0_i64, 3, 1_000_000, 3, 5, 6, 1_048_575]);
        let mut results = Vec::new();
        for whole in [true, false] {
            let loss = if whole {
                let scores = states.linear(&items, Some(&bias));
                cross_entropy(&scores, &targets).unwrap()
            } else {
                let bias = Some(&bias);
                Scored { states: &states, items: &items, bias, targets: &targets }
                    .softmax()
                    .unwrap()
            };
            loss.backward();
            let mut found = vec![loss.detach()];
            for leaf in [&states, &items, &bias] {
                found.push(leaf.grad().copy());
                let _ = leaf.grad().zero_();
            }
            results.push(found);
        }
        for (whole, pieces) in results[0].iter().zip(&results[1]) {
            assert!((whole - pieces).abs().max().double_value(&[]) < 1e-12);
        }
    }
}
