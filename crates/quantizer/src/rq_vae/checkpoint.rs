//! The whole state of a training in one file, which is replaced whole or not at all.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ndarray::ArrayView2;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::layout::Layout;
use super::state::{Progress, State};
use super::{RqVaeParams, RqVaeValidParams, convert};
use crate::QuantizerError;
use crate::storage::{io, read_f32, split_header, write_atomically};

/// The entry of the file's metadata that holds [`Head`] as JSON.
const HEAD: &str = "rq_vae";

/// What a checkpoint belongs to: resuming with anything else would not continue the same curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Binding {
    /// The settings, whatever the device.
    settings: RqVaeParams,
    /// Digests of the shapes and values of the matrices.
    rows: String,
    collaborative: Option<String>,
}

impl Binding {
    pub(super) fn new(
        params: &RqVaeValidParams,
        rows: &ArrayView2<'_, f32>,
        collaborative: Option<&ArrayView2<'_, f32>>,
    ) -> Self {
        Self {
            settings: RqVaeParams::from(params.settings().clone()).device("cpu"),
            rows: digest(rows),
            collaborative: collaborative.map(digest),
        }
    }
}

fn digest(rows: &ArrayView2<'_, f32>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?}", rows.dim()).as_bytes());
    let mut bytes = Vec::with_capacity(4 * rows.ncols());
    for row in rows.rows() {
        bytes.clear();
        bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()));
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    binding: Binding,
    progress: Progress,
    has_best: bool,
}

/// The tensors of a state, by name.
fn tensors(state: &State) -> Vec<(String, &Tensor)> {
    let mut tensors = vec![
        ("parameters".to_owned(), &state.parameters.flat),
        ("first_moment".to_owned(), &state.optimiser.first),
        ("second_moment".to_owned(), &state.optimiser.second),
    ];
    let usage = state.usage.0.iter().enumerate();
    tensors.extend(usage.map(|(level, used)| (format!("usage.{level}"), used)));
    tensors.extend(state.best.as_ref().map(|best| ("best".to_owned(), best)));
    tensors
}

/// Writes the state.
pub(super) fn write(path: &Path, binding: &Binding, state: &State) -> Result<(), QuantizerError> {
    let bad = |source| QuantizerError::Safetensors { path: path.to_owned(), source };
    let head = Head {
        binding: binding.clone(),
        progress: state.progress.clone(),
        has_best: state.best.is_some(),
    };
    let head = serde_json::to_string(&head)
        .map_err(|source| QuantizerError::Checkpoint { path: path.to_owned(), source })?;
    let mut stored = Vec::new();
    for (name, tensor) in tensors(state) {
        let values = convert::to_vec(tensor)?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        stored.push((name, values.len(), bytes));
    }
    let mut views = Vec::new();
    for (name, len, bytes) in &stored {
        views.push((name, TensorView::new(Dtype::F32, vec![*len], bytes).map_err(bad)?));
    }
    let metadata = HashMap::from([(HEAD.to_owned(), head)]);
    write_atomically(path, &safetensors::serialize(views, Some(metadata)).map_err(bad)?)
}

/// Takes over the state in `path`, if there is such a file; otherwise makes its folder.
pub(super) fn resume(
    path: &Path,
    binding: &Binding,
    layout: &Layout,
    state: &mut State,
) -> Result<(), QuantizerError> {
    if !path.exists() {
        // Found out now, not after the first evaluation.
        let folder = path.parent().unwrap_or(path);
        return fs::create_dir_all(folder).map_err(io(folder));
    }
    let bytes = fs::read(path).map_err(io(path))?;
    let (header, data) = split_header(path, &bytes)?;
    let head = header.metadata().as_ref().and_then(|metadata| metadata.get(HEAD));
    let head: Head = serde_json::from_str(head.map_or("", String::as_str))
        .map_err(|source| QuantizerError::Checkpoint { path: path.to_owned(), source })?;
    let other = |part| Err(QuantizerError::OtherRun { path: path.to_owned(), part });
    match &head.binding {
        found if found.settings != binding.settings => return other("settings"),
        found if found.rows != binding.rows => return other("rows"),
        found if found.collaborative != binding.collaborative => {
            return other("collaborative embeddings");
        }
        _ => {}
    }
    debug_assert!(head.progress.initialised_levels <= layout.codebook_sizes.len());
    if head.has_best {
        state.best = Some(state.parameters.flat.f_zeros_like()?);
    }
    for (name, tensor) in tensors(state) {
        let count = tensor.numel();
        let values = read_f32(path, &header, data, &name, &[count])?;
        tensor.shallow_clone().f_copy_(&Tensor::f_from_slice(&values)?)?;
    }
    state.progress = head.progress;
    Ok(())
}
