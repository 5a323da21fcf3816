//! Log-probabilities over the whole vocabulary, a block of it at a time.
//!
//! ```text
//! logp[n] = z[n, id] − log Σ_v exp z[n, v]        z = states · Wᵀ
//! d/d z[n, v] = d_logp[n] · (1{v = id} − exp(z[n, v] − log Σ exp z[n]))
//! ```

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::models::head::{Head, log_sum_exp};
use crate::sizes::to_usize;
use crate::tensor::cast;
use crate::weights::to_i64;

/// Rows that are multiplied with the vocabulary together.
const ROWS_AT_ONCE: i64 = 4096;

/// A block of the vocabulary and the rows whose ids are in it.
struct Block {
    /// First id.
    start: i64,
    /// Number of ids.
    len: i64,
    /// Which rows, `[n]`, and their ids counted from `start`, `[n]`, i64.
    rows: Tensor,
    columns: Tensor,
}

/// Blocks of the vocabulary whose logits for `ids.len()` rows number at most `limit`.
fn blocks(head: &Head, ids: &[i64], limit: i64) -> Result<Vec<Block>, PolicyError> {
    let vocabulary = head.weight().size()[0];
    let size = (limit / to_i64(ids.len())).clamp(1, vocabulary.max(1));
    let count = to_usize(vocabulary / size + 1)?;
    let (mut rows, mut columns) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for (row, id) in ids.iter().enumerate() {
        let block = usize::try_from(*id / size).unwrap_or(usize::MAX).min(count - 1);
        rows[block].push(to_i64(row));
        columns[block].push(id % size);
    }
    let blocks = (0..)
        .step_by(to_usize(size)?)
        .zip(rows.iter().zip(&columns))
        .filter(|(start, _)| *start < vocabulary)
        .map(|(start, (rows, columns))| Block {
            start,
            len: size.min(vocabulary - start),
            rows: Tensor::from_slice(rows).to_device(head.device()),
            columns: Tensor::from_slice(columns).to_device(head.device()),
        });
    Ok(blocks.collect())
}

/// Log-probability `[N]` of `ids` given states `[N, D]`, and log-sum-exp `[N]` of all logits,
/// with at most `limit` logits at a time and no graph.
///
/// # Errors
/// [`PolicyError::Size`] for an id outside the vocabulary.
pub(super) fn logp(
    head: &Head,
    states: &Tensor,
    ids: &[i64],
    limit: i64,
) -> Result<(Tensor, Tensor), PolicyError> {
    let _guard = tch::no_grad_guard();
    let vocabulary = to_usize(head.weight().size()[0])?;
    let needed =
        ids.iter().max().map_or(0, |id| usize::try_from(*id).unwrap_or(usize::MAX - 1) + 1);
    if needed > vocabulary {
        let what = "rows of the vocabulary that an id needs";
        return Err(PolicyError::Size { what, found: needed, expected: vocabulary });
    }
    let (mut parts, mut normalisers) = (Vec::new(), Vec::new());
    let at_once = to_usize(ROWS_AT_ONCE)?;
    for (states, ids) in states.f_split(ROWS_AT_ONCE, 0)?.iter().zip(ids.chunks(at_once)) {
        let rows = to_i64(ids.len());
        let picked = Tensor::f_zeros([rows], (Kind::Float, states.device()))?;
        let mut normaliser: Option<Tensor> = None;
        for block in blocks(head, ids, limit)? {
            let logits = block_logits(head, states, &block)?;
            let of_rows = logits.f_index(&[Some(&block.rows), Some(&block.columns)])?;
            let _ = picked.shallow_clone().f_index_copy_(0, &block.rows, &of_rows)?;
            let sum = log_sum_exp(&logits)?;
            normaliser = Some(match normaliser {
                None => sum,
                Some(before) => before.f_logaddexp(&sum)?,
            });
        }
        let normaliser = normaliser.ok_or(PolicyError::Empty { what: "the vocabulary" })?;
        parts.push(picked - &normaliser);
        normalisers.push(normaliser);
    }
    Ok((Tensor::f_cat(&parts, 0)?, Tensor::f_cat(&normalisers, 0)?))
}

/// Adds the gradient of `(logp · d_logp).sum()` to that of the head, if it is trained, and returns
/// that of the states, `[N, D]`; logits are computed again, block by block.
pub(super) fn backward(
    head: &Head,
    states: &Tensor,
    ids: &[i64],
    normaliser: &Tensor,
    d_logp: &Tensor,
    limit: i64,
) -> Result<Tensor, PolicyError> {
    let weight = head.weight();
    let trained = Trained::of(head)?;
    let _guard = tch::no_grad_guard();
    let mut d_states = Vec::new();
    let split = |tensor: &Tensor| tensor.f_split(ROWS_AT_ONCE, 0);
    let parts = split(states)?.into_iter().zip(split(normaliser)?).zip(split(d_logp)?);
    let at_once = to_usize(ROWS_AT_ONCE)?;
    for (((states, normaliser), d_logp), ids) in parts.zip(ids.chunks(at_once)) {
        let mut sum = states.f_zeros_like()?.f_to_kind(Kind::Float)?;
        for block in blocks(head, ids, limit)? {
            let mut logits = block_logits(head, &states, &block)?;
            let _ = logits.f_sub_(&normaliser.unsqueeze(1))?.f_exp_()?;
            let mut d_logits = logits.f_mul_(&-d_logp.unsqueeze(1))?; // [n, v]
            let at_ids = d_logp.f_index_select(0, &block.rows)?;
            let _ =
                d_logits.f_index_put_(&[Some(&block.rows), Some(&block.columns)], &at_ids, true)?;
            let d_logits = cast(&d_logits, head.kind())?;
            let rows = weight.f_narrow(0, block.start, block.len)?;
            let on_states = d_logits.f_matmul(&cast(&rows, head.kind())?)?;
            let _ = sum.f_add_(&on_states)?;
            if let Some((mut of_block, columns)) =
                trained.as_ref().map_or(Ok(None), |trained| trained.within(&block))?
            {
                let across = d_logits.f_narrow(1, columns.start, columns.end - columns.start)?;
                let across = across.f_transpose(0, 1)?;
                if head.kind() == of_block.kind() {
                    let _ = of_block.f_addmm_(&across, &states)?;
                } else {
                    let _ = of_block.f_add_(&across.f_matmul(&states)?)?;
                }
            }
        }
        d_states.push(sum);
    }
    Ok(Tensor::f_cat(&d_states, 0)?)
}

/// Logits `[n, v]` of a block, f32.
fn block_logits(head: &Head, states: &Tensor, block: &Block) -> Result<Tensor, PolicyError> {
    let rows = head.weight().f_narrow(0, block.start, block.len)?;
    let logits = states.f_linear(&cast(&rows, head.kind())?, None::<&Tensor>)?;
    cast(&logits, Kind::Float)
}

/// The rows of the head that are trained.
struct Trained {
    /// First id.
    start: i64,
    /// Their gradient, `[R, D]`.
    gradient: Tensor,
}

impl Trained {
    /// All rows, or those that are a weight of their own; `None` if no row is trained.
    fn of(head: &Head) -> Result<Option<Self>, PolicyError> {
        if head.weight().requires_grad() {
            return Ok(Some(Self { start: 0, gradient: gradient(head.weight())? }));
        }
        let Some(own) = head.own().filter(|own| own.leaf.requires_grad()) else { return Ok(None) };
        Ok(Some(Self { start: own.start, gradient: gradient(&own.leaf)? }))
    }

    /// The gradient of those rows that are in a block, and their columns in it.
    fn within(&self, block: &Block) -> Result<Option<(Tensor, Range<i64>)>, PolicyError> {
        let end = (self.start + self.gradient.size()[0]).min(block.start + block.len);
        let start = self.start.max(block.start);
        if start >= end {
            return Ok(None);
        }
        let rows = self.gradient.f_narrow(0, start - self.start, end - start)?;
        Ok(Some((rows, start - block.start..end - block.start)))
    }
}

/// The gradient of a leaf, made if there is none yet.
fn gradient(weight: &Tensor) -> Result<Tensor, PolicyError> {
    if !weight.grad().defined() {
        (weight.f_narrow(0, 0, 1)? * 0.0).f_sum(Kind::Float)?.f_backward()?;
    }
    Ok(weight.grad())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn blocks_give_the_values_and_gradients_of_a_log_softmax() {
        tch::manual_seed(5);
        let f32 = (Kind::Float, Device::Cpu);
        let weight = (Tensor::randn([37, 6], f32) * 2.0).set_requires_grad(true);
        let states = Tensor::randn([5, 6], f32).set_requires_grad(true);
        let ids = [36, 0, 7, 7, 35];
        let d_logp = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 0.25, 1.5]);
        let columns = Tensor::from_slice(&ids).unsqueeze(1);
        let plain = states.linear(&weight, None::<&Tensor>).log_softmax(-1, Kind::Float);
        let plain = plain.gather(1, &columns, false).squeeze_dim(1);
        (&plain * &d_logp).sum(Kind::Float).backward();
        let expected = [states.grad().copy(), weight.grad().copy()];

        let head = Head::new(weight.shallow_clone());
        let differ = |a: &Tensor, b: &Tensor| f64::try_from((a - b).abs().max()).unwrap();
        // Gradients are up to 5 large. Blocks of 1, 3, 12 ids; the whole vocabulary and more.
        for limit in [1, 16, 64, 5 * 37, 1000] {
            weight.shallow_clone().zero_grad();
            let (logp, normaliser) = logp(&head, &states, &ids, limit).unwrap();
            assert!(differ(&logp, &plain) < 1e-5);
            let found =
                backward(&head, &states.detach(), &ids, &normaliser, &d_logp, limit).unwrap();
            let worst = differ(&found, &expected[0]);
            assert!(worst < 5e-5, "states, limit {limit}: {worst}");
            let worst = differ(&weight.grad(), &expected[1]);
            assert!(worst < 5e-5, "weight, limit {limit}: {worst}");
            // Of some rows as a weight of their own, the same.
            let mut head = Head::new(weight.detach().copy());
            head.rows_mut().take_out(5..20).unwrap();
            let leaf = head.own().unwrap().leaf.shallow_clone().set_requires_grad(true);
            let of_states =
                backward(&head, &states.detach(), &ids, &normaliser, &d_logp, limit).unwrap();
            assert!(differ(&of_states, &found) == 0.0);
            let worst = differ(&leaf.grad(), &expected[1].narrow(0, 5, 15));
            assert!(worst < 5e-5, "rows, limit {limit}: {worst}");
        }
    }

    #[test]
    fn the_first_gradient_of_a_head_is_that_of_any_other_time() {
        tch::manual_seed(5);
        let f32 = (Kind::Float, Device::Cpu);
        let (weight, states) = (Tensor::randn([37, 6], f32), Tensor::randn([5, 6], f32));
        let (ids, d_logp) = ([36, 0, 7, 7, 35], Tensor::arange(5, f32) - 1.5);
        let run = |weight: &Tensor| {
            let head = Head::new(weight.shallow_clone());
            let (_, normaliser) = logp(&head, &states, &ids, 16).unwrap();
            let _ = backward(&head, &states, &ids, &normaliser, &d_logp, 16).unwrap();
            weight.grad().copy()
        };
        let weight = weight.set_requires_grad(true);
        assert!(!weight.grad().defined());
        let first = run(&weight);
        // Gradients add up.
        let both = run(&weight);
        let worst = f64::try_from((&first * 2.0 - both).abs().max()).unwrap();
        assert!(worst < 1e-5 && f64::try_from(first.abs().max()).unwrap() > 0.1, "{worst}");
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_an_error() {
        let head = Head::new(Tensor::ones([4, 2], (Kind::Float, Device::Cpu)));
        let states = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
        for limit in [1, 100] {
            assert!(logp(&head, &states, &[4], limit).is_err());
        }
    }
}
