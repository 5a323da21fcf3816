//! The rewards of a step in which some groups are titles.

use sidereal_rl::{Accuracy, AdvantageEstimator, Advantages, Group, Objectives, Segments, Slates};

use super::advantage::{Judged, StepReward, judge};
use super::rollout::PromptGroup;
use super::{AnswerKind, Rl};
use crate::TrainError;

/// What the reward of titles is called in the log.
const TITLE: &str = "title";

impl Rl<'_> {
    /// Rewards and advantages of groups. Semantic IDs and slates are judged by the reward of the stage. A title
    /// is worth 1 if it is that of the target, else 0 (SINGER §3.1: rule-based and verifiable). Both kinds are
    /// judged apart, so that titles change no advantage of the others.
    pub(super) fn judge(&self, groups: &[PromptGroup<'_>]) -> Result<Judged, TrainError> {
        let settings = self.config.advantage.estimator();
        let estimator = self.own.advantage.unwrap_or(&*settings);
        if !groups.iter().any(PromptGroup::is_title) {
            return self.judge_by(estimator, self.reward, groups, None);
        }
        let of_sids = self.judge_by(estimator, self.reward, groups, Some(AnswerKind::Sid))?;
        let of_titles = if estimator.needs_objectives() {
            let exact = Objectives::new().with(TITLE, 1.0, Accuracy)?;
            self.judge_by(estimator, StepReward::Several(&exact), groups, Some(AnswerKind::Title))?
        } else {
            let exact = StepReward::One(&Accuracy);
            self.judge_by(estimator, exact, groups, Some(AnswerKind::Title))?
        };
        Ok(interleaved(groups, &of_sids, &of_titles))
    }

    /// Judges the groups of a kind of answers, or all.
    fn judge_by(
        &self,
        estimator: &dyn AdvantageEstimator,
        reward: StepReward<'_>,
        groups: &[PromptGroup<'_>],
        kind: Option<AnswerKind>,
    ) -> Result<Judged, TrainError> {
        let groups: Vec<&PromptGroup<'_>> = groups
            .iter()
            .filter(|group| kind.is_none_or(|kind| kind == group.prompt.answer))
            .collect();
        if groups.is_empty() {
            let advantages = Advantages::new(Vec::new(), Vec::new());
            let segments = Segments::from_lens([]);
            return Ok(Judged { rewards: Vec::new(), parts: Vec::new(), advantages, segments });
        }
        let texts: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.chains.iter().map(|chain| chain.text.clone()).collect())
            .collect();
        let groups: Vec<Group<'_>> = groups
            .iter()
            .zip(&texts)
            .map(|(group, texts)| {
                let judged = Group::new(&group.target, &group.sids);
                let judged = judged.with_levels(self.spec.num_levels());
                let judged = judged.with_hardness(group.hard).with_texts(texts);
                let (target, items) = (group.prompt.prompt.target, group.slates.as_slice());
                if items.is_empty() { judged } else { judged.with_slates(Slates { target, items }) }
            })
            .collect();
        judge(estimator, reward, &groups)
    }
}

/// Two kinds of groups, judged apart, in the order of the groups.
fn interleaved(groups: &[PromptGroup<'_>], of_sids: &Judged, of_titles: &Judged) -> Judged {
    let (mut rewards, mut values, mut flat_groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut sids = of_sids.segments.iter().enumerate();
    let mut titles = of_titles.segments.iter().enumerate();
    for (index, group) in groups.iter().enumerate() {
        let (judged, next) =
            if group.is_title() { (of_titles, titles.next()) } else { (of_sids, sids.next()) };
        let Some((place, range)) = next else { continue };
        rewards.extend_from_slice(&judged.rewards[range.clone()]);
        values.extend_from_slice(&judged.advantages.values[range]);
        if judged.advantages.flat_groups.contains(&place) {
            flat_groups.push(index);
        }
    }
    let mut parts = of_sids.parts.clone();
    let mean = of_titles.rewards.iter().sum::<f64>() / of_titles.rewards.len().max(1) as f64;
    parts.push((TITLE.to_owned(), mean));
    let segments = Segments::from_lens(groups.iter().map(|group| group.sids.len()));
    Judged { rewards, parts, advantages: Advantages::new(values, flat_groups), segments }
}
