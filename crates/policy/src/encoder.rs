//! Sentence vectors of item texts.

mod settings;

use std::path::Path;

use ndarray::Array2;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use tokenizers::{Tokenizer, TruncationParams};

use self::settings::Settings;
pub use self::settings::{EncoderOptions, Pooling, Prefix};
use crate::PolicyError;
use crate::cache::TokenBatch;
use crate::config::unsupported;
use crate::models::bert::Bert;
use crate::models::decoder::Decoder;

/// A sentence-transformers directory: a BERT or a decoder (Qwen3-Embedding) whose token states
/// are pooled to one vector a text.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    body: Body,
    settings: Settings,
}

#[derive(Debug)]
enum Body {
    Bert(Bert),
    Decoder(Box<Decoder>),
}

/// The field that tells the architectures apart.
#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

impl TextEncoder {
    /// Reads an encoder with the settings of its directory: `config.json`, `tokenizer.json`,
    /// `model.safetensors` or shards, and, if they exist, `modules.json` with its pooling,
    /// `config_sentence_transformers.json` and `sentence_bert_config.json`.
    ///
    /// # Errors
    /// Missing or damaged files, unsupported settings and unexpected tensors, by name.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load_with(dir, device, &EncoderOptions::default())
    }

    /// As [`load`](Self::load), with settings that have precedence over those of the directory.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        dir: &Path,
        device: Device,
        options: &EncoderOptions,
    ) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        let ModelType { model_type } =
            serde_json::from_str(&text).map_err(|source| PolicyError::Json { path, source })?;
        let body = match model_type.as_str() {
            "bert" => Body::Bert(Bert::load(dir, device)?),
            "qwen2" | "qwen3" | "llama" => {
                Body::Decoder(Box::new(Decoder::load_body(dir, device)?))
            }
            _ => {
                let expected = "bert, qwen2, qwen3 or llama";
                return Err(unsupported("model_type", model_type, expected));
            }
        };
        let usual = match &body {
            Body::Bert(_) => Pooling::Mean,
            Body::Decoder(_) => Pooling::LastToken,
        };
        let settings = Settings::read(dir, options, usual)?;
        let path = dir.join("tokenizer.json");
        let fail = |source| PolicyError::Tokenizer {
            action: format!("cannot read `{}`", path.display()),
            source,
        };
        let mut tokenizer = Tokenizer::from_file(&path).map_err(fail)?;
        let positions = body.positions();
        let max_length = settings.max_length.unwrap_or(positions).min(positions);
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(fail)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, body, settings })
    }

    /// Width of a sentence vector.
    #[must_use]
    pub const fn dim(&self) -> usize {
        match &self.body {
            Body::Bert(bert) => bert.config().hidden_size,
            Body::Decoder(decoder) => decoder.config().hidden_size,
        }
    }

    /// Vectors `[N, D]` of `texts`, of Euclidean length one if the encoder's settings say so.
    ///
    /// Texts run in batches of similar length; `on_batch` gets the number of texts that are done. A
    /// text beyond the encoder's limit is cut there, as sentence-transformers does. Batches are
    /// padded on the right, whatever side the directory names, because the states of a decoder do
    /// not depend on it.
    ///
    /// # Errors
    /// [`PolicyError::Tokenizer`] and [`PolicyError::Torch`]; [`PolicyError::Empty`] for a text in
    /// which the tokenizer finds no token.
    pub fn encode<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        batch_size: usize,
        mut on_batch: impl FnMut(usize),
    ) -> Result<Array2<f32>, PolicyError> {
        let _guard = tch::no_grad_guard();
        let inputs: Vec<String> =
            texts.iter().map(|text| [&self.settings.prefix, text.as_ref()].concat()).collect();
        let encodings = self.tokenizer.encode_batch_fast(inputs, true).map_err(|source| {
            PolicyError::Tokenizer { action: "cannot encode a text".into(), source }
        })?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|i| encodings[*i].get_ids().len());
        let mut vectors = Array2::zeros((texts.len(), self.dim()));
        let mut done = 0;
        for batch in order.chunks(batch_size.max(1)) {
            let ids: Vec<&[u32]> = batch.iter().map(|i| encodings[*i].get_ids()).collect();
            if ids.iter().any(|ids| ids.is_empty()) {
                return Err(PolicyError::Empty { what: "a text, as the tokenizer reads it," });
            }
            let tokens = TokenBatch::new(&ids, 0, self.body.positions(), self.body.device())?;
            let rows = Vec::<f32>::try_from(self.pool(&tokens)?.view(-1))?;
            for (i, row) in batch.iter().zip(rows.chunks_exact(self.dim())) {
                vectors.row_mut(*i).iter_mut().zip(row).for_each(|(out, x)| *out = *x);
            }
            done += batch.len();
            on_batch(done);
        }
        Ok(vectors)
    }

    /// Vectors `[B, D]` of right-padded rows, on the CPU.
    fn pool(&self, tokens: &TokenBatch) -> Result<Tensor, PolicyError> {
        let states = self.body.states(tokens)?; // [B, T, D]
        let pooled = match self.settings.pooling {
            Pooling::Mean => {
                let mask = real(tokens).unsqueeze(-1);
                let sum = (states * mask).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
                sum / tokens.lens.unsqueeze(1)
            }
            Pooling::LastToken => {
                let last = (&tokens.lens - 1).view([-1, 1, 1]);
                let last = last.expand([-1, 1, states.size()[2]], false);
                states.f_gather(1, &last, false)?.squeeze_dim(1)
            }
            Pooling::FirstToken => states.select(1, 0),
        };
        let vectors = if self.settings.normalise {
            let square = pooled.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
            pooled / square.sqrt().clamp_min(1e-12)
        } else {
            pooled
        };
        Ok(vectors.f_to_device(Device::Cpu)?.f_contiguous()?)
    }
}

impl Body {
    const fn positions(&self) -> usize {
        match self {
            Self::Bert(bert) => bert.config().max_position_embeddings,
            Self::Decoder(decoder) => decoder.config().max_position_embeddings,
        }
    }

    fn device(&self) -> Device {
        match self {
            Self::Bert(bert) => bert.device(),
            Self::Decoder(decoder) => decoder.device(),
        }
    }

    /// Token states `[B, T, D]`.
    fn states(&self, tokens: &TokenBatch) -> Result<Tensor, PolicyError> {
        match self {
            Self::Bert(bert) => bert.forward(&tokens.ids, &real(tokens)),
            Self::Decoder(decoder) => decoder.forward(tokens, 0.0),
        }
    }
}

/// 1 if a row has a token and 0 after its end, `[B, T]`, f32.
fn real(tokens: &TokenBatch) -> Tensor {
    let positions = Tensor::arange(tokens.ids.size()[1], (Kind::Int64, tokens.ids.device()));
    positions.unsqueeze(0).lt_tensor(&tokens.lens.unsqueeze(1)).to_kind(Kind::Float)
}
