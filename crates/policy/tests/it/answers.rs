//! The probabilities of all answers at once, against those of completions one by one.

use std::collections::BTreeMap;

use sidereal_policy::{
    Completions, Constraint, ExactPolicy as _, ItemPolicy, Policy, PolicyError, SamplingConfig,
    Scoring, TokenBatch, TokenLaw, Trainable, as_exact,
};
use tch::{Device, Tensor};

use crate::item::{completions, constraint, expected, twin};
use crate::tiny;

/// All gradients, which are then cleared.
fn gradients(policy: &ItemPolicy) -> BTreeMap<String, Vec<f32>> {
    let taken = |(name, weight): (&String, &Tensor)| {
        let grad = weight.grad();
        let values = if grad.defined() {
            Vec::<f32>::try_from(grad.reshape([-1])).unwrap()
        } else {
            vec![0.0; weight.numel()]
        };
        weight.shallow_clone().zero_grad();
        (name.clone(), values)
    };
    Trainable::weights(policy).iter().map(taken).collect()
}

#[test]
fn all_answers_have_the_probabilities_and_gradients_of_their_completions() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let batch = TokenBatch::new(&expected.histories, 0, usize::MAX, Device::Cpu).unwrap();
    let trie = constraint.trie();
    let items: Vec<u32> = trie.leaves().map(|leaf| trie.items(leaf)[0].0).collect();
    assert_eq!((items.len(), policy.num_items()), (9, 10), "two items share a Semantic ID");
    let like = |at: usize| (at as f64 * 1.7).sin();
    for temperature in [1.0, 0.6] {
        let drawn = SamplingConfig::new(temperature).unwrap();
        let law = TokenLaw::of_draws(Scoring::Renormalised, drawn, drawn).unwrap();
        let pass = policy.answer_pass(&constraint, &batch, law).unwrap();
        let exact = Vec::<f32>::try_from(pass.logp()).unwrap();
        assert_eq!(exact.len(), 9 * expected.histories.len());
        for of_prompt in exact.chunks_exact(9) {
            let sum: f64 = of_prompt.iter().map(|logp| f64::from(*logp).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
        let d_logp: Vec<f64> = (0..exact.len()).map(like).collect();
        pass.backward(&Tensor::from_slice(&d_logp)).unwrap();
        let found = gradients(&policy);

        // The plain way: every answer of every prompt is a completion, scored code by code.
        let wanted = vec![items.as_slice(); expected.histories.len()];
        let rollouts = completions(&constraint, &wanted);
        let begun = vec![0; expected.histories.len()];
        let asked = Completions { prompts: &batch, begun: &begun, rollouts: &rollouts };
        let plain = policy.completion_pass(&constraint, &asked, law).unwrap();
        let codes = Vec::<f32>::try_from(plain.pass.logp()).unwrap();
        let (mut start, mut d_codes) = (0, Vec::new());
        for (at, len) in plain.lens.iter().enumerate() {
            let sum: f32 = codes[start..start + len].iter().sum();
            assert!((sum - exact[at]).abs() < 1e-4 * sum.abs().max(1.0), "{sum} {}", exact[at]);
            d_codes.extend(std::iter::repeat_n(d_logp[at], *len));
            start += len;
        }
        plain.pass.backward(&Tensor::from_slice(&d_codes)).unwrap();
        let mut largest = 0f32;
        for (name, plain) in gradients(&policy) {
            let most = plain.iter().fold(0f32, |most, x| most.max(x.abs()));
            largest = largest.max(most);
            for (a, b) in found[&name].iter().zip(&plain) {
                assert!((a - b).abs() < 1e-4 * most.max(1.0), "{name}: {a} {b}");
            }
        }
        assert!(largest > 0.1, "there are gradients");
    }
}

#[test]
fn what_does_not_know_all_answers_says_so() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let batch = TokenBatch::new(&expected.histories, 0, usize::MAX, Device::Cpu).unwrap();
    let full = policy.answer_pass(&constraint, &batch, TokenLaw::from(Scoring::Full)).unwrap_err();
    assert!(full.to_string().contains("`scoring` is `full`"), "{full}");
    let other = Constraint::of_codes(&tiny::catalog(), Device::Cpu).unwrap();
    let law = TokenLaw::from(Scoring::Renormalised);
    let refused = policy.answer_pass(&other, &batch, law).unwrap_err();
    assert!(matches!(refused, PolicyError::OtherTrie { .. }), "{refused}");

    assert!(as_exact(&policy, "this").is_ok());
    let words = tiny::model(tiny::config(300, 1, true), 1);
    assert!(words.exact().is_none());
    let refused = as_exact(&words, "an expectation").unwrap_err().to_string();
    assert!(refused.contains("`policy` is an expectation"), "{refused}");
}
