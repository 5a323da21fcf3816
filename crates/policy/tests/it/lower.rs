//! Upper layers over states of frozen lower ones, against a pass through all layers.

use sidereal_policy::{
    Decoder, LowerStates, Place, PolicyError, Scoring, SequencePass, Target, TokenLaw, Trainable,
};
use tch::{Device, Kind, Tensor};

use crate::tiny;

/// Gradients of what is trained, and log-probabilities.
fn learned(model: &Decoder, pass: &SequencePass<'_>) -> (Vec<(String, Tensor)>, Tensor) {
    let (constraint, _) = tiny::constraint(&tiny::catalog());
    let trained = model.trained();
    for weight in trained.values() {
        weight.shallow_clone().zero_grad();
    }
    let pass = model.sequence_pass(&constraint, pass).unwrap();
    let logp = pass.logp().shallow_clone();
    pass.backward(&(Tensor::arange(logp.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin())
        .unwrap();
    (trained.iter().map(|(name, weight)| (name.clone(), weight.grad().copy())).collect(), logp)
}

#[test]
fn a_pass_above_kept_states_equals_one_through_all_layers() {
    let config =
        sidereal_policy::DecoderConfig { num_hidden_layers: 4, ..tiny::config(300, 2, true) };
    let shared: Vec<u32> = (20..32).collect();
    let apart = [vec![7, 8, 9, 10, 11], vec![70, 80, 90], vec![5, 6]];
    let alike = [[&shared[..], &[5, 6, 7]].concat(), [&shared[..], &[50]].concat()];
    let law = TokenLaw::from(Scoring::Full);
    for upper in 1..=3 {
        let model = tiny::model(config.clone(), 4);
        let names = model.upper_weights(upper).unwrap();
        let model = model.require_grad_of(|name| names.iter().any(|wanted| wanted == name));
        assert_eq!(model.frozen_layers(), 4 - upper);
        for rows in [&apart[..], &alike] {
            let tokens = tiny::batch(rows);
            let last = |(row, ids): (usize, &Vec<u32>)| {
                (0..ids.len()).rev().step_by(2).map(move |position| Place { row, position })
            };
            let places: Vec<Place> = rows.iter().enumerate().flat_map(last).collect();
            let targets: Vec<Target> =
                (0..).map(|at| Target::Word(60 + at)).take(places.len()).collect();
            let (places, targets) = (&places[..], &targets[..]);
            let plain = SequencePass {
                tokens: &tokens,
                places,
                targets,
                law,
                dropout: 0.0,
                recompute: false,
                lower: None,
            };
            let (expected, logp) = learned(&model, &plain);
            let layers = model.frozen_layers();
            let states = &model.lower_states(&tokens, layers).unwrap();
            assert!(!states.requires_grad());
            for recompute in [false, true] {
                let lower = Some(LowerStates { layers, states });
                let above = SequencePass { recompute, lower, ..plain };
                let (found, same) = learned(&model, &above);
                assert!(tiny::difference(&logp, &same) < 1e-5, "{upper}, {recompute}");
                for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                    let scale = f64::try_from(expected.abs().max()).unwrap().max(1.0);
                    let worst = tiny::difference(found, expected) / scale;
                    assert!(worst < 1e-5, "{upper}, {recompute}, {name}: {worst}");
                }
            }
        }
    }
}

#[test]
fn layers_that_are_not_there_and_states_of_other_sequences_are_refused() {
    let model = tiny::model(tiny::config(300, 2, true), 4);
    for wrong in [0, 3] {
        let error = model.upper_weights(wrong).unwrap_err().to_string();
        assert!(error.contains(&format!("upper = {wrong}")), "{error}");
    }
    let tokens = tiny::batch(&[vec![7, 8, 9]]);
    assert!(matches!(model.lower_states(&tokens, 3), Err(PolicyError::Size { found: 3, .. })));
    let (constraint, _) = tiny::constraint(&tiny::catalog());
    let states = &model.lower_states(&tiny::batch(&[vec![7, 8]]), 1).unwrap();
    let pass = SequencePass {
        tokens: &tokens,
        places: &[Place { row: 0, position: 1 }],
        targets: &[Target::Word(9)],
        law: TokenLaw::from(Scoring::Full),
        dropout: 0.0,
        recompute: false,
        lower: Some(LowerStates { layers: 1, states }),
    };
    let error = model.sequence_pass(&constraint, &pass).unwrap_err();
    assert!(matches!(error, PolicyError::Size { found: 2, expected: 3, .. }), "{error}");
    let all = model.lower_states(&tokens, 2).unwrap();
    let lower = Some(LowerStates { layers: 2, states: &all });
    assert!(model.sequence_pass(&constraint, &SequencePass { lower, ..pass }).is_err());
}
