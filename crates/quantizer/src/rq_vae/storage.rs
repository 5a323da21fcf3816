//! A trained model on disk: a safetensors file and a JSON spec beside it.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use sidereal_device::device;
use tch::Tensor;

use super::convert::to_usize;
use super::layout::{Layout, Parameters};
use super::{RqVae, convert};
use crate::QuantizerError;
use crate::storage::{io, read_f32, split_header, write_atomically};

const TENSORS: &str = "rq_vae.safetensors";
const SPEC: &str = "rq_vae.json";

/// Contents of the JSON file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    width: usize,
    hidden: Vec<usize>,
    latent: usize,
    codebook_sizes: Vec<usize>,
}

impl RqVae {
    /// Writes `rq_vae.safetensors`, with tensors `encoder.i.weight` `[out, in]`, `encoder.i.bias`,
    /// the same of `decoder`, and `codebook.l` `[K, d]`, and `rq_vae.json` into `folder`, which is
    /// created if absent. Each file is replaced whole or not at all.
    ///
    /// # Errors
    /// [`QuantizerError::Io`] and, from the writer of safetensors,
    /// [`QuantizerError::Safetensors`].
    pub fn save(&self, folder: &Path) -> Result<(), QuantizerError> {
        fs::create_dir_all(folder).map_err(io(folder))?;
        let path = folder.join(TENSORS);
        let bad = |source| QuantizerError::Safetensors { path: path.clone(), source };
        let values = convert::to_vec(&self.parameters.flat)?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut tensors = Vec::new();
        for entry in self.layout.entries() {
            let shape = all_to_usize(&entry.shape)?;
            let (start, len) = (to_usize(entry.start)?, to_usize(entry.len())?);
            let view = TensorView::new(Dtype::F32, shape, &bytes[4 * start..4 * (start + len)]);
            tensors.push((entry.name, view.map_err(bad)?));
        }
        write_atomically(&path, &safetensors::serialize(tensors, None).map_err(bad)?)?;
        let widths = all_to_usize(&self.layout.widths)?;
        let spec = Spec {
            width: widths[0],
            hidden: widths[1..widths.len() - 1].to_vec(),
            latent: self.codebooks.width(),
            codebook_sizes: self.codebooks.sizes(),
        };
        let path = folder.join(SPEC);
        let text = serde_json::to_vec_pretty(&spec)
            .map_err(|source| QuantizerError::Spec { path: path.clone(), source })?;
        write_atomically(&path, &text)
    }

    /// Reads what [`save`](Self::save) wrote, onto a device named as in
    /// [`RqVaeParams::device`](super::RqVaeParams::device).
    ///
    /// # Errors
    /// [`QuantizerError::Device`]; [`QuantizerError::Io`]; [`QuantizerError::Spec`] and
    /// [`QuantizerError::SpecMismatch`] for the JSON file; [`QuantizerError::Safetensors`],
    /// [`QuantizerError::TruncatedHeader`], [`QuantizerError::TruncatedTensor`],
    /// [`QuantizerError::MissingTensor`] and [`QuantizerError::TensorKind`] for the tensors;
    /// [`QuantizerError::NotFinite`] and [`QuantizerError::Sizes`] for codebooks.
    pub fn load(folder: &Path, device_name: &str) -> Result<Self, QuantizerError> {
        let device = device(device_name)?;
        let path = folder.join(SPEC);
        let text = fs::read(&path).map_err(io(&path))?;
        let spec: Spec = serde_json::from_slice(&text)
            .map_err(|source| QuantizerError::Spec { path: path.clone(), source })?;
        let layout = Layout::new(spec.width, &spec.hidden, spec.latent, &spec.codebook_sizes);
        let path = folder.join(TENSORS);
        let bytes = fs::read(&path).map_err(io(&path))?;
        let (header, data) = split_header(&path, &bytes)?;
        let entries = layout.entries();
        let stored = header.tensors().len();
        if stored != entries.len() {
            let expected = format!("{} tensors", entries.len());
            let found = format!("{stored} tensors");
            return Err(QuantizerError::SpecMismatch { path, expected, found });
        }
        let mut values = Vec::new();
        for entry in entries {
            let shape = all_to_usize(&entry.shape)?;
            values.extend(read_f32(&path, &header, data, &entry.name, &shape)?);
        }
        let flat = Tensor::f_from_slice(&values)?.f_to_device(device)?;
        let parameters = Parameters::over(&layout, flat)?;
        Self::new(layout, parameters, spec.codebook_sizes.len())
    }
}

fn all_to_usize(sizes: &[i64]) -> Result<Vec<usize>, QuantizerError> {
    sizes.iter().copied().map(to_usize).collect()
}
