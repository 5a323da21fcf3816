//! Sentence vectors of item texts.

use std::fs;
use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use tokenizers::{Tokenizer, TruncationParams};

use crate::PolicyError;
use crate::models::bert::Bert;
use crate::weights::to_i64;

/// A sentence-transformers directory with a BERT: mean of the token states, scaled to length one.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    bert: Bert,
}

/// The part of `sentence_bert_config.json` that matters here.
#[derive(Debug, Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

impl TextEncoder {
    /// Reads `config.json`, `sentence_bert_config.json`, `tokenizer.json` and
    /// `model.safetensors`.
    ///
    /// # Errors
    /// Missing or damaged files, unsupported settings and unexpected tensors, by name.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        let bert = Bert::load(dir, device)?;
        let path = dir.join("sentence_bert_config.json");
        let text = fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        let sentence: SentenceConfig =
            serde_json::from_str(&text).map_err(|source| PolicyError::Json { path, source })?;
        let path = dir.join("tokenizer.json");
        let fail = |source| PolicyError::Tokenizer {
            action: format!("cannot read `{}`", path.display()),
            source,
        };
        let mut tokenizer = Tokenizer::from_file(&path).map_err(fail)?;
        let max_length = sentence.max_seq_length.min(bert.config().max_position_embeddings);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(fail)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, bert })
    }

    /// Width of a sentence vector.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.bert.config().hidden_size
    }

    /// Vectors `[N, D]` of `texts`, each of Euclidean length one.
    ///
    /// Texts run in batches of similar length; `on_batch` hears how many are done. A text beyond
    /// the model's limit is cut there, as sentence-transformers does.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`] and [`PolicyError::Torch`].
    pub fn encode<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        batch_size: usize,
        mut on_batch: impl FnMut(usize),
    ) -> Result<Array2<f32>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let inputs: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encodings = self.tokenizer.encode_batch_fast(inputs, true).map_err(|source| {
            PolicyError::Tokenizer { action: "cannot encode a text".into(), source }
        })?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|i| encodings[*i].get_ids().len());
        let mut vectors = Array2::zeros((texts.len(), self.dim()));
        let mut done = 0;
        for batch in order.chunks(batch_size.max(1)) {
            let longest = batch.last().map_or(0, |i| encodings[*i].get_ids().len());
            let mut ids = vec![0i64; batch.len() * longest];
            let mut mask = vec![0f32; batch.len() * longest];
            for (row, i) in batch.iter().enumerate() {
                for (column, id) in encodings[*i].get_ids().iter().enumerate() {
                    ids[row * longest + column] = i64::from(*id);
                    mask[row * longest + column] = 1.0;
                }
            }
            let shape = [to_i64(batch.len()), to_i64(longest)];
            let ids = Tensor::from_slice(&ids).view(shape);
            let mask = Tensor::from_slice(&mask).view(shape);
            let rows = Vec::<f32>::try_from(self.pool(&ids, &mask)?.view(-1))?;
            for (i, row) in batch.iter().zip(rows.chunks_exact(self.dim())) {
                vectors.row_mut(*i).iter_mut().zip(row).for_each(|(out, x)| *out = *x);
            }
            done += batch.len();
            on_batch(done);
        }
        Ok(vectors)
    }

    /// Unit vectors `[B, D]` of padded ids `[B, T]`.
    fn pool(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor, PolicyError> {
        let device = self.bert.device();
        let (ids, mask) = (ids.f_to_device(device)?, mask.f_to_device(device)?);
        let states = self.bert.forward(&ids, &mask)?; // [B, T, D]
        let mask = mask.unsqueeze(-1);
        let sum = (states * &mask).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let mean = sum / mask.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let norm = mean.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        Ok((mean / norm.clamp_min(1e-12)).f_to_device(Device::Cpu)?.f_contiguous()?)
    }
}
