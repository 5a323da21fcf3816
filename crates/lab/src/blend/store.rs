//! The prior of a blend in its folder: `prior.json` tells the terms, `prior.safetensors` holds what they know.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sidereal_baselines::{ItemTransition, Popularity, TermForm, TransitionArrays};
use sidereal_files::{read_json, write_json};
use sidereal_policy::{Weights, read_safetensors, write_safetensors};
use sidereal_train::Binding;
use tch::Tensor;

use super::prior::{BlendPrior, PriorTerm, TermModel};
use crate::error::LabError;
use crate::parts::item_vectors::{matrix, taken};

/// The file of the terms.
const TERMS: &str = "prior.json";
/// The file of what they know.
const TENSORS: &str = "prior.safetensors";

/// Both, in the folder of the blend.
pub(crate) const FILES: [&str; 2] = [TERMS, TENSORS];

/// First entries of the rows, other items, weights: `[N + 1]`, `[pairs]`, `[pairs]`.
const KEPT: [&str; 3] =
    ["transitions.kept.starts", "transitions.kept.items", "transitions.kept.weights"];
const REMOVED: [&str; 3] =
    ["transitions.removed.starts", "transitions.removed.items", "transitions.removed.weights"];
/// `[N, D]`.
const TEXT: &str = "text";
/// `[N]`.
const POPULARITY: &str = "popularity";

/// The file `prior.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    num_items: usize,
    terms: Vec<StoredTerm>,
    /// The hash of the weights of each policy that the prior's weights were chosen for, by stage.
    policies: Binding,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTerm {
    form: TermForm,
    model: StoredModel,
}

/// A [`TermModel`] without its tensors.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
enum StoredModel {
    Transitions { kept_decay: f32, removed_decay: f32 },
    Text { decay: f64 },
    Categories { decay: f64 },
    Popularity {},
    Repeats {},
}

impl BlendPrior {
    /// Writes the prior of a blend of these policies, each with the hash of its weights, into the blend's
    /// folder.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn save(&self, dir: &Path, policies: &Binding) -> Result<(), LabError> {
        let mut tensors = Weights::new();
        let mut terms = Vec::new();
        for PriorTerm { form, model } in &self.terms {
            let model = match model {
                TermModel::Transitions { kept, removed } => StoredModel::Transitions {
                    kept_decay: put(&mut tensors, KEPT, kept)?,
                    removed_decay: put(&mut tensors, REMOVED, removed)?,
                },
                TermModel::Text { vectors, decay } => {
                    tensors.insert(TEXT.to_owned(), Tensor::try_from(vectors.clone())?);
                    StoredModel::Text { decay: *decay }
                }
                TermModel::Categories { decay } => StoredModel::Categories { decay: *decay },
                TermModel::Repeats => StoredModel::Repeats {},
                TermModel::Popularity(model) => {
                    tensors.insert(POPULARITY.to_owned(), Tensor::f_from_slice(model.counts())?);
                    StoredModel::Popularity {}
                }
            };
            terms.push(StoredTerm { form: *form, model });
        }
        write_safetensors(&dir.join(TENSORS), &tensors)?;
        let stored = Stored { num_items: self.num_items, terms, policies: policies.clone() };
        Ok(write_json(&dir.join(TERMS), &stored)?)
    }

    /// Reads what [`save`](Self::save) wrote: the prior, and the hash of the weights of each policy.
    ///
    /// # Errors
    /// Missing and damaged files by name; [`LabError::Shape`] for a tensor that does not fit;
    /// [`LabError::Baseline`] for numbers that no model has.
    pub(crate) fn load(dir: &Path) -> Result<(Self, Binding), LabError> {
        let Stored { num_items, terms: stored, policies } = read_json(&dir.join(TERMS))?;
        let path = dir.join(TENSORS);
        let tensors = &mut read_safetensors(&path)?;
        let mut terms = Vec::new();
        for StoredTerm { form, model } in stored {
            let model = match model {
                StoredModel::Transitions { kept_decay, removed_decay } => TermModel::Transitions {
                    kept: take(tensors, KEPT, kept_decay, &path)?,
                    removed: take(tensors, REMOVED, removed_decay, &path)?,
                },
                StoredModel::Text { decay } => {
                    TermModel::Text { vectors: matrix(tensors, TEXT, &path)?, decay }
                }
                StoredModel::Categories { decay } => TermModel::Categories { decay },
                StoredModel::Repeats {} => TermModel::Repeats,
                StoredModel::Popularity {} => {
                    let counts = floats(tensors, POPULARITY, &path)?;
                    TermModel::Popularity(Popularity::from_counts(counts)?)
                }
            };
            terms.push(PriorTerm { form, model });
        }
        Ok((Self { num_items, terms }, policies))
    }
}

/// Puts transitions among the tensors; returns their decay.
fn put(
    tensors: &mut Weights,
    names: [&str; 3],
    transitions: &ItemTransition,
) -> Result<f32, LabError> {
    let TransitionArrays { decay, starts, columns, weights } = transitions.clone().into();
    // Numbers of entries in memory fit `i64`.
    let starts: Vec<i64> =
        starts.into_iter().map(|start| i64::try_from(start).unwrap_or(i64::MAX)).collect();
    let columns: Vec<i64> = columns.into_iter().map(i64::from).collect();
    let of_names = [
        Tensor::f_from_slice(&starts)?,
        Tensor::f_from_slice(&columns)?,
        Tensor::f_from_slice(&weights)?,
    ];
    tensors.extend(names.map(str::to_owned).into_iter().zip(of_names));
    Ok(decay)
}

/// Takes transitions out of the tensors of the file at `path`.
fn take(
    tensors: &mut Weights,
    names: [&'static str; 3],
    decay: f32,
    path: &Path,
) -> Result<ItemTransition, LabError> {
    let [starts, columns, weights] = names;
    let arrays = TransitionArrays {
        decay,
        starts: integers(tensors, starts, path)?,
        columns: integers(tensors, columns, path)?,
        weights: floats(tensors, weights, path)?,
    };
    Ok(arrays.try_into()?)
}

fn integers<T: TryFrom<i64>>(
    tensors: &mut Weights,
    name: &'static str,
    path: &Path,
) -> Result<Vec<T>, LabError> {
    let tensor = taken(tensors, name, path)?;
    let refuse = || LabError::Shape {
        path: path.to_owned(),
        tensor: name,
        found: tensor.size(),
        needed: "one dimension of whole numbers, 0 or more",
    };
    let values = Vec::<i64>::try_from(&tensor).map_err(|_| refuse())?;
    let values = values.into_iter().map(T::try_from).collect::<Result<_, _>>();
    values.map_err(|_| refuse())
}

fn floats(tensors: &mut Weights, name: &'static str, path: &Path) -> Result<Vec<f32>, LabError> {
    let tensor = taken(tensors, name, path)?;
    Vec::<f32>::try_from(&tensor).map_err(|_| LabError::Shape {
        path: path.to_owned(),
        tensor: name,
        found: tensor.size(),
        needed: "one dimension of numbers in `f32`",
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use sidereal_baselines::{PriorWeights, TermWeight, Transition, TransitionConfig};
    use sidereal_data::Item;
    use sidereal_metrics::SeenItems;
    use sidereal_sid::ItemId;

    use super::*;

    fn known() -> BlendPrior {
        let events = [[0, 1, 2], [1, 2, 3], [3, 0, 1]].map(|events| events.map(ItemId));
        let transitions = |decay| {
            let config = TransitionConfig::default().with_decay(decay);
            ItemTransition::fit(&Transition::try_from(config).unwrap(), 4, &events).unwrap()
        };
        let (kept, removed) = (transitions(0.3), transitions(0.7));
        let vectors = array![[1.0, 0.1], [0.3, -2.0], [0.0, 0.0], [0.7, 0.2]];
        let counted = TermForm::Log { floor: 0.05 };
        let models = [
            (TermForm::Linear, TermModel::Text { vectors, decay: 0.6 }),
            (counted, TermModel::Transitions { kept, removed }),
            (TermForm::Linear, TermModel::Categories { decay: 0.9 }),
            (TermForm::Linear, TermModel::Repeats),
            (counted, TermModel::Popularity(Popularity::fit(4, &events).unwrap())),
        ];
        let terms = models.map(|(form, model)| PriorTerm { form, model }).into();
        BlendPrior { num_items: 4, terms }
    }

    fn items() -> Vec<Item> {
        let item = |key: &str, categories: &[&str]| {
            Item::new(key, key)
                .with_categories(categories.iter().map(|c| (*c).to_owned()).collect())
        };
        vec![item("a", &["tea"]), item("b", &["tea", "cup"]), item("c", &["pen"]), item("d", &[])]
    }

    #[test]
    fn a_prior_that_was_written_and_read_says_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let policies = Binding::from([("policy".to_owned(), "a hash".to_owned())]);
        let known = known();
        known.save(dir.path(), &policies).unwrap();
        let (read, of) = BlendPrior::load(dir.path()).unwrap();
        assert_eq!((&read, of), (&known, policies));

        let weights = ["text", "transitions", "categories", "repeats", "popularity"];
        let weights = weights.into_iter().zip(1u8..);
        let terms = weights
            .map(|(name, at)| TermWeight { name: name.to_owned(), weight: f32::from(at) * 0.4 });
        let weights = PriorWeights { terms: terms.collect(), ..PriorWeights::default() };
        let mut said = Vec::new();
        for seen_items in [SeenItems::Kept, SeenItems::Removed] {
            for history in [&[ItemId(0)][..], &[ItemId(3), ItemId(1)], &[]] {
                let log_prior = |known: &BlendPrior| {
                    let prior = known.prior(&items(), seen_items).unwrap();
                    let mut values = [0.0; 4];
                    let prior = prior.with_weights(weights.clone()).unwrap();
                    prior.log_prior(history, &mut values).unwrap();
                    values.map(f32::to_bits)
                };
                assert_eq!(log_prior(&read), log_prior(&known));
                said.push(log_prior(&read));
            }
        }
        // After two items the decay counts, and the rules have decays of their own.
        assert_eq!(said[0], said[3]);
        assert_ne!(said[1], said[4]);
    }

    #[test]
    fn damaged_tensors_are_refused_by_file_and_name() {
        let dir = tempfile::tempdir().unwrap();
        known().save(dir.path(), &Binding::new()).unwrap();
        let path = dir.path().join(TENSORS);
        let whole = || read_safetensors(&path).unwrap();
        let sound = whole();
        let negative = || Tensor::from_slice(&[0_i64, 1, -1, 2, 3]);
        let floats = || Tensor::zeros([2, 2, 2], (tch::Kind::Float, tch::Device::Cpu));
        for (name, spoilt) in [
            (KEPT[0], Some(negative())),
            (KEPT[1], Some(floats())),
            (REMOVED[2], Some(floats())),
            (TEXT, Some(floats())),
            (POPULARITY, None),
        ] {
            let mut tensors = whole();
            tensors.remove(name);
            tensors.extend(spoilt.map(|tensor| (name.to_owned(), tensor)));
            write_safetensors(&path, &tensors).unwrap();
            let told = BlendPrior::load(dir.path()).unwrap_err().to_string();
            assert!(told.contains(TENSORS) && told.contains(name), "{told}");
            write_safetensors(&path, &sound).unwrap();
        }

        // Of another catalogue.
        let counts = Tensor::from_slice(&[1.0_f32; 3]);
        let mut tensors = whole();
        tensors.insert(POPULARITY.to_owned(), counts);
        write_safetensors(&path, &tensors).unwrap();
        let (known, _) = BlendPrior::load(dir.path()).unwrap();
        let told = known.prior(&items(), SeenItems::Kept).unwrap_err().to_string();
        assert!(told.contains("scores 3 items, needed 4"), "{told}");
    }
}
