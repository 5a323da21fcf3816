//! A policy that reads a history item by item and walks the trie.

mod answers;
pub(crate) mod body;
mod branches;
mod children;
mod completions;
pub(crate) mod config;
mod families;
pub(crate) mod features;
mod first_level;
mod host;
mod kernel;
mod lesson;
pub(crate) mod next_item;
mod pack;
mod policy;
mod repeats;
pub(crate) mod scorer;
mod seen;
mod shapes;
pub(crate) mod store;
mod tables;
mod train;
mod tree;
mod vectors;

use std::sync::Mutex;

use sidereal_sid::Trie;
use tch::{Device, Tensor};

use self::body::Body;
use self::config::ItemPolicyConfig;
use self::features::{Features, ItemFeatures};
use self::repeats::RepeatWeights;
use self::shapes::{Sizes, fresh, shapes};
use self::tree::Tree;
use crate::PolicyError;
use crate::models::linear::Linear;
use crate::weights::{Weights, random_weights, share};

/// A policy that reads a history item by item, with one position for each item, and writes Semantic IDs
/// down the trie. It is small, quick to train, and exact over the whole catalogue.
///
/// ```text
/// E[m]          = code[token(m)] + node[m] + T[l] · text(m)          vector of node m at level l
/// x[i]          = Σ_l E[node(i, l)] + W · text(i) + Σ_c category[c]  what is read of item i
/// s             = body(x[h₁], …, x[h_T])                             state after the history
/// p(m | parent) = softmax over the children m of the parent of  s_l · E[m] + bias[m]
/// s_l           = s + W₂ GELU(W₁ s)                                  a small network a level
/// ```
/// `text(m)` is the mean text vector of the items below node `m`. The body is a causal transformer with
/// its norms after each layer, learned weights for distances, a head each, and a branch in each layer that
/// smooths the history ([`filter_share`](ItemPolicyConfig::filter_share)). The probability of an item
/// is that of its leaf; items of one leaf share it equally.
///
/// A prompt is a row of item ids. A history longer than [`max_history`](ItemPolicyConfig::max_history) is
/// read from its latest items. An item that training never saw still has a vector and a score, from the
/// codes that it shares with others, its text and its categories. Its own node only has its small initial
/// vector.
///
/// The policy holds the trie and the features of its items, and so does the folder that it is saved to.
#[derive(Debug)]
pub struct ItemPolicy {
    config: ItemPolicyConfig,
    weights: Weights,
    tree: Tree,
    features: Features,
    /// `[codes, D]`, by flat token.
    codes: Tensor,
    /// `[M, D]` and `[M]`: all nodes but the root, breadth first.
    nodes: Tensor,
    bias: Tensor,
    /// Projections of node texts `[L, T, D]` and of item texts `[T, D]`.
    text: Option<(Tensor, Tensor)>,
    /// `[C, D]`.
    categories: Option<Tensor>,
    body: Body,
    /// The two matrices of each level.
    head: Vec<(Linear, Linear)>,
    repeats: Option<RepeatWeights>,
    /// What a step of learning on the host works in.
    memory: Mutex<Option<host::Memory>>,
}

impl ItemPolicy {
    /// A policy with random weights over the items of `trie`; equal seeds give equal weights. A
    /// [`Constraint`](crate::Constraint) compiled from the same catalogue has the same trie.
    ///
    /// The standard deviations of the initial weights are 0.02 for tables and the body, less for
    /// projections of text, and zero for biases and for the weights of distances, as in the experiments
    /// that chose the settings.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for settings or features without a policy; [`PolicyError::Size`] for
    /// features of a different number of items.
    pub fn random(
        config: ItemPolicyConfig,
        trie: &Trie,
        features: ItemFeatures,
        seed: i64,
        device: Device,
    ) -> Result<Self, PolicyError> {
        config.check()?;
        let nodes = Tree::new(trie.clone(), device);
        let features = Features::new(features, &nodes, device)?;
        let sizes = Sizes::of(&nodes, &features);
        let fill = |name: &str| fresh(&config, &features, name);
        let weights = random_weights(&shapes(&config, &sizes), seed, device, fill)?;
        Self::from_parts(config, weights, nodes, features)
    }

    fn from_parts(
        config: ItemPolicyConfig,
        weights: Weights,
        tree: Tree,
        features: Features,
    ) -> Result<Self, PolicyError> {
        let get = |name: &str| share(&weights, name);
        let text = match features.text() {
            Some(_) => Some((get("text.levels")?, get("text.items")?)),
            None => None,
        };
        let categories = match features.categories() {
            Some(_) => Some(get("embed_categories.weight")?),
            None => None,
        };
        let head = (0..tree.depth())
            .map(|level| {
                let part = |which: &str| linear(&weights, &format!("head.{level}.{which}"));
                Ok((part("up")?, part("down")?))
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        Ok(Self {
            codes: get("embed_codes.weight")?,
            nodes: get("embed_nodes.weight")?,
            bias: get("node_bias")?,
            text,
            categories,
            body: Body::new(&config, &weights)?,
            head,
            repeats: config.repeats.then(|| RepeatWeights::new(&weights)).transpose()?,
            memory: Mutex::new(None),
            config,
            weights,
            tree,
            features,
        })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ItemPolicyConfig {
        &self.config
    }

    /// Every weight by its name in the saved file.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The trie that the policy walks.
    #[must_use]
    pub const fn trie(&self) -> &Trie {
        self.tree.trie()
    }

    /// Items that the policy knows, `N`.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.tree.num_items()
    }

    /// States `[n, D]` in the form that the nodes of a level use.
    fn level_states(&self, level: usize, states: &Tensor) -> Result<Tensor, PolicyError> {
        let (up, down) = &self.head[level];
        let kind = states.kind();
        Ok(states + down.apply(&up.apply(states, kind)?.f_gelu("none")?, kind)?)
    }
}

/// A matrix with its bias.
fn linear(weights: &Weights, name: &str) -> Result<Linear, PolicyError> {
    let weight = share(weights, &format!("{name}.weight"))?;
    let bias = Some(share(weights, &format!("{name}.bias"))?);
    Ok(Linear { weight, bias, adapter: None })
}
