//! Sampling Semantic IDs without replacement.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sidereal_sid::NodeId;

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::{Branches, Onward, advance, child_scores};
use crate::decode::conditions::Begin;
use crate::decode::sample::{Legal, Rollout, Rule};
use crate::decode::sampling::{NO_TOKEN, NOTHING_TO_DRAW, Purpose, stream};
use crate::decode::{Conditions, Sampler};

/// A Semantic ID that was drawn without replacement.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DistinctRollout {
    /// What was drawn.
    pub rollout: Rollout,
    /// Its log-probability plus a Gumbel(0) variable of its own, nats: a prompt's draws are those
    /// whose values are the largest.
    pub perturbed: f64,
}

/// A prefix among the largest.
#[derive(Debug, Clone)]
struct Prefix {
    rollout: Rollout,
    /// Sum of the log-probabilities of what was drawn.
    phi: f64,
    /// The largest perturbed log-probability after it.
    perturbed: f64,
    /// Branch that it belongs to, or continues.
    slot: usize,
}

impl Sampler<'_> {
    /// For each prompt up to `num_draws` distinct Semantic IDs, drawn one after the other without
    /// replacement from what [`sample`](Self::sample) draws from, the first drawn first; fewer if
    /// there are fewer.
    ///
    /// Stochastic beam search, the Gumbel-top-k trick on a tree (Kool, van Hoof & Welling 2019,
    /// algorithm 1), exact at the cost of a beam search of width `num_draws`. Deviation: the value
    /// of the root is drawn from Gumbel(0) instead of being set to 0, so that `perturbed` is
    /// `log p` plus a standard Gumbel variable for every draw.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_distinct(
        &self,
        prompts: &TokenBatch,
        conditions: &Conditions<'_>,
        num_draws: usize,
    ) -> Result<Vec<Vec<DistinctRollout>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        conditions.begin_draws(self.constraint.trie(), prompts.rows()?)?;
        let start = self.model.read(prompts, &conditions.begun(prompts.rows()?))?;
        self.sample_distinct_from(start, conditions, num_draws)
    }

    /// As [`sample_distinct`](Self::sample_distinct), after prompts that were read before.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_distinct_from(
        &self,
        mut start: Box<dyn Branches + '_>,
        conditions: &Conditions<'_>,
        num_draws: usize,
    ) -> Result<Vec<Vec<DistinctRollout>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        if num_draws == 0 {
            return Err(PolicyError::Empty { what: "a group of rollouts" });
        }
        let trie = self.constraint.trie();
        let begins = conditions.begin_draws(trie, start.num_prompts())?;
        let mut rngs: Vec<ChaCha8Rng> =
            begins.iter().map(|begin| stream(self.seed, Purpose::Distinct, begin.key, 0)).collect();
        let mut open: Vec<Vec<Prefix>> = begins
            .iter()
            .zip(&mut rngs)
            .map(|(begin, rng)| {
                let perturbed = gumbel(rng);
                let root = |node| Prefix {
                    rollout: Rollout::begin(begin, node),
                    phi: 0.0,
                    perturbed,
                    slot: 0,
                };
                begin.node.map(root).into_iter().collect()
            })
            .collect();
        let mut finished: Vec<Vec<Prefix>> = vec![Vec::new(); begins.len()];
        loop {
            let node = |prefix: &Prefix| prefix.rollout.node;
            let nodes: Vec<Vec<NodeId>> =
                open.iter().map(|open| open.iter().map(node).collect()).collect();
            let scores = child_scores(&*start, self.constraint, self.scoring, &nodes)?;
            let rule = self.rule(&scores);
            let next = open
                .par_iter_mut()
                .zip(&mut finished)
                .zip(begins.par_iter().zip(&mut rngs))
                .enumerate()
                .map(|(user, ((open, finished), (begin, rng)))| {
                    let mut all = std::mem::take(finished);
                    for prefix in open.drain(..) {
                        all.extend(rule.continuations(&prefix, begin, user, rng)?);
                    }
                    all.sort_by(|a, b| b.perturbed.total_cmp(&a.perturbed));
                    all.truncate(num_draws);
                    let whole = |prefix: &Prefix| rule.trie.is_leaf(prefix.rollout.node);
                    (*finished, *open) = all.into_iter().partition(whole);
                    let onward = |(slot, prefix): (usize, &mut Prefix)| {
                        let parent = std::mem::replace(&mut prefix.slot, slot);
                        let token = *prefix.rollout.tokens.last().ok_or(NO_TOKEN)?;
                        Ok(Onward { parent, token })
                    };
                    open.iter_mut().enumerate().map(onward).collect()
                })
                .collect::<Result<Vec<Vec<Onward>>, PolicyError>>()?;
            if !advance(&mut *start, self.constraint, &next)? {
                break;
            }
        }
        let draw =
            |Prefix { rollout, perturbed, .. }: Prefix| DistinctRollout { rollout, perturbed };
        Ok(finished.into_iter().map(|group| group.into_iter().map(draw).collect()).collect())
    }
}

impl Rule<'_> {
    /// What may follow a prefix, with perturbed values whose largest is the prefix's.
    fn continuations(
        &self,
        prefix: &Prefix,
        begin: &Begin<'_>,
        user: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Prefix>, PolicyError> {
        let Legal { mut codes, logits } = self.legal(&prefix.rollout, begin, user, prefix.slot);
        let mut drawn = self.sampling.distribution(&logits);
        if drawn.is_empty() {
            return Err(NOTHING_TO_DRAW);
        }
        // In the order of the codes, so that each code always gets the same random number.
        drawn.sort_unstable_by_key(|(index, _)| *index);
        let own: Vec<f64> = drawn.iter().map(|(_, logp)| prefix.phi + logp + gumbel(rng)).collect();
        let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let longer = drawn.into_iter().zip(own).map(|((index, logp), own)| {
            let code = &mut codes[index];
            code.draw_logp = logp;
            let mut rollout = prefix.rollout.clone();
            rollout.push(code);
            let perturbed = below(prefix.perturbed, own, largest);
            Prefix { rollout, phi: prefix.phi + logp, perturbed, slot: prefix.slot }
        });
        Ok(longer.collect())
    }
}

/// A standard Gumbel variable.
fn gumbel(rng: &mut impl Rng) -> f64 {
    let uniform: f64 = rng.sample(rand::distributions::Open01);
    -(-uniform.ln()).ln()
}

/// `own`, one of several independent Gumbel variables whose largest is `largest`, given that their
/// largest is `bound` instead (Kool et al. 2019, appendix B.3):
///
/// ```text
/// −ln(e^−bound − e^−largest + e^−own) = bound − max(0, v) − ln(1 + e^−|v|)
/// v = bound − own + ln(1 − e^(own − largest))
/// ```
fn below(bound: f64, own: f64, largest: f64) -> f64 {
    let v = bound - own + (-(own - largest).exp_m1()).ln();
    bound - v.max(0.0) - (-v.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_meets_the_bound_and_the_others_keep_their_order() {
        let own = [-3.0, 1.5, 0.2, -40.0, 1.4999];
        for bound in [-7.0, 0.0, 1.5, 9.0] {
            let moved = own.map(|own| below(bound, own, 1.5));
            assert!((moved[1] - bound).abs() < 1e-12);
            for (a, x) in own.iter().zip(moved) {
                assert!(x.is_finite() && x <= bound + 1e-12, "{x}");
                let plain = -((-bound).exp() - (-1.5f64).exp() + (-a).exp()).ln();
                assert!((x - plain).abs() < 1e-6 * x.abs().max(1.0), "{x} {plain}");
                for (b, y) in own.iter().zip(moved) {
                    assert!((a < b) == (x < y), "{a} {b}");
                }
            }
        }
    }
}
