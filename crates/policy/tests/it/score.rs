//! Shared-prompt log-probabilities and their gradients against the naive computation.

use sidereal_policy::{
    Decoder, Groups, LanguageModel, PolicyError, Scoring, Target, code_targets, group_logp,
    target_logp,
};
use sidereal_sid::{Catalog, NodeId, SemanticId};
use tch::{Device, Kind, Tensor};

use crate::naive::{Naive, gradients};
use crate::tiny;

/// Prompt texts, guide lengths, and items of each group: ragged, repeated, of both lengths.
const GROUPS: [(&[u32], usize, &[usize]); 4] = [
    (&[70, 71, 72], 0, &[0, 2, 8]),
    (&[99], 1, &[3, 5, 2, 4, 3]),
    (&[80, 90, 100, 110, 120, 130], 2, &[7]),
    (&[65, 66], 0, &[]),
];

fn check(model: &Decoder, catalog: &Catalog, scoring: Scoring) {
    let (constraint, tokenizer) = tiny::constraint(catalog);
    let flat = |item: usize| catalog.spec().tokens(&catalog.sids()[item]).unwrap();
    let mut prompts = Vec::new();
    let (mut guides, mut completions) = (Vec::new(), Vec::new());
    for (text, guide, items) in GROUPS {
        let first = items.first().map_or_else(Vec::new, |item| flat(*item)[..guide].to_vec());
        prompts.push([text.to_vec(), constraint.ids(&first)].concat());
        guides.push(first);
        completions.push(items.iter().map(|item| flat(*item)[guide..].to_vec()).collect());
    }
    let batch = tiny::batch(&prompts);
    let guides: Vec<&[u32]> = guides.iter().map(Vec::as_slice).collect();
    let groups = Groups { prompts: &batch, guides: &guides, completions: &completions };
    let shared = group_logp(model, &constraint, &groups, scoring).unwrap();

    let naive = Naive { model, tokenizer: &tokenizer, catalog, scoring };
    let mut alone = Vec::new();
    for (prompt, (_, guide, items)) in prompts.iter().zip(GROUPS) {
        for item in items {
            alone.extend(naive.logp(prompt, guide, &catalog.sids()[*item]));
        }
    }
    let alone = Tensor::stack(&alone, 0);
    let worst = tiny::difference(&shared, &alone);
    assert!(worst < 1e-4, "{scoring:?}: value {worst}");

    let weights = (Tensor::arange(shared.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin();
    let ours = gradients(model, &(&shared * &weights).sum(Kind::Float));
    let theirs = gradients(model, &(&alone * &weights).sum(Kind::Float));
    for ((name, a), (_, b)) in ours.iter().zip(&theirs) {
        let size = f64::try_from(b.abs().max()).unwrap();
        let worst = tiny::difference(a, b);
        assert!(size > 1e-4, "{name}: a gradient that is there, found {size}");
        assert!(worst < 1e-4 * (1.0 + size), "{scoring:?}, {name}: {worst} of {size}");
    }
}

#[test]
fn groups_score_and_differentiate_as_their_texts_alone() {
    let catalog = tiny::catalog();
    let vocab = tiny::tokenizer(&catalog).vocab_size();
    for (tied, kv_heads) in [(true, 2), (false, 1)] {
        let model = tiny::model(tiny::config(vocab, kv_heads, tied), 8).require_grad(true);
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            check(&model, &catalog, scoring);
        }
    }
}

#[test]
fn words_and_codes_come_back_in_the_order_asked_for() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 8);
    let _guard = tch::no_grad_guard();
    let codes = code_targets(constraint.trie(), &[], &[1, 5 + 2, 10 + 3]).unwrap();
    let targets = [codes[2], Target::Word(7), codes[0], codes[1], Target::Word(0)];
    let states = Tensor::randn([5, 16], (Kind::Float, Device::Cpu));
    let logp = target_logp(&model, &constraint, &states, &targets, Scoring::Full).unwrap();
    let all = model.head().logits(&states).unwrap().log_softmax(-1, Kind::Float);
    let ids = [constraint.id(13), 7, constraint.id(1), constraint.id(7), 0];
    for (row, id) in (0..).zip(ids) {
        let expected = all.double_value(&[row, id.into()]);
        assert!((logp.double_value(&[row]) - expected).abs() < 1e-5, "row {row}");
    }
}

#[test]
fn shares_of_the_vocabulary_are_the_same_in_chunks() {
    let model = tiny::model(tiny::config(256, 2, true), 8);
    let _guard = tch::no_grad_guard();
    let rows = (1 << 24) / 256 + 3; // one chunk and a little
    let hidden = Tensor::randn([rows, 16], (Kind::Float, Device::Cpu));
    let logits = model.head().logits(&hidden).unwrap();
    let whole = &logits - logits.logsumexp([-1i64].as_slice(), true);
    let asked = Tensor::from_slice(&[7i64, 0, 255]);
    let found = model.head().logp_of_rows(&hidden, &asked).unwrap();
    assert!(tiny::difference(&found, &whole.index_select(1, &asked)) < 1e-4);
}

#[test]
fn illegal_targets_and_sizes_that_disagree_are_errors() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 8);
    let states = Tensor::zeros([1, 16], (Kind::Float, Device::Cpu));
    let ask = |targets: &[Target], scoring| {
        target_logp(&model, &constraint, &states, targets, scoring).unwrap_err()
    };
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        // A code of no item, of another level, outside the spec; a node outside the trie.
        let nodes = u32::try_from(constraint.trie().num_nodes()).unwrap();
        for (node, token) in [(0, 3), (0, 7), (0, 1000), (nodes, 0), (10_000, 0)] {
            let error = ask(&[Target::Code { node: NodeId(node), token }], scoring);
            assert!(matches!(error, PolicyError::IllegalCode { target: 0, .. }), "{error}");
        }
        assert!(matches!(ask(&[], scoring), PolicyError::Size { .. }));
        assert!(matches!(ask(&[Target::Word(1); 2], scoring), PolicyError::Size { .. }));
    }
    assert!(code_targets(constraint.trie(), &[], &[3]).is_err());

    let batch = tiny::batch(&[vec![1, 2]]);
    let run = |guides: &[&[u32]], completions: &[Vec<Vec<u32>>]| {
        let groups = Groups { prompts: &batch, guides, completions };
        group_logp(&model, &constraint, &groups, Scoring::Full).unwrap_err()
    };
    let flat = catalog.spec().tokens(&SemanticId::from([0, 1])).unwrap();
    assert!(matches!(run(&[], &[vec![flat.clone()]]), PolicyError::Size { what: "guides", .. }));
    assert!(matches!(run(&[&[]], &[]), PolicyError::Size { .. }));
    assert!(matches!(run(&[&[]], &[vec![]]), PolicyError::Empty { .. }));
    assert!(matches!(run(&[&[]], &[vec![vec![]]]), PolicyError::Empty { .. }));
    assert!(matches!(run(&[&[]], &[vec![vec![9999]]]), PolicyError::Empty { .. }));
    assert!(matches!(run(&[&[9999]], &[vec![flat]]), PolicyError::Empty { .. }));
}
