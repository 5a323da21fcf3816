//! Gradient checkpointing against one graph.

use sidereal_policy::{Decoder, Lora, LoraConfig, TokenBatch};
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
