//! The folder of a policy: its weights, and the trie and features of its items.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use serde_json::{Value, json};
use sidereal_sid::Trie;
use tch::{Device, Kind, Tensor};

use super::ItemPolicy;
use super::config::ItemPolicyConfig;
use super::features::{Features, ItemCategories, ItemFeatures};
use super::shapes::{Sizes, shapes};
use super::tree::Tree;
use crate::PolicyError;
use crate::config::unsupported;
use crate::sizes::to_usize;
use crate::weights::{Weights, read_safetensors, select, to_i64, write_safetensors, write_text};

/// `model_type` of the `config.json` of an [`ItemPolicy`]'s folder.
pub const ITEM_POLICY_TYPE: &str = "sidereal_item";

/// Flat tokens of each item, −1 after its last, `[N, L]`.
const TOKENS: &str = "items.tokens";
/// Text vectors `[N, T]`.
const TEXT: &str = "items.text";
/// Start of each item's categories, `[N + 1]`, and the categories.
const CATEGORY_STARTS: &str = "items.category_starts";
const CATEGORIES: &str = "items.categories";

impl ItemPolicy {
    /// Writes `config.json` and `model.safetensors`, which also holds the trie and the features of
    /// the items, under names that begin with `items.`.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        fs::create_dir_all(dir)
            .map_err(|source| PolicyError::Io { path: dir.to_owned(), source })?;
        let mut config = json!({
            "architectures": ["ItemPolicy"],
            "model_type": ITEM_POLICY_TYPE,
            "dtype": "float32",
            "hidden_act": "gelu",
        });
        let own = serde_json::to_value(&self.config)
            .map_err(|source| PolicyError::Json { path: dir.join("config.json"), source })?;
        if let (Some(config), Some(own)) = (config.as_object_mut(), own.as_object()) {
            config.extend(own.clone());
        }
        write_text(&dir.join("config.json"), &format!("{config:#}\n"))?;
        let shared = |(name, weight): (&String, &Tensor)| (name.clone(), weight.shallow_clone());
        let mut tensors: Weights = self.weights.iter().map(shared).collect();
        tensors.extend(self.items().map(|(name, tensor)| (name.to_owned(), tensor)));
        write_safetensors(&dir.join("model.safetensors"), &tensors)
    }

    /// The trie and the features as tensors.
    fn items(&self) -> impl Iterator<Item = (&'static str, Tensor)> {
        let (tokens, depth) = (self.tree.tokens(), self.tree.depth());
        let mut flat = vec![-1i64; self.num_items() * depth];
        for (item, out) in flat.chunks_exact_mut(depth).enumerate() {
            let path = self.tree.path(item).iter().map(|row| i64::from(tokens[*row as usize]));
            out.iter_mut().zip(path).for_each(|(out, token)| *out = token);
        }
        let flat = Tensor::from_slice(&flat).view([-1, to_i64(depth)]);
        let text = self.features.text().map(|text| (TEXT, text.items.shallow_clone()));
        let categories = self.features.categories().map(|categories| {
            let (mut starts, mut ids) = (vec![0], Vec::new());
            for item in 0..categories.num_items() {
                ids.extend(categories.of(item).iter().map(|id| i64::from(*id)));
                starts.push(to_i64(ids.len()));
            }
            [(CATEGORY_STARTS, Tensor::from_slice(&starts)), (CATEGORIES, Tensor::from_slice(&ids))]
        });
        [(TOKENS, flat)].into_iter().chain(text).chain(categories.into_iter().flatten())
    }

    /// Reads the folder that [`save`](Self::save) writes; nothing else is needed.
    ///
    /// # Errors
    /// Damaged or missing files, and tensors that the settings do not expect, by name;
    /// [`PolicyError::Unsupported`] for a folder of another kind of policy.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        let config = read_config(&dir.join("config.json"))?;
        let path = dir.join("model.safetensors");
        let mut found = read_safetensors(&path)?;
        let missing =
            |name: &str| PolicyError::MissingTensor { path: path.clone(), name: name.to_owned() };
        let tokens = found.remove(TOKENS).ok_or_else(|| missing(TOKENS))?;
        let trie = Trie::from_sequences(&sequences(&tokens)?)?;
        let text = found.remove(TEXT).map(|text| matrix(&text)).transpose()?;
        let categories = match found.remove(CATEGORY_STARTS) {
            None => None,
            Some(starts) => {
                let ids = found.remove(CATEGORIES).ok_or_else(|| missing(CATEGORIES))?;
                Some(categories(&starts, &ids)?)
            }
        };
        let nodes = Tree::new(trie, device);
        let features = Features::new(ItemFeatures { text, categories }, &nodes, device)?;
        let shapes = shapes(&config, &Sizes::of(&nodes, &features));
        let weights = select(found, &shapes, device, &path)?;
        Self::from_parts(config, weights, nodes, features)
    }
}

/// Reads the settings; another kind of policy is an error.
fn read_config(path: &Path) -> Result<ItemPolicyConfig, PolicyError> {
    let text = fs::read_to_string(path)
        .map_err(|source| PolicyError::Io { path: path.to_owned(), source })?;
    let json = |source| PolicyError::Json { path: path.to_owned(), source };
    let mut value: Value = serde_json::from_str(&text).map_err(json)?;
    let said = |field: &str| value.get(field).cloned().unwrap_or(Value::Null);
    if said("model_type") != ITEM_POLICY_TYPE {
        return Err(unsupported("model_type", said("model_type").to_string(), ITEM_POLICY_TYPE));
    }
    if said("hidden_act") != "gelu" {
        return Err(unsupported("hidden_act", said("hidden_act").to_string(), "gelu"));
    }
    if let Some(fields) = value.as_object_mut() {
        for about in ["architectures", "model_type", "dtype", "hidden_act"] {
            fields.remove(about);
        }
    }
    let config = ItemPolicyConfig::deserialize(value).map_err(json)?;
    config.check()?;
    Ok(config)
}

/// Items' flat tokens.
fn sequences(tokens: &Tensor) -> Result<Vec<Vec<u32>>, PolicyError> {
    let [items, depth] = <[i64; 2]>::try_from(tokens.size()).map_err(|_| PolicyError::Size {
        what: "axes of `items.tokens`",
        found: tokens.dim(),
        expected: 2,
    })?;
    let flat = Vec::<i64>::try_from(tokens.f_to_kind(Kind::Int64)?.f_reshape([-1])?)?;
    let depth = to_usize(depth)?.max(1);
    let real = |row: &[i64]| row.iter().map_while(|token| u32::try_from(*token).ok()).collect();
    let rows: Vec<Vec<u32>> = flat.chunks_exact(depth).map(real).collect();
    debug_assert_eq!(to_i64(rows.len()), items);
    Ok(rows)
}

fn matrix(text: &Tensor) -> Result<Array2<f32>, PolicyError> {
    let wrong =
        || PolicyError::Size { what: "axes of `items.text`", found: text.dim(), expected: 2 };
    let [rows, columns] = <[i64; 2]>::try_from(text.size()).map_err(|_| wrong())?;
    let values = Vec::<f32>::try_from(text.f_reshape([-1])?)?;
    let shape = [to_usize(rows)?, to_usize(columns)?];
    Array2::from_shape_vec(shape, values).map_err(|_| wrong())
}

fn categories(starts: &Tensor, ids: &Tensor) -> Result<ItemCategories, PolicyError> {
    let starts = Vec::<i64>::try_from(starts)?;
    let ids = Vec::<i64>::try_from(ids)?;
    let wrong = || {
        let (what, expected) = ("starts of `items.categories`", ids.len());
        PolicyError::Size { what, found: starts.len(), expected }
    };
    let mut lists: Vec<Vec<u32>> = Vec::with_capacity(starts.len());
    for range in starts.windows(2) {
        let [start, end] = [range[0], range[1]].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        let list = ids.get(start..end).ok_or_else(wrong)?;
        let id = |id: &i64| u32::try_from(*id).map_err(|_| wrong());
        lists.push(list.iter().map(id).collect::<Result<_, _>>()?);
    }
    Ok(ItemCategories::new(&lists))
}
