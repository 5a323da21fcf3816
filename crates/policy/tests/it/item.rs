//! The policy that reads items: against PyTorch (`tests/parity/item.py`), and its ways against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ndarray::Array2;
use serde::Deserialize;
use sidereal_policy::{
    BeamSearch, CompletionToken, Completions, Conditions, Constraint, ItemCategories, ItemDropout,
    ItemFeatures, ItemPolicy, ItemPolicyConfig, Policy, PolicyError, Sampler, SamplingConfig,
    Scoring, TokenBatch, TokenLaw, Trainable, code_targets, completion_entropy,
};
use sidereal_sid::{Catalog, ItemId, NodeId, SemanticId, SidSpec, Trie};
use tch::{Device, Kind, Tensor};

use crate::parity::fixture;
use crate::tiny;

#[derive(Deserialize)]
pub(crate) struct Expected {
    sids: Vec<Vec<u16>>,
    pub(crate) histories: Vec<Vec<u32>>,
    log_probs: Vec<Vec<f64>>,
    sequences: Vec<Vec<u32>>,
    loss_by_level: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
}

pub(crate) fn expected() -> Expected {
    let text = fs::read_to_string(fixture("item").join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The fixture, trained: its weights are leaves that gradients reach.
pub(crate) fn twin() -> ItemPolicy {
    let policy = <ItemPolicy as Trainable>::load(&fixture("item"), Device::Cpu).unwrap();
    policy.require_grad_of(&|_| true);
    policy
}

fn config() -> ItemPolicyConfig {
    ItemPolicyConfig {
        hidden_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 12,
        head_hidden_size: 10,
        max_history: 6,
        ..ItemPolicyConfig::default()
    }
}

/// A policy far enough from its start that all weights matter.
fn policy(config: ItemPolicyConfig, trie: &Trie, features: ItemFeatures, seed: i64) -> ItemPolicy {
    let policy = ItemPolicy::random(config, trie, features, seed, Device::Cpu).unwrap();
    let _guard = tch::no_grad_guard();
    for weight in policy.weights().values() {
        let mut weight = weight.shallow_clone();
        weight += Tensor::randn_like(&weight) * 0.4;
    }
    policy
}

fn catalog(sids: &[Vec<u16>]) -> Catalog {
    let sids = sids.iter().map(|codes| SemanticId::from(codes.clone())).collect();
    Catalog::new(SidSpec::new(vec![5, 5], 4).unwrap(), sids).unwrap()
}

/// The constraint of the fixture's catalogue.
pub(crate) fn constraint() -> Constraint {
    Constraint::of_codes(&catalog(&expected().sids), Device::Cpu).unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    Vec::<Vec<f32>>::try_from(tensor.detach().contiguous()).unwrap()
}

#[test]
fn exact_scores_equal_those_of_pytorch_and_sum_to_one() {
    let (expected, policy) = (expected(), twin());
    let found = rows(&policy.log_probs_of_items(&expected.histories).unwrap());
    assert_eq!(found.len(), expected.log_probs.len());
    for (ours, theirs) in found.iter().zip(&expected.log_probs) {
        let spread = theirs.iter().fold(0f64, |most, x| most.max(-x));
        assert!(spread > 3.0, "the fixture's scores are far from flat: {spread}");
        // In units of the score: single precision holds no more of a large one.
        let off = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() / b.abs().max(1.0);
        let off = ours.iter().zip(theirs).map(off);
        assert!(off.fold(0.0, f64::max) < 1e-5, "{ours:?}");
        let sum: f64 = ours.iter().map(|logp| f64::from(*logp).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn the_first_loss_and_all_gradients_equal_those_of_pytorch() {
    let (expected, policy) = (expected(), twin());
    let plain = policy.next_item_loss(&expected.sequences).unwrap();
    for slope in [1.0, 0.5] {
        let no_dropout = ItemDropout::default();
        let found = policy.next_item_gradients(&expected.sequences, no_dropout, slope).unwrap();
        assert_eq!(found.positions, 1 + 3 + 6);
        for ours in [&plain.by_level, &found.by_level] {
            let off = ours.iter().zip(&expected.loss_by_level).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f64::max) < 1e-4, "{ours:?}");
        }
    }
    // Both passes together: 1.5 times the gradient.
    assert_eq!(policy.weights().len(), expected.gradients.len());
    for (name, theirs) in &expected.gradients {
        let ours = Vec::<f32>::try_from(policy.weights()[name].grad().reshape([-1])).unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let largest = theirs.iter().fold(0f64, |most, x| most.max(x.abs()));
        assert!(largest > 1e-3, "{name} has a gradient");
        for (ours, theirs) in ours.iter().zip(theirs) {
            let off = (f64::from(*ours) / 1.5 - theirs).abs();
            assert!(off < 1e-5 * largest.max(1.0), "{name}: {ours} for 1.5 · {theirs}");
        }
    }
}

#[test]
fn the_children_of_every_prefix_have_its_probability() {
    let (expected, policy) = (expected(), twin());
    let scorer = policy.scorer().unwrap();
    let states = scorer.states(&expected.histories).unwrap();
    let levels: Vec<Vec<Vec<f32>>> = scorer.prefixes(&states).unwrap().iter().map(rows).collect();
    let trie = policy.trie();
    for user in 0..expected.histories.len() {
        let mut of_node = vec![1f64];
        for level in &levels {
            of_node.extend(level[user].iter().map(|logp| f64::from(*logp).exp()));
        }
        assert_eq!(of_node.len(), trie.num_nodes());
        for node in (0..).map(NodeId).take(trie.num_nodes()) {
            let children = trie.children(node);
            let sum: f64 = (0..children.len()).map(|k| of_node[children.node(k).index()]).sum();
            let own = of_node[node.index()];
            assert!(children.is_empty() || (sum - own).abs() < 1e-5, "{node:?}: {sum}, {own}");
        }
    }
}

#[test]
fn a_beam_of_full_width_finds_the_exact_scores() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let trie = constraint.trie();
    let exact = rows(&policy.log_probs_of_items(&expected.histories).unwrap());
    let scoring = Scoring::Renormalised;
    let search = BeamSearch { model: &policy, constraint: &constraint, beam_width: 9, scoring };
    let batch = TokenBatch::new(&expected.histories, 77, usize::MAX, Device::Cpu).unwrap();
    let found = search.search(&batch, &[&[][..]; 4]).unwrap();
    for (found, exact) in found.iter().zip(&exact) {
        let items: BTreeSet<ItemId> =
            found.iter().flat_map(|h| trie.items(h.node)).copied().collect();
        assert_eq!((found.len(), items.len()), (9, 10));
        for hypothesis in found {
            let items = trie.items(hypothesis.node);
            let each = exact[items[0].index()] + (items.len() as f32).ln();
            assert!(
                (hypothesis.score - each).abs() < 1e-5 * each.abs().max(1.0),
                "{hypothesis:?}: {each}"
            );
        }
    }
    // After the beginning of an answer: shares of the node.
    let guided: Vec<Vec<u32>> = vec![[expected.histories[1].as_slice(), &[1]].concat()];
    let batch = TokenBatch::new(&guided, 0, usize::MAX, Device::Cpu).unwrap();
    let found = search.search(&batch, &[&[1]]).unwrap().remove(0);
    let below: Vec<f32> = found.iter().map(|h| exact[1][trie.items(h.node)[0].index()]).collect();
    let total: f32 = below.iter().map(|logp| logp.exp()).sum();
    assert_eq!(found.len(), 4);
    for (hypothesis, exact) in found.iter().zip(below) {
        let share = exact - total.ln();
        assert!((hypothesis.score - share).abs() < 1e-5 * share.abs().max(1.0));
    }
}

#[test]
fn draws_are_as_frequent_as_the_exact_scores_say() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let history = &expected.histories[2..3];
    let exact = rows(&policy.log_probs_of_items(history).unwrap()).remove(0);
    let sampling = SamplingConfig::new(1.0).unwrap();
    let scoring = Scoring::Renormalised;
    let sampler = Sampler { model: &policy, constraint: &constraint, sampling, scoring, seed: 5 };
    let batch = TokenBatch::new(history, 0, usize::MAX, Device::Cpu).unwrap();
    let draws = 4000;
    let found = sampler.sample(&batch, &Conditions::default(), draws).unwrap().remove(0);
    for leaf in constraint.trie().items(found[0].node).iter().chain(&[ItemId(0), ItemId(5)]) {
        let node = constraint.trie().leaf(*leaf).unwrap();
        let items = constraint.trie().items(node);
        let p = f64::from(exact[items[0].index()]).exp() * items.len() as f64;
        let share = found.iter().filter(|draw| draw.node == node).count() as f64 / draws as f64;
        // Five standard errors: a false alarm once in a million.
        assert!((share - p).abs() < 5.0 * (p * (1.0 - p) / draws as f64).sqrt() + 1e-9);
    }
}

/// Completions of the fixture's histories: several rollouts each, one of which is drawn twice.
pub(crate) fn completions(
    constraint: &Constraint,
    wanted: &[&[u32]],
) -> Vec<Vec<Vec<CompletionToken>>> {
    let scored = |item: &u32| {
        let flat = constraint.flat(ItemId(*item)).unwrap();
        let targets = code_targets(constraint.trie(), &[], &flat).unwrap();
        targets.into_iter().map(CompletionToken::Scored).collect()
    };
    wanted.iter().map(|items| items.iter().map(scored).collect()).collect()
}

#[test]
fn log_probabilities_of_completions_are_exact_and_so_are_their_gradients() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let wanted: [&[u32]; 4] = [&[0, 4, 9], &[3, 3], &[7], &[5, 6, 1, 2]];
    let rollouts = completions(&constraint, &wanted);
    let batch = TokenBatch::new(&expected.histories, 0, usize::MAX, Device::Cpu).unwrap();
    let asked = Completions { prompts: &batch, begun: &[0; 4], rollouts: &rollouts };
    let law = TokenLaw::from(Scoring::Renormalised);
    let found = policy.completion_pass(&constraint, &asked, law).unwrap();
    let logp = Vec::<f32>::try_from(found.pass.logp()).unwrap();
    let exact = policy.log_probs_of_items(&expected.histories).unwrap();
    // What an objective that likes some answers more than others asks for.
    let like = |rollout: usize| rollout as f64 - 2.5;
    let (mut next, mut rollout) = (0, 0);
    let mut d_logp = Vec::new();
    let mut objective = Tensor::zeros([], (Kind::Float, Device::Cpu));
    for (user, items) in (0i64..).zip(wanted) {
        for item in items {
            let len = found.lens[rollout];
            let sum: f32 = logp[next..next + len].iter().sum();
            let leaf = constraint.trie().leaf(ItemId(*item)).unwrap();
            let shared = (constraint.trie().items(leaf).len() as f32).ln();
            let whole = exact.get(user).get(i64::from(*item));
            let value = f32::try_from(&whole).unwrap() + shared;
            assert!((sum - value).abs() < 1e-5 * value.abs().max(1.0), "{sum} for {value}");
            #[allow(clippy::cast_possible_truncation, reason = "weights of a test")]
            d_logp.extend(vec![like(rollout) as f32; len]);
            objective += whole * like(rollout);
            next += len;
            rollout += 1;
        }
    }
    objective.backward();
    let take = || -> BTreeMap<String, Tensor> {
        let grads = policy.weights().iter().map(|(name, weight)| {
            let grad = weight.grad().copy();
            weight.shallow_clone().zero_grad();
            (name.clone(), grad)
        });
        grads.collect()
    };
    let theirs = take();
    found.pass.backward(&Tensor::from_slice(&d_logp)).unwrap();
    for (name, ours) in take() {
        let off = tiny::difference(&ours, &theirs[&name]);
        let largest = f64::try_from(theirs[&name].abs().max()).unwrap();
        assert!(off < 1e-5 * largest.max(1.0), "{name}: {off} of {largest}");
    }
}

#[test]
fn entropies_of_completions_are_those_of_the_children() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let wanted: [&[u32]; 4] = [&[0], &[3], &[7], &[5]];
    let rollouts = completions(&constraint, &wanted);
    let batch = TokenBatch::new(&expected.histories, 0, usize::MAX, Device::Cpu).unwrap();
    let asked = Completions { prompts: &batch, begun: &[0; 4], rollouts: &rollouts };
    let found = completion_entropy(&policy, &constraint, &asked, Scoring::Renormalised).unwrap();
    let scorer = policy.scorer().unwrap();
    let states = scorer.states(&expected.histories).unwrap();
    let levels: Vec<Vec<Vec<f32>>> = scorer.prefixes(&states).unwrap().iter().map(rows).collect();
    let trie = constraint.trie();
    for (user, (items, found)) in wanted.iter().zip(found).enumerate() {
        let mut of_node = vec![0f64];
        for level in &levels {
            of_node.extend(level[user].iter().map(|p| f64::from(*p)));
        }
        let (mut node, mut sum, mut len) = (trie.leaf(ItemId(items[0])).unwrap(), 0.0, 0.0);
        while let Some(parent) = trie.parent(node) {
            let children = trie.children(parent);
            let logps = (0..children.len())
                .map(|k| of_node[children.node(k).index()] - of_node[parent.index()]);
            sum -= logps.map(|logp| logp.exp() * logp).sum::<f64>();
            (node, len) = (parent, len + 1.0);
        }
        assert!((found - sum / len).abs() < 1e-5, "{found} for {}", sum / len);
    }
}

#[test]
fn gradients_of_a_hot_law_are_finite_differences() {
    let (expected, policy, constraint) = (expected(), twin(), constraint());
    let rollouts = completions(&constraint, &[&[2, 8]]);
    let batch = TokenBatch::new(&expected.histories[1..2], 0, usize::MAX, Device::Cpu).unwrap();
    let asked = Completions { prompts: &batch, begun: &[0], rollouts: &rollouts };
    let hot = SamplingConfig::new(2.0).unwrap();
    let law = TokenLaw::of_draws(Scoring::Renormalised, hot, hot).unwrap();
    let total = || {
        let pass = policy.completion_pass(&constraint, &asked, law).unwrap().pass;
        pass.logp().sum(Kind::Double).double_value(&[])
    };
    let pass = policy.completion_pass(&constraint, &asked, law).unwrap().pass;
    let ones = pass.logp().ones_like();
    pass.backward(&ones).unwrap();
    for (name, at) in [("embed_nodes.weight", 9), ("head.1.up.weight", 3), ("text.items", 5)] {
        let grad = policy.weights()[name].grad().reshape([-1]).double_value(&[at]);
        let weight = policy.weights()[name].detach().view(-1);
        let before = weight.double_value(&[at]);
        let value = |x: f64| {
            let _ = weight.get(at).fill_(x);
            total()
        };
        let step = 1e-2;
        let slope = (value(before + step) - value(before - step)) / (2.0 * step);
        value(before);
        assert!((slope - grad).abs() < 2e-3 * grad.abs().max(1.0), "{name}: {grad} for {slope}");
    }
}

#[test]
fn a_policy_without_text_or_categories_works_and_many_children_are_grouped() {
    // 1 to 60 children a node, so that every group of numbers of children is there.
    let sids: Vec<Vec<u16>> = [1u16, 3, 9, 20, 60]
        .iter()
        .enumerate()
        .flat_map(|(first, count)| (0..*count).map(move |k| vec![u16::try_from(first).unwrap(), k]))
        .collect();
    let spec = SidSpec::new(vec![5, 60], 0).unwrap();
    let sids = sids.into_iter().map(SemanticId::from).collect();
    let catalog = Catalog::new(spec, sids).unwrap();
    let constraint = Constraint::of_codes(&catalog, Device::Cpu).unwrap();
    for repeats in [false, true] {
        next_items_are_completions(&constraint, ItemPolicyConfig { repeats, ..config() });
    }
}

/// Next-item learning of a random policy against the plain way: each next item is a completion of the items
/// before it.
fn next_items_are_completions(constraint: &Constraint, config: ItemPolicyConfig) {
    let repeats = config.repeats;
    let policy = policy(config, constraint.trie(), ItemFeatures::default(), 3);
    policy.require_grad_of(&|_| true);
    assert!(!policy.weights().keys().any(|name| name.starts_with("text")));
    let sequences: Vec<Vec<u32>> = vec![vec![0, 1, 5, 1, 20, 50, 92], vec![33, 32], vec![2, 0, 12]];
    let fused = policy.next_item_gradients(&sequences, ItemDropout::default(), -1.0).unwrap();
    let fused_grads: BTreeMap<String, Tensor> = policy
        .weights()
        .iter()
        .map(|(name, weight)| {
            let grad = weight.grad().copy();
            weight.shallow_clone().zero_grad();
            (name.clone(), grad)
        })
        .collect();
    let (mut prompts, mut targets) = (Vec::new(), Vec::new());
    for sequence in &sequences {
        for end in 1..sequence.len() {
            prompts.push(sequence[..end].to_vec());
            targets.push(vec![sequence[end]]);
        }
    }
    let wanted: Vec<&[u32]> = targets.iter().map(Vec::as_slice).collect();
    let rollouts = completions(constraint, &wanted);
    let batch = TokenBatch::new(&prompts, 0, usize::MAX, Device::Cpu).unwrap();
    let begun = vec![0; prompts.len()];
    let asked = Completions { prompts: &batch, begun: &begun, rollouts: &rollouts };
    let law = TokenLaw::from(Scoring::Renormalised);
    let pass = policy.completion_pass(constraint, &asked, law).unwrap().pass;
    let total = -pass.logp().sum(Kind::Double).double_value(&[]);
    assert_eq!(fused.positions, prompts.len());
    assert!((total - fused.by_level.iter().sum::<f64>()).abs() < 1e-3, "{total} for {fused:?}");
    let ones = pass.logp().ones_like();
    pass.backward(&ones).unwrap();
    // With weights of repeats, the others are learned as without them.
    let is_equal = |name: &str| !repeats || name.starts_with("repeats.");
    for (name, ours) in fused_grads.into_iter().filter(|(name, _)| is_equal(name)) {
        let plain = policy.weights()[&name].grad();
        let off = tiny::difference(&ours, &plain);
        let largest = f64::try_from(plain.abs().max()).unwrap();
        assert!(off < 2e-5 * largest.max(1.0), "{name}: {off} of {largest}");
    }
}

#[test]
fn extreme_weights_of_repeats_remove_items_or_leave_no_others() {
    let (expected, policy) = (expected(), twin());
    let _guard = tch::no_grad_guard();
    let level = policy.weights()["repeats.level"].detach();
    let mass = |value: f64| -> Vec<f64> {
        let _ = level.shallow_clone().fill_(value);
        let all = rows(&policy.log_probs_of_items(&expected.histories).unwrap());
        let of_user = |(scores, history): (Vec<f32>, &Vec<u32>)| {
            let whole: f64 = scores.iter().map(|logp| f64::from(*logp).exp()).sum();
            assert!((whole - 1.0).abs() < 1e-5, "{whole}");
            let held: BTreeSet<usize> = history[history.len().saturating_sub(6)..]
                .iter()
                .map(|item| *item as usize)
                .collect();
            held.iter().map(|item| f64::from(scores[*item]).exp()).sum()
        };
        all.into_iter().zip(&expected.histories).map(of_user).collect()
    };
    // Items 8 and 9 share a leaf, so one that the history lacks shares its fate in part.
    let (never, always) = (mass(-50.0), mass(50.0));
    assert!(never[0] < 1e-2 && never[2] < 1e-2, "{never:?}");
    assert!(always[0] > 0.5 && always[2] > 0.5, "{always:?}");
}

#[test]
fn dropout_changes_the_loss() {
    let (expected, policy) = (expected(), twin());
    let dropout = ItemDropout { hidden: 0.3, attention: 0.3, seed: 5 };
    let plain = policy.next_item_loss(&expected.sequences).unwrap().mean();
    let dropped = policy.next_item_gradients(&expected.sequences, dropout, 1.0).unwrap().mean();
    assert!((plain - dropped).abs() > 1e-6);
}

#[test]
fn a_saved_policy_loads_with_equal_scores_trie_and_features() {
    let sids = expected().sids;
    let trie = Trie::from_catalog(&catalog(&sids));
    let text = Array2::from_shape_fn((sids.len(), 4), |(i, j)| ((i * 7 + j * 3) % 5) as f32 - 2.0);
    let lists: Vec<Vec<u32>> = (0u32..10).map(|item| (0..item % 3).collect()).collect();
    let all = [
        ItemFeatures::default(),
        ItemFeatures { text: Some(text.clone()), categories: None },
        ItemFeatures { text: None, categories: Some(ItemCategories::new(&lists)) },
        ItemFeatures { text: Some(text), categories: Some(ItemCategories::new(&lists)) },
    ];
    for (features, repeats) in all.into_iter().zip([true, false].into_iter().cycle()) {
        let dir = tempfile::tempdir().unwrap();
        let policy = policy(ItemPolicyConfig { repeats, ..config() }, &trie, features, 8);
        policy.save(dir.path()).unwrap();
        if !repeats {
            // Folders from before weights of repeats do not name them.
            let path = dir.path().join("config.json");
            let said = fs::read_to_string(&path).unwrap();
            let silent = said.replace(",\n  \"repeats\": false", "");
            assert_ne!(said, silent);
            fs::write(&path, silent).unwrap();
        }
        let back = ItemPolicy::load(dir.path(), Device::Cpu).unwrap();
        assert_eq!((back.config(), back.trie()), (policy.config(), &trie));
        assert!(back.weights().keys().eq(policy.weights().keys()));
        let histories = [vec![1u32, 2, 3], vec![9]];
        let scores = |policy: &ItemPolicy| rows(&policy.log_probs_of_items(&histories).unwrap());
        assert_eq!(scores(&back), scores(&policy));
        let frozen = policy.frozen_copy().unwrap();
        assert_eq!(scores(&frozen), scores(&policy));
        let _guard = tch::no_grad_guard();
        let _ = policy.weights()["embed_nodes.weight"].shallow_clone().fill_(0.3);
        assert_ne!(scores(&frozen), scores(&policy));
    }
}

#[test]
fn an_item_that_training_never_saw_is_scored_by_what_it_shares() {
    // Items 2 and 3 share two codes; the text of item 4 is that of item 3.
    let (expected, policy) = (expected(), twin());
    let _guard = tch::no_grad_guard();
    let leaf = i64::from(policy.trie().leaf(ItemId(4)).unwrap().0) - 1;
    let _ = policy.weights()["embed_nodes.weight"].detach().get(leaf).fill_(0.0);
    let scores = rows(&policy.log_probs_of_items(&expected.histories).unwrap());
    assert!(scores.iter().all(|of_user| of_user[4].is_finite() && of_user[4] < 0.0));
}

#[test]
fn what_the_policy_cannot_do_is_refused_by_name() {
    let (policy, constraint) = (twin(), constraint());
    let history = [vec![1u32, 2]];
    let unknown = policy.log_probs_of_items(&[vec![1u32, 10]]).unwrap_err();
    assert!(matches!(unknown, PolicyError::UnknownItem { item: ItemId(10) }), "{unknown}");
    assert!(matches!(
        policy.log_probs_of_items(&[Vec::<u32>::new()]),
        Err(PolicyError::Empty { .. })
    ));
    assert!(matches!(policy.next_item_loss(&[vec![1u32]]), Err(PolicyError::Empty { .. })));
    let search = |constraint: &Constraint, scoring| {
        let search = BeamSearch { model: &policy, constraint, beam_width: 3, scoring };
        let batch = TokenBatch::new(&history, 0, usize::MAX, Device::Cpu).unwrap();
        search.search(&batch, &[&[]]).map(drop)
    };
    let full = search(&constraint, Scoring::Full).unwrap_err().to_string();
    assert!(full.contains("renormalised"), "{full}");
    let mut sids = expected().sids;
    sids[0] = vec![3, 3];
    let other = Constraint::of_codes(&catalog(&sids), Device::Cpu).unwrap();
    let found = search(&other, Scoring::Renormalised).unwrap_err();
    assert!(matches!(found, PolicyError::OtherTrie { .. }), "{found}");
    let short = ItemFeatures { text: Some(Array2::zeros((3, 2))), categories: None };
    let refused = ItemPolicy::random(config(), policy.trie(), short, 1, Device::Cpu).unwrap_err();
    assert!(refused.to_string().contains("text vectors: found 3, expected 10"), "{refused}");
    let odd = ItemPolicyConfig { num_attention_heads: 3, ..config() };
    let refused = ItemPolicy::random(odd, policy.trie(), ItemFeatures::default(), 1, Device::Cpu)
        .unwrap_err();
    assert!(refused.to_string().contains("`hidden_size`"), "{refused}");
}
