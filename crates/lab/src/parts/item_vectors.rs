//! Item vectors: the vectors of the items' texts from a sentence encoder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use sidereal_data::{Dataset, Item, ItemId, SampleId};
use sidereal_files::{hash_file, hash_json};
use sidereal_policy::{PolicyError, TextEncoder, Weights, read_safetensors, write_safetensors};
use sidereal_prompts::{EnrichmentKind, Enrichments};
use sidereal_train::{Binding, Observer};
use tch::{Device, Tensor};

use crate::error::LabError;
use crate::recipe::embed::{EmbedConfig, ItemField};
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// The name of the part.
pub(crate) const NAME: &str = "embed";

const FILE: &str = "embeddings.safetensors";
const TENSOR: &str = "embeddings";

/// Sentence vectors of the items' texts.
pub(crate) struct ItemVectors<'a> {
    pub(crate) config: &'a EmbedConfig,
    pub(crate) dataset: &'a Dataset,
    /// What a teacher made of the texts of items, if it is embedded.
    pub(crate) rewritten: Option<&'a Enrichments>,
    pub(crate) device: Device,
}

/// The file of the vectors.
pub(crate) struct VectorFile {
    path: PathBuf,
}

impl Part for ItemVectors<'_> {
    type Output = VectorFile;

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = Binding::from([
            ("dataset".to_owned(), self.dataset.hash()),
            ("encoder".to_owned(), encoder_hash(&self.config.encoder)?),
        ]);
        inputs.extend(encoder_settings(&self.config.encoder)?);
        // Earlier versions only embedded titles.
        if !self.config.is_of_titles() {
            inputs.insert("fields".to_owned(), hash_json(&self.config.fields)?);
        }
        if let Some(texts) = self.rewritten {
            inputs.insert("rewritten".to_owned(), texts.hash());
        }
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([FILE])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let encoder = TextEncoder::load(&self.config.encoder, self.device)?;
        let rewritten = |id| {
            let texts = self.rewritten?;
            texts.text(EnrichmentKind::ItemDescription, SampleId::Item(id))
        };
        let items = (0..).map(ItemId).zip(self.dataset.items());
        let texts: Vec<String> = items
            .map(|(id, item)| text_of(item, rewritten(id).unwrap_or_default(), &self.config.fields))
            .collect();
        let vectors = encoder.encode(&texts, self.config.batch_size, |done| {
            observer.on_progress("embed", "items", done, texts.len());
        })?;
        let tensors = Weights::from([(TENSOR.to_owned(), Tensor::try_from(vectors)?)]);
        write_safetensors(&folder.path(FILE), &tensors)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<VectorFile, LabError> {
        Ok(VectorFile { path: folder.path(FILE) })
    }
}

impl VectorFile {
    /// The name of the file within the run's folder.
    pub(crate) const NAME: &'static str = FILE;

    /// The vectors, `[N, D]`.
    ///
    /// # Errors
    /// Those of the file, and [`LabError::Shape`] for a tensor that is not a matrix.
    pub(crate) fn load(&self) -> Result<Array2<f32>, LabError> {
        matrix(&mut read_safetensors(&self.path)?, TENSOR, &self.path)
    }
}

/// Removes a tensor from those of the file at `path` and returns it.
pub(crate) fn taken(
    tensors: &mut Weights,
    name: &'static str,
    path: &Path,
) -> Result<Tensor, LabError> {
    let missing = || PolicyError::MissingTensor { path: path.to_owned(), name: name.into() };
    Ok(tensors.remove(name).ok_or_else(missing)?)
}

/// Removes a matrix of items `[N, D]` from the tensors of the file at `path` and returns it.
pub(crate) fn matrix(
    tensors: &mut Weights,
    name: &'static str,
    path: &Path,
) -> Result<Array2<f32>, LabError> {
    let tensor = taken(tensors, name, path)?;
    let refuse = || LabError::Shape {
        path: path.to_owned(),
        tensor: name,
        found: tensor.size(),
        needed: "a row for each item",
    };
    let shape: Vec<usize> =
        tensor.size().into_iter().map_while(|n| usize::try_from(n).ok()).collect();
    let [rows, columns] = shape[..] else { return Err(refuse()) };
    let values = Vec::<f32>::try_from(tensor.view(-1))?;
    Array2::from_shape_vec((rows, columns), values).map_err(|_| refuse())
}

/// The embedded text of an item: its texts, one on each line, without those that it lacks.
pub(crate) fn text_of(item: &Item, rewritten: &str, fields: &[ItemField]) -> String {
    let texts = fields.iter().map(|field| match field {
        ItemField::Title => item.title.clone(),
        ItemField::Brand => item.brand.clone(),
        ItemField::Categories => item.categories.join(", "),
        ItemField::Description => item.description.clone(),
        ItemField::Rewritten => rewritten.to_owned(),
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Hashes of the files, besides the weights, that decide how an encoder reads texts.
pub(crate) fn encoder_settings(encoder: &Path) -> Result<Binding, LabError> {
    let names = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
    ];
    let there = names.into_iter().filter(|name| encoder.join(name).exists());
    there.map(|name| Ok((format!("encoder/{name}"), hash_file(&encoder.join(name))?))).collect()
}

/// Hash of an encoder's weights, whole or in shards.
fn encoder_hash(dir: &Path) -> Result<String, LabError> {
    let whole = dir.join("model.safetensors");
    if whole.exists() {
        return Ok(hash_file(&whole)?);
    }
    let io = |source| LabError::Io { path: dir.to_owned(), source };
    let mut hashes = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            hashes.insert(path.clone(), hash_file(&path)?);
        }
    }
    // If a folder has no such file, the encoder itself reports what is missing.
    Ok(hash_json(&hashes.into_values().collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_an_item_lacks_are_left_out() {
        use ItemField::{Brand, Categories, Description, Rewritten, Title};
        let categories = ["Beauty", "Hair"].map(str::to_owned).to_vec();
        let item = Item::new("x", "Comb").with_description("Of wood.").with_categories(categories);
        for (fields, text) in [
            (&[Title][..], "Comb"),
            (&[Title, Description], "Comb\nOf wood."),
            (&[Categories, Brand, Title], "Beauty, Hair\nComb"),
            (&[Brand], ""),
            (&[Title, Rewritten], "Comb\nA comb of oak."),
        ] {
            assert_eq!(text_of(&item, "A comb of oak.", fields), text);
        }
        assert_eq!(text_of(&item, "", &[Title, Rewritten]), "Comb");
    }

    #[test]
    fn a_tensor_that_is_no_matrix_of_items_is_refused_by_file_and_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let write = |shape: &[i64]| {
            let tensor = Tensor::zeros(shape, (tch::Kind::Float, Device::Cpu));
            write_safetensors(&path, &Weights::from([(TENSOR.to_owned(), tensor)])).unwrap();
            VectorFile { path: path.clone() }.load()
        };
        assert_eq!(write(&[3, 2]).unwrap().dim(), (3, 2));
        for shape in [&[6][..], &[1, 3, 2]] {
            let error = write(shape).unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains(&format!("{shape:?}")), "{error}");
        }
    }
}
