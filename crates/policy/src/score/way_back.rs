//! The backward pass of log-probabilities of a language model, written by hand.

use tch::{Kind, Tensor};

use super::pass::LogpPass;
use super::target::Target;
use super::{check, target_logp, vocabulary};
use crate::PolicyError;
use crate::decode::constraint::{Constraint, Scoring};
use crate::models::head::{Head, LOGITS_AT_ONCE};
use crate::policy::LanguageModel;
use crate::weights::to_i64;

/// What [`target_pass`] computed, for its backward pass.
#[derive(Debug)]
struct HeadPass<'a> {
    head: &'a Head,
    /// The model's states `[N, D]`, with their graph.
    states: Tensor,
    /// Their values, as a leaf.
    leaf: Tensor,
    logp: Tensor,
    /// Targets that have a graph of their own.
    with_graph: Option<(Tensor, Tensor)>,
    /// Targets over the whole vocabulary that have none.
    by_blocks: Option<ByBlocks>,
    limit: i64,
}

#[derive(Debug)]
struct ByBlocks {
    rows: Tensor,
    ids: Vec<i64>,
    normaliser: Tensor,
}

/// Log-probabilities of `targets` given the states `[N, D]` before them, with the backward pass.
///
/// They are those of [`target_logp`], for training: the derivative of the objective by each of them
/// is passed to [`LogpPass::backward`] instead of a graph. In exchange, logits over the whole
/// vocabulary are not kept: more than 64 MiB of them are computed a block of the vocabulary at a
/// time, and once more in the backward pass, which then costs four matrix products instead of
/// three. Under `no_grad` only the log-probabilities are computed.
///
/// # Errors
/// As [`target_logp`].
pub fn target_pass<'a>(
    model: &'a dyn LanguageModel,
    constraint: &Constraint,
    states: Tensor,
    targets: &[Target],
    scoring: Scoring,
) -> Result<LogpPass<'a>, PolicyError> {
    pass_within(model, constraint, states, targets, scoring, LOGITS_AT_ONCE)
        .map(HeadPass::into_pass)
}

/// As [`target_pass`], with at most `limit` logits over the whole vocabulary at a time.
fn pass_within<'a>(
    model: &'a dyn LanguageModel,
    constraint: &Constraint,
    states: Tensor,
    targets: &[Target],
    scoring: Scoring,
    limit: i64,
) -> Result<HeadPass<'a>, PolicyError> {
    check(constraint.trie(), &states, targets)?;
    let head = model.head();
    let leaf = states.detach().set_requires_grad(states.requires_grad());
    let over_all = |target: &&Target| matches!(target, Target::Word(_)) || scoring == Scoring::Full;
    let wide = to_i64(targets.iter().filter(over_all).count());
    let in_blocks = wide * head.weight().size()[0] > limit;
    let (blocked, rest): (Vec<usize>, Vec<usize>) =
        (0..targets.len()).partition(|row| in_blocks && over_all(&&targets[*row]));
    let mut logp = Tensor::f_zeros([to_i64(targets.len())], (Kind::Float, states.device()))?;
    let index = |rows: &[usize]| {
        let rows: Vec<i64> = rows.iter().map(|row| to_i64(*row)).collect();
        Tensor::from_slice(&rows).to_device(states.device())
    };
    let mut with_graph = None;
    if !rest.is_empty() {
        let rows = index(&rest);
        let picked: Vec<Target> = rest.iter().map(|row| targets[*row]).collect();
        let found =
            target_logp(model, constraint, &leaf.f_index_select(0, &rows)?, &picked, scoring)?;
        let _ = logp.f_index_copy_(0, &rows, &found.detach())?;
        with_graph = Some((rows, found));
    }
    let mut by_blocks = None;
    if !blocked.is_empty() {
        let rows = index(&blocked);
        let ids: Vec<i64> = blocked.iter().map(|row| targets[*row].id(constraint).into()).collect();
        let picked = leaf.detach().f_index_select(0, &rows)?;
        let (found, normaliser) = vocabulary::logp(head, &picked, &ids, limit)?;
        let _ = logp.f_index_copy_(0, &rows, &found)?;
        by_blocks = Some(ByBlocks { rows, ids, normaliser });
    }
    Ok(HeadPass { head, states, leaf, logp, with_graph, by_blocks, limit })
}

impl<'a> HeadPass<'a> {
    fn into_pass(self) -> LogpPass<'a> {
        let logp = self.logp.shallow_clone();
        LogpPass::new(logp, move |d_logp| self.backward(d_logp))
    }

    /// Adds the gradient of `(logp · d_logp).sum()` to the weights' gradients.
    fn backward(self, d_logp: &Tensor) -> Result<(), PolicyError> {
        if let Some((rows, logp)) = &self.with_graph
            && logp.requires_grad()
        {
            let d_logp = d_logp.f_index_select(0, rows)?;
            (logp * d_logp).f_sum(Kind::Float)?.f_backward()?;
        }
        // The gradient that the graphs above have added at the leaf, and the part of the blocks.
        let mut d_states = self.leaf.grad();
        if let Some(ByBlocks { rows, ids, normaliser }) = &self.by_blocks {
            let picked = self.leaf.detach().f_index_select(0, rows)?;
            let d_logp = d_logp.f_index_select(0, rows)?;
            let part =
                vocabulary::backward(self.head, &picked, ids, normaliser, &d_logp, self.limit)?;
            let mut sum = self.leaf.detach().f_zeros_like()?.f_to_kind(Kind::Float)?;
            let _ = sum.f_index_copy_(0, rows, &part)?;
            if d_states.defined() {
                let _ = sum.f_add_(&d_states)?;
            }
            d_states = sum;
        }
        if self.states.requires_grad() && d_states.defined() {
            (self.states * d_states).f_sum(Kind::Float)?.f_backward()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::{Catalog, SemanticId, SidSpec};
    use tch::Device;

    use super::*;
    use crate::cache::{KvCache, TokenBatch};
    use crate::score::target::code_targets;

    /// A head and nothing else.
    #[derive(Debug)]
    struct HeadOnly(Head);

    impl LanguageModel for HeadOnly {
        fn prefill(&self, _: &TokenBatch, _: &[usize]) -> Result<(Tensor, KvCache), PolicyError> {
            Err(PolicyError::Empty { what: "the model" })
        }

        fn extend(&self, _: &Tensor, _: &mut KvCache) -> Result<Tensor, PolicyError> {
            Err(PolicyError::Empty { what: "the model" })
        }

        fn head(&self) -> &Head {
            &self.0
        }

        fn positions(&self) -> Option<usize> {
            Some(0)
        }
    }

    #[test]
    fn the_backward_pass_equals_autograd_with_and_without_blocks() {
        tch::manual_seed(5);
        let f32 = (Kind::Float, Device::Cpu);
        let weight = (Tensor::randn([40, 6], f32) * 2.0).set_requires_grad(true);
        let under = Tensor::randn([7, 6], f32).set_requires_grad(true);
        let model = HeadOnly(Head::new(weight.shallow_clone()));
        let sids = [[0u16, 1], [0, 2], [1, 1]].map(|codes| SemanticId::from(codes.to_vec()));
        let catalog = Catalog::new(SidSpec::new(vec![3, 3], 2).unwrap(), sids.to_vec()).unwrap();
        let spec_tokens = u32::try_from(catalog.spec().num_tokens()).unwrap();
        let constraint =
            Constraint::from_ids(&catalog, (20..20 + spec_tokens).collect(), Device::Cpu).unwrap();
        let flat = catalog.spec().tokens(&catalog.sids()[1]).unwrap();
        let codes = code_targets(constraint.trie(), &[], &flat).unwrap();
        let words = [3, 39, 3].map(Target::Word);
        let targets = [&words[..1], &codes, &words[1..], &codes].concat();
        let d_logp = (Tensor::arange(7, f32) * 1.7).sin();
        let differ = |a: &Tensor, b: &Tensor| f64::try_from((a - b).abs().max()).unwrap();
        let gradients = || {
            let found = [under.grad().copy(), weight.grad().copy()];
            for leaf in [&under, &weight] {
                leaf.shallow_clone().zero_grad();
            }
            found
        };
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            let plain = target_logp(&model, &constraint, &under.tanh(), &targets, scoring).unwrap();
            (&plain * &d_logp).sum(Kind::Float).backward();
            let expected = gradients();
            for limit in [50, 1000] {
                let states = under.tanh();
                let pass =
                    pass_within(&model, &constraint, states, &targets, scoring, limit).unwrap();
                assert_eq!(pass.by_blocks.is_some(), limit == 50);
                let pass = pass.into_pass();
                assert!(differ(pass.logp(), &plain) < 1e-5);
                pass.backward(&d_logp).unwrap();
                for (found, expected) in gradients().iter().zip(&expected) {
                    let worst = differ(found, expected);
                    assert!(worst < 1e-5, "{scoring:?}, limit {limit}: {worst}");
                }
            }
        }
        // A head alone learns from states that have no graph.
        let states = || under.detach().tanh();
        let plain = target_logp(&model, &constraint, &states(), &targets, Scoring::Full).unwrap();
        (&plain * &d_logp).sum(Kind::Float).backward();
        let expected = gradients();
        let pass = pass_within(&model, &constraint, states(), &targets, Scoring::Full, 50).unwrap();
        pass.into_pass().backward(&d_logp).unwrap();
        assert!(differ(&gradients()[1], &expected[1]) < 1e-5);
        let pass = target_pass(&model, &constraint, under.tanh(), &targets, Scoring::Full).unwrap();
        assert!(matches!(pass.backward(&d_logp.narrow(0, 0, 3)), Err(PolicyError::Size { .. })));
    }
}
