//! Sampling Semantic IDs under a trie.

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sidereal_sid::{NodeId, Trie};

use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::decode::branches::{Branches, ChildScores, Onward, advance, child_scores, normaliser};
use crate::decode::conditions::Begin;
use crate::decode::sampling::{NO_TOKEN, NOTHING_TO_DRAW, Purpose, stream};
use crate::decode::{Conditions, Constraint, SamplingConfig, Scoring};
use crate::policy::Policy;
use crate::score::completions::CompletionToken;
use crate::score::target::Target;

/// Draws Semantic IDs of a catalogue from the policy.
///
/// Each code is drawn from the legal ones by `sampling`, so from their renormalised distribution
/// for any `scoring`. `scoring` says how the returned log-probabilities are normalised. A prompt is
/// read once for all its rollouts, and rollouts that agree so far are one branch. What is drawn
/// only depends on `seed`, the key of the prompt and the number of the rollout, up to the rounding
/// of logits.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a> {
    /// The policy.
    pub model: &'a dyn Policy,
    /// What may be written.
    pub constraint: &'a Constraint,
    /// How a code is drawn.
    pub sampling: SamplingConfig,
    /// How the returned log-probability of a code is normalised.
    pub scoring: Scoring,
    /// Seed of the draws.
    pub seed: u64,
}

/// A Semantic ID that was drawn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rollout {
    /// Node of the trie that its codes lead to: a leaf.
    pub node: NodeId,
    /// Flat token indices, the guide's codes included.
    pub tokens: Vec<u32>,
    /// Log-probability of each code after the guide under the model and the scoring, nats, at
    /// temperature 1: what [`group_logp`](crate::group_logp) computes.
    pub logp: Vec<f32>,
    /// Log-probability of each code after the guide under the distribution that it was drawn from:
    /// legal codes that are not excluded, with temperature and cuts. Without cuts and exclusions,
    /// this is the log-probability under a renormalised
    /// [`TokenLaw::of_draws`](crate::TokenLaw::of_draws).
    pub draw_logp: Vec<f64>,
}

impl Rollout {
    pub(super) fn begin(begin: &Begin<'_>, node: NodeId) -> Self {
        let tokens = begin.guide.to_vec();
        Self { node, tokens, logp: Vec::new(), draw_logp: Vec::new() }
    }

    /// Log-probability of the codes after the guide, nats.
    #[must_use]
    pub fn score(&self) -> f32 {
        self.logp.iter().sum()
    }

    /// The codes after the guide as targets of [`completion_logp`](crate::completion_logp).
    #[must_use]
    pub fn completion(&self, constraint: &Constraint) -> Vec<CompletionToken> {
        let trie = constraint.trie();
        let codes = &self.tokens[self.tokens.len() - self.logp.len()..];
        // The path to the leaf, from its end.
        let path = std::iter::successors(trie.parent(self.node), |node| trie.parent(*node));
        let mut targets: Vec<_> = path
            .zip(codes.iter().rev())
            .map(|(node, token)| CompletionToken::Scored(Target::Code { node, token: *token }))
            .collect();
        targets.reverse();
        targets
    }

    /// Adds one code of its node to the rollout.
    pub(super) fn push(&mut self, code: &Code) {
        self.node = code.node;
        self.tokens.push(code.token);
        self.logp.push(code.logp);
        self.draw_logp.push(code.draw_logp);
    }
}

/// A code that may follow a branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    pub(super) node: NodeId,
    pub(super) token: u32,
    pub(super) logp: f32,
    pub(super) draw_logp: f64,
}

/// The codes that may follow a branch, and their scores.
#[derive(Debug)]
pub(super) struct Legal {
    /// In the order of the trie; `draw_logp` is not yet known.
    pub(super) codes: Vec<Code>,
    /// The logits by which they are drawn, in the same order.
    pub(super) logits: Vec<f32>,
}

/// A rollout that is not complete.
#[derive(Debug)]
struct Open {
    rollout: Rollout,
    /// Its number in the group.
    place: usize,
    rng: ChaCha8Rng,
    /// Branch that it belongs to.
    slot: usize,
}

impl Sampler<'_> {
    /// For each prompt `num_rollouts` independent draws, in the order of their numbers; none if
    /// everything is excluded.
    ///
    /// # Errors
    /// [`PolicyError::Size`] if conditions and prompts differ in number, [`PolicyError::Empty`] for
    /// no rollouts, a guide that nothing follows, or logits that are not finite.
    pub fn sample(
        &self,
        prompts: &TokenBatch,
        conditions: &Conditions<'_>,
        num_rollouts: usize,
    ) -> Result<Vec<Vec<Rollout>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        conditions.begin_draws(self.constraint.trie(), prompts.rows()?)?;
        let start = self.model.read(prompts, &conditions.begun(prompts.rows()?))?;
        self.sample_from(start, conditions, num_rollouts)
    }

    /// As [`sample`](Self::sample), after prompts that were read before.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_from(
        &self,
        mut start: Box<dyn Branches + '_>,
        conditions: &Conditions<'_>,
        num_rollouts: usize,
    ) -> Result<Vec<Vec<Rollout>>, PolicyError> {
        let _guard = tch::no_grad_guard();
        if num_rollouts == 0 {
            return Err(PolicyError::Empty { what: "a group of rollouts" });
        }
        let trie = self.constraint.trie();
        let begins = conditions.begin_draws(trie, start.num_prompts())?;
        let mut open: Vec<Vec<Open>> = begins
            .iter()
            .map(|begin| {
                let rollouts = begin.node.into_iter().flat_map(|node| {
                    (0..num_rollouts).map(move |place| Open {
                        rollout: Rollout::begin(begin, node),
                        place,
                        rng: stream(self.seed, Purpose::Codes, begin.key, place),
                        slot: 0,
                    })
                });
                rollouts.collect()
            })
            .collect();
        let mut finished: Vec<Vec<(usize, Rollout)>> = vec![Vec::new(); begins.len()];
        loop {
            let nodes: Vec<Vec<NodeId>> = open.iter_mut().map(|open| nodes(open)).collect();
            let scores = child_scores(&*start, self.constraint, self.scoring, &nodes)?;
            let rule = self.rule(&scores);
            let next = open
                .par_iter_mut()
                .zip(&mut finished)
                .zip(&begins)
                .enumerate()
                .map(|(user, ((open, finished), begin))| {
                    for open in &mut *open {
                        let mut legal = rule.legal(&open.rollout, begin, user, open.slot);
                        let draw = rule.sampling.draw(&legal.logits, &mut open.rng);
                        let draw = draw.ok_or(NOTHING_TO_DRAW)?;
                        let code = &mut legal.codes[draw.index];
                        code.draw_logp = draw.logp;
                        open.rollout.push(code);
                    }
                    let whole = open.extract_if(.., |open| rule.trie.is_leaf(open.rollout.node));
                    finished.extend(whole.map(|open| (open.place, open.rollout)));
                    share_branches(open)
                })
                .collect::<Result<Vec<_>, PolicyError>>()?;
            if !advance(&mut *start, self.constraint, &next)? {
                break;
            }
        }
        let in_order = |mut group: Vec<(usize, Rollout)>| {
            group.sort_by_key(|(place, _)| *place);
            group.into_iter().map(|(_, rollout)| rollout).collect()
        };
        Ok(finished.into_iter().map(in_order).collect())
    }

    /// What parallel draws need.
    pub(super) const fn rule<'s>(&'s self, scores: &'s ChildScores) -> Rule<'s> {
        let Self { constraint, sampling, scoring, .. } = self;
        Rule { trie: constraint.trie(), scores, sampling: *sampling, scoring: *scoring }
    }
}

/// The part of a step without tensors, which runs for all prompts in parallel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) trie: &'a Trie,
    scores: &'a ChildScores,
    pub(super) sampling: SamplingConfig,
    scoring: Scoring,
}

impl Rule<'_> {
    /// What may follow a rollout on a branch.
    pub(super) fn legal(
        &self,
        rollout: &Rollout,
        begin: &Begin<'_>,
        user: usize,
        slot: usize,
    ) -> Legal {
        let children = self.trie.children(rollout.node);
        let all = self.scores.of(user, slot, rollout.tokens.len(), children.tokens);
        let normaliser = normaliser(self.scoring, all.clone());
        let codes = children.tokens.iter().zip(all).enumerate().map(|(k, (token, score))| Code {
            node: children.node(k),
            token: *token,
            logp: score - normaliser,
            draw_logp: 0.0,
        });
        let wanted =
            |code: &Code| begin.excluded.is_none_or(|excluded| !excluded.contains(code.node));
        let codes: Vec<Code> = codes.filter(wanted).collect();
        let logits = codes.iter().map(|code| code.logp).collect();
        Legal { codes, logits }
    }
}

impl OnBranch for Open {
    fn slot(&mut self) -> &mut usize {
        &mut self.slot
    }

    fn node(&self) -> NodeId {
        self.rollout.node
    }

    fn last(&self) -> Result<u32, PolicyError> {
        self.rollout.tokens.last().copied().ok_or(NO_TOKEN)
    }
}

/// A rollout on a branch, which it shares with all rollouts that agree with it so far.
pub(super) trait OnBranch {
    /// The branch.
    fn slot(&mut self) -> &mut usize;
    /// Node of the trie that it has reached.
    fn node(&self) -> NodeId;
    /// Flat token that was drawn last; an error before the first one.
    fn last(&self) -> Result<u32, PolicyError>;
}

/// Node of each branch of a prompt.
pub(super) fn nodes(open: &mut [impl OnBranch]) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    for open in open {
        let (slot, node) = (*open.slot(), open.node());
        if nodes.len() <= slot {
            nodes.resize(slot + 1, Trie::ROOT);
        }
        nodes[slot] = node;
    }
    nodes
}

/// Rollouts that were on one branch and drew the same token get one branch.
pub(super) fn share_branches(open: &mut [impl OnBranch]) -> Result<Vec<Onward>, PolicyError> {
    let mut next: Vec<Onward> = Vec::new();
    for open in open {
        let own = Onward { parent: *open.slot(), token: open.last()? };
        let shared = next.iter().position(|other| *other == own);
        *open.slot() = shared.unwrap_or_else(|| {
            next.push(own);
            next.len() - 1
        });
    }
    Ok(next)
}
