//! Which samples are hard, and the guides that they are drawn again after.

use std::num::NonZeroU64;

use sidereal_rl::PrefixSchedule;

use super::Rl;
use super::rollout::PromptGroup;
use crate::encode::Mode;

impl PromptGroup<'_> {
    /// Whether a rollout is, or holds, the target.
    pub(super) fn hits(&self, rollout: usize) -> bool {
        let target = &self.prompt.prompt.target;
        self.sids.get(rollout) == Some(&self.target)
            || self.slates.get(rollout).is_some_and(|items| items.contains(target))
    }

    /// Whether no rollout is, or holds, the target: the sample is hard.
    fn misses(&self) -> bool {
        !(0..self.completions.len()).any(|rollout| self.hits(rollout))
    }
}

impl Rl<'_> {
    /// Says of each group, drawn without a guide, whether its sample is hard. Returns the hard ones that are
    /// answered directly, each with the guide of this step, if the recipe has guides.
    pub(super) fn guided<'g, 'p>(
        &self,
        groups: &'g mut [PromptGroup<'p>],
        step: usize,
    ) -> Vec<&'g mut PromptGroup<'p>> {
        let total = NonZeroU64::new(self.config.steps as u64).unwrap_or(NonZeroU64::MIN);
        let schedule = PrefixSchedule::new(total);
        let mut again = Vec::new();
        for group in groups {
            group.hard = group.misses();
            let target = &group.prompt.target;
            // A suffix is no level.
            let levels = target.len().min(self.num_levels());
            let guide = schedule.guide_len(step as u64, levels);
            let direct = group.prompt.prompt.mode == Mode::Direct;
            if direct && self.config.prefix_curriculum && group.hard && guide > 0 {
                group.guide = target[..guide].to_vec();
                group.ids.extend(self.constraint.ids(&group.guide));
                again.push(group);
            }
        }
        again
    }
}
