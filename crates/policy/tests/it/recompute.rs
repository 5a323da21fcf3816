//! Gradient checkpointing against one graph.

use sidereal_policy::{Decoder, Lora, LoraConfig, Place, PolicyError, TokenBatch};
use tch::{Kind, Tensor};

use crate::naive::gradients;
use crate::tiny;

fn loss(states: &Tensor) -> Tensor {
    (states * 1.3).sin().sum(Kind::Float)
}

/// States and gradients by recomputation.
fn recomputed(model: &Decoder, batch: &TokenBatch, dropout: f64) -> (Tensor, Vec<Tensor>) {
    model.trained().values().for_each(|weight| weight.shallow_clone().zero_grad());
    let read = model.forward_recomputed(batch, dropout).unwrap();
    loss(read.states()).backward();
    let states = read.states().detach();
    read.backward().unwrap();
    (states, model.trained().values().map(|weight| weight.grad().copy()).collect())
}

#[test]
fn gradients_equal_those_of_one_graph() {
    // Rows that share nothing, and rows that share a beginning, which are read in two spans.
    let shared: Vec<u32> = (20..32).collect();
    let apart = tiny::batch(&[vec![7, 8, 9, 10], vec![70, 80, 90]]);
    let alike = tiny::batch(&[[&shared[..], &[5, 6]].concat(), [&shared[..], &[50]].concat()]);
    for kv_heads in [1, 2] {
        let model = tiny::model(tiny::config(260, kv_heads, true), 4).require_grad(true);
        for batch in [&apart, &alike] {
            let plain = model.forward(batch, 0.0).unwrap();
            let expected = gradients(&model, &loss(&plain));
            let (states, found) = recomputed(&model, batch, 0.0);
            assert!(tiny::difference(&states, &plain) == 0.0);
            for ((name, expected), found) in expected.iter().zip(&found) {
                assert!(tiny::difference(found, expected) == 0.0, "{name}");
            }
        }
    }
}

#[test]
fn dropout_falls_on_the_same_elements_both_times() {
    // With the same draws the loss is a function of the weights, whose slope along a direction the
    // gradient must give.
    let model = tiny::model(tiny::config(260, 2, true), 4);
    let lora = LoraConfig { dropout: 0.4, ..LoraConfig::default() };
    let model = model.with_lora(&Lora::try_from(lora).unwrap(), 9).unwrap().require_grad(true);
    let batch = tiny::batch(&[vec![7, 8, 9, 10], vec![70, 80, 90]]);
    let name = "model.layers.0.mlp.up_proj.weight";
    let at = |shift: f64, direction: &Tensor| {
        {
            let _guard = tch::no_grad_guard();
            let _ = model.weights()[name].shallow_clone().f_add_(&(direction * shift)).unwrap();
        }
        tch::manual_seed(77);
        let (states, grads) = recomputed(&model, &batch, 0.3);
        let of_name = model.trained().keys().position(|key| key == name).unwrap();
        (loss(&states).double_value(&[]), grads[of_name].copy())
    };
    let zero = model.weights()[name].detach().zeros_like();
    let (_, gradient) = at(0.0, &zero);
    let direction = &gradient / gradient.square().sum(Kind::Float).sqrt();
    let expected = (&gradient * &direction).sum(Kind::Float).double_value(&[]);
    let (above, _) = at(1e-2, &direction);
    let (below, _) = at(-2e-2, &direction);
    let slope = (above - below) / 2e-2;
    assert!((slope - expected).abs() < 0.02 * expected.abs(), "{slope} {expected}");
}

#[test]
fn states_at_places_and_their_gradients_equal_those_of_whole_rows() {
    let shared: Vec<u32> = (20..32).collect();
    let apart = tiny::batch(&[vec![7, 8, 9, 10], vec![70, 80, 90], vec![5]]);
    let alike = tiny::batch(&[[&shared[..], &[5, 6]].concat(), [&shared[..], &[50]].concat()]);
    // Rows with several places, one and none, out of order, one twice; in the shared beginning too.
    let of_apart = [(1, 2), (0, 3), (0, 0), (1, 0), (0, 3)];
    let of_alike = [(1, 12), (0, 5), (0, 13), (1, 11), (0, 12), (1, 0)];
    for kv_heads in [1, 2, 4] {
        let model = tiny::model(tiny::config(260, kv_heads, true), 4).require_grad(true);
        for (batch, places) in [(&apart, &of_apart[..]), (&alike, &of_alike[..])] {
            let whole = model.forward(batch, 0.0).unwrap();
            let rows: Vec<Tensor> =
                places.iter().map(|(row, position)| whole.get(*row).get(*position)).collect();
            let rows = Tensor::stack(&rows, 0);
            let expected = gradients(&model, &loss(&rows));
            let to_usize = |n: i64| usize::try_from(n).unwrap();
            let places: Vec<Place> = places
                .iter()
                .map(|(row, at)| Place { row: to_usize(*row), position: to_usize(*at) })
                .collect();
            let states = model.forward_at(batch, &places, 0.0).unwrap();
            assert!(tiny::difference(&states, &rows) < 1e-5);
            for ((name, expected), (_, found)) in
                expected.iter().zip(gradients(&model, &loss(&states)))
            {
                let scale = f64::try_from(expected.abs().max()).unwrap().max(1.0);
                let worst = tiny::difference(&found, expected) / scale;
                assert!(worst < 1e-5, "{name}: {worst}");
            }
        }
    }
}

#[test]
fn places_outside_a_batch_are_named() {
    let model = tiny::model(tiny::config(260, 2, true), 4);
    let batch = tiny::batch(&[vec![7, 8, 9, 10], vec![70, 80, 90]]);
    let at = |row, position| model.forward_at(&batch, &[Place { row, position }], 0.0);
    assert!(matches!(at(2, 0), Err(PolicyError::Size { found: 3, expected: 2, .. })));
    assert!(matches!(at(0, 4), Err(PolicyError::Size { found: 5, expected: 4, .. })));
    // Padding was left out, so there is nothing after the end of a row.
    assert!(matches!(at(1, 3), Err(PolicyError::Size { found: 4, expected: 3, .. })));
    assert!(matches!(model.forward_at(&batch, &[], 0.0), Err(PolicyError::Empty { .. })));
}
