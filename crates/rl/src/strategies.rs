//! Property-test strategies: groups with every prefix length, tries, rewards, ragged log-probs.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_sid::{Catalog, Code, SemanticId, Trie};

use crate::{Group, RlError, RolloutBatch, Segments};

/// An owned group; prints in Semantic-ID notation.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupCase {
    /// The answer.
    pub target: SemanticId,
    /// The rollouts, in generation order.
    pub rollouts: Vec<SemanticId>,
}

impl GroupCase {
    /// The group, hard if no rollout hits.
    #[must_use]
    pub fn group(&self) -> Group<'_> {
        Group::new(&self.target, &self.rollouts)
    }
}

impl fmt::Display for GroupCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "target {}, rollouts", named(&self.target))?;
        for (at, rollout) in self.rollouts.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { "" } else { "," }, named(rollout))?;
        }
        f.write_str(if self.rollouts.is_empty() { " none" } else { "" })
    }
}

impl fmt::Debug for GroupCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn named(sid: &SemanticId) -> String {
    if sid.is_empty() { "(no Semantic ID)".to_owned() } else { sid.to_string() }
}

/// Number of codes of each level: at least two, so that a rollout can leave the target anywhere.
fn codebook_sizes() -> impl Strategy<Value = Vec<Code>> {
    vec(2..=16 as Code, 1..=4)
}

fn codes(sizes: &[Code]) -> Vec<std::ops::Range<Code>> {
    sizes.iter().map(|size| 0..*size).collect()
}

/// `tail` made to share exactly `len` codes with `target`.
fn diverging(target: &[Code], tail: &[Code], len: usize, sizes: &[Code]) -> SemanticId {
    let code = |(level, code): (usize, &Code)| match level {
        _ if level < len => target[level],
        _ if level == len && *code == target[level] => (*code + 1) % sizes[level],
        _ => *code,
    };
    tail.iter().enumerate().map(code).collect()
}

/// A group of up to `max_rollouts` rollouts of the target's length, 1 to 4 levels. Prefix lengths are
/// drawn uniformly from 0 to `L`, and now and then a rollout names no Semantic ID.
pub fn group_case(max_rollouts: usize) -> impl Strategy<Value = GroupCase> {
    codebook_sizes().prop_flat_map(move |sizes| {
        let kind = prop_oneof![15 => (0..=sizes.len()).prop_map(Some), 1 => Just(None)];
        let rollouts = vec((codes(&sizes), kind), 0..=max_rollouts);
        (codes(&sizes), rollouts).prop_map(move |(target, drawn)| {
            let rollout = |(tail, len): (Vec<Code>, Option<usize>)| {
                len.map_or_else(SemanticId::default, |len| diverging(&target, &tail, len, &sizes))
            };
            let rollouts = drawn.into_iter().map(rollout).collect();
            GroupCase { target: target.into(), rollouts }
        })
    })
}

/// A group that holds every prefix length from 0 to `L` once, in any order.
pub fn ladder() -> impl Strategy<Value = GroupCase> {
    codebook_sizes().prop_flat_map(|sizes| {
        let tails = vec(codes(&sizes), sizes.len() + 1);
        let order = Just((0..=sizes.len()).collect::<Vec<_>>()).prop_shuffle();
        (codes(&sizes), tails, order).prop_map(move |(target, tails, order)| {
            let rung = |(tail, len): (&Vec<Code>, usize)| diverging(&target, tail, len, &sizes);
            let rollouts = tails.iter().zip(order).map(rung).collect();
            GroupCase { target: target.into(), rollouts }
        })
    })
}

/// A group whose target and rollouts are Semantic IDs of `catalog`, as constrained decoding gives.
pub fn group_in(
    catalog: &Catalog,
    max_rollouts: usize,
) -> impl Strategy<Value = GroupCase> + use<> {
    let sids = catalog.sids().to_vec();
    let item = 0..sids.len();
    (item.clone(), vec(item, 0..=max_rollouts)).prop_map(move |(target, drawn)| GroupCase {
        target: sids[target].clone(),
        rollouts: drawn.into_iter().map(|item| sids[item].clone()).collect(),
    })
}

/// A catalogue of 1 to `max_items` items and its trie.
pub fn trie(max_items: usize) -> impl Strategy<Value = (Catalog, Trie)> {
    sidereal_sid::strategies::catalog(max_items).prop_map(|catalog| {
        let trie = Trie::from_catalog(&catalog);
        (catalog, trie)
    })
}

/// Rewards of up to 5 ragged groups of 0 to 8 rollouts, multiples of 1/8 in `[-2, 2]`, often equal.
pub fn rewards() -> impl Strategy<Value = (Vec<f64>, Segments)> {
    let reward = prop_oneof![(-16i8..=16).prop_map(|eighths| f64::from(eighths) / 8.0), Just(0.0)];
    ragged(reward)
}

/// As [`rewards`], but any floats at all: NaN, infinities, denormals; in half of the cases any
/// finite ones, so that not all are rejected by the first checks.
pub fn any_rewards() -> impl Strategy<Value = (Vec<f64>, Segments)> {
    any::<bool>().prop_flat_map(|finite| {
        ragged(any_float().prop_map(move |x| if finite && !x.is_finite() { -1.0 } else { x }))
    })
}

/// Any float, the special ones often.
pub fn any_float() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        proptest::num::f64::ANY,
        -30.0..30.0f64,
        prop::sample::select(vec![0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]),
    ]
}

fn ragged(value: impl Strategy<Value = f64>) -> impl Strategy<Value = (Vec<f64>, Segments)> {
    vec(vec(value, 0..=8), 0..=5).prop_map(|groups| {
        let lens = Segments::from_lens(groups.iter().map(Vec::len));
        (groups.concat(), lens)
    })
}

/// Owned log-probs of ragged rollouts, with all that any objective may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct LogpCase {
    /// Tokens of each rollout.
    pub tokens: Segments,
    /// Log-probs under the policy being trained, `[N]`.
    pub logp: Vec<f64>,
    /// Log-probs under the policy that generated, `[N]`.
    pub old_logp: Vec<f64>,
    /// Log-probs under the reference, `[N]`.
    pub ref_logp: Vec<f64>,
    /// Advantages, `[R]`.
    pub advantages: Vec<f64>,
    /// Diversities, `[R]`.
    pub diversities: Vec<f64>,
    /// Their running target.
    pub diversity_target: f64,
}

impl LogpCase {
    /// The batch with reference and diversities.
    ///
    /// # Errors
    /// Those of [`RolloutBatch`], if a field was made wrong or is not finite.
    pub fn batch(&self) -> Result<RolloutBatch<'_>, RlError> {
        RolloutBatch::new(&self.tokens, &self.logp, &self.old_logp, &self.advantages)?
            .with_reference(&self.ref_logp)?
            .with_diversities(&self.diversities, self.diversity_target)
    }

    /// The rollouts `rollouts` as a case of their own.
    #[must_use]
    pub fn part(&self, rollouts: std::ops::Range<usize>) -> Self {
        let offsets = &self.tokens.offsets()[rollouts.start..=rollouts.end];
        let tokens = offsets[0]..offsets[offsets.len() - 1];
        Self {
            tokens: Segments::from_lens(offsets.windows(2).map(|pair| pair[1] - pair[0])),
            logp: self.logp[tokens.clone()].to_vec(),
            old_logp: self.old_logp[tokens.clone()].to_vec(),
            ref_logp: self.ref_logp[tokens].to_vec(),
            advantages: self.advantages[rollouts.clone()].to_vec(),
            diversities: self.diversities[rollouts].to_vec(),
            diversity_target: self.diversity_target,
        }
    }
}

/// Up to `max_rollouts` rollouts of 0 to 6 tokens: log-probs in `[-6, 0]`, old and reference ones
/// within 1 of the new, advantages in `[-3, 3]`, diversities and target in `[0, 3]`.
pub fn logp_case(max_rollouts: usize) -> impl Strategy<Value = LogpCase> {
    logps(max_rollouts, (-6.0..0.0f64, -1.0..1.0f64, -1.0..1.0f64), -3.0..3.0f64, 0.0..3.0f64)
}

/// As [`logp_case`], but any floats at all; in half of the cases any finite ones, so that not all
/// are rejected by the first checks.
pub fn any_logp_case(max_rollouts: usize) -> impl Strategy<Value = LogpCase> {
    any::<bool>().prop_flat_map(move |finite| {
        let float = any_float().prop_map(move |x| if finite && !x.is_finite() { -1.0 } else { x });
        let token = (float.clone(), float.clone(), float.clone());
        // `logps` adds to the new log-prob; here the sums are as arbitrary as their terms.
        logps(max_rollouts, token, float.clone(), float).prop_map(move |mut case| {
            for value in case.old_logp.iter_mut().chain(&mut case.ref_logp) {
                *value = if finite { value.clamp(f64::MIN, f64::MAX) } else { *value };
            }
            case
        })
    })
}

fn logps(
    max_rollouts: usize,
    token: impl Strategy<Value = (f64, f64, f64)>,
    advantage: impl Strategy<Value = f64>,
    diversity: impl Strategy<Value = f64> + Clone,
) -> impl Strategy<Value = LogpCase> {
    let rollout = (vec(token, 0..=6), advantage, diversity.clone());
    (vec(rollout, 0..=max_rollouts), diversity).prop_map(|(rollouts, diversity_target)| {
        let each = |pick: fn(&(f64, f64, f64)) -> f64| {
            rollouts.iter().flat_map(|(tokens, ..)| tokens.iter().map(pick)).collect()
        };
        LogpCase {
            tokens: Segments::from_lens(rollouts.iter().map(|(tokens, ..)| tokens.len())),
            logp: each(|token| token.0),
            old_logp: each(|token| token.0 + token.1),
            ref_logp: each(|token| token.0 + token.2),
            advantages: rollouts.iter().map(|rollout| rollout.1).collect(),
            diversities: rollouts.iter().map(|rollout| rollout.2).collect(),
            diversity_target,
        }
    })
}
