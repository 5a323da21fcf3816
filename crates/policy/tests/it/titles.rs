//! Titles under a trie, against enumeration.

use std::collections::{BTreeMap, BTreeSet};

use sidereal_policy::{
    BeamSearch, Completions, Conditions, Constraint, Decoder, Excluded, LanguageModel, PolicyError,
    Sampler, SamplingConfig, Scoring, SidTokenizer, Slate, SlateSampler, completion_logp,
};
use sidereal_sid::{ItemId, TrieError};
use tch::{Device, Kind};

use crate::tiny;

/// Two items of one title, and one title that begins others.
const TITLES: [&str; 7] =
    ["red", "red lip", "matte", "red", "red lipstick", "mat", "naïve <a_1> oil"];

fn shop() -> (Constraint, SidTokenizer, Decoder) {
    let tokenizer = tiny::tokenizer(&tiny::catalog());
    let constraint = Constraint::from_titles(&TITLES, &tokenizer, Device::Cpu).unwrap();
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 7);
    (constraint, tokenizer, model)
}

/// The tokens of each distinct title, its end included, and its items.
fn sequences(tokenizer: &SidTokenizer) -> BTreeMap<Vec<u32>, Vec<ItemId>> {
    let mut sequences: BTreeMap<Vec<u32>, Vec<ItemId>> = BTreeMap::new();
    for (item, title) in (0..).map(ItemId).zip(TITLES) {
        let mut ids = tokenizer.encode(title).unwrap();
        ids.push(tokenizer.end_of_turn());
        sequences.entry(ids).or_default().push(item);
    }
    sequences
}

/// Sum of the log-probabilities of a title, by one reading: over the vocabulary, or over the
/// tokens with which some title goes on.
fn score(
    model: &Decoder,
    prompt: &[u32],
    ids: &[u32],
    all: &BTreeSet<&Vec<u32>>,
    scoring: Scoring,
) -> f32 {
    let whole = [prompt, ids].concat();
    let hidden = model.forward(&tiny::batch(&[whole]), 0.0).unwrap().get(0);
    let logits = model.head().logits(&hidden).unwrap();
    let step = |(at, id): (usize, &u32)| {
        let row = logits.get(i64::try_from(prompt.len() + at).unwrap() - 1);
        let legal: BTreeSet<u32> = all
            .iter()
            .filter(|other| other.len() > at && other[..at] == ids[..at])
            .map(|other| other[at])
            .collect();
        let logp = match scoring {
            Scoring::Renormalised => {
                let columns: Vec<i64> = legal.iter().map(|id| (*id).into()).collect();
                let place = legal.iter().position(|other| other == id).unwrap();
                row.index_select(0, &tch::Tensor::from_slice(&columns))
                    .log_softmax(-1, Kind::Float)
                    .get(i64::try_from(place).unwrap())
            }
            _ => row.log_softmax(-1, Kind::Float).get((*id).into()),
        };
        f32::try_from(logp).unwrap()
    };
    ids.iter().enumerate().map(step).sum()
}

#[test]
fn beams_over_titles_are_all_titles_with_their_scores() {
    let (constraint, tokenizer, model) = shop();
    let sequences = sequences(&tokenizer);
    let all: BTreeSet<&Vec<u32>> = sequences.keys().collect();
    let prompts = [vec![5, 9, 2], vec![7]];
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 9, scoring };
        let found = search.search(&tiny::batch(&prompts), &[&[], &[]]).unwrap();
        for (prompt, found) in prompts.iter().zip(&found) {
            assert_eq!(found.len(), all.len());
            for hypothesis in found {
                let ids = constraint.ids(&hypothesis.tokens);
                assert_eq!(constraint.trie().items(hypothesis.node), sequences[&ids]);
                let expected = score(&model, prompt, &ids, &all, scoring);
                let off = (hypothesis.score - expected).abs();
                assert!(off < 1e-4, "{} {expected}", hypothesis.score);
            }
            let total: f32 = found.iter().map(|hypothesis| hypothesis.score.exp()).sum();
            assert!(scoring == Scoring::Full || (total - 1.0).abs() < 1e-4, "{total}");
        }
    }
}

/// Scores of a beam search with plain sets: at each length the `width` best beginnings stay.
fn plain_beam(
    score: impl Fn(&[u32]) -> f32,
    all: &BTreeSet<&Vec<u32>>,
    width: usize,
) -> Vec<(f32, Vec<u32>)> {
    let best = |found: &mut Vec<(f32, Vec<u32>)>| {
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert!(found.len() <= width || found[width - 1].0 - found[width].0 > 1e-4, "a close call");
        found.truncate(width);
    };
    let (mut open, mut whole) = (BTreeSet::from([Vec::new()]), Vec::new());
    while let Some(len) = open.first().map(Vec::len) {
        let goes_on = |ids: &&&Vec<u32>| ids.len() > len && open.contains(&ids[..len]);
        let longer: BTreeSet<&[u32]> = all.iter().filter(goes_on).map(|ids| &ids[..=len]).collect();
        let mut found: Vec<_> = longer.into_iter().map(|ids| (score(ids), ids.to_vec())).collect();
        best(&mut found);
        let ended = |(_, ids): &(f32, Vec<u32>)| all.contains(ids);
        let (ends, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(ended);
        whole.extend(ends);
        open = rest.into_iter().map(|(_, ids)| ids).collect();
    }
    best(&mut whole);
    whole
}

#[test]
fn a_beam_is_not_closed_while_a_longer_title_may_be_better() {
    let (constraint, tokenizer, model) = shop();
    let sequences = sequences(&tokenizer);
    let all: BTreeSet<&Vec<u32>> = sequences.keys().collect();
    let prompts: Vec<Vec<u32>> = (0..8).map(|seed| vec![5 + seed, 9 + 3 * seed]).collect();
    let scoring = Scoring::Renormalised;
    for beam_width in 1..=4 {
        let search = BeamSearch { model: &model, constraint: &constraint, beam_width, scoring };
        let found = search.search(&tiny::batch(&prompts), &vec![&[][..]; prompts.len()]).unwrap();
        for (prompt, found) in prompts.iter().zip(found) {
            let of = |ids: &[u32]| score(&model, prompt, ids, &all, scoring);
            let expected = plain_beam(of, &all, beam_width);
            assert_eq!(found.len(), expected.len());
            for (hypothesis, (score, ids)) in found.iter().zip(expected) {
                assert_eq!(constraint.ids(&hypothesis.tokens), ids);
                assert!((hypothesis.score - score).abs() < 1e-4, "{} {score}", hypothesis.score);
            }
        }
    }
}

#[test]
fn sampled_titles_are_scored_as_training_scores_them_and_seen_ones_stay_away() {
    let (constraint, tokenizer, model) = shop();
    let sequences = sequences(&tokenizer);
    let batch = tiny::batch(&[vec![5, 9, 2]]);
    let seen = [0, 3, 5].map(ItemId);
    let excluded = [Excluded::new(constraint.trie(), seen).unwrap()];
    let conditions = Conditions { excluded: &excluded, ..Conditions::default() };
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let sampler = Sampler {
            model: &model,
            constraint: &constraint,
            sampling: SamplingConfig::new(2.0).unwrap(),
            scoring,
            seed: 3,
        };
        let group = sampler.sample(&batch, &conditions, 12).unwrap().remove(0);
        for rollout in &group {
            let items = &sequences[&constraint.ids(&rollout.tokens)];
            assert!(items.iter().all(|item| !seen.contains(item)), "{items:?}");
        }
        let rollouts = [group.iter().map(|r| r.completion(&constraint)).collect()];
        let completions = Completions { prompts: &batch, begun: &[0], rollouts: &rollouts };
        let logp = completion_logp(&model, &constraint, &completions, scoring).unwrap().logp;
        let logp = Vec::<f32>::try_from(logp).unwrap();
        let ours: Vec<f32> = group.iter().flat_map(|rollout| rollout.logp.clone()).collect();
        assert_eq!(ours.len(), logp.len());
        for (a, b) in ours.iter().zip(logp) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        let distinct = sampler.sample_distinct(&batch, &conditions, 9).unwrap().remove(0);
        assert_eq!(distinct.len(), sequences.len() - 2);
    }
}

#[test]
fn titles_without_a_trie_are_named() {
    let tokenizer = tiny::tokenizer(&tiny::catalog());
    let build = |titles: &[&str]| {
        let error = Constraint::from_titles(titles, &tokenizer, Device::Cpu).unwrap_err();
        match error {
            PolicyError::Trie(error) => error,
            other => panic!("{other}"),
        }
    };
    assert_eq!(build(&[]), TrieError::Empty);
    assert_eq!(build(&["red", ""]), TrieError::EmptySequence { item: ItemId(1) });
    let (short, long) = (ItemId(1), ItemId(0));
    assert_eq!(build(&["red<|im_end|>s", "red"]), TrieError::Prefix { short, long });
}

#[test]
fn memory_grows_with_the_trie_and_not_with_the_vocabulary() {
    let sequences: Vec<Vec<u32>> =
        (0..50_000u32).map(|i| vec![i % 97, 1000 + i / 97, 150_000, 2]).collect();
    let constraint = Constraint::from_sequences(&sequences, Device::Cpu).unwrap();
    let rows: usize = (0..4).map(|level| constraint.rows(level).numel()).sum();
    assert_eq!(rows, 97 + 50_000usize.div_ceil(97) + 1 + 1);
}

/// Items by their titles, a line each.
fn lines(tokenizer: &SidTokenizer) -> Constraint {
    let line = |title: &&str| [tokenizer.encode(title).unwrap(), tokenizer.encode("\n").unwrap()];
    let sequences: Vec<Vec<u32>> = TITLES.iter().map(|title| line(title).concat()).collect();
    Constraint::from_sequences(&sequences, Device::Cpu).unwrap()
}

#[test]
fn slates_hold_answers_of_their_pool_and_none_twice() {
    let (_, tokenizer, model) = shop();
    let constraint = lines(&tokenizer);
    let end = tokenizer.end_of_turn();
    let sampler = SlateSampler {
        model: &model,
        constraint: &constraint,
        slate_size: 3,
        sampling: SamplingConfig::new(3.0).unwrap(),
        scoring: Scoring::Full,
        seed: 5,
    };
    let prompts = [vec![3u32, 9, 14], vec![8, 2]];
    let batch = tiny::batch(&prompts);
    // Items 0 and 3 are one title; the second pool has fewer titles than a slate.
    let pools: [&[ItemId]; 2] = [&[0, 1, 3, 4, 6].map(ItemId), &[2, 5].map(ItemId)];
    let offered = pools.map(Some);
    let groups = sampler.sample(&batch, &offered, &[70, 71], 16).unwrap();
    let trie = constraint.trie();
    for (group, (pool, size)) in groups.iter().zip(pools.iter().zip([3, 2])) {
        assert_eq!(group.len(), 16);
        for slate in group {
            let leaves: BTreeSet<_> = slate.answers.iter().map(|answer| answer.node).collect();
            assert_eq!((slate.answers.len(), leaves.len()), (size, size));
            for leaf in leaves {
                assert!(trie.items(leaf).iter().any(|item| pool.contains(item)), "{leaf:?}");
            }
        }
    }
    let orders: BTreeSet<Vec<_>> = groups[0]
        .iter()
        .map(|slate| slate.answers.iter().map(|answer| answer.node).collect())
        .collect();
    assert!(orders.len() > 4, "{orders:?}");

    // Their log-probabilities are those of reading them whole, separators read and not scored.
    let rollouts: Vec<Vec<_>> = groups
        .iter()
        .map(|group| group.iter().map(|slate| slate.completion(&constraint, end)).collect())
        .collect();
    let completions = Completions { prompts: &batch, begun: &[0, 0], rollouts: &rollouts };
    let logp = completion_logp(&model, &constraint, &completions, Scoring::Full).unwrap();
    let logp = Vec::<f32>::try_from(logp.logp).unwrap();
    let words = |slate: &Slate| -> Vec<f32> {
        let of = slate.answers.iter().map(|answer| &answer.logp[..answer.logp.len() - 1]);
        of.flatten().copied().collect()
    };
    let ours: Vec<f32> = groups.iter().flatten().flat_map(words).collect();
    assert_eq!(ours.len(), logp.len());
    for (a, b) in ours.iter().zip(logp) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }

    // What is drawn for a prompt does not depend on its neighbours.
    let alone = sampler.sample(&tiny::batch(&prompts[1..]), &offered[1..], &[71], 16).unwrap();
    let nodes = |group: &[Slate]| -> Vec<Vec<_>> {
        group.iter().map(|slate| slate.answers.iter().map(|a| a.node).collect()).collect()
    };
    assert_eq!(nodes(&alone[0]), nodes(&groups[1]));

    let none: [Option<&[ItemId]>; 2] = [Some(&[]), Some(&[ItemId(0)])];
    let refused = sampler.sample(&batch, &none, &[], 1);
    assert!(matches!(refused, Err(PolicyError::Empty { what: "a pool" })));
    let refused = sampler.sample(&batch, &offered[1..], &[], 1);
    assert!(matches!(refused, Err(PolicyError::Size { what: "pools", found: 1, expected: 2 })));
}
