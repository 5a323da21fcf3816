//! Folded sequences against their samples, one by one: the same log-probabilities and gradients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sidereal_policy::{
    Constraint, Decoder, DecoderConfig, Scoring, SidTokenizer, Target, TokenBatch, code_targets,
    target_logp,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};
use sidereal_train::{Sequence, fold};
use tch::{Device, Kind, Tensor};

/// Sum of the targets' log-probabilities over all rows, as a graph.
fn total(model: &Decoder, constraint: &Constraint, rows: &[Sequence], scoring: Scoring) -> Tensor {
    let ids: Vec<&[u32]> = rows.iter().map(|row| row.ids.as_slice()).collect();
    let tokens = TokenBatch::new(&ids, 0, 64, Device::Cpu).unwrap();
    let hidden = model.forward(&tokens, 0.0).unwrap();
    let (mut states, mut targets): (Vec<Tensor>, Vec<Target>) = (Vec::new(), Vec::new());
    for (row, sequence) in (0..).zip(rows) {
        for (at, target) in &sequence.targets {
            states.push(hidden.get(row).get(i64::try_from(*at).unwrap() - 1));
            targets.push(*target);
        }
    }
    let states = Tensor::stack(&states, 0);
    target_logp(model, constraint, &states, &targets, scoring).unwrap().sum(Kind::Double)
}

#[test]
fn folding_changes_neither_log_probabilities_nor_gradients() {
    let spec = SidSpec::new(vec![3, 3], 2).unwrap();
    let sids = [[0, 1].as_slice(), &[0, 2], &[1, 1, 0], &[1, 1, 1], &[2, 0]];
    let sids: Vec<SemanticId> = sids.iter().map(|codes| SemanticId::new(*codes)).collect();
    let catalog = Catalog::new(spec.clone(), sids).unwrap();
    let trie = Trie::from_catalog(&catalog);
    let tokenizer = SidTokenizer::train(["next: a b"].iter(), 260, &spec).unwrap();
    let constraint = Constraint::new(&catalog, &tokenizer, Device::Cpu).unwrap();
    let config = DecoderConfig::tiny(tokenizer.vocab_size());
    let model = Decoder::random(config, 3, Device::Cpu).unwrap().require_grad(true);

    // Two histories; each prefix predicts the next item.
    let mut samples = Vec::new();
    for history in [[0, 2, 3, 1, 4].as_slice(), &[4, 4, 0]] {
        let mut ids = tokenizer.encode("next:").unwrap();
        for (position, item) in history.iter().enumerate() {
            let flat = spec.tokens(&catalog.sids()[*item]).unwrap();
            let code_ids: Vec<u32> = constraint.ids(&flat);
            if position > 0 {
                let targets = code_targets(&trie, &[], &flat).unwrap();
                let completion: Vec<_> = code_ids.iter().copied().zip(targets).collect();
                samples.push(Sequence::new(&ids, &completion));
            }
            ids.extend(code_ids);
        }
    }
    let folded = fold(samples.clone());
    assert_eq!((samples.len(), folded.len()), (6, 2));

    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let gradients = |rows: &[Sequence]| {
            let sum = total(&model, &constraint, rows, scoring);
            sum.backward();
            let grads: Vec<Tensor> = model.weights().values().map(|w| w.grad().copy()).collect();
            model.weights().values().for_each(|w| w.shallow_clone().zero_grad());
            (sum.double_value(&[]), grads)
        };
        let (one_by_one, expected) = gradients(&samples);
        let (together, found) = gradients(&folded);
        assert!((one_by_one - together).abs() < 1e-4, "{one_by_one} {together}");
        for ((name, _), (a, b)) in model.weights().iter().zip(expected.iter().zip(&found)) {
            let difference = (a - b).abs().max().double_value(&[]);
            assert!(difference < 1e-4, "{name}: {difference}");
        }
    }
}
