//! Completions of words and codes, scored with their prompts shared, against reading each alone.

use proptest::prelude::*;
use sidereal_policy::{
    CompletionToken, Completions, Constraint, Decoder, PolicyError, Scoring, Target, TokenPlace,
    code_targets, completion_logp,
};
use sidereal_sid::{Catalog, NodeId};
use tch::{Device, Kind, Tensor};

use crate::naive::{Naive, gradients};
use crate::tiny;

/// A piece of a completion: words that are scored, words that are only read, an item's codes.
#[derive(Debug, Clone)]
enum Piece {
    Scored(Vec<u32>),
    Read(Vec<u32>),
    Item(usize),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let words = |most| prop::collection::vec(4u32..200, 1..most);
    let piece = prop_oneof![
        words(12).prop_map(Piece::Scored),
        words(6).prop_map(Piece::Read),
        (0usize..9).prop_map(Piece::Item),
    ];
    prop::collection::vec(piece, 0..4)
}

fn tokens(catalog: &Catalog, constraint: &Constraint, pieces: &[Piece]) -> Vec<CompletionToken> {
    let of_piece = |piece: &Piece| match piece {
        Piece::Scored(ids) => {
            ids.iter().map(|id| CompletionToken::Scored(Target::Word(*id))).collect()
        }
        Piece::Read(ids) => ids.iter().map(|id| CompletionToken::Read(*id)).collect::<Vec<_>>(),
        Piece::Item(item) => {
            let flat = catalog.spec().tokens(&catalog.sids()[*item]).unwrap();
            let targets = code_targets(constraint.trie(), &[], &flat).unwrap();
            targets.into_iter().map(CompletionToken::Scored).collect()
        }
    };
    pieces.iter().flat_map(of_piece).collect()
}

/// Compares places, values and gradients; nothing where nothing is scored.
fn check(model: &Decoder, catalog: &Catalog, prompts: &[Vec<u32>], groups: &[Vec<Vec<Piece>>]) {
    let (constraint, tokenizer) = tiny::constraint(catalog);
    let of_group = |group: &Vec<Vec<Piece>>| {
        group.iter().map(|pieces| tokens(catalog, &constraint, pieces)).collect()
    };
    let rollouts: Vec<Vec<Vec<CompletionToken>>> = groups.iter().map(of_group).collect();
    let batch = tiny::batch(prompts);
    let begun = vec![0; prompts.len()];
    let completions = Completions { prompts: &batch, begun: &begun, rollouts: &rollouts };
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let naive = Naive { model, tokenizer: &tokenizer, catalog, scoring };
        let (mut alone, mut places, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        for (prompt, (text, group)) in prompts.iter().zip(&rollouts).enumerate() {
            for (rollout, tokens) in group.iter().enumerate() {
                let found = naive.completion(&constraint, text, tokens);
                lens.push(found.len());
                for (token, logp) in found {
                    places.push(TokenPlace { prompt, rollout, token });
                    alone.push(logp);
                }
            }
        }
        let shared = completion_logp(model, &constraint, &completions, scoring);
        if alone.is_empty() {
            assert!(matches!(shared.unwrap_err(), PolicyError::Empty { .. }));
            continue;
        }
        let shared = shared.unwrap();
        assert_eq!((&shared.places, &shared.lens), (&places, &lens));
        let alone = Tensor::stack(&alone, 0);
        let worst = tiny::difference(&shared.logp, &alone);
        assert!(worst < 2e-4, "{scoring:?}: value {worst}");

        let weights = (Tensor::arange(alone.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin();
        let ours = gradients(model, &(&shared.logp * &weights).sum(Kind::Float));
        let theirs = gradients(model, &(&alone * &weights).sum(Kind::Float));
        for ((name, a), (_, b)) in ours.iter().zip(&theirs) {
            let size = f64::try_from(b.abs().max()).unwrap();
            let worst = tiny::difference(a, b);
            assert!(worst < 2e-4 * (1.0 + size), "{scoring:?}, {name}: {worst} of {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn completions_of_any_kind_equal_their_texts_alone(
        groups in prop::collection::vec(
            (prop::collection::vec(4u32..200, 1..7), prop::collection::vec(pieces(), 0..4)),
            1..4,
        ),
    ) {
        let catalog = tiny::catalog();
        let vocab = tiny::tokenizer(&catalog).vocab_size();
        let model = tiny::model(tiny::config(vocab, 2, true), 8).require_grad(true);
        let (prompts, groups): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        check(&model, &catalog, &prompts, &groups);
    }
}

#[test]
fn completions_of_only_words_only_codes_and_different_lengths() {
    let catalog = tiny::catalog();
    let vocab = tiny::tokenizer(&catalog).vocab_size();
    let model = tiny::model(tiny::config(vocab, 1, false), 8).require_grad(true);
    let words = |n: u32| Piece::Scored((0..n).map(|i| 10 + i * 7 % 150).collect());
    let groups = [
        vec![vec![words(1)], vec![words(40)], vec![words(13), Piece::Read(vec![5, 6])]],
        vec![vec![Piece::Item(2)], vec![Piece::Item(0)], vec![Piece::Item(8)]],
        vec![],
        vec![vec![Piece::Read(vec![9; 20]), Piece::Item(4)], vec![words(11), Piece::Item(1)]],
    ];
    let prompts = [vec![70, 71, 72], vec![99], vec![80, 90], vec![65, 66, 67, 68, 69]];
    check(&model, &catalog, &prompts, &groups);
}

#[test]
fn completions_that_cannot_be_scored_are_errors() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 8);
    let batch = tiny::batch(&[vec![1, 2]]);
    let run = |rollouts: &[Vec<Vec<CompletionToken>>]| {
        let completions = Completions { prompts: &batch, begun: &[0], rollouts };
        completion_logp(&model, &constraint, &completions, Scoring::Full).unwrap_err()
    };
    let word = CompletionToken::Scored(Target::Word(7));
    let illegal = CompletionToken::Scored(Target::Code { node: NodeId(0), token: 9999 });
    assert!(matches!(run(&[]), PolicyError::Size { .. }));
    assert!(matches!(run(&[vec![vec![]]]), PolicyError::Empty { .. }));
    assert!(matches!(run(&[vec![vec![CompletionToken::Read(7)]]]), PolicyError::Empty { .. }));
    assert!(matches!(
        run(&[vec![vec![word, illegal]]]),
        PolicyError::IllegalCode { target: 1, .. }
    ));
    assert!(matches!(run(&[vec![vec![word; 64]]]), PolicyError::Positions { .. }));
}
