//! Learning on the host against libtorch's way, and against a plain way that is given the same masks.

mod plain;

use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_sid::Trie;
use tch::{Device, Tensor};

use super::super::body::ItemDropout;
use super::super::config::ItemPolicyConfig;
use super::super::features::{ItemCategories, ItemFeatures};
use super::super::{ItemPolicy, lesson::Lesson};
use crate::trainable::Trainable;

/// What a random policy is made of.
#[derive(Debug, Clone)]
struct Case {
    /// Codes of each level; 1 makes all nodes of the level only children.
    codes: [u32; 3],
    items: usize,
    layers: usize,
    heads: usize,
    head_width: usize,
    text: usize,
    categories: bool,
    repeats: bool,
    lens: Vec<usize>,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (prop::array::uniform3(1u32..6), 3usize..30, 1usize..4, 1usize..4, 4usize..20);
    let features = (prop_oneof![Just(0), 1usize..20], any::<bool>(), any::<bool>());
    let lens = prop::collection::vec(prop_oneof![2usize..8, 2usize..60], 1..12);
    (sizes, features, lens, any::<u64>()).prop_map(
        |((codes, items, layers, heads, head_width), (text, categories, repeats), lens, seed)| {
            Case { codes, items, layers, heads, head_width, text, categories, repeats, lens, seed }
        },
    )
}

impl Case {
    /// Item `i` of a trie in which some Semantic IDs are shorter than others, and some are shared.
    fn sid(&self, item: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut draw = |level: u32| 10 * level + rng.gen_range(0..self.codes[level as usize]);
        match item % 5 {
            4 => vec![40 + draw(0)],
            3 => vec![50 + draw(0), draw(1)],
            _ => (0..3).map(draw).collect(),
        }
    }

    fn policy(&self) -> ItemPolicy {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let sids: Vec<_> = (0..self.items).map(|item| self.sid(item, &mut rng)).collect();
        let trie = Trie::from_sequences(&sids).unwrap();
        let config = ItemPolicyConfig {
            hidden_size: self.heads * self.head_width,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            intermediate_size: rng.gen_range(1..40),
            head_hidden_size: rng.gen_range(1..30),
            max_history: 50,
            filter_share: f64::from(rng.gen_range(0u8..3)) * 0.3,
            repeats: self.repeats,
            ..ItemPolicyConfig::default()
        };
        let text = (self.text > 0).then(|| {
            ndarray::Array2::from_shape_fn([self.items, self.text], |_| rng.gen_range(-1.5..1.5))
        });
        let lists = (0..self.items).map(|_| (0..rng.gen_range(0..4)).collect());
        let lists: Vec<Vec<u32>> = lists.collect();
        let categories = self.categories.then(|| ItemCategories::new(&lists));
        let features = ItemFeatures { text, categories };
        let policy = ItemPolicy::random(config, &trie, features, 1, Device::Cpu).unwrap();
        // Far enough from a fresh start that all weights matter.
        for (name, weight) in policy.weights() {
            let values: Vec<f32> = (0..weight.numel())
                .map(|_| {
                    rng.gen_range(-0.3..0.3) + if name.ends_with("norm.weight") { 1.0 } else { 0.0 }
                })
                .collect();
            weight
                .shallow_clone()
                .copy_(&Tensor::from_slice(&values).view(weight.size().as_slice()));
        }
        policy.require_grad_of(&|_| true);
        policy
    }

    fn sequences(&self) -> Vec<Vec<u32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 1);
        let items = u32::try_from(self.items).unwrap();
        let item = |_| rng.gen_range(0..items);
        let mut items: Vec<u32> = (0..self.lens.iter().sum()).map(item).collect();
        self.lens.iter().map(|len| items.split_off(items.len() - len)).collect()
    }
}

/// Gradients by name, which are cleared.
fn take(policy: &ItemPolicy) -> Vec<(String, Vec<f32>)> {
    let of = |(name, weight): (&String, &Tensor)| {
        let grad = weight.grad();
        let values = if grad.defined() {
            Vec::<f32>::try_from(grad.reshape([-1])).unwrap()
        } else {
            vec![0.0; weight.numel()]
        };
        weight.shallow_clone().zero_grad();
        (name.clone(), values)
    };
    policy.weights().iter().map(of).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// Refuses gradients that differ by more than a share of the weight's largest one; where that one vanishes but for
/// rounding (those of keys' biases do), of a hundredth of the largest of all.
fn same(
    ours: &[(String, Vec<f32>)],
    theirs: &[(String, Vec<f32>)],
    share: f32,
) -> Result<(), TestCaseError> {
    let all = theirs.iter().map(|(_, values)| largest(values)).fold(0.0, f32::max);
    for ((name, ours), (_, theirs)) in ours.iter().zip(theirs) {
        prop_assert_eq!(ours.len(), theirs.len());
        // Those of repeats are small sums of large differences.
        let part = if name.starts_with("repeats.") { 0.1 } else { 1e-2 };
        let scale = largest(theirs).max(part * all);
        for (a, b) in ours.iter().zip(theirs) {
            prop_assert!((a - b).abs() <= share * scale, "{}: {} for {} of {}", name, a, b, scale);
        }
    }
    Ok(())
}

fn same_losses(ours: &[f64], theirs: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().sum::<f64>();
    for (a, b) in ours.iter().zip(theirs) {
        prop_assert!((a - b).abs() <= 1e-5 * scale, "{:?} for {:?}", ours, theirs);
    }
    Ok(())
}

fn lesson(policy: &ItemPolicy, case: &Case) -> Lesson {
    policy.lesson(&case.sequences()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn losses_and_gradients_equal_those_of_libtorch(case in case(), slope in -2.0..2.0) {
        let (policy, none) = (case.policy(), ItemDropout::default());
        prop_assert!(policy.is_on_host());
        // Other lengths before: what is kept of them must not matter.
        let before = Case { lens: vec![50, 2, 3], ..case.clone() };
        policy.learn_on_host(&lesson(&policy, &before), none, 3.0).unwrap();
        take(&policy);
        let lesson = lesson(&policy, &case);
        let ours = policy.learn_on_host(&lesson, none, slope).unwrap();
        let our_gradients = take(&policy);
        let theirs = policy.learn_by_libtorch(&lesson, none, slope).unwrap();
        same_losses(&ours, &theirs)?;
        same(&our_gradients, &take(&policy), 1e-5)?;
    }

    #[test]
    fn scores_equal_those_of_libtorch(case in case()) {
        let policy = case.policy();
        let _guard = tch::no_grad_guard();
        let scorer = policy.scorer().unwrap();
        let states = scorer.states(&case.sequences()).unwrap();
        let ours = scorer.items_on_host(&states).unwrap().unwrap();
        let theirs = scorer.items_by_libtorch(&states).unwrap();
        prop_assert_eq!(ours.size(), theirs.size());
        let off = ((ours - &theirs).abs() / theirs.abs().clamp_min(1.0)).max();
        prop_assert!(off.double_value(&[]) < 1e-5, "{}", off.double_value(&[]));
    }

    #[test]
    fn with_the_same_masks_the_plain_way_finds_the_same(
        case in case(),
        seed: u64,
        share in 0.0..0.5,
    ) {
        let policy = case.policy();
        let dropout = ItemDropout { hidden: share, attention: 0.5 - share, seed };
        let lesson = lesson(&policy, &case);
        let ours = policy.learn_on_host(&lesson, dropout, 0.5).unwrap();
        let our_gradients = take(&policy);
        let theirs = plain::learn(&policy, &lesson, dropout, 0.5);
        same_losses(&ours, &theirs)?;
        // What is kept is doubled, and the roundings before it with it, layer by layer.
        same(&our_gradients, &take(&policy), 3e-5)?;
    }
}

fn large() -> Case {
    Case {
        codes: [5, 4, 3],
        items: 29,
        layers: 2,
        heads: 2,
        head_width: 8,
        text: 5,
        categories: true,
        repeats: true,
        lens: (0..60).map(|at| 2 + at * 7 % 50).collect(),
        seed: 4,
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let dropout = ItemDropout { hidden: 0.2, attention: 0.3, seed: 8 };
    let [one, two, three] = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (case, mut found) = (large(), Vec::new());
            let policy = case.policy();
            for _ in 0..2 {
                let losses = policy.learn_on_host(&lesson(&policy, &case), dropout, 1.0).unwrap();
                found.extend(losses.into_iter().map(f64::to_bits));
            }
            let gradients = take(&policy).into_iter().flat_map(|(_, values)| values);
            found.extend(gradients.map(|value| u64::from(value.to_bits())));
            found
        })
    });
    assert!(one == two && one == three);
}

#[test]
fn the_seed_alone_decides_what_is_zeroed() {
    let (case, share) = (large(), 0.3);
    let policy = case.policy();
    let lesson = lesson(&policy, &case);
    let losses = |seed| {
        let dropout = ItemDropout { hidden: share, attention: share, seed };
        policy.learn_on_host(&lesson, dropout, 1.0).unwrap()
    };
    let first = losses(1);
    tch::manual_seed(99);
    assert_eq!(losses(1), first);
    assert_ne!(losses(2), first);
}

#[test]
fn frozen_weights_have_no_gradient_and_change_no_other() {
    let case = large();
    let policy = case.policy();
    let lesson = lesson(&policy, &case);
    policy.learn_on_host(&lesson, ItemDropout::default(), 1.0).unwrap();
    let whole = take(&policy);
    let frozen = case.policy();
    let is_trained = |name: &str| name.starts_with("layers.0") || name == "embed_codes.weight";
    frozen.require_grad_of(&|name| is_trained(name));
    frozen.learn_on_host(&lesson, ItemDropout::default(), 1.0).unwrap();
    for (name, gradient) in whole {
        let grad = frozen.weights()[&name].grad();
        assert_eq!(grad.defined(), is_trained(&name), "{name}");
        if grad.defined() {
            assert_eq!(Vec::<f32>::try_from(grad.reshape([-1])).unwrap(), gradient, "{name}");
        }
    }
}

#[test]
fn a_weight_that_is_no_number_shows_in_the_loss() {
    let case = large();
    let policy = case.policy();
    for name in [
        "layers.1.feed_forward.up.weight",
        "layers.0.attention.qkv.bias",
        "embed_nodes.weight",
        "repeats.level",
    ] {
        let _guard = tch::no_grad_guard();
        let kept = policy.weights()[name].copy();
        let _ = policy.weights()[name].shallow_clone().fill_(f64::NAN);
        let found =
            policy.learn_on_host(&lesson(&policy, &case), ItemDropout::default(), 1.0).unwrap();
        assert!(found.iter().sum::<f64>().is_nan(), "{name}: {found:?}");
        policy.weights()[name].shallow_clone().copy_(&kept);
    }
}

#[test]
fn scores_with_the_way_back_are_those_of_libtorch() {
    let case = large();
    let policy = case.policy();
    let scorer = policy.scorer().unwrap();
    let states = scorer.states(&case.sequences()).unwrap();
    assert!(scorer.items_on_host(&states).unwrap().is_none());
    assert!(scorer.items(&states).unwrap().requires_grad());
}

#[test]
fn another_element_type_is_not_learned_on_the_host() {
    let policy = large().policy();
    assert!(policy.is_on_host());
    let doubles: crate::weights::Weights = policy
        .weights()
        .iter()
        .map(|(name, weight)| (name.clone(), weight.to_kind(tch::Kind::Double)))
        .collect();
    let (tree, features) = (policy.tree.share(), policy.features.share());
    let doubles = ItemPolicy::from_parts(policy.config.clone(), doubles, tree, features).unwrap();
    assert!(!doubles.is_on_host());
}
