//! Cached reading against reading the whole text at once.

use sidereal_policy::{Decoder, LanguageModel, PolicyError};
use tch::{Device, Kind, Tensor};

use crate::tiny;

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![5, 9, 2, 40, 1], vec![7], vec![1, 2, 3, 4, 5, 6, 7, 8, 9]]
}

/// Prompts of one template: eleven tokens, then their own.
fn template_prompts() -> Vec<Vec<u32>> {
    let own: [&[u32]; 3] = [&[5], &[7, 1, 40, 3], &[7, 2]];
    own.iter().map(|own| (20..31).chain(own.iter().copied()).collect()).collect()
}

/// Token of step `step` in branch `branch` of prompt `user`: all different enough.
fn token(user: usize, branch: usize, step: usize) -> u32 {
    u32::try_from((user * 31 + branch * 17 + step * 7 + branch * step + 3) % 64).unwrap()
}

/// `[U, W, S]` of `texts[u][w]`'s last `len` tokens.
fn last_tokens(texts: &[Vec<Vec<u32>>], len: usize) -> Tensor {
    let flat: Vec<i64> = texts
        .iter()
        .flatten()
        .flat_map(|text| text[text.len() - len..].iter().map(|t| i64::from(*t)))
        .collect();
    let shape = [texts.len(), texts[0].len(), len].map(|n| i64::try_from(n).unwrap());
    Tensor::from_slice(&flat).view(shape)
}

/// Every branch's last `len` states equal those of its whole text read alone.
fn assert_equal(model: &Decoder, texts: &[Vec<Vec<u32>>], hidden: &Tensor, len: usize) {
    for (user, branches) in texts.iter().enumerate() {
        for (branch, text) in branches.iter().enumerate() {
            let whole = model.forward(&tiny::batch(std::slice::from_ref(text)), 0.0).unwrap();
            let len = i64::try_from(len).unwrap();
            let end = i64::try_from(text.len()).unwrap();
            let cached =
                hidden.get(i64::try_from(user).unwrap()).get(i64::try_from(branch).unwrap());
            let worst = tiny::difference(&cached, &whole.get(0).narrow(0, end - len, len));
            assert!(worst < 1e-4, "prompt {user}, branch {branch}: {worst}");
        }
    }
}

#[test]
fn extending_by_any_number_of_tokens_equals_one_pass() {
    for kv_heads in [1, 2, 4] {
        let model = tiny::model(tiny::config(64, kv_heads, true), 3);
        for (chunks, prompts) in [
            (vec![1, 1, 1, 1], prompts()),
            (vec![4], template_prompts()),
            (vec![2, 1, 3], prompts()),
            (vec![1, 5], template_prompts()),
            // One token each, on both sides of the length from which branches take products.
            (vec![6, 1, 1, 1, 1], prompts()),
            // Room for more is made twice, and filled to its end and across it.
            ([vec![1; 24], vec![5, 9, 1]].concat(), prompts()),
        ] {
            let (_, mut cache) = model.prefill(&tiny::batch(&prompts), &[0; 3]).unwrap();
            let mut texts: Vec<Vec<Vec<u32>>> =
                prompts.into_iter().map(|prompt| vec![prompt; 3]).collect();
            let mut step = 0;
            for len in chunks {
                for (user, branches) in texts.iter_mut().enumerate() {
                    for (branch, text) in branches.iter_mut().enumerate() {
                        text.extend((step..step + len).map(|s| token(user, branch, s)));
                    }
                }
                step += len;
                let hidden = model.extend(&last_tokens(&texts, len), &mut cache).unwrap();
                assert_eq!(cache.branch_len(), i64::try_from(step).unwrap());
                assert_equal(&model, &texts, &hidden, len);
            }
        }
    }
}

/// Gradients of what is trained.
fn gradients(model: &Decoder) -> Vec<Tensor> {
    model.trained().values().map(|weight| weight.grad().copy()).collect()
}

#[test]
fn gradients_through_branches_are_those_of_one_pass() {
    // Alone, queries and values each keep for the way back what the others have computed.
    for trained in ["", "q_proj", "k_proj", "v_proj"] {
        let model = tiny::model(tiny::config(64, 2, true), 5);
        check_gradients(&model.require_grad_of(|name| name.contains(trained)));
    }
}

fn check_gradients(model: &Decoder) {
    let (_, mut cache) = model.prefill(&tiny::batch(&prompts()), &[0; 3]).unwrap();
    let mut texts: Vec<Vec<Vec<u32>>> = prompts().into_iter().map(|prompt| vec![prompt]).collect();
    let probe = |step: usize| (Tensor::arange(16, (Kind::Float, Device::Cpu)) * step as f64).sin();
    let mut total = Tensor::zeros([], (Kind::Float, Device::Cpu));
    for step in 0..12 {
        for (user, text) in texts.iter_mut().enumerate() {
            text[0].push(token(user, 0, step));
        }
        let hidden = model.extend(&last_tokens(&texts, 1), &mut cache).unwrap();
        total += (hidden * probe(step + 1)).sum(Kind::Float);
    }
    total.backward();
    let found = gradients(model);
    model.trained().values_mut().for_each(Tensor::zero_grad);
    let mut total = Tensor::zeros([], (Kind::Float, Device::Cpu));
    for (text, prompt) in texts.iter().zip(prompts()) {
        let whole = model.forward(&tiny::batch(text), 0.0).unwrap().get(0);
        for step in 0..12 {
            let state = whole.get(i64::try_from(prompt.len() + step).unwrap());
            total += (state * probe(step + 1)).sum(Kind::Float);
        }
    }
    total.backward();
    for (found, expected) in found.iter().zip(&gradients(model)) {
        let scale = f64::try_from(expected.abs().max()).unwrap();
        assert!(scale > 0.0 && tiny::difference(found, expected) <= 1e-4 * scale.max(1.0));
    }
}

#[test]
fn a_common_beginning_is_read_once_with_the_same_states_and_gradients() {
    let model = tiny::model(tiny::config(64, 2, true), 5).require_grad(true);
    let prompts = template_prompts();
    let clear = || model.weights().values().for_each(|weight| weight.shallow_clone().zero_grad());
    // A weight for every state, so that no gradient cancels.
    let probe = |row: i64, len: i64| {
        (Tensor::arange(len * 16, (Kind::Float, Device::Cpu)) * (row + 1)).sin().view([len, 16])
    };
    let mut total = Tensor::zeros([], (Kind::Float, Device::Cpu));
    let together = model.forward(&tiny::batch(&prompts), 0.0).unwrap();
    for (row, prompt) in (0..).zip(&prompts) {
        let len = i64::try_from(prompt.len()).unwrap();
        total += (together.get(row).narrow(0, 0, len) * probe(row, len)).sum(Kind::Float);
    }
    total.backward();
    let (found, mut expected) = (gradients(&model), Tensor::zeros([], (Kind::Float, Device::Cpu)));
    clear();
    for (row, prompt) in (0..).zip(&prompts) {
        let len = i64::try_from(prompt.len()).unwrap();
        let alone = model.forward(&tiny::batch(std::slice::from_ref(prompt)), 0.0).unwrap().get(0);
        assert!(tiny::difference(&together.get(row).narrow(0, 0, len), &alone) < 1e-4);
        expected += (alone * probe(row, len)).sum(Kind::Float);
    }
    expected.backward();
    for (found, expected) in found.iter().zip(&gradients(&model)) {
        let scale = f64::try_from(expected.abs().max()).unwrap();
        assert!(tiny::difference(found, expected) <= 1e-4 * scale.max(1.0));
    }
}

#[test]
fn the_last_state_of_a_prefill_is_that_of_a_whole_pass() {
    let model = tiny::model(tiny::config(64, 2, true), 5);
    for prompts in [prompts(), template_prompts()] {
        let (last, _) = model.prefill(&tiny::batch(&prompts), &[0; 3]).unwrap();
        for (row, prompt) in (0..).zip(&prompts) {
            let whole = model.forward(&tiny::batch(std::slice::from_ref(prompt)), 0.0).unwrap();
            let end = i64::try_from(prompt.len()).unwrap() - 1;
            assert!(tiny::difference(&last.get(row), &whole.get(0).get(end)) < 1e-4, "{row}");
        }
    }
}

#[test]
fn gathered_branches_continue_their_parents() {
    let model = tiny::model(tiny::config(64, 2, false), 4);
    // As prompts alone, and after a beginning that is stored with room to grow.
    for begun in [0, 11] {
        gathered_behind(&model, begun);
    }
}

fn gathered_behind(model: &Decoder, begun: usize) {
    let (_, mut cache) = model.prefill(&tiny::batch(&prompts()), &[0; 3]).unwrap();
    assert_eq!(cache.num_prompts(), 3);
    // Parents of each step per prompt: the number of branches grows, shrinks and permutes.
    let steps: [[&[i64]; 3]; 4] = [
        [&[0, 0], &[0, 0], &[0, 0]],
        [&[1, 0, 1], &[0, 0, 1], &[1, 1, 1]],
        [&[2, 0, 1, 1], &[1, 2, 0, 0], &[0, 2, 1, 2]],
        [&[3, 3], &[0, 2], &[1, 0]],
    ];
    let mut texts: Vec<Vec<Vec<u32>>> = prompts().into_iter().map(|prompt| vec![prompt]).collect();
    for step in 0..begun {
        for (user, text) in texts.iter_mut().enumerate() {
            text[0].push(token(user, 0, step));
        }
        let hidden = model.extend(&last_tokens(&texts, 1), &mut cache).unwrap();
        assert_equal(model, &texts, &hidden, 1);
    }
    for (step, parents) in steps.iter().enumerate() {
        let flat: Vec<i64> = parents.concat();
        let width = i64::try_from(parents[0].len()).unwrap();
        cache.gather_branches(&Tensor::from_slice(&flat).view([3, width])).unwrap();
        texts = (0..3)
            .map(|user| {
                let continued = parents[user].iter().enumerate().map(|(branch, parent)| {
                    let mut text = texts[user][usize::try_from(*parent).unwrap()].clone();
                    text.push(token(user, branch, step));
                    text
                });
                continued.collect()
            })
            .collect();
        let hidden = model.extend(&last_tokens(&texts, 1), &mut cache).unwrap();
        assert_equal(model, &texts, &hidden, 1);
    }
}

#[test]
fn branches_that_do_not_fit_are_refused_by_size() {
    let model = tiny::model(tiny::config(64, 2, true), 3);
    let (_, mut cache) = model.prefill(&tiny::batch(&prompts()), &[0; 3]).unwrap();
    let ids = |shape: &[i64]| Tensor::ones(shape, (tch::Kind::Int64, tch::Device::Cpu));
    let mut refused = |shape: &[i64], expected: usize| {
        let error = model.extend(&ids(shape), &mut cache).unwrap_err();
        assert!(matches!(error, PolicyError::Size { expected: e, .. } if e == expected), "{error}");
    };
    refused(&[3, 2], 3);
    refused(&[2, 2, 1], 3);
    let _ = model.extend(&ids(&[3, 2, 1]), &mut cache).unwrap();
    let error = model.extend(&ids(&[3, 4, 1]), &mut cache).unwrap_err();
    assert!(matches!(error, PolicyError::Size { found: 4, expected: 2, .. }), "{error}");
    let error = cache.gather_branches(&ids(&[2, 2]).zeros_like()).unwrap_err();
    assert!(matches!(error, PolicyError::Size { found: 2, expected: 3, .. }), "{error}");
    // Each would be a branch of a neighbour.
    for (parents, found) in [([0i64, 2, 0, 0, 0, 0], 3), ([0, 0, -1, 0, 0, 0], 1)] {
        let parents = Tensor::from_slice(&parents).view([3, 2]);
        let error = cache.gather_branches(&parents).unwrap_err();
        let what = "branches that parents name";
        let PolicyError::Size { what: named, found: count, expected } = error else {
            panic!("{error}");
        };
        assert_eq!((named, count, expected), (what, found, 2));
    }
    for (parents, why) in [
        (ids(&[3, 2]) * 2, "there are two branches"),
        (ids(&[3, 2]) * -1, "there is none before the first"),
        (ids(&[3, 0]), "no branch is left"),
    ] {
        assert!(cache.gather_branches(&parents).is_err(), "{why}");
    }
}

#[test]
fn positions_end_with_the_model() {
    let model = tiny::model(tiny::config(64, 2, true), 3); // 64 positions
    let full = tiny::batch(&[vec![1; 63], vec![2; 5]]);
    let (_, mut cache) = model.prefill(&full, &[0; 2]).unwrap();
    let one = Tensor::ones([2, 1, 1], (tch::Kind::Int64, tch::Device::Cpu));
    let _ = model.extend(&one, &mut cache).unwrap();
    let error = model.extend(&one, &mut cache).unwrap_err();
    assert!(matches!(error, PolicyError::Positions { found: 65, limit: 64 }), "{error}");
    assert_eq!(cache.branch_len(), 1);
    let long = sidereal_policy::TokenBatch::new(&[vec![1; 65]], 0, 100, tch::Device::Cpu).unwrap();
    let error = model.forward(&long, 0.0).unwrap_err();
    assert!(matches!(error, PolicyError::Positions { found: 65, limit: 64 }), "{error}");
}
