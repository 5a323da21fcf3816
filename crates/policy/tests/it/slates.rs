//! Slates of Semantic IDs over a whole catalogue, against enumeration.

use std::collections::{BTreeMap, BTreeSet};

use sidereal_policy::{
    Completions, Constraint, Decoder, LanguageModel, SamplingConfig, Scoring, SidTokenizer, Slate,
    SlateSampler, completion_logp,
};
use sidereal_sid::{Catalog, ItemId, SemanticId, SidSpec, Trie};
use tch::{Device, Kind};

use crate::tiny;

/// Items 0 and 1 share a Semantic ID; one level has a node with one child.
fn catalog() -> Catalog {
    let sids = [[0, 1], [0, 1], [0, 2], [1, 0], [2, 2]].map(SemanticId::from).to_vec();
    Catalog::new(SidSpec::new(vec![3, 3], 0).unwrap(), sids).unwrap()
}

fn shop() -> (Constraint, SidTokenizer, Decoder) {
    let catalog = catalog();
    let tokenizer = tiny::tokenizer(&catalog);
    let end = tokenizer.encode("\n").unwrap();
    let line = |sid: &SemanticId| {
        let codes = tokenizer.encode(&catalog.spec().text(sid)).unwrap();
        [codes, end.clone()].concat()
    };
    let lines: Vec<Vec<u32>> = catalog.sids().iter().map(line).collect();
    let constraint = Constraint::from_sequences(&lines, Device::Cpu).unwrap();
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 7);
    (constraint, tokenizer, model)
}

fn sampler<'a>(
    model: &'a Decoder,
    constraint: &'a Constraint,
    slate_size: usize,
) -> SlateSampler<'a> {
    let sampling = SamplingConfig::new(1.0).unwrap();
    SlateSampler { model, constraint, slate_size, sampling, scoring: Scoring::Full, seed: 5 }
}

fn leaves(slate: &Slate) -> Vec<u32> {
    slate.answers.iter().map(|answer| answer.node.0).collect()
}

/// Log-probability of each next token after `read`, over the vocabulary.
fn next(model: &Decoder, read: &[u32]) -> Vec<f64> {
    let hidden = model.forward(&tiny::batch(&[read.to_vec()]), 0.0).unwrap().get(0);
    let last = i64::try_from(read.len()).unwrap() - 1;
    let logits = model.head().logits(&hidden).unwrap().get(last);
    Vec::try_from(logits.log_softmax(-1, Kind::Double)).unwrap()
}

#[test]
fn a_slate_of_the_whole_catalogue_has_the_probability_of_drawing_its_codes_without_repetition() {
    let (constraint, tokenizer, model) = shop();
    let trie = constraint.trie();
    let prompt = vec![3u32, 9, 14];
    let batch = tiny::batch(std::slice::from_ref(&prompt));
    let drawn = sampler(&model, &constraint, 2).sample(&batch, &[None], &[70], 400).unwrap();
    let distinct: BTreeMap<Vec<u32>, &Slate> =
        drawn[0].iter().map(|slate| (leaves(slate), slate)).collect();
    assert!(distinct.len() > 4, "{}", distinct.len());
    for slate in distinct.values() {
        let (mut read, mut held) = (prompt.clone(), Vec::new());
        for answer in &slate.answers {
            let mut node = Trie::ROOT;
            for (at, token) in answer.tokens.iter().enumerate() {
                let of_vocabulary = next(&model, &read);
                // A child is legal while a leaf below it is not in the slate.
                let under = |node: sidereal_sid::NodeId| {
                    let above = |leaf: &sidereal_sid::NodeId| {
                        std::iter::successors(Some(*leaf), |n| trie.parent(*n)).any(|n| n == node)
                    };
                    trie.leaves().filter(above).any(|leaf| !held.contains(&leaf))
                };
                let children = trie.children(node);
                let logp = |token: u32| of_vocabulary[constraint.id(token) as usize];
                let legal: f64 = (0..children.len())
                    .filter(|k| under(children.node(*k)))
                    .map(|k| logp(children.tokens[k]).exp())
                    .sum();
                let (full, among_legal) = (logp(*token), logp(*token) - legal.ln());
                assert!((f64::from(answer.logp[at]) - full).abs() < 1e-4, "{full}");
                assert!((answer.draw_logp[at] - among_legal).abs() < 1e-4, "{among_legal}");
                node = children.find(*token).unwrap();
                read.push(constraint.id(*token));
            }
            held.push(node);
        }
    }

    // The same scores by one reading of the whole slate, line ends read and not scored.
    let end = tokenizer.end_of_turn();
    let slates: Vec<&&Slate> = distinct.values().collect();
    let rollouts = vec![slates.iter().map(|slate| slate.completion(&constraint, end)).collect()];
    let completions = Completions { prompts: &batch, begun: &[0], rollouts: &rollouts };
    let found = completion_logp(&model, &constraint, &completions, Scoring::Full).unwrap();
    let found = Vec::<f32>::try_from(found.logp).unwrap();
    let codes = |slate: &&&Slate| -> f32 {
        slate.answers.iter().flat_map(|answer| &answer.logp[..answer.logp.len() - 1]).sum()
    };
    for (slate, read) in slates.iter().zip(found.chunks(4)) {
        assert!((codes(slate) - read.iter().sum::<f32>()).abs() < 1e-4);
    }
}

#[test]
fn a_slate_leaves_room_for_all_its_answers() {
    let (constraint, _, model) = shop();
    let positions = model.positions().unwrap();
    let answer = constraint.max_len();
    for slate_size in [1, 3] {
        let longest = sampler(&model, &constraint, slate_size).longest_prompt();
        assert_eq!(longest, positions - slate_size * answer);
    }
}

#[test]
fn a_slate_ends_once_the_catalogue_does_and_none_of_its_items_comes_twice() {
    let (constraint, _, model) = shop();
    let trie = constraint.trie();
    let prompts = [vec![3u32, 9, 14], vec![8, 2]];
    let pool: &[ItemId] = &[ItemId(1), ItemId(4)];
    let all = sampler(&model, &constraint, 10);
    let drawn = all.sample(&tiny::batch(&prompts), &[None, Some(pool)], &[1, 2], 30).unwrap();
    for (group, size) in drawn.iter().zip([4, 2]) {
        for slate in group {
            let distinct: BTreeSet<u32> = leaves(slate).into_iter().collect();
            assert_eq!((slate.answers.len(), distinct.len()), (size, size));
        }
    }
    for answer in drawn[1].iter().flat_map(|slate| &slate.answers) {
        assert!(trie.items(answer.node).iter().any(|item| pool.contains(item)));
    }
    // What a slate of two holds is what a longer one begins with: nothing looks ahead.
    let short = sampler(&model, &constraint, 2);
    let begun = short.sample(&tiny::batch(&prompts), &[None, None], &[1, 2], 30).unwrap();
    for (short, long) in begun[0].iter().zip(&drawn[0]) {
        assert_eq!(leaves(short), leaves(long)[..2]);
    }
}
