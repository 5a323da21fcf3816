//! Names, shapes and first values of the weights.

use super::config::ItemPolicyConfig;
use super::features::{Features, ItemCategories};
use super::repeats;
use super::tree::Tree;
use crate::weights::{Fresh, Shapes, to_i64};

/// Deviation of fresh tables and matrices.
const DEVIATION: f64 = 0.02;

/// The sizes that the shapes depend on, besides the settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) codes: usize,
    pub(super) rows: usize,
    pub(super) levels: usize,
    /// 0 without text.
    pub(super) text: usize,
    /// 0 without categories.
    pub(super) categories: usize,
}

impl Sizes {
    pub(super) fn of(tree: &Tree, features: &Features) -> Self {
        Self {
            codes: tree.num_codes(),
            rows: tree.num_rows(),
            levels: tree.depth(),
            text: features.text().map_or(0, |text| text.dim),
            categories: features.categories().map_or(0, ItemCategories::num_categories),
        }
    }
}

/// Shapes of all weights, by name.
pub(super) fn shapes(config: &ItemPolicyConfig, sizes: &Sizes) -> Shapes {
    let width = config.hidden_size;
    let mut shapes = Shapes::new();
    let mut add = |name: &str, shape: &[usize]| {
        shapes.insert(name.to_owned(), shape.iter().map(|size| to_i64(*size)).collect());
    };
    add("embed_codes.weight", &[sizes.codes, width]);
    add("embed_nodes.weight", &[sizes.rows, width]);
    add("node_bias", &[sizes.rows]);
    if sizes.text > 0 {
        add("text.levels", &[sizes.levels, sizes.text, width]);
        add("text.items", &[sizes.text, width]);
    }
    if sizes.categories > 0 {
        add("embed_categories.weight", &[sizes.categories, width]);
    }
    let mut linear = |name: String, output: usize, input: usize| {
        add(&format!("{name}.weight"), &[output, input]);
        add(&format!("{name}.bias"), &[output]);
    };
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("layers.{layer}.{part}");
        linear(name("attention.qkv"), 3 * width, width);
        linear(name("attention.out"), width, width);
        linear(name("feed_forward.up"), config.intermediate_size, width);
        linear(name("feed_forward.down"), width, config.intermediate_size);
    }
    for level in 0..sizes.levels {
        linear(format!("head.{level}.up"), config.head_hidden_size, width);
        linear(format!("head.{level}.down"), width, config.head_hidden_size);
    }
    let mut norm = |name: String| {
        add(&format!("{name}.weight"), &[width]);
        add(&format!("{name}.bias"), &[width]);
    };
    norm("norm".to_owned());
    for layer in 0..config.num_hidden_layers {
        norm(format!("layers.{layer}.attention_norm"));
        norm(format!("layers.{layer}.feed_forward_norm"));
        if config.filter_share > 0.0 {
            norm(format!("layers.{layer}.filter_norm"));
        }
    }
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("layers.{layer}.{part}");
        add(&name("attention.distance.weight"), &[config.max_history, config.num_attention_heads]);
        if config.filter_share > 0.0 {
            add(&name("filter.distance.weight"), &[config.max_history, 1]);
            add(&name("filter.high"), &[width]);
        }
    }
    if config.repeats {
        add(repeats::LEVEL, &[1]);
        add(repeats::DISTANCE, &[config.max_history, 1]);
    }
    shapes
}

/// How a fresh weight is filled.
pub(super) fn fresh(config: &ItemPolicyConfig, features: &Features, name: &str) -> Fresh {
    let text = features.text();
    if name.ends_with("bias") || name.ends_with("distance.weight") || name == repeats::LEVEL {
        return Fresh::Zeros;
    }
    if name.ends_with("norm.weight") {
        return Fresh::Ones;
    }
    if name.ends_with("filter.high") {
        return Fresh::All(0.5);
    }
    if name.starts_with("head.") && name.ends_with("up.weight") {
        // The deviation of PyTorch's uniform initialisation, 1/√(3·D).
        return Fresh::Normal((3.0 * config.hidden_size as f64).powf(-0.5));
    }
    match (name, text) {
        ("text.levels", Some(text)) => Fresh::Normal(2.0 * DEVIATION / (text.dim as f64).sqrt()),
        ("text.items", Some(text)) => Fresh::Normal(DEVIATION / text.length.max(1e-6)),
        _ => Fresh::Normal(DEVIATION),
    }
}
