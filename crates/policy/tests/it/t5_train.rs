//! What a T5 learns: sequences whose prompt the encoder reads and whose answer the decoder writes.

use sidereal_policy::{
    CompletionToken, Completions, Constraint, LogpPass, Place, Policy, PolicyError, Scoring,
    SequencePass, T5, Target, TokenBatch, TokenLaw, Trainable, code_targets,
};
use tch::{Device, Kind, Tensor};

use crate::{t5, tiny};

/// Prompts with answers: codes alone, words that are read before codes, and words that are learned.
pub(crate) struct Rows {
    prompts: Vec<Vec<u32>>,
    answers: Vec<Vec<CompletionToken>>,
}

pub(crate) fn rows(constraint: &Constraint) -> Rows {
    let code = |item| {
        let flat = constraint.flat(sidereal_sid::ItemId(item)).unwrap();
        let targets = code_targets(constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect::<Vec<_>>()
    };
    let word = |id| CompletionToken::Scored(Target::Word(id));
    let mixed = [vec![word(72)], vec![CompletionToken::Read(73)], code(3), vec![word(70)]];
    Rows {
        prompts: vec![vec![70, 71, 72], vec![99], vec![80, 81, 82, 83, 84]],
        answers: vec![code(0), mixed.concat(), code(5)],
    }
}

/// The rows as sequences, with the places before their targets.
pub(crate) fn sequences(
    rows: &Rows,
    constraint: &Constraint,
) -> (TokenBatch, Vec<Place>, Vec<Target>) {
    let (mut ids, mut places, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (row, (prompt, answer)) in rows.prompts.iter().zip(&rows.answers).enumerate() {
        for (at, token) in answer.iter().enumerate() {
            if let CompletionToken::Scored(target) = token {
                places.push(Place { row, position: prompt.len() + at - 1 });
                targets.push(*target);
            }
        }
        let written = answer.iter().map(|token| match token {
            CompletionToken::Scored(Target::Code { token, .. }) => constraint.ids(&[*token])[0],
            CompletionToken::Scored(Target::Word(id)) | CompletionToken::Read(id) => *id,
        });
        ids.push(prompt.iter().copied().chain(written).collect::<Vec<u32>>());
    }
    (tiny::batch(&ids), places, targets)
}

/// Log-probabilities, and the gradients of a weighted sum of them.
fn learned(model: &T5, pass: LogpPass<'_>) -> (Tensor, Vec<Tensor>) {
    model.weights().values().for_each(|weight| weight.shallow_clone().zero_grad());
    let logp = pass.logp().shallow_clone();
    let probe = (Tensor::arange(logp.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin();
    pass.backward(&probe).unwrap();
    (logp, model.weights().values().map(|weight| weight.grad().copy()).collect())
}

#[test]
fn without_dropout_sequences_have_the_values_and_gradients_of_completions() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let rows = rows(&constraint);
    let (tokens, places, targets) = sequences(&rows, &constraint);
    for (feed_forward, tied) in t5::SHAPES {
        let config = t5::config(tokenizer.vocab_size(), feed_forward, tied);
        let model = T5::random(config, 2, Device::Cpu).unwrap().require_grad(true);
        for (scoring, heat) in
            [(Scoring::Full, 1.0), (Scoring::Renormalised, 1.0), (Scoring::Full, 0.7)]
        {
            let law = TokenLaw::from(scoring).at_temperature(heat).unwrap();
            let pass = SequencePass {
                tokens: &tokens,
                places: &places,
                targets: &targets,
                law,
                dropout: 0.0,
                recompute: false,
                lower: None,
            };
            let (logp, grads) = learned(&model, model.sequence_pass(&constraint, &pass).unwrap());
            let prompts = tiny::batch(&rows.prompts);
            let rollouts: Vec<Vec<Vec<CompletionToken>>> =
                rows.answers.iter().map(|answer| vec![answer.clone()]).collect();
            let begun = [0; 3];
            let completions = Completions { prompts: &prompts, begun: &begun, rollouts: &rollouts };
            let found = model.completion_pass(&constraint, &completions, law);
            let (plain, plain_grads) = learned(&model, found.unwrap().pass);
            assert!(tiny::difference(&logp, &plain) < 1e-4, "{scoring:?}");
            for (ours, theirs) in grads.iter().zip(&plain_grads) {
                assert!(tiny::difference(ours, theirs) < 1e-3, "{scoring:?}");
            }
            // The order of the targets is the caller's.
            let (places, targets): (Vec<Place>, Vec<Target>) =
                places.iter().copied().zip(targets.iter().copied()).rev().unzip();
            let turned = SequencePass { places: &places, targets: &targets, ..pass };
            let turned = model.sequence_pass(&constraint, &turned).unwrap();
            assert!(tiny::difference(&turned.logp().flip([0]), &logp) < 1e-5);
        }
    }
}

#[test]
fn dropout_is_drawn_by_seed_and_reaches_every_row() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let (tokens, places, targets) = sequences(&rows(&constraint), &constraint);
    let (feed_forward, tied) = t5::SHAPES[0];
    let config = t5::config(tokenizer.vocab_size(), feed_forward, tied);
    let model = T5::random(config, 2, Device::Cpu).unwrap();
    let drawn = |seed, dropout| {
        tch::manual_seed(seed);
        let pass = SequencePass {
            tokens: &tokens,
            places: &places,
            targets: &targets,
            law: TokenLaw::from(Scoring::Full),
            dropout,
            recompute: false,
            lower: None,
        };
        model.sequence_pass(&constraint, &pass).unwrap().logp().shallow_clone()
    };
    assert!(tiny::difference(&drawn(1, 0.3), &drawn(1, 0.3)) == 0.0);
    let apart = |one: &Tensor, other: &Tensor| (one - other).abs().min().double_value(&[]);
    assert!(apart(&drawn(1, 0.3), &drawn(2, 0.3)) > 0.0);
    assert!(apart(&drawn(1, 0.3), &drawn(1, 0.0)) > 0.0);
    // The less is dropped, the nearer to nothing dropped.
    let off = |dropout| {
        let apart = (0..20).map(|seed| tiny::difference(&drawn(seed, dropout), &drawn(seed, 0.0)));
        apart.sum::<f64>() / 20.0
    };
    let (little, much) = (off(0.001), off(0.3));
    assert!(little < 0.5 * much, "{little} {much}");
}

#[test]
fn what_a_t5_cannot_learn_is_refused() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let (tokens, places, targets) = sequences(&rows(&constraint), &constraint);
    let (feed_forward, tied) = t5::SHAPES[0];
    let config = t5::config(tokenizer.vocab_size(), feed_forward, tied);
    let model = T5::random(config, 2, Device::Cpu).unwrap();
    let pass = SequencePass {
        tokens: &tokens,
        places: &places,
        targets: &targets,
        law: TokenLaw::from(Scoring::Full),
        dropout: 0.0,
        recompute: true,
        lower: None,
    };
    let error = model.sequence_pass(&constraint, &pass).unwrap_err();
    assert!(error.to_string().contains("`recompute` is true"), "{error}");
    let pass = SequencePass { recompute: false, ..pass };
    let beyond = [&places[1..], &[Place { row: 0, position: 40 }]].concat();
    for places in [&places[1..], &beyond] {
        let error = model.sequence_pass(&constraint, &SequencePass { places, ..pass }).unwrap_err();
        assert!(matches!(error, PolicyError::Size { .. }), "{error}");
    }
}
