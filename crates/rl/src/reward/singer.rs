use serde::{Deserialize, Serialize};

use crate::{Accuracy, Group, RankReward, Reward, SidLevel};

/// Partial credit on hard groups, accuracy and rank on the others.
///
/// ```text
/// R(y) = R_sid(y)               if no rollout of the unguided group hits
///        R_acc(y) + R_rank(y)   otherwise
/// ```
/// SINGER eq 9. Hardness is the group's ([`Group::is_hard`]): for a group drawn again under a guiding
/// prefix, carry it over with [`Group::with_hardness`]. Logs its parts as `sid_level`, `accuracy`
/// and `rank`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Singer {
    /// Reward of hard groups.
    pub sid_level: SidLevel,
    /// Form of the rank penalty on the other groups.
    pub rank: RankReward,
}

impl Reward for Singer {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        self.score_parts(group, &mut |_, _| {})
    }

    fn score_parts(&self, group: &Group<'_>, visit: &mut dyn FnMut(&str, &[f64])) -> Vec<f64> {
        let easy = Accuracy.named("accuracy").plus(self.rank.named("rank"));
        self.sid_level.named("sid_level").on_hard_else(easy).score_parts(group, visit)
    }
}
