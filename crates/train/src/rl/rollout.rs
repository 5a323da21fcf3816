//! Groups of rollouts.

use std::num::NonZeroU64;

use sidereal_policy::{BeamSearch, CompletionToken, Decoder, TokenBatch};
use sidereal_rl::PrefixSchedule;
use sidereal_sid::SemanticId;

use super::{Rl, RlPrompt};
use crate::TrainError;
use crate::encode::scored_codes;

/// The rollouts of one prompt.
#[derive(Debug)]
pub(super) struct PromptGroup<'p> {
    /// What was asked.
    pub(super) prompt: &'p RlPrompt,
    /// The prompt's tokens and the guide's.
    pub(super) ids: Vec<u32>,
    /// Codes of the target that were given away, flat.
    pub(super) guide: Vec<u32>,
    /// Whether no rollout of the unguided group hits.
    pub(super) hard: bool,
    /// The target.
    pub(super) target: SemanticId,
    /// What each rollout names, the guide's codes included.
    pub(super) sids: Vec<SemanticId>,
    /// What each rollout wrote behind the guide.
    pub(super) completions: Vec<Vec<CompletionToken>>,
}

impl PromptGroup<'_> {
    /// Scored tokens of each rollout.
    pub(super) fn lens(&self) -> impl Iterator<Item = usize> + '_ {
        self.completions.iter().map(|tokens| {
            tokens.iter().filter(|token| matches!(token, CompletionToken::Scored(_))).count()
        })
    }
}

impl Rl<'_> {
    /// Draws a group for each prompt, hard prompts a second time behind their guides.
    ///
    /// The guide shrinks with `step`, from 0, of all.
    pub(super) fn groups<'p>(
        &self,
        model: &Decoder,
        prompts: &[&'p RlPrompt],
        step: usize,
    ) -> Result<Vec<PromptGroup<'p>>, TrainError> {
        let mut groups: Vec<PromptGroup<'p>> = prompts
            .iter()
            .map(|prompt| PromptGroup {
                prompt,
                ids: prompt.prompt.ids.clone(),
                guide: Vec::new(),
                hard: false,
                target: self.semantic_id(&prompt.target),
                sids: Vec::new(),
                completions: Vec::new(),
            })
            .collect();
        self.draw(model, &mut groups.iter_mut().collect::<Vec<_>>())?;
        let total = NonZeroU64::new(self.config.steps as u64).unwrap_or(NonZeroU64::MIN);
        let schedule = PrefixSchedule::new(total);
        let mut again = Vec::new();
        for group in &mut groups {
            group.hard = !group.sids.contains(&group.target);
            let target = &group.prompt.target;
            let guide = schedule.guide_len(step as u64, target.len());
            if self.config.prefix_curriculum && group.hard && guide > 0 {
                group.guide = target[..guide].to_vec();
                group.ids.extend(self.constraint.ids(&group.guide));
                again.push(group);
            }
        }
        if !again.is_empty() {
            self.draw(model, &mut again)?;
        }
        Ok(groups)
    }

    /// Draws all these groups anew behind their guides.
    fn draw(&self, model: &Decoder, groups: &mut [&mut PromptGroup<'_>]) -> Result<(), TrainError> {
        let search = self.beam(model, self.config.group_size);
        let limit = model.config().max_position_embeddings;
        let ids: Vec<&[u32]> = groups.iter().map(|group| group.ids.as_slice()).collect();
        let prompts = TokenBatch::new(&ids, self.pad, limit, model.device())?;
        let guides: Vec<&[u32]> = groups.iter().map(|group| group.guide.as_slice()).collect();
        let found = search.search(&prompts, &guides)?;
        for (group, hypotheses) in groups.iter_mut().zip(found) {
            let skipped = group.guide.len();
            group.sids = hypotheses.iter().map(|h| self.semantic_id(&h.tokens)).collect();
            group.completions = hypotheses
                .iter()
                .map(|h| scored_codes(self.constraint.trie(), &group.guide, &h.tokens[skipped..]))
                .collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    pub(super) fn beam<'m>(&'m self, model: &'m Decoder, beam_width: usize) -> BeamSearch<'m> {
        BeamSearch { model, constraint: self.constraint, beam_width, scoring: self.config.scoring }
    }

    fn semantic_id(&self, tokens: &[u32]) -> SemanticId {
        tokens.iter().filter_map(|t| Some(self.spec.level_and_code(*t)?.1)).collect()
    }
}
