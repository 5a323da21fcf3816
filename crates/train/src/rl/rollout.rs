//! Groups of rollouts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sidereal_policy::{
    CompletionToken, Policy, Rollout, SamplingConfig, Target, as_language_model,
};
use sidereal_sid::{ItemId, SemanticId};

use super::{AnswerKind, Rl, RlPrompt};
use crate::TrainError;
use crate::encode::{EncodedPrompt, Mode};
use crate::seed::step_seed;
use crate::slate::SlateAnswers;

/// How the rollouts of a group are found, under the trie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RolloutConfig {
    /// One beam search of width `G`; the group's order is that of the scores (SINGER). Beams are
    /// not samples of the policy: they are its most probable Semantic IDs.
    Beam,
    /// `G` independent draws; of slates too, each item without those that its slate holds.
    Sample(SamplingConfig),
    /// `⌈1.5·G⌉` independent draws, of which distinct ones, then repetitions are kept, each in the order
    /// of the draws (the dynamic sampling that SINGER compares with).
    Dynamic(SamplingConfig),
    /// The same, but a draw that is the target is kept before all others, as in public code. The paper does
    /// not say that the choice knows the target.
    DynamicHitFirst(SamplingConfig),
    /// `G` draws without replacement (Gumbel top-k).
    GumbelTopK(SamplingConfig),
    /// No rollouts: every Semantic ID of the catalogue with its probability, so that the gradient is that of
    /// the expected reward itself. Only for policies that know all probabilities, as those that read items.
    /// `group_size` has no effect.
    Exact,
}

impl Default for RolloutConfig {
    /// Independent draws at temperature 1: samples of the policy itself, which the estimators of all
    /// objectives assume.
    fn default() -> Self {
        Self::Sample(SamplingConfig::default())
    }
}

impl RolloutConfig {
    /// How tokens are drawn; temperature 1 for beams, which are found by their probabilities, and where
    /// nothing is drawn.
    pub(super) fn sampling(&self) -> SamplingConfig {
        match self {
            Self::Beam | Self::Exact => SamplingConfig::default(),
            Self::Sample(sampling)
            | Self::Dynamic(sampling)
            | Self::DynamicHitFirst(sampling)
            | Self::GumbelTopK(sampling) => *sampling,
        }
    }
}

/// The rollouts of one prompt.
#[derive(Debug)]
pub(super) struct PromptGroup<'p> {
    /// What was asked.
    pub(super) prompt: &'p RlPrompt,
    /// The group's name for random numbers: a prompt that comes twice in a step is drawn twice.
    pub(super) key: u64,
    /// The prompt's tokens and the guide's.
    pub(super) ids: Vec<u32>,
    /// Codes of the target that were given away, flat.
    pub(super) guide: Vec<u32>,
    /// Whether no rollout of the unguided group hits.
    pub(super) hard: bool,
    /// Whether it is left without a guide, because that would be the whole target.
    pub(super) unguided: bool,
    /// The target; of a title what titles are compared by.
    pub(super) target: SemanticId,
    /// What each rollout names, the guide's codes included, or the title that it is; nothing where it is a
    /// slate.
    pub(super) sids: Vec<SemanticId>,
    /// What each rollout lists; empty where none is a slate.
    pub(super) slates: Vec<Vec<ItemId>>,
    /// What each rollout wrote after the guide, or after the opening of its chain.
    pub(super) completions: Vec<Vec<CompletionToken>>,
    /// Of each rollout; empty for a prompt that is answered directly.
    pub(super) chains: Vec<WrittenChain>,
}

/// What a step records of the chain of a rollout.
#[derive(Debug)]
pub(super) struct WrittenChain {
    /// Tokens that were drawn.
    pub(super) drawn: usize,
    /// Whether it closed by itself.
    pub(super) closed: bool,
    /// Chain and answer, as rewards on texts read them.
    pub(super) text: String,
}

impl PromptGroup<'_> {
    /// Rollouts that say different things.
    pub(super) fn distinct(&self) -> usize {
        let (sids, slates) = (self.sids.iter(), self.slates.iter());
        let counts = [sids.collect::<BTreeSet<_>>().len(), slates.collect::<BTreeSet<_>>().len()];
        let [sids, slates] = counts;
        sids.max(slates)
    }

    /// Scored tokens of each rollout.
    pub(super) fn lens(&self) -> impl Iterator<Item = usize> + '_ {
        self.completions.iter().map(|tokens| {
            tokens.iter().filter(|token| matches!(token, CompletionToken::Scored(_))).count()
        })
    }
}

impl Rl<'_> {
    /// Draws a group for each prompt, hard prompts a second time after their guides.
    ///
    /// The guide shrinks with `step`, from 0, of all. `times` counts how often each prompt was
    /// drawn in this step.
    pub(super) fn groups<'p>(
        &self,
        model: &dyn Policy,
        prompts: &[&'p RlPrompt],
        step: usize,
        times: &mut BTreeMap<u64, u64>,
    ) -> Result<Vec<PromptGroup<'p>>, TrainError> {
        let mut key = |prompt: &EncodedPrompt| {
            let times = times.entry(prompt.key()).or_default();
            let key = prompt.key() ^ times.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
            *times += 1;
            key
        };
        let mut groups: Vec<PromptGroup<'p>> = prompts
            .iter()
            .map(|prompt| PromptGroup {
                prompt,
                key: key(&prompt.prompt),
                ids: prompt.prompt.ids.clone(),
                guide: Vec::new(),
                hard: false,
                unguided: false,
                target: self.sought_by(prompt),
                sids: Vec::new(),
                slates: Vec::new(),
                completions: Vec::new(),
                chains: Vec::new(),
            })
            .collect();
        let [seed, guided_seed] = [0, 1].map(|round| step_seed(self.seed, 2 * step + round));
        self.draw(model, &mut groups.iter_mut().collect::<Vec<_>>(), seed)?;
        let mut again = self.guided(&mut groups, step);
        if !again.is_empty() {
            self.draw(model, &mut again, guided_seed)?;
        }
        Ok(groups)
    }

    /// Draws all these groups, each in its mode.
    fn draw(
        &self,
        model: &dyn Policy,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        if let Some(slates) = &self.slates {
            return self.draw_slates(model, slates, groups, seed);
        }
        let direct = |group: &&mut PromptGroup<'_>| group.prompt.prompt.mode == Mode::Direct;
        let (mut direct, mut reasoned): (Vec<_>, Vec<_>) =
            groups.iter_mut().map(|group| &mut **group).partition(direct);
        if !direct.is_empty() {
            self.draw_direct(model, &mut direct, seed)?;
        }
        if !reasoned.is_empty() {
            self.draw_reasoned(model, &mut reasoned, seed)?;
        }
        Ok(())
    }

    /// Draws slates.
    fn draw_slates(
        &self,
        model: &dyn Policy,
        slates: &SlateAnswers<'_>,
        groups: &mut [&mut PromptGroup<'_>],
        seed: i64,
    ) -> Result<(), TrainError> {
        let RolloutConfig::Sample(sampling) = self.config.rollout else {
            return Err(TrainError::Setting {
                field: format!("stage.{}.rl.rollout", self.stage),
                found: format!("{:?}", self.config.rollout),
                needed: "`sample`, because slates are drawn",
            });
        };
        let prompts: Vec<&EncodedPrompt> =
            groups.iter().map(|group| &group.prompt.prompt).collect();
        let keys: Vec<u64> = groups.iter().map(|group| group.key).collect();
        let seed = u64::from_le_bytes(seed.to_le_bytes());
        let model = as_language_model(model, "slates")?;
        let found = slates.draw(model, &prompts, &keys, sampling, seed, self.config.group_size)?;
        for (group, written) in groups.iter_mut().zip(found) {
            group.sids = vec![SemanticId::default(); written.len()];
            (group.slates, group.completions) =
                written.into_iter().map(|slate| (slate.items, slate.completion)).unzip();
        }
        Ok(())
    }

    /// A completion as text; of a policy without a tokenizer, its codes.
    pub(super) fn text(&self, completion: &[CompletionToken]) -> Result<String, TrainError> {
        let Some(tokenizer) = self.tokenizer else {
            let codes = completion.iter().filter_map(|token| match token {
                CompletionToken::Scored(Target::Code { token, .. }) => Some(*token),
                _ => None,
            });
            return Ok(self.spec.text(&self.semantic_id(&codes.collect::<Vec<_>>())));
        };
        let id = |token: &CompletionToken| match token {
            CompletionToken::Read(id) | CompletionToken::Scored(Target::Word(id)) => Some(*id),
            CompletionToken::Scored(Target::Code { token, .. }) => {
                tokenizer.sid_ids().get(usize::try_from(*token).ok()?).copied()
            }
        };
        let mut ids: Vec<u32> = completion.iter().filter_map(id).collect();
        // The mark after the codes is never chosen, but the text of a Semantic ID ends with it.
        if let Some(CompletionToken::Scored(Target::Code { .. })) = completion.last() {
            ids.extend(tokenizer.marks().map(|[_, end]| end));
        }
        Ok(tokenizer.decode(&ids)?)
    }

    /// A prompt as text; of a policy without a tokenizer, its ids.
    pub(super) fn read_as_text(&self, ids: &[u32]) -> Result<String, TrainError> {
        Ok(match self.tokenizer {
            Some(tokenizer) => tokenizer.decode(ids)?,
            None => ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        })
    }

    pub(super) fn take<'r>(
        &self,
        group: &mut PromptGroup<'_>,
        rollouts: impl Iterator<Item = &'r Rollout> + Clone,
    ) {
        group.sids = rollouts.clone().map(|rollout| self.semantic_id(&rollout.tokens)).collect();
        group.completions = rollouts.map(|rollout| rollout.completion(self.constraint)).collect();
    }

    /// What a rollout of a prompt must name.
    fn sought_by(&self, prompt: &RlPrompt) -> SemanticId {
        match (prompt.answer, self.titles) {
            (AnswerKind::Title, Some(titles)) => titles.of_item(prompt.prompt.target),
            _ => self.semantic_id(&prompt.target),
        }
    }

    pub(super) fn semantic_id(&self, tokens: &[u32]) -> SemanticId {
        tokens.iter().filter_map(|t| Some(self.spec.level_and_code(*t)?.1)).collect()
    }
}
