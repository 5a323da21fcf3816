//! Where a chain of thought changed the answer, for better and for worse.

use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, ItemId, Sample};
use sidereal_train::Ranking;

use super::stage_answers::StageAnswers;
use crate::error::LabError;
use crate::parts::reasoning::{LISTED, ReasoningResult};
use crate::workbench::Workbench;

/// Cases of each kind that are shown.
const SHOWN: usize = 4;
/// Answers of a case that are shown.
const ANSWERS: usize = 3;

/// How often reasoning changed the answers of a stage, with cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangedAnswers {
    /// The stage's label.
    pub system: String,
    /// Answers that count as recommended, `k`.
    pub listed: usize,
    /// Users that were asked both ways.
    pub users: usize,
    /// Users whose target is among the first `k` answers both ways.
    pub both: usize,
    /// Users whose target is among them only after reasoning.
    pub gained: usize,
    /// Users whose target is among them only without reasoning.
    pub lost: usize,
    /// Some of the users who gained, then some of those who lost.
    pub cases: Vec<ChangedCase>,
}

/// A user for whom reasoning changed the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangedCase {
    /// Whether the target is among the first answers after reasoning, and not without it.
    pub gained: bool,
    /// Titles of the history, earliest first.
    pub history: Vec<String>,
    /// Title of the item that the user chose next.
    pub chosen: String,
    /// Titles of the first answers without reasoning; the chosen one is marked.
    pub directly: Vec<(String, bool)>,
    /// What the policy thought. Of several chains whose answers were merged, the one after which the chosen item stands
    /// highest if the user gained, and lowest if not.
    pub chain: String,
    /// Titles of the first answers after reasoning.
    pub after: Vec<(String, bool)>,
}

/// The changes of every stage that was tested with reasoning; answers after the first `width` are not searched for.
pub(crate) fn rows(
    bench: &Workbench<'_>,
    answers: &[StageAnswers<'_>],
    width: usize,
) -> Result<Vec<ChangedAnswers>, LabError> {
    let samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    let of_stage = |answered: &StageAnswers<'_>| {
        let Some(reasoning) = &answered.reasoning else { return Ok(None) };
        let (directly, reasoned) = (answered.rankings.value.load()?, reasoning.value.load()?);
        let pairs: Vec<(&Ranking, &ReasoningResult)> = reasoned
            .iter()
            .filter_map(|after| {
                Some((directly.iter().find(|other| other.id == after.ranking.id)?, after))
            })
            .collect();
        let system = answered.stage.label.clone();
        Ok(Some(changes(bench, &samples, system, LISTED.min(width), &pairs)))
    };
    answers.iter().filter_map(|answered| of_stage(answered).transpose()).collect()
}

/// Whether the target is among the first answers, each a Semantic ID.
fn hits(ranking: &Ranking, listed: usize) -> bool {
    ranking.found.iter().take(listed).any(|items| items.contains(&ranking.target))
}

fn changes(
    bench: &Workbench<'_>,
    samples: &[Sample<'_>],
    system: String,
    listed: usize,
    pairs: &[(&Ranking, &ReasoningResult)],
) -> ChangedAnswers {
    let outcome = |(directly, after): &(&Ranking, &ReasoningResult)| {
        (hits(directly, listed), hits(&after.ranking, listed))
    };
    let with = |wanted| pairs.iter().filter(move |pair| outcome(pair) == wanted);
    let cases = [(false, true), (true, false)].into_iter().flat_map(|wanted| {
        let gained = wanted.1;
        let shown = with(wanted).filter_map(move |(directly, after)| {
            let sample = samples.iter().find(|sample| sample.id == directly.id)?;
            let chain = shown_chain(after, gained)?.to_owned();
            Some(case(bench, sample, gained, chain, (directly, &after.ranking)))
        });
        shown.take(SHOWN)
    });
    ChangedAnswers {
        system,
        listed,
        users: pairs.len(),
        both: with((true, true)).count(),
        gained: with((false, true)).count(),
        lost: with((true, false)).count(),
        cases: cases.collect(),
    }
}

/// The chain that is shown; `None` for results of earlier versions, which have none.
fn shown_chain(after: &ReasoningResult, gained: bool) -> Option<&str> {
    if let Some(chain) = &after.ranked_after {
        return Some(chain);
    }
    // A chain after which the target was not found stands last.
    let place = |(_, place): &(&String, &Option<usize>)| place.unwrap_or(usize::MAX);
    let chains = after.chains.iter().zip(&after.places);
    let shown = if gained { chains.min_by_key(place) } else { chains.max_by_key(place) };
    shown.map(|(chain, _)| chain.as_str())
}

fn case(
    bench: &Workbench<'_>,
    sample: &Sample<'_>,
    gained: bool,
    chain: String,
    (directly, after): (&Ranking, &Ranking),
) -> ChangedCase {
    let title = |item: &ItemId| {
        bench.dataset.item(*item).map_or_else(|| item.to_string(), |item| item.title.clone())
    };
    // Items of one Semantic ID are one answer, which is shown by the target if it is among them.
    let first = |ranking: &Ranking| {
        let shown = ranking.found.iter().take(ANSWERS).filter_map(|items| {
            let right = items.contains(&sample.target);
            let item = if right { Some(&sample.target) } else { items.first() };
            Some((title(item?), right))
        });
        shown.collect()
    };
    ChangedCase {
        gained,
        history: sample.history.iter().map(title).collect(),
        chosen: title(&sample.target),
        directly: first(directly),
        chain,
        after: first(after),
    }
}

impl fmt::Display for ChangedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, listed, users, both, gained, lost, .. } = self;
        write!(
            f,
            "{system}: of {users} users, {gained} have their item among the first {listed} answers only after \
             reasoning, {lost} only without it, {both} both ways"
        )
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::{SampleId, UserId};
    use sidereal_metrics::Draws;

    use super::*;

    fn ranking(places: usize) -> Ranking {
        let found: Vec<Vec<ItemId>> = (0..20u32)
            .map(|place| vec![ItemId(if place as usize == places { 99 } else { place })])
            .collect();
        Ranking {
            id: SampleId::Event { user: UserId(0), position: 3 },
            target: ItemId(99),
            scores: vec![0.0; found.len()],
            found,
        }
    }

    #[test]
    fn a_hit_is_a_target_among_the_first_answers() {
        assert!(hits(&ranking(9), 10) && !hits(&ranking(10), 10) && !hits(&ranking(30), 10));
    }

    #[test]
    fn the_chain_that_is_shown_speaks_for_the_change() {
        let drawn = Draws::new(&[false]).unwrap();
        let mut result = ReasoningResult {
            ranking: ranking(0),
            chain_lens: Vec::new(),
            num_forced: 0,
            drawn,
            drawn_directly: drawn,
            places: vec![Some(12), Some(3), None],
            chains: ["twelfth", "third", "none"].map(str::to_owned).to_vec(),
            ranked_after: None,
        };
        assert_eq!(shown_chain(&result, true), Some("third"));
        assert_eq!(shown_chain(&result, false), Some("none"));
        result.ranked_after = Some("greedy".to_owned());
        assert_eq!(shown_chain(&result, true), Some("greedy"));
        (result.ranked_after, result.chains) = (None, Vec::new());
        assert_eq!(shown_chain(&result, true), None);
    }
}
