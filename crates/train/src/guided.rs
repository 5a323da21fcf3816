//! Beams that a prior over the items guides, and what the policy alone says of the items that they find.

use sidereal_data::ItemId;
use sidereal_policy::{BeamSearch, Conditions, Excluded, Hypothesis, TriePrior};
use sidereal_sid::Trie;
use tch::Device;

use crate::TrainError;
use crate::batching::{Batching, in_token_batches};
use crate::encode::EncodedPrompt;
use crate::observe::Observer;

/// Items after a prompt, each with the log-probability that the policy alone gives its Semantic ID, in nats.
/// Items that share a Semantic ID have equal ones.
pub type ItemScores = Vec<(ItemId, f32)>;

/// The items that beams under a prior find for every prompt; the order of `prompts` is kept. `prior` gives
/// the log prior of all items for a prompt, `[N]`, in nats and up to a constant, −∞ for an item that must
/// not be found ([`TriePrior`]).
///
/// The prior decides what is found. It is not part of the log-probabilities that come back, so that it can be
/// added to them item by item, also where several items share a Semantic ID.
///
/// # Errors
/// Those of the search and of `prior`; [`TrainError::NoSamples`] without prompts; [`TrainError::TooLong`]
/// for a prompt that leaves no room for an answer.
pub fn search_guided<E: From<TrainError>>(
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
    mut prior: impl FnMut(&EncodedPrompt) -> Result<Vec<f32>, E>,
) -> Result<Vec<ItemScores>, E> {
    let trie = search.constraint.trie();
    in_token_batches(prompts, batching, room(search), observer, |batch, tokens| {
        let priors = batch
            .iter()
            .map(|prompt| Ok(TriePrior::new(trie, &prior(prompt)?).map_err(TrainError::from)?))
            .collect::<Result<Vec<_>, E>>()?;
        let conditions = Conditions { priors: &priors, ..Conditions::default() };
        let found = search.search_under(tokens, &conditions).map_err(TrainError::from)?;
        let of_prompt = |(prior, hypotheses): (&TriePrior, Vec<Hypothesis>)| {
            let root = prior.at(Trie::ROOT);
            let alone = |found: &Hypothesis| found.score - (prior.at(found.node) - root);
            items(trie, &hypotheses, alone)
        };
        Ok(priors.iter().zip(found).map(of_prompt).collect())
    })
}

/// What the policy says of the items that `wanted` names for every prompt; the order of `prompts` is kept. An
/// item comes with all that share its Semantic ID, so there can be more items than were asked for.
///
/// # Errors
/// As [`search_guided`]; [`PolicyError::UnknownItem`](sidereal_policy::PolicyError::UnknownItem) for an item
/// that the trie does not have.
pub fn score_items(
    search: &BeamSearch<'_>,
    prompts: &[EncodedPrompt],
    batching: Batching<'_>,
    observer: &mut dyn Observer,
    mut wanted: impl FnMut(&EncodedPrompt) -> Vec<ItemId>,
) -> Result<Vec<ItemScores>, TrainError> {
    let trie = search.constraint.trie();
    in_token_batches(prompts, batching, room(search), observer, |batch, tokens| {
        let wanted: Vec<Vec<ItemId>> = batch.iter().map(|prompt| wanted(prompt)).collect();
        let excluded = wanted
            .iter()
            .map(|items| Excluded::all_but(trie, items.iter().copied()))
            .collect::<Result<Vec<_>, _>>()?;
        // As wide as the longest list, so that no item is lost.
        let beam_width = wanted.iter().map(Vec::len).fold(1, usize::max);
        let search = BeamSearch { beam_width, ..*search };
        let conditions = Conditions { excluded: &excluded, ..Conditions::default() };
        let found = search.search_under(tokens, &conditions)?;
        Ok(found.iter().map(|hypotheses| items(trie, hypotheses, |found| found.score)).collect())
    })
}

/// Tokens that a prompt may have, and where they are computed.
fn room(search: &BeamSearch<'_>) -> (usize, Device) {
    (search.model.longest_prompt(search.constraint.max_len()), search.model.device())
}

/// The items of what was found, each with the score of its Semantic ID.
fn items(trie: &Trie, found: &[Hypothesis], score: impl Fn(&Hypothesis) -> f32) -> ItemScores {
    let of_one = |found| {
        let score = score(found);
        trie.items(found.node).iter().map(move |item| (*item, score))
    };
    found.iter().flat_map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Record};
    use sidereal_data::{SampleId, UserId};
    use sidereal_policy::{Constraint, Decoder, DecoderConfig, Scoring};
    use sidereal_sid::{Catalog, SemanticId, SidSpec};

    /// Eight items, of which the last two share a Semantic ID, and two users.
    fn with_search(check: impl FnOnce(&BeamSearch<'_>, &[EncodedPrompt])) {
        let sids =
            (0..8u16).map(|item| item.min(6)).map(|item| SemanticId::from([item / 4, item % 4]));
        let catalog = Catalog::new(SidSpec::new(vec![2, 4], 0).unwrap(), sids.collect()).unwrap();
        let constraint = Constraint::from_ids(&catalog, (0..6).collect(), Device::Cpu).unwrap();
        let model = Decoder::random(DecoderConfig::tiny(8), 1, Device::Cpu).unwrap();
        let scoring = Scoring::Full;
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 8, scoring };
        let prompt = |user: u32, ids: &[u32]| EncodedPrompt {
            id: SampleId::Event { user: UserId(user), position: 1 },
            ids: ids.to_vec(),
            target: ItemId(0),
            mode: Mode::Direct,
            pool: Vec::new(),
        };
        check(&search, &[prompt(0, &[6, 7, 6]), prompt(1, &[7, 6])]);
    }

    const BATCHING: Batching<'_> = Batching { pad: 7, batch_size: 2, job: "" };

    /// By item.
    fn sorted(mut scores: ItemScores) -> ItemScores {
        scores.sort_by_key(|(item, _)| *item);
        scores
    }

    fn close(left: &[(ItemId, f32)], right: &[(ItemId, f32)]) {
        assert_eq!(left.len(), right.len());
        for (left, right) in left.iter().zip(right) {
            assert_eq!(left.0, right.0);
            assert!((left.1 - right.1).abs() < 1e-4, "{left:?} {right:?}");
        }
    }

    #[test]
    fn a_prior_decides_what_is_found_and_not_what_the_policy_says_of_it() {
        with_search(|search, prompts| {
            let mut silent = |_: &Record| {};
            let flat = |_: &EncodedPrompt| Ok::<_, TrainError>(vec![0.0; 8]);
            let all = search_guided(search, prompts, BATCHING, &mut silent, flat).unwrap();
            let narrow = BeamSearch { beam_width: 2, ..*search };
            // Users 0 and 1 are led to different items.
            let led = |prompt: &EncodedPrompt| {
                let first = if prompt.id == prompts[0].id { 1 } else { 5 };
                let value = |item| if item == first || item == 3 { 30.0 } else { 0.0 };
                Ok::<_, TrainError>((0..8).map(value).collect())
            };
            let found = search_guided(&narrow, prompts, BATCHING, &mut silent, led).unwrap();
            for ((found, all), items) in found.into_iter().zip(all).zip([[1, 3], [3, 5]]) {
                let expected: ItemScores =
                    sorted(all).into_iter().filter(|(item, _)| items.contains(&item.0)).collect();
                close(&sorted(found), &expected);
            }
        });
    }

    #[test]
    fn items_that_are_asked_for_have_the_scores_of_a_search_over_all() {
        with_search(|search, prompts| {
            let mut silent = |_: &Record| {};
            let flat = |_: &EncodedPrompt| Ok::<_, TrainError>(vec![0.0; 8]);
            let all = search_guided(search, prompts, BATCHING, &mut silent, flat).unwrap();
            let wanted = |prompt: &EncodedPrompt| {
                let items: &[u32] = if prompt.id == prompts[0].id { &[4, 1] } else { &[6] };
                items.iter().copied().map(ItemId).collect()
            };
            let narrow = BeamSearch { beam_width: 1, ..*search };
            let found = score_items(&narrow, prompts, BATCHING, &mut silent, wanted).unwrap();
            // Items 6 and 7 share a Semantic ID.
            for ((found, all), items) in found.into_iter().zip(all).zip([&[1, 4][..], &[6, 7]]) {
                let expected: ItemScores =
                    sorted(all).into_iter().filter(|(item, _)| items.contains(&item.0)).collect();
                close(&sorted(found), &expected);
            }
        });
    }
}
