//! The answers of a policy that names items by their titles, out of the whole catalogue.

use std::collections::BTreeMap;

use sidereal_data::{ItemId, SampleId};
use sidereal_policy::{
    AnyPolicy, BeamSearch, Excluded, Grounding, PolicyError, TriePrior, as_language_model,
};
use sidereal_train::{
    EncodedPrompt, GroundedAnswers, Observer, Ranking, TrainError, rank_led, rank_without,
};

use super::answers::{Respondent, TestUsers};
use crate::error::LabError;
use crate::evaluation::recommenders;
use crate::recipe::answering::{Answering, AssistedConfig, GroundedConfig};

/// Ranks the items of the catalogue for every user of the test. An item without a title is never answered.
pub(crate) fn rank(
    by: &Respondent<'_>,
    users: &TestUsers<'_>,
    model: &AnyPolicy,
    job: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<Ranking>, LabError> {
    let Respondent { bench, stage, search, .. } = *by;
    let asked = bench.prompts(stage.task, &users.samples())?;
    let answering = stage.training.answering();
    let asking = Asking { by, users, model, asked: &asked, job };
    if let Answering::Grounded(config) = answering {
        return asking.grounded(config, observer);
    }
    let beams = BeamSearch {
        model,
        constraint: bench.answers(stage.task),
        beam_width: search.beam_width,
        scoring: stage.training.scoring(),
    };
    let trie = beams.constraint.trie();
    let untitled = Excluded::new(trie, bench.untitled())?;
    match answering {
        // The whole weight is the policy's.
        Answering::Assisted(config) if config.alpha < 1.0 => {
            asking.assisted(config, &beams, &untitled, observer)
        }
        _ => Ok(rank_without(&untitled, &beams, &asked, by.batching(job), observer)?),
    }
}

/// Users who are asked.
struct Asking<'a> {
    by: &'a Respondent<'a>,
    users: &'a TestUsers<'a>,
    model: &'a AnyPolicy,
    asked: &'a [EncodedPrompt],
    job: &'a str,
}

impl Asking<'_> {
    /// A search that is led by item transitions.
    fn assisted(
        &self,
        AssistedConfig { alpha, floor }: AssistedConfig,
        beams: &BeamSearch<'_>,
        untitled: &Excluded,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let bench = self.by.bench;
        let assistant = recommenders::transitions(bench.dataset, bench.split)?;
        let samples = self.users.samples();
        let histories: BTreeMap<SampleId, &[ItemId]> =
            samples.iter().map(|sample| (sample.id, sample.history)).collect();
        // α log p + (1 − α) log q has the order of log p + (1 − α) / α · log q.
        let weight = (1.0 - alpha) / alpha;
        let trie = beams.constraint.trie();
        let prior = |prompt: &EncodedPrompt| {
            let history = histories.get(&prompt.id).copied().unwrap_or_default();
            let mut scores = vec![0.0; assistant.num_items()];
            assistant.score(history, &mut scores).map_err(|source| TrainError::Assistant {
                id: prompt.id,
                source: Box::new(source),
            })?;
            Ok(TriePrior::new(trie, &log_shares(&scores, floor))?.weighted(narrow(weight))?)
        };
        let batching = self.by.batching(self.job);
        Ok(rank_led(&prior, untitled, beams, self.asked, batching, observer)?)
    }

    /// Free answers, and the items whose titles are nearest.
    fn grounded(
        &self,
        GroundedConfig { budget, popularity: gamma }: GroundedConfig,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let Respondent { bench, search, .. } = *self.by;
        let words = bench.words("a title")?;
        let model = as_language_model(self.model, "free titles")?;
        let untitled: Vec<ItemId> = bench.untitled().collect();
        let all = (0..).map(ItemId).take(bench.dataset.num_items());
        let items: Vec<ItemId> = all.filter(|item| !untitled.contains(item)).collect();
        let titles = items
            .iter()
            .map(|item| words.tokenizer.encode(&bench.dataset.items()[item.index()].title))
            .collect::<Result<Vec<_>, PolicyError>>()?;
        let grounding = Grounding::new(model, &titles, bench.pad(), search.batch_size)?;
        let mut counts = vec![0.0; bench.dataset.num_items()];
        for item in bench.split.train.sequences().flat_map(|sequence| sequence.events) {
            counts[item.index()] += 1.0;
        }
        let popularity: Vec<f32> = items.iter().map(|item| counts[item.index()]).collect();
        let answers = GroundedAnswers {
            model,
            num_ids: words.tokenizer.vocab_size(),
            end_of_turn: words.tokenizer.end_of_turn(),
            budget,
            items: &items,
            grounding: &grounding,
            popularity: &popularity,
            gamma,
            count: search.beam_width,
        };
        Ok(answers.rank(self.asked, self.by.batching(self.job), observer)?)
    }
}

/// The log of each item's share of scores from 0, of which `floor` is spread evenly.
fn log_shares(scores: &[f32], floor: f64) -> Vec<f32> {
    let total: f64 = scores.iter().map(|score| f64::from(score.max(0.0))).sum();
    let even = 1.0 / scores.len().max(1) as f64;
    let share = |score: &f32| {
        let own = if total > 0.0 { f64::from(score.max(0.0)) / total } else { even };
        narrow(((1.0 - floor) * own + floor * even).ln())
    };
    scores.iter().map(share).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "log-probabilities are f32")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::log_shares;

    #[test]
    fn shares_sum_to_one_and_every_item_has_one() {
        for scores in [vec![3.0, 0.0, 1.0, 0.0], vec![0.0; 4]] {
            let shares: Vec<f32> = log_shares(&scores, 0.2).iter().map(|log| log.exp()).collect();
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(shares.iter().all(|share| *share >= 0.05 - 1e-6), "{shares:?}");
        }
        let shares = log_shares(&[3.0, 0.0, 1.0, 0.0], 0.2);
        // 0.8 · 3/4 + 0.2 / 4
        assert!((shares[0].exp() - 0.65).abs() < 1e-6);
    }
}
