//! Rows of codes as weights of their own, against whole matrices.

use std::ops::Range;

use sidereal_policy::{
    AnyPolicy, CodeRows, Constraint, Decoder, LanguageModel as _, Lora, LoraConfig, Scoring,
    SequencePass, T5, TokenLaw, Trainable,
};
use tch::{Device, Kind, Tensor};

use crate::t5_train::{rows, sequences};
use crate::{t5, tiny};

fn ids_of_codes(constraint: &Constraint) -> Range<i64> {
    let of_level = |level| Vec::<i64>::try_from(constraint.rows(level)).unwrap();
    let ids: Vec<i64> = (0..constraint.max_len()).flat_map(of_level).collect();
    *ids.iter().min().unwrap()..*ids.iter().max().unwrap() + 1
}

/// Gradients of what is trained after a pass over sequences with codes and words, and the log-probabilities.
fn learned(
    model: &AnyPolicy,
    constraint: &Constraint,
    scoring: Scoring,
) -> (Vec<(String, Tensor)>, Tensor) {
    let (tokens, places, targets) = sequences(&rows(constraint), constraint);
    let pass = SequencePass {
        tokens: &tokens,
        places: &places,
        targets: &targets,
        law: TokenLaw::from(scoring),
        dropout: 0.0,
        recompute: false,
        lower: None,
    };
    let trained = Trainable::trained(model);
    for weight in trained.values() {
        weight.shallow_clone().zero_grad();
    }
    let pass = model.sequence_pass(constraint, &pass).unwrap();
    let logp = pass.logp().shallow_clone();
    let probe = (Tensor::arange(logp.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin();
    pass.backward(&probe).unwrap();
    (trained.iter().map(|(name, weight)| (name.clone(), weight.grad().copy())).collect(), logp)
}

#[test]
fn rows_of_codes_have_the_gradients_of_the_whole_matrices() {
    let (constraint, tokenizer) = tiny::constraint(&tiny::catalog());
    let codes = ids_of_codes(&constraint);
    let size = tokenizer.vocab_size();
    let t5 = |tied| T5::random(t5::config(size, t5::SHAPES[0].0, tied), 2, Device::Cpu).unwrap();
    let kinds: [&dyn Fn() -> AnyPolicy; 4] = [
        &|| tiny::model(tiny::config(size, 2, true), 4).into(),
        &|| tiny::model(tiny::config(size, 2, false), 4).into(),
        &|| t5(true).into(),
        &|| t5(false).into(),
    ];
    for (kind, make) in kinds.iter().enumerate() {
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            tch::manual_seed(8);
            let whole = make();
            let names = whole.embedding_names();
            whole.require_grad_of(&|name| names.contains(&name));
            let (expected, logp) = learned(&whole, &constraint, scoring);
            tch::manual_seed(8);
            let part = make().with_code_rows(codes.clone(), CodeRows::InputAndOutput).unwrap();
            part.code_rows()
                .values()
                .for_each(|rows| drop(rows.shallow_clone().requires_grad_(true)));
            let (found, same) = learned(&part, &constraint, scoring);
            assert!(tiny::difference(&logp, &same) < 1e-5, "{kind}, {scoring:?}");
            assert_eq!(found.len(), expected.len(), "{kind}");
            for ((name, found), (of, expected)) in found.iter().zip(&expected) {
                assert_eq!(*name, format!("{of}.codes"));
                let expected = expected.narrow(0, codes.start, codes.end - codes.start);
                let worst = tiny::difference(found, &expected);
                assert!(worst < 1e-4, "{kind}, {scoring:?}, {name}: {worst}");
            }
        }
    }
}

#[test]
fn rows_of_the_head_alone_leave_the_embedding_and_are_written_beside_it() {
    let (constraint, tokenizer) = tiny::constraint(&tiny::catalog());
    let codes = ids_of_codes(&constraint);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 4);
    let before = model.weights()["model.embed_tokens.weight"].copy();
    let model = model.with_code_rows(codes.clone(), CodeRows::Output).unwrap();
    let rows = model.code_rows();
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["lm_head.weight.codes"]);
    let _ = rows["lm_head.weight.codes"].shallow_clone().fill_(0.25);
    assert!(model.weights()["model.embed_tokens.weight"].equal(&before));
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let back = Decoder::load(dir.path(), Device::Cpu).unwrap();
    let batch = tiny::batch(&[vec![70, 71], vec![80, 81, 82]]);
    let logits = |model: &Decoder| {
        let states = model.forward(&batch, 0.0).unwrap();
        model.head().logits(&states).unwrap()
    };
    assert!(tiny::difference(&logits(&model), &logits(&back)) < 1e-6);
    let head = &back.weights()["lm_head.weight"];
    let changed = head.ne_tensor(&before).any_dim(1, false);
    let changed = Vec::<bool>::try_from(changed).unwrap();
    let in_codes = |row: usize| codes.contains(&i64::try_from(row).unwrap());
    assert!(changed.iter().enumerate().all(|(row, changed)| *changed == in_codes(row)));
}

#[test]
fn adapters_and_rows_of_codes_are_trained_together() {
    let (constraint, tokenizer) = tiny::constraint(&tiny::catalog());
    let codes = ids_of_codes(&constraint);
    let lora = Lora::try_from(LoraConfig { rank: 2, ..LoraConfig::default() }).unwrap();
    let model: AnyPolicy = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 4).into();
    let model = model.with_code_rows(codes.clone(), CodeRows::InputAndOutput).unwrap();
    let model = model.with_lora(&lora, 3).unwrap();
    model.code_rows().values().for_each(|rows| drop(rows.shallow_clone().requires_grad_(true)));
    let (found, _) = learned(&model, &constraint, Scoring::Full);
    assert_eq!(found.len(), 28 + 1);
    let rows = found.iter().find(|(name, _)| name.strip_suffix(".codes").is_some()).unwrap();
    assert_eq!(rows.1.size()[0], codes.end - codes.start);
    // Of a fresh adapter, B has a gradient and A has none, because B is zero.
    let moves = |name: &str| {
        found
            .iter()
            .filter(|(of, _)| of.contains(name))
            .all(|(_, grad)| f64::try_from(grad.abs().max()).unwrap() > 0.0)
    };
    assert!(moves("lora_B") && moves(".codes") && !moves("lora_A"));
}
