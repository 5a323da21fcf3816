//! Rollouts that are written at once, without reasoning: Semantic IDs, or titles.

use sidereal_policy::{
    BeamSearch, CompletionToken, Conditions, Constraint, Excluded, Hypothesis, Policy, Rollout,
    Sampler, Scoring, Target, TokenBatch,
};
use sidereal_rl::{distinct_first, select_distinct};
use sidereal_sid::{NodeId, SemanticId};

use super::rollout::PromptGroup;
use super::{AnswerKind, Rl, RolloutConfig};
use crate::TrainError;
use crate::encode::scored_codes;
use crate::titles::TitleTrie;

/// What may be written, and how it is found.
struct Space<'a> {
    constraint: &'a Constraint,
    excluded: &'a Excluded,
    scoring: Scoring,
    /// What an answer is compared by.
    identity: &'a dyn Fn(&Answer) -> SemanticId,
}

/// A leaf that was written.
struct Answer {
    node: NodeId,
    /// Flat tokens, those of the guide included.
    tokens: Vec<u32>,
}

impl From<Hypothesis> for Answer {
    fn from(beam: Hypothesis) -> Self {
        Self { node: beam.node, tokens: beam.tokens }
    }
}

impl From<Rollout> for Answer {
    fn from(rollout: Rollout) -> Self {
        Self { node: rollout.node, tokens: rollout.tokens }
    }
}

impl Rl<'_> {
    /// Draws all these groups anew, after their guides, each under the trie of its answers.
    pub(super) fn draw_direct(
        &self,
        model: &dyn Policy,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        let (mut titles, mut sids): (Vec<_>, Vec<_>) =
            groups.iter_mut().map(|group| &mut **group).partition(|group| group.is_title());
        if !sids.is_empty() {
            self.draw_sids(model, &mut sids, seed)?;
        }
        if !titles.is_empty() {
            self.draw_titles(model, &mut titles, seed)?;
        }
        Ok(())
    }

    fn draw_sids(
        &self,
        model: &dyn Policy,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        let Self { constraint, .. } = *self;
        let identity = |answer: &Answer| self.semantic_id(&answer.tokens);
        let space = Space {
            constraint,
            excluded: &Excluded::default(),
            scoring: self.config.scoring,
            identity: &identity,
        };
        let found = self.answers_of(&space, model, groups, seed)?;
        for (group, answers) in groups.iter_mut().zip(found) {
            group.sids = answers.iter().map(identity).collect();
            let begun = group.guide.len();
            let scored = |answer: &Answer| {
                scored_codes(constraint.trie(), &group.guide, &answer.tokens[begun..])
            };
            group.completions = answers.iter().map(scored).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// Draws titles: their tokens, the end included, are words, which are scored against the whole vocabulary
    /// whatever `scoring` says of codes. No guide leads to them.
    fn draw_titles(
        &self,
        model: &dyn Policy,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        let titles = self.titles()?;
        let constraint = titles.constraint();
        let identity = |answer: &Answer| TitleTrie::identity(answer.node);
        let space = Space {
            constraint,
            excluded: titles.untitled(),
            scoring: Scoring::Full,
            identity: &identity,
        };
        let found = self.answers_of(&space, model, groups, seed)?;
        let word = |token: &u32| CompletionToken::Scored(Target::Word(constraint.id(*token)));
        for (group, answers) in groups.iter_mut().zip(found) {
            group.sids = answers.iter().map(identity).collect();
            let words = |answer: &Answer| answer.tokens.iter().map(word).collect();
            group.completions = answers.iter().map(words).collect();
        }
        Ok(())
    }

    /// The titles that prompts ask for.
    pub(super) fn titles(&self) -> Result<&TitleTrie, TrainError> {
        self.titles.ok_or_else(|| TrainError::Setting {
            field: format!("stage.{}.rl.alignment", self.stage),
            found: "prompts that titles answer, without the titles".to_owned(),
            needed: "the titles of the items",
        })
    }

    /// Rollouts of each group, as `rollout` finds them.
    fn answers_of(
        &self,
        space: &Space<'_>,
        model: &dyn Policy,
        groups: &[&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<Vec<Vec<Answer>>, TrainError> {
        let limit = model.longest_prompt(0);
        let ids: Vec<&[u32]> = groups.iter().map(|group| group.ids.as_slice()).collect();
        let prompts = TokenBatch::new(&ids, self.pad, limit, model.device())?;
        let guides: Vec<&[u32]> = groups.iter().map(|group| group.guide.as_slice()).collect();
        let keys: Vec<u64> = groups.iter().map(|group| group.key).collect();
        let excluded = vec![space.excluded.clone(); groups.len()];
        let conditions =
            Conditions { keys: &keys, excluded: &excluded, ..Conditions::guided(&guides) };
        let size = self.config.group_size;
        let Space { constraint, scoring, .. } = *space;
        let sampler = |sampling| Sampler {
            model,
            constraint,
            sampling,
            scoring,
            seed: u64::from_le_bytes(seed.to_le_bytes()),
        };
        let all = |found: Vec<Vec<Rollout>>| -> Vec<Vec<Answer>> {
            found.into_iter().map(|drawn| drawn.into_iter().map(Answer::from).collect()).collect()
        };
        Ok(match self.config.rollout {
            RolloutConfig::Exact => {
                return Err(TrainError::Setting {
                    field: format!("stage.{}.rl.rollout", self.stage),
                    found: "`exact` for a step that draws".to_owned(),
                    needed: "rollouts",
                });
            }
            RolloutConfig::Beam => {
                let search = BeamSearch { model, constraint, beam_width: size, scoring };
                let found = search.search_under(&prompts, &conditions)?;
                let answers = |beams: Vec<Hypothesis>| beams.into_iter().map(Answer::from);
                found.into_iter().map(|beams| answers(beams).collect()).collect()
            }
            RolloutConfig::Sample(sampling) => {
                all(sampler(sampling).sample(&prompts, &conditions, size)?)
            }
            RolloutConfig::Dynamic(sampling) | RolloutConfig::DynamicHitFirst(sampling) => {
                let knows = matches!(self.config.rollout, RolloutConfig::DynamicHitFirst(_));
                let more = (3 * size).div_ceil(2);
                let drawn = all(sampler(sampling).sample(&prompts, &conditions, more)?);
                let distinct = |(group, drawn): (&&mut PromptGroup<'_>, Vec<Answer>)| {
                    let names: Vec<SemanticId> = drawn.iter().map(space.identity).collect();
                    let kept = if knows {
                        select_distinct(&group.target, &names, size)
                    } else {
                        distinct_first(&names, size)
                    };
                    let mut drawn: Vec<Option<Answer>> = drawn.into_iter().map(Some).collect();
                    kept.into_iter().filter_map(|index| drawn[index].take()).collect()
                };
                groups.iter().zip(drawn).map(distinct).collect()
            }
            RolloutConfig::GumbelTopK(sampling) => {
                let drawn = sampler(sampling).sample_distinct(&prompts, &conditions, size)?;
                let rollouts = drawn.into_iter();
                all(rollouts
                    .map(|draws| draws.into_iter().map(|draw| draw.rollout).collect())
                    .collect())
            }
        })
    }
}

impl PromptGroup<'_> {
    /// Whether titles answer it.
    pub(super) fn is_title(&self) -> bool {
        self.prompt.answer == AnswerKind::Title
    }
}
