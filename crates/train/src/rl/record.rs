//! What a step of reinforcement shows of itself: numbers, and rollouts with their rewards.

use sidereal_rl::PrefixCap;

use super::rollout::PromptGroup;
use super::update::Seen;
use super::{Rl, Step};
use crate::TrainError;
use crate::observe::{Record, ShownGroup, ShownRollout};
use crate::slate::SlateAnswers;

/// Rollouts of a group that are shown.
const SHOWN_ROLLOUTS: usize = 4;

impl Rl<'_> {
    /// The rollouts of a step's first prompt.
    pub(super) fn shown(&self, step: &Step<'_>) -> Result<Option<ShownGroup>, TrainError> {
        let (Some(group), Some(range)) = (step.groups.first(), step.judged.segments.iter().next())
        else {
            return Ok(None);
        };
        let rollouts = group
            .completions
            .iter()
            .zip(&step.judged.rewards[range])
            .take(SHOWN_ROLLOUTS)
            .enumerate()
            .map(|(index, (completion, reward))| {
                let (text, hit) = (self.text(completion)?, group.hits(index));
                Ok(ShownRollout { text, reward: *reward, hit })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Some(ShownGroup {
            id: group.prompt.prompt.id,
            prompt: self.read_as_text(&group.ids)?,
            target: self.sought(group)?,
            rollouts,
        }))
    }

    /// The target as a rollout would write it.
    fn sought(&self, group: &PromptGroup<'_>) -> Result<String, TrainError> {
        let titles = match (self.slates, self.titles) {
            (Some(SlateAnswers { lines, .. }), _) => lines,
            (None, Some(titles)) if group.is_title() => titles.constraint(),
            _ => return Ok(self.spec.text(&group.target)),
        };
        let title = titles.flat(group.prompt.prompt.target).unwrap_or_default();
        Ok(self.read_as_text(&titles.ids(&title))?.trim_end().to_owned())
    }

    /// What a step shows.
    pub(super) fn record(&self, step: &Step<'_>, number: usize, seen: &Seen) -> Record {
        let (entropy, seen) = (seen.entropy(), &seen.diagnostics);
        let Step { groups, judged, drawn } = step;
        let count = groups.len() as f64;
        let hard = groups.iter().filter(|group| group.hard).count() as f64;
        let guided: usize = groups.iter().map(|group| group.guide.len()).sum();
        let flat = &judged.advantages.flat_groups;
        let live = groups.len() - flat.len();
        let flat_hard = flat.iter().filter(|index| groups[**index].hard).count() as f64;
        let distinct: usize = groups.iter().map(PromptGroup::distinct).sum();
        let rollouts = judged.rewards.len() as f64;
        let mut record = Record::new(self.stage, number + 1, self.config.steps)
            .with("reward", judged.rewards.iter().sum::<f64>() / rollouts.max(1.0));
        for (name, quantile) in spread_of(&judged.rewards) {
            record = record.with(name, quantile);
        }
        let rewarded = judged.rewards.iter().filter(|reward| reward.abs() > 0.0).count() as f64;
        record = record
            .with("rewarded", rewarded / rollouts.max(1.0))
            .with("kl", seen.ref_kl())
            .with("rollouts", rollouts);
        if !groups.is_empty() {
            record = record
                .with("hit", 1.0 - hard / count)
                .with("hard", hard / count)
                .with("guide", if hard > 0.0 { guided as f64 / hard } else { 0.0 })
                .with("live", live as f64 / count)
                .with("live_hard", if hard > 0.0 { 1.0 - flat_hard / hard } else { 0.0 })
                .with("distinct", distinct as f64 / rollouts.max(1.0));
        }
        if self.config.prefix_curriculum && self.config.prefix_cap == PrefixCap::Whole {
            let unguided = groups.iter().filter(|group| group.unguided).count() as f64;
            record = record.with("unguided", if hard > 0.0 { unguided / hard } else { 0.0 });
        }
        if let Some(entropy) = entropy {
            record = record.with("entropy", entropy);
        }
        if self.config.max_draws > 1 {
            record = record.with("drawn", *drawn as f64);
        }
        if self.config.updates_per_step() > 1 {
            record = record
                .with("ratio", seen.mean_ratio())
                .with("old_kl", seen.approx_kl())
                .with("clip_low", seen.clip_fraction_low())
                .with("clip_high", seen.clip_fraction_high());
        }
        let chains: Vec<_> = groups.iter().flat_map(|group| &group.chains).collect();
        if !chains.is_empty() {
            let count = chains.len() as f64;
            let drawn: usize = chains.iter().map(|chain| chain.drawn).sum();
            let unclosed = chains.iter().filter(|chain| !chain.closed).count();
            let trie = self.constraint.trie();
            let reasoned = groups.iter().filter(|group| !group.chains.is_empty());
            let legal = reasoned.flat_map(|group| &group.sids).filter(|sid| {
                let tokens = self.spec.tokens(sid).ok();
                let node = tokens.and_then(|tokens| trie.walk(&tokens));
                node.is_some_and(|node| !trie.items(node).is_empty())
            });
            record = record
                .with("chain_len", drawn as f64 / count)
                .with("unclosed", unclosed as f64 / count)
                .with("legal", legal.count() as f64 / count);
        }
        for (name, mean) in &judged.parts {
            record = record.with(&format!("reward_{name}"), *mean);
        }
        record
    }
}

/// What a tenth, half and nine tenths of the rewards lie below: their distribution, in three curves.
fn spread_of(rewards: &[f64]) -> impl Iterator<Item = (&'static str, f64)> {
    let mut sorted = rewards.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let names = [("rewards_p10", 1), ("rewards_p50", 5), ("rewards_p90", 9)];
    names
        .into_iter()
        .filter_map(move |(name, tenths)| Some((name, *sorted.get((last * tenths + 5) / 10)?)))
}
