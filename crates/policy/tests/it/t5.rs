//! T5 against transformers, in both directions (`tests/parity/t5.py`), and its cache.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use sidereal_policy::{
    Conditions, Groups, LanguageModel, PolicyError, Reasoner, ReasoningMarkers, Sampler,
    SamplingConfig, Scoring, T5, T5Config, T5FeedForward, TextSampler, TokenBatch, code_targets,
    group_logp, target_logp,
};
use tch::{Device, Kind, Tensor};

use crate::parity::{fixture, largest_difference};
use crate::tiny;

#[derive(Deserialize)]
struct Expected {
    prompts: Vec<Vec<u32>>,
    answers: Vec<Vec<u32>>,
    /// Logits before each token of each answer and after its last, `[row][1 + S][V]`.
    logits: Vec<Vec<Vec<f32>>>,
}

/// The first T5, and the later ones.
pub(crate) const SHAPES: [(T5FeedForward, bool); 2] =
    [(T5FeedForward::Relu, true), (T5FeedForward::GatedGelu, false)];

pub(crate) fn config(vocab_size: usize, feed_forward_proj: T5FeedForward, tied: bool) -> T5Config {
    T5Config {
        vocab_size,
        d_model: 16,
        d_kv: 6,
        d_ff: 24,
        num_layers: 2,
        num_decoder_layers: 3,
        num_heads: 4,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 20,
        layer_norm_epsilon: 1e-6,
        feed_forward_proj,
        decoder_start_token_id: 3,
        tie_word_embeddings: tied,
        scale_decoder_outputs: tied,
    }
}

pub(crate) fn logits(model: &T5, prompts: &[Vec<u32>], answers: &[Vec<u32>]) -> Vec<Vec<Vec<f32>>> {
    let hidden = model.forward(&tiny::batch(prompts), &tiny::batch(answers), 0.0).unwrap();
    let of_row = |(row, answer): (i64, &Vec<u32>)| {
        let logits = model.head().logits(&hidden.get(row)).unwrap();
        (0..=i64::try_from(answer.len()).unwrap())
            .map(|at| Vec::try_from(logits.get(at)).unwrap())
            .collect()
    };
    (0..).zip(answers).map(of_row).collect()
}

#[test]
fn t5_logits_equal_those_of_transformers() {
    for (name, tied) in [("t5_relu_tied", true), ("t5_gated_untied", false)] {
        let dir = fixture(name);
        let model = T5::load(&dir, Device::Cpu).unwrap();
        assert_eq!(model.config().tie_word_embeddings, tied, "{name}");
        let text = fs::read_to_string(dir.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let spread = expected.logits.iter().flatten().flatten().fold(0f32, |m, x| m.max(*x));
        assert!(spread > 1.0, "the fixture's logits are far from flat: {spread}");
        let ours = logits(&model, &expected.prompts, &expected.answers);
        let worst = largest_difference(&ours, &expected.logits);
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

/// Leaves checkpoints and logits for `t5.py --check`.
#[test]
fn a_saved_t5_loads_with_equal_logits() {
    for (name, feed_forward, tied) in [
        ("saved_t5_relu_tied", T5FeedForward::Relu, true),
        ("saved_t5_gated_untied", T5FeedForward::GatedGelu, false),
        ("saved_t5_relu_untied", T5FeedForward::Relu, false),
    ] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let model = T5::random(config(64, feed_forward, tied), 5, Device::Cpu).unwrap();
        model.save(&dir).unwrap();
        let prompts = vec![vec![1, 2, 3, 4, 5, 6, 7], vec![9], vec![63, 0, 31]];
        let answers = vec![vec![8], vec![1, 1, 2, 60], vec![5, 9]];
        let ours = logits(&model, &prompts, &answers);
        let expected =
            serde_json::json!({ "prompts": prompts, "answers": answers, "logits": ours });
        fs::write(dir.join("expected.json"), expected.to_string()).unwrap();

        let back = T5::load(&dir, Device::Cpu).unwrap();
        assert_eq!(back.config(), model.config());
        assert_eq!(back.weights().len(), model.weights().len());
        let worst = largest_difference(&ours, &logits(&back, &prompts, &answers));
        assert!(worst == 0.0, "{name}: {worst}");
    }
}

/// Branches of prompts whose answers have begun with 0, 1 and 2 tokens, extended by 1 to 3 tokens
/// at a time and gathered between, have the states of their answers read at once.
#[test]
fn extending_a_t5_equals_one_pass() {
    let model = T5::random(config(64, T5FeedForward::GatedGelu, false), 7, Device::Cpu).unwrap();
    let sources = [vec![5, 9, 2, 40, 1], vec![7], (10..30).collect::<Vec<u32>>()];
    let beginnings: [&[u32]; 3] = [&[], &[8], &[60, 61]];
    let prompts: Vec<Vec<u32>> =
        sources.iter().zip(beginnings).map(|(source, begun)| [source, begun].concat()).collect();
    let (first, mut cache) = model.prefill(&tiny::batch(&prompts), &[0, 1, 2]).unwrap();
    let whole = |user: usize, answer: &[u32], len: i64| {
        let source = tiny::batch(std::slice::from_ref(&sources[user]));
        let answer = tiny::batch(&[if answer.is_empty() { vec![0] } else { answer.to_vec() }]);
        let states = model.forward(&source, &answer, 0.0).unwrap().get(0);
        let end = i64::try_from(beginnings[user].len()).unwrap() + len;
        states.narrow(0, end.min(states.size()[0] - 1), 1).get(0)
    };
    for (row, user) in (0..).zip(0..3) {
        let worst = tiny::difference(&first.get(row), &whole(user, beginnings[user], 0));
        assert!(worst < 1e-4, "prompt {user}: {worst}");
    }
    let mut answers: Vec<Vec<Vec<u32>>> =
        beginnings.iter().map(|begun| vec![begun.to_vec(); 2]).collect();
    let mut written = 0;
    for (len, parents) in [(1, [0, 1]), (2, [1, 0]), (3, [1, 1])] {
        let index = Tensor::from_slice(&parents).view([1, 2]).expand([3, 2], false);
        if written > 0 {
            cache.gather_branches(&index).unwrap();
        }
        let mut tokens = Vec::new();
        for (user, branches) in (0u32..).zip(&mut answers) {
            *branches = parents
                .iter()
                .map(|parent| branches[usize::try_from(*parent).unwrap()].clone())
                .collect();
            for (branch, answer) in (0u32..).zip(branches) {
                let new = (0..len).map(|step| (user * 17 + branch * 5 + step * 7 + 3) % 64);
                tokens.extend(new.clone().map(i64::from));
                answer.extend(new);
            }
        }
        written += i64::from(len);
        let tokens = Tensor::from_slice(&tokens).view([3, 2, i64::from(len)]);
        let hidden = model.extend(&tokens, &mut cache).unwrap();
        for (user, branches) in answers.iter().enumerate() {
            for (branch, answer) in branches.iter().enumerate() {
                let at = [user, branch].map(|n| i64::try_from(n).unwrap());
                let found = hidden.get(at[0]).get(at[1]).get(i64::from(len) - 1);
                let worst = tiny::difference(&found, &whole(user, answer, written));
                assert!(worst < 1e-4, "prompt {user}, branch {branch}, {written}: {worst}");
            }
        }
    }
    let none = model.prefill(&tiny::batch(&prompts), &[0, 2, 0]).unwrap_err();
    assert!(matches!(none, PolicyError::Empty { .. }), "a prompt that is all answer: {none}");
}

/// Values and gradients of groups equal those of each answer read with its prompt alone.
#[test]
fn t5_groups_score_and_differentiate_as_their_answers_alone() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    for (feed_forward, tied) in SHAPES {
        let config = config(tokenizer.vocab_size(), feed_forward, tied);
        let model = T5::random(config, 2, Device::Cpu).unwrap().require_grad(true);
        let sources = [vec![70, 71, 72], vec![99]];
        let flat = |item: usize| catalog.spec().tokens(&catalog.sids()[item]).unwrap();
        let (guide, items) = (flat(3)[..1].to_vec(), [vec![0, 2, 8], vec![3, 5, 2]]);
        let prompts =
            [sources[0].clone(), [sources[1].clone(), constraint.ids(&guide)].concat()].to_vec();
        let completions: Vec<Vec<Vec<u32>>> = vec![
            items[0].iter().map(|item| flat(*item)).collect(),
            items[1].iter().map(|item| flat(*item)[1..].to_vec()).collect(),
        ];
        let gradients = |value: &Tensor| -> Vec<(String, Tensor)> {
            model.weights().values().for_each(|weight| weight.shallow_clone().zero_grad());
            value.backward();
            model.weights().iter().map(|(name, w)| (name.clone(), w.grad().copy())).collect()
        };
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            let batch = tiny::batch(&prompts);
            let groups =
                Groups { prompts: &batch, guides: &[&[], &guide], completions: &completions };
            let shared = group_logp(&model, &constraint, &groups, scoring).unwrap();
            let mut alone = Vec::new();
            for ((source, items), from) in sources.iter().zip(&items).zip([0, 1]) {
                for item in items {
                    let tokens = flat(*item);
                    let answer: TokenBatch = tiny::batch(&[constraint.ids(&tokens)]);
                    let source = tiny::batch(std::slice::from_ref(source));
                    let states = model.forward(&source, &answer, 0.0).unwrap().get(0);
                    let count = i64::try_from(tokens.len() - from).unwrap();
                    let states = states.narrow(0, i64::try_from(from).unwrap(), count);
                    let targets = code_targets(constraint.trie(), &[], &tokens).unwrap();
                    let targets = &targets[from..];
                    let logp = target_logp(&model, &constraint, &states, targets, scoring).unwrap();
                    alone.push(logp);
                }
            }
            let alone = Tensor::cat(&alone, 0);
            assert!(tiny::difference(&shared, &alone) < 1e-4);
            let probe = (Tensor::arange(shared.size()[0], (Kind::Float, Device::Cpu)) * 1.7).sin();
            let ours = gradients(&(&shared * &probe).sum(Kind::Float));
            let theirs = gradients(&(&alone * &probe).sum(Kind::Float));
            for ((name, a), (_, b)) in ours.iter().zip(&theirs) {
                let size = f64::try_from(b.abs().max()).unwrap();
                assert!(size > 1e-6, "{name}: a gradient that is there, found {size}");
                let worst = tiny::difference(a, b);
                assert!(worst < 1e-4 * (1.0 + size), "{scoring:?}, {name}: {worst} of {size}");
            }
        }
    }
}

#[test]
fn t5_samples_codes_and_words_with_the_log_probabilities_of_one_pass() {
    let (constraint, tokenizer) = tiny::constraint(&tiny::catalog());
    let config = config(tokenizer.vocab_size(), T5FeedForward::Relu, true);
    let model = T5::random(config, 2, Device::Cpu).unwrap();
    let prompts = vec![vec![70, 71, 72], vec![99], vec![5, 6]];
    let batch = tiny::batch(&prompts);
    let sampling = SamplingConfig::default();
    let scoring = Scoring::Renormalised;
    let codes = Sampler { model: &model, constraint: &constraint, sampling, scoring, seed: 4 };
    let groups = codes.sample(&batch, &Conditions::default(), 3).unwrap();
    let completions: Vec<Vec<Vec<u32>>> =
        groups.iter().map(|group| group.iter().map(|r| r.tokens.clone()).collect()).collect();
    let groups_of = Groups { prompts: &batch, guides: &[&[], &[], &[]], completions: &completions };
    let expected = group_logp(&model, &constraint, &groups_of, scoring).unwrap();
    let ours: Vec<f32> = groups.iter().flatten().flat_map(|r| r.logp.clone()).collect();
    assert!(tiny::difference(&Tensor::from_slice(&ours), &expected) < 1e-4);

    // Texts of different lengths, so that prompts leave the batch one after the other.
    let stops: Vec<Vec<u32>> = (0..60).map(|id| vec![id * 4]).collect();
    let (num_ids, seed) = (tokenizer.vocab_size(), 4);
    let words = TextSampler { model: &model, num_ids, sampling, budget: 9, stops: &stops, seed };
    for (prompt, text) in prompts.iter().zip(words.write(&batch, &[], 1).unwrap()) {
        let tokens = &text[0].tokens;
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let logits = logits(&model, std::slice::from_ref(prompt), &[ids]).remove(0);
        for (token, logits) in tokens.iter().zip(logits) {
            let expected = Tensor::from_slice(&logits).log_softmax(-1, Kind::Float);
            let expected = f32::try_from(expected.get(token.id.into())).unwrap();
            assert!((token.drawn.unwrap().logp - expected).abs() < 1e-4);
        }
    }

    let markers = ReasoningMarkers::new(&tokenizer, "!", "").unwrap();
    let (markers, budget, answer_len) = (&markers, 5, 3);
    let reasoner = Reasoner { model: &model, markers, sampling, budget, answer_len, seed };
    let error = reasoner.reason(&batch, &[], 2).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { field: "model", .. }), "{error}");
}

#[test]
fn t5_settings_that_are_not_followed_are_refused_by_name() {
    let source = fixture("t5_gated_untied");
    let text = fs::read_to_string(source.join("config.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let refused = |field: &str, value: serde_json::Value| {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config[field] = value;
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        match T5Config::load(dir.path()) {
            Err(PolicyError::Unsupported { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    };
    refused("model_type", "mt5".into());
    refused("feed_forward_proj", "gated-silu".into());
    refused("is_decoder", true.into());
    refused("quantization_config", serde_json::json!({ "bits": 4 }));
    refused("relative_attention_num_buckets", 7.into());
    refused("relative_attention_max_distance", 4.into());
    refused("num_heads", 0.into());
    refused("num_decoder_layers", 0.into());
    refused("layer_norm_epsilon", 0.0.into());
    refused("decoder_start_token_id", 64.into());
    refused("decoder_start_token_id", serde_json::Value::Null);
    let generation = serde_json::json!({ "decoder_start_token_id": 5 });
    fs::write(dir.path().join("generation_config.json"), generation.to_string()).unwrap();
    assert_eq!(T5Config::load(dir.path()).unwrap().decoder_start_token_id, 5);
}
