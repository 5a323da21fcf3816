//! The first level. All positions choose from its nodes, so it is computed by products of matrices.

use tch::{Kind, Tensor};

use super::ItemPolicy;
use super::branches::host;
use super::host::sums::add;
use super::kernel::{Choice, TableGradients};
use super::tables::gradient;
use super::vectors::indices;
use crate::PolicyError;
use crate::weights::to_i64;

impl ItemPolicy {
    /// The choices of the first level: the summed loss, and the log-probabilities `[n, M₀]`.
    pub(super) fn first_level(
        &self,
        states: &Tensor,
        choices: &[Choice],
    ) -> Result<(f64, Tensor), PolicyError> {
        let _guard = tch::no_grad_guard();
        let rows: Vec<usize> = self.tree.level(0).collect();
        let bias = self.bias.f_narrow(0, 0, to_i64(rows.len()))?;
        let vectors = self.node_vectors(&rows)?;
        let logits = states.f_matmul(&vectors.f_transpose(0, 1)?)? + bias;
        let logp = logits.f_log_softmax(-1, Kind::Float)?;
        if choices.is_empty() {
            return Ok((0.0, logp)); // a root with one child
        }
        let picked = logp.f_gather(1, &targets(choices, states), false)?;
        Ok((-picked.f_sum(Kind::Double)?.f_double_value(&[])?, logp))
    }

    /// Adds the first level's derivatives by the tables and returns those by its states, `[n, D]`.
    pub(super) fn first_level_back(
        &self,
        states: &Tensor,
        logp: &Tensor,
        choices: &[Choice],
        slope: f64,
        out: &mut TableGradients,
    ) -> Result<Tensor, PolicyError> {
        let _guard = tch::no_grad_guard();
        if choices.is_empty() {
            return Ok(states.f_zeros_like()?);
        }
        let rows: Vec<usize> = self.tree.level(0).collect();
        let targets = targets(choices, states);
        let ones = Tensor::f_ones(targets.size(), (Kind::Float, states.device()))?;
        let d_logits = (logp.f_exp()?.f_scatter_add(1, &targets, &-ones)?) * slope; // [n, M₀]
        let d_vectors = d_logits.f_transpose(0, 1)?.f_matmul(&states.detach())?; // [M₀, D]
        add(&mut out.base[..rows.len() * self.config.hidden_size], 1.0, &host(&d_vectors)?);
        let d_bias = d_logits.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        add(&mut out.bias[..rows.len()], 1.0, &host(&d_bias)?);
        if let (Some(text), Some((levels, _))) = (self.features.text(), &self.text)
            && levels.requires_grad()
        {
            let texts = text.nodes.f_narrow(0, 0, to_i64(rows.len()))?;
            let _ = gradient(levels)?.get(0).f_addmm_(&texts.f_transpose(0, 1)?, &d_vectors)?;
        }
        Ok(d_logits.f_matmul(&self.node_vectors(&rows)?)?)
    }
}

/// Columns `[n, 1]` of the right nodes of the first level. All positions choose, because the root
/// has children.
fn targets(choices: &[Choice], states: &Tensor) -> Tensor {
    let targets = choices.iter().map(|choice| to_i64(choice.target));
    indices(targets, states.device()).unsqueeze(1)
}
