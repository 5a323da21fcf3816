//! Next-item learning history by history and choice by choice, by libtorch's graph, given the masks of dropout.

use tch::{Kind, Tensor};

use super::super::super::ItemPolicy;
use super::super::super::body::ItemDropout;
use super::super::super::lesson::Lesson;
use super::super::dropout::Dropout;
use super::super::learn::{ATTENTION, HIDDEN};
use crate::weights::{share, to_i64};

/// Adds `slope` times the gradient of the loss to the weights' gradients; returns the loss of each level.
pub(super) fn learn(
    policy: &ItemPolicy,
    lesson: &Lesson,
    dropout: ItemDropout,
    slope: f64,
) -> Vec<f64> {
    let states = states(policy, lesson, dropout);
    let mut losses = Vec::new();
    let mut whole = Tensor::zeros([], (Kind::Float, tch::Device::Cpu));
    let first = policy.level_states(0, &states).unwrap();
    let first = policy.first_level(&first, &lesson.choices[0]).unwrap().1;
    let of_repeats = policy.repeat_losses(lesson, &states, &first).unwrap();
    for (level, choices) in lesson.choices.iter().enumerate() {
        let states = policy.level_states(level, &states).unwrap();
        let mut loss = Tensor::zeros([], (Kind::Float, tch::Device::Cpu));
        for choice in choices {
            let rows: Vec<usize> = choice.children.clone().collect();
            let (start, len) = (to_i64(choice.children.start), to_i64(rows.len()));
            let state = states.get(to_i64(choice.position));
            let scores =
                policy.node_vectors(&rows).unwrap().mv(&state) + policy.bias.narrow(0, start, len);
            loss -= scores.log_softmax(0, Kind::Float).get(to_i64(choice.target) - start);
        }
        if let Some(of_levels) = &of_repeats {
            loss += &of_levels[level];
        }
        losses.push(loss.double_value(&[]));
        whole += loss * slope;
    }
    if whole.requires_grad() {
        whole.backward(); // there is a choice
    }
    losses
}

fn states(policy: &ItemPolicy, lesson: &Lesson, dropout: ItemDropout) -> Tensor {
    let (config, get) = (&policy.config, |name: &str| share(&policy.weights, name).unwrap());
    let linear = |x: &Tensor, name: &str| {
        x.linear(&get(&format!("{name}.weight")), Some(get(&format!("{name}.bias"))))
    };
    let norm = |x: &Tensor, name: &str| {
        let (weight, bias) = (get(&format!("{name}.weight")), get(&format!("{name}.bias")));
        x.layer_norm(weight.size(), Some(&weight), Some(&bias), config.layer_norm_eps, false)
    };
    let hidden = Dropout::new(dropout.hidden, dropout.seed).at(HIDDEN);
    let attention = Dropout::new(dropout.attention, dropout.seed).at(ATTENTION);
    let (heads, width) =
        (config.num_attention_heads, to_i64(config.hidden_size / config.num_attention_heads));
    let items = policy.item_vectors(&lesson.inputs.items).unwrap();
    let (mut first, mut all) = (0, Vec::new());
    for len in &lesson.inputs.lens {
        let rows = first..first + len;
        let drop =
            |x: Tensor, site: u64| x * mask(hidden.at(site), rows.clone(), config.hidden_size);
        let x = items.narrow(0, to_i64(first), to_i64(*len));
        let mut x = drop(norm(&x, "norm"), 0);
        for layer in 0..config.num_hidden_layers {
            let name = |part: &str| format!("layers.{layer}.{part}");
            let qkv = linear(&x, &name("attention.qkv"));
            let distances = get(&name("attention.distance.weight"));
            let mut attended = Vec::new();
            for head in 0..heads {
                let part = |at: usize| qkv.narrow(1, to_i64(at * heads + head) * width, width);
                let places = Tensor::arange(to_i64(*len), (Kind::Int64, tch::Device::Cpu));
                let apart = places.unsqueeze(1) - places.unsqueeze(0);
                let bias = distances.select(1, to_i64(head)).take(&apart.clamp_min(0));
                let scores = part(0).matmul(&part(1).tr()) / (width as f64).sqrt() + bias;
                let shares =
                    scores.masked_fill(&apart.lt(0), f64::NEG_INFINITY).softmax(1, Kind::Float);
                let of_head = attention.at(layer as u64).at(head as u64);
                attended.push((shares * mask(of_head, rows.clone(), *len)).matmul(&part(2)));
            }
            let added = linear(&Tensor::cat(&attended, 1), &name("attention.out"));
            let attended = norm(&(&x + drop(added, 2 * layer as u64 + 1)), &name("attention_norm"));
            x = if config.filter_share > 0.0 {
                let places = Tensor::arange(to_i64(*len), (Kind::Int64, tch::Device::Cpu));
                let apart = places.unsqueeze(1) - places.unsqueeze(0);
                let weights = get(&name("filter.distance.weight")).take(&apart.clamp_min(0));
                let weights = weights.masked_fill(&apart.lt(0), f64::NEG_INFINITY);
                let low = weights.softmax(1, Kind::Float).matmul(&x);
                let y = &low + (&x - &low) * get(&name("filter.high"));
                let site = (2 * config.num_hidden_layers + 1 + layer) as u64;
                let filtered = norm(&(&x + drop(y, site)), &name("filter_norm"));
                filtered * config.filter_share + attended * (1.0 - config.filter_share)
            } else {
                attended
            };
            let wide = linear(&x, &name("feed_forward.up")).gelu("none");
            let added = linear(&wide, &name("feed_forward.down"));
            x = norm(&(&x + drop(added, 2 * layer as u64 + 2)), &name("feed_forward_norm"));
        }
        all.push(x);
        first += len;
    }
    Tensor::cat(&all, 0)
}

/// Factors of rows of activations, one at a time.
fn mask(dropout: Dropout, rows: std::ops::Range<usize>, width: usize) -> Tensor {
    let len = to_i64(rows.len());
    let of_row = |row: usize| (0..width).map(move |at| dropout.factors(row)(at));
    let values: Vec<f32> = rows.flat_map(of_row).collect();
    Tensor::from_slice(&values).view([len, to_i64(width)])
}
