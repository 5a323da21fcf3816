//! The losses of next-item recommendation.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::NeuralError;
use super::layers::lookup;
use super::padded::size;
use super::softmax::{Scored, cross_entropy};

/// Which items a target is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LossKind {
    /// All items.
    ///
    /// ```text
    /// −log( exp(s_t) / Σ_j exp(s_j) )
    /// ```
    #[default]
    Softmax,
    /// `negatives` items, drawn evenly once a step and shared by its targets; one that is the target
    /// itself is left out. (A draw that is even needs no correction by its probability.)
    ///
    /// ```text
    /// −log( exp(s_t) / (exp(s_t) + Σ_{j drawn} exp(s_j)) )
    /// ```
    SampledSoftmax,
    /// `negatives` items for each target, drawn evenly among the items that its row does not hold.
    ///
    /// ```text
    /// −log σ(s_t) − Σ_{j drawn} log(1 − σ(s_j))
    /// ```
    Bce,
    /// As `bce`, by the difference to each negative (BPR), the mean over the negatives.
    ///
    /// ```text
    /// −log σ(s_t − s_j)
    /// ```
    Bpr,
}

impl Scored<'_> {
    /// Scores of some items, `[M, K]`, that are the same for all states: `chosen` `[K]`.
    fn of_chosen(&self, chosen: &Tensor) -> Result<Tensor, NeuralError> {
        let items = lookup(self.items, chosen)?; // [K, D]
        let bias = self.bias.map(|bias| bias.f_index_select(0, chosen)).transpose()?; // [K]
        Ok(self.states.f_linear(&items, bias.as_ref())?)
    }

    /// Scores of own items of each state: `own` `[M, K]` → `[M, K]`.
    fn of_own(&self, own: &Tensor) -> Result<Tensor, NeuralError> {
        let items = lookup(self.items, own)?; // [M, K, D]
        let scores = items.f_matmul(&self.states.f_unsqueeze(2)?)?.f_squeeze_dim(2)?; // [M, K]
        Ok(match self.bias {
            None => scores,
            Some(bias) => scores.f_add(&bias.f_take(own)?)?,
        })
    }

    /// The mean loss over the targets, `[]`.
    ///
    /// `negatives`: how many items are drawn. `rows`, `row_of`: the rows, and the row of each target.
    pub(crate) fn loss(
        &self,
        kind: LossKind,
        negatives: usize,
        rows: &[&[u32]],
        row_of: &[usize],
        rng: &mut ChaCha8Rng,
    ) -> Result<Tensor, NeuralError> {
        let num_items = self.items.size2()?.0;
        let device = self.states.device();
        match kind {
            LossKind::Softmax => self.softmax(),
            LossKind::SampledSoftmax => {
                let drawn: Vec<i64> = (0..negatives).map(|_| rng.gen_range(0..num_items)).collect();
                let drawn = Tensor::f_from_slice(&drawn)?.f_to_device(device)?; // [K]
                let own = self.targets.f_unsqueeze(1)?; // [M, 1]
                let same = own.f_eq_tensor(&drawn.f_unsqueeze(0)?)?; // [M, K]
                let others = self.of_chosen(&drawn)?.f_masked_fill(&same, f64::NEG_INFINITY)?;
                let scores = Tensor::f_cat(&[self.of_own(&own)?, others], 1)?; // [M, 1 + K]
                cross_entropy(&scores, &self.targets.f_zeros_like()?)
            }
            LossKind::Bce | LossKind::Bpr => {
                let drawn = draw(num_items, negatives, rows, row_of, rng);
                let drawn = Tensor::f_from_slice(&drawn)?
                    .f_reshape([size(row_of.len()), size(negatives)])?
                    .f_to_device(device)?; // [M, K]
                let own = self.of_own(&self.targets.f_unsqueeze(1)?)?; // [M, 1]
                let others = self.of_own(&drawn)?; // [M, K]
                // −log σ(x) = softplus(−x), −log(1 − σ(x)) = softplus(x)
                let loss = if kind == LossKind::Bce {
                    let drawn = others.f_softplus()?.f_sum_dim_intlist(1, false, None)?; // [M]
                    own.f_neg()?.f_softplus()?.f_squeeze_dim(1)?.f_add(&drawn)?
                } else {
                    others.f_sub(&own)?.f_softplus()? // [M, K]
                };
                Ok(loss.f_mean(None)?)
            }
        }
    }
}

/// `count` items for each target, none of which its row holds: `[M · count]`.
///
/// A row that holds nearly all items may get one of them after 100 draws.
fn draw(
    num_items: i64,
    count: usize,
    rows: &[&[u32]],
    row_of: &[usize],
    rng: &mut ChaCha8Rng,
) -> Vec<i64> {
    let mut drawn = Vec::with_capacity(row_of.len() * count);
    for row in row_of {
        for _ in 0..count {
            let mut item = rng.gen_range(0..num_items);
            for _ in 0..100 {
                if !rows[*row].iter().any(|held| i64::from(*held) == item) {
                    break;
                }
                item = rng.gen_range(0..num_items);
            }
            drawn.push(item);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn loss(kind: LossKind, negatives: usize) -> f64 {
        let states = Tensor::from_slice(&[1.0, 0.0, 0.5, -1.0]).reshape([2, 2]);
        let items = Tensor::from_slice(&[1.0, 0.0, 0.0, 2.0, -1.0, 1.0]).reshape([3, 2]);
        let targets = Tensor::from_slice(&[0_i64, 1]);
        let scored = Scored { states: &states, items: &items, bias: None, targets: &targets };
        let rows: [&[u32]; 2] = [&[1, 0], &[0, 1]];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        scored.loss(kind, negatives, &rows, &[0, 1], &mut rng).unwrap().double_value(&[])
    }

    #[test]
    fn every_loss_is_its_equation() {
        // scores of state 0: 1, 0, −1; of state 1: 0.5, −2, −1.5. Both rows hold items 0 and 1, so the
        // negative is item 2.
        let softplus = |x: f64| x.exp().ln_1p();
        let log_sum = |scores: [f64; 3]| scores.iter().map(|s| s.exp()).sum::<f64>().ln();
        let softmax =
            f64::midpoint(log_sum([1.0, 0.0, -1.0]) - 1.0, log_sum([0.5, -2.0, -1.5]) + 2.0);
        assert!((loss(LossKind::Softmax, 1) - softmax).abs() < 1e-12);
        let bce = f64::midpoint(softplus(-1.0) + softplus(-1.0), softplus(2.0) + softplus(-1.5));
        assert!((loss(LossKind::Bce, 1) - bce).abs() < 1e-12);
        let bpr = f64::midpoint(softplus(-2.0), softplus(0.5));
        assert!((loss(LossKind::Bpr, 1) - bpr).abs() < 1e-12);
    }

    #[test]
    fn a_sampled_softmax_of_many_draws_leans_to_the_full_one_of_the_others() {
        // With K even draws, Σ over the draws is K/N times Σ over all items but the target on average:
        // 3,000 draws of 3 items.
        let of = |own: f64, others: [f64; 2]| {
            let others: f64 = others.iter().map(|s| s.exp()).sum();
            (own.exp() + 1000.0 * others).ln() - own
        };
        let expected = f64::midpoint(of(1.0, [0.0, -1.0]), of(-2.0, [0.5, -1.5]));
        assert!((loss(LossKind::SampledSoftmax, 3000) - expected).abs() < 0.1);
    }

    #[test]
    fn negatives_are_never_in_the_row() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let drawn = draw(5, 40, &[&[0, 2, 4]], &[0], &mut rng);
        assert!(drawn.iter().all(|item| [1, 3].contains(item)) && drawn.len() == 40);
    }
}
