//! The decoder of Qwen2, Qwen3 and Llama.

use std::fs;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::cache::{KvCache, LayerCache, TokenBatch, check_prompts};
use crate::config::DecoderConfig;
use crate::models::linear::{Linear, cast};
use crate::models::rotary::{rotary_table, rotate};
use crate::tokenizer::SidTokenizer;
use crate::weights::{
    Shapes, Weights, checkpoint_file, read_checkpoint, select, to_i64, write_safetensors,
};

/// Standard deviation of freshly drawn matrices, transformers' `initializer_range`.
const INITIALIZER_RANGE: f64 = 0.02;
/// Most logits that [`Decoder::log_normaliser`] holds at once: 64 MiB of f32.
const LOGITS_AT_ONCE: i64 = 1 << 24;

/// A decoder language model: pre-norm RMS layers, rotary positions, grouped key-value heads, gated
/// feed-forward, optionally tied output head; by [`Architecture`](crate::Architecture) biases on
/// queries, keys and values (Qwen2) or normalised queries and keys (Qwen3).
///
/// The model is immutable; what it has read lives in a [`KvCache`] that the caller owns. Its
/// weights are leaves of the autograd graph once [`Decoder::require_grad`] was called.
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    weights: Weights,
    layers: Vec<Layer>,
    embedding: Tensor,
    norm: Tensor,
    head: Tensor,
    /// Cosines and sines of every position, `[P, hd]`.
    rotary: (Tensor, Tensor),
    /// Element type that products are computed in.
    kind: Kind,
}

/// Weights of one layer, sharing storage with the named ones.
#[derive(Debug)]
struct Layer {
    input_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Norms of each head's queries and keys, where the architecture has them.
    head_norms: Option<(Tensor, Tensor)>,
    post_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Decoder {
    /// A model with weights drawn from N(0, 0.02²), norms at one, biases at zero; equal seeds, equal weights.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] for settings without a model.
    pub fn random(config: DecoderConfig, seed: i64, device: Device) -> Result<Self, PolicyError> {
        config.check()?;
        tch::manual_seed(seed);
        let weights = shapes(&config)
            .into_iter()
            .map(|(name, shape)| {
                let tensor = if name.ends_with("norm.weight") {
                    Tensor::f_ones(&shape, (Kind::Float, Device::Cpu))?
                } else if name.ends_with("bias") {
                    Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?
                } else {
                    Tensor::f_randn(&shape, (Kind::Float, Device::Cpu))? * INITIALIZER_RANGE
                };
                Ok((name, tensor.f_to_device(device)?))
            })
            .collect::<Result<_, PolicyError>>()?;
        Self::from_weights(config, weights)
    }

    /// Reads `config.json` and `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` names, of a checkpoint directory; weights become f32.
    ///
    /// # Errors
    /// Damaged or missing files, and tensors that the configuration does not expect, by name.
    pub fn load(dir: &Path, device: Device) -> Result<Self, PolicyError> {
        Self::load_as(dir, device, Kind::Float)
    }

    /// As [`load`](Self::load), with weights of another element type: bf16 halves their memory,
    /// for use without training.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as(dir: &Path, device: Device, kind: Kind) -> Result<Self, PolicyError> {
        let config = DecoderConfig::load(dir)?;
        let mut found = read_checkpoint(dir, kind)?;
        if config.tie_word_embeddings {
            found.remove("lm_head.weight");
        }
        // A table of frequencies that old checkpoints hold and every reader computes anew.
        found.retain(|name, _| !name.ends_with("rotary_emb.inv_freq"));
        let weights = select(found, &shapes(&config), device, &checkpoint_file(dir))?;
        Self::from_weights(config, weights)
    }

    /// Writes `config.json`, `generation_config.json` and `model.safetensors` so that transformers
    /// opens the directory with equal logits.
    ///
    /// # Errors
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    pub fn save(&self, dir: &Path) -> Result<(), PolicyError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| PolicyError::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(io(dir))?;
        let generation = serde_json::json!({ "do_sample": false });
        for (name, value) in
            [("config.json", self.config.to_json()), ("generation_config.json", generation)]
        {
            let path = dir.join(name);
            fs::write(&path, format!("{value:#}\n")).map_err(io(&path))?;
        }
        write_safetensors(&dir.join("model.safetensors"), &self.weights)
    }

    /// A model over weights that [`shapes`](Self::save) names; used by loaders and trainers.
    fn from_weights(config: DecoderConfig, weights: Weights) -> Result<Self, PolicyError> {
        let get = |name: String| -> Result<Tensor, PolicyError> {
            weights
                .get(&name)
                .map(Tensor::shallow_clone)
                .ok_or_else(|| PolicyError::MissingTensor { path: "weights".into(), name })
        };
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let part = |name: &str| get(format!("model.layers.{layer}.{name}.weight"));
                let linear = |name: &str, biased: bool| -> Result<Linear, PolicyError> {
                    let bias = || get(format!("model.layers.{layer}.{name}.bias"));
                    Ok(Linear { weight: part(name)?, bias: biased.then(bias).transpose()? })
                };
                let (input, output) = (config.input_bias(), config.output_bias());
                let head_norms = config
                    .architecture
                    .normalises_heads()
                    .then(|| {
                        Ok::<_, PolicyError>((part("self_attn.q_norm")?, part("self_attn.k_norm")?))
                    })
                    .transpose()?;
                Ok(Layer {
                    input_norm: part("input_layernorm")?,
                    q: linear("self_attn.q_proj", input)?,
                    k: linear("self_attn.k_proj", input)?,
                    v: linear("self_attn.v_proj", input)?,
                    o: linear("self_attn.o_proj", output)?,
                    head_norms,
                    post_norm: part("post_attention_layernorm")?,
                    gate: linear("mlp.gate_proj", false)?,
                    up: linear("mlp.up_proj", false)?,
                    down: linear("mlp.down_proj", false)?,
                })
            })
            .collect::<Result<_, PolicyError>>()?;
        let embedding = get("model.embed_tokens.weight".into())?;
        let head = if config.tie_word_embeddings {
            embedding.shallow_clone()
        } else {
            get("lm_head.weight".into())?
        };
        let norm = get("model.norm.weight".into())?;
        let rotary = rotary_table(&config, embedding.device())?;
        let kind = embedding.kind();
        Ok(Self { config, weights, layers, embedding, norm, head, rotary, kind })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Every weight by its name in HF checkpoints; tied heads appear once.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Number of weights.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.weights.values().map(Tensor::numel).sum()
    }

    /// Where the weights live.
    #[must_use]
    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Makes every weight a leaf that gradients reach, or takes that back.
    #[must_use]
    pub fn require_grad(mut self, on: bool) -> Self {
        for weight in self.weights.values_mut() {
            let _ = weight.requires_grad_(on);
        }
        self
    }

    /// A frozen copy with storage of its own: the reference of an RL run.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn frozen_copy(&self) -> Result<Self, PolicyError> {
        let weights =
            self.weights.iter().map(|(name, w)| (name.clone(), w.detach().copy())).collect();
        Ok(Self::from_weights(self.config.clone(), weights)?.computing_in(self.kind))
    }

    /// The same model with products computed in another element type: bf16 over f32 weights is
    /// mixed precision with f32 masters, gradients included. Softmax and log-probabilities stay in
    /// f32.
    #[must_use]
    pub fn computing_in(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Element type that products are computed in.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Hidden states `[U, T, D]` of right-padded rows, without keeping keys and values.
    ///
    /// `dropout` is the share of the embedding's and of each residual branch's elements that is
    /// zeroed, 0 outside training; it draws from libtorch's global generator.
    ///
    /// # Errors
    /// [`PolicyError::Positions`] for rows beyond the model's positions; [`PolicyError::Torch`] for
    /// ids outside the vocabulary.
    pub fn forward(&self, tokens: &TokenBatch, dropout: f64) -> Result<Tensor, PolicyError> {
        self.read(tokens, dropout, None)
    }

    /// Hidden states `[U, T, D]` of right-padded prompts, and the cache that branches read.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn prefill(&self, prompts: &TokenBatch) -> Result<(Tensor, KvCache), PolicyError> {
        let [_, padded] = prompts.shape()?;
        let lens = prompts.lens.shallow_clone();
        let mut cache = KvCache::new(lens, padded, self.config.num_hidden_layers)?;
        let hidden = self.read(prompts, 0.0, Some(&mut cache))?;
        Ok((hidden, cache))
    }

    fn read(
        &self,
        tokens: &TokenBatch,
        dropout: f64,
        mut cache: Option<&mut KvCache>,
    ) -> Result<Tensor, PolicyError> {
        let [rows, len] = tokens.shape()?;
        self.check_positions(len)?;
        let drop = |x: Tensor| if dropout > 0.0 { x.dropout(dropout, true) } else { x };
        let (cos, sin) = &self.rotary;
        let first = |table: &Tensor| cast(&table.f_narrow(0, 0, len)?, self.kind);
        let (cos, sin) = (first(cos)?, first(sin)?);
        let mut x = drop(self.embed(&tokens.ids)?); // [U, T, D]
        for layer in &self.layers {
            let (q, k, v) = self.project(layer, &x, &[rows, len])?; // [U, T, H, hd]
            let q = rotate(&q.transpose(1, 2), &cos, &sin); // [U, H, T, hd]
            let k = rotate(&k.transpose(1, 2), &cos, &sin);
            let v = v.transpose(1, 2);
            let grouped = self.config.num_key_value_heads != self.config.num_attention_heads;
            let attended = Tensor::f_scaled_dot_product_attention(
                &q,
                &k,
                &v,
                None::<&Tensor>,
                0.0,
                true,
                None,
                grouped,
            )?;
            let attended = attended.transpose(1, 2).reshape([rows, len, -1]); // [U, T, H·hd]
            x = drop(layer.o.apply(&attended, self.kind)?).f_add_(&x)?;
            x = drop(self.feed_forward(layer, &x)?).f_add_(&x)?;
            if let Some(cache) = cache.as_deref_mut() {
                cache.layers.push(LayerCache { prompt: (k, v.contiguous()), branch: None });
            }
        }
        self.normalise(&x, &self.norm)
    }

    /// Hidden states `[U, W, S, D]` of `S` more tokens `[U, W, S]` in each of `W` branches of each
    /// prompt, which it appends to `cache`. A branch sees its prompt and its own earlier tokens.
    ///
    /// # Errors
    /// [`PolicyError::Size`] where the branches do not fit the cache, [`PolicyError::Positions`]
    /// where the longest would leave the model's positions; `cache` is then as before.
    pub fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError> {
        let [users, width, len] = <[i64; 3]>::try_from(tokens.size()).map_err(|_| {
            PolicyError::Size { what: "axes of branch tokens", found: tokens.dim(), expected: 3 }
        })?;
        check_prompts("prompts of branches", users, cache.num_prompts())?;
        if let Some(expected) = cache.width.filter(|kept| *kept != width) {
            let [found, expected] = [width, expected].map(|n| usize::try_from(n).unwrap_or(0));
            return Err(PolicyError::Size { what: "branches of a prompt", found, expected });
        }
        let past = cache.branch_len;
        self.check_positions(cache.longest + past + len)?;
        let offsets = Tensor::arange_start(past, past + len, (Kind::Int64, tokens.device()));
        let positions = cache.prompt_len.unsqueeze(1) + offsets; // [U, S]
        let per_row = |table: &Tensor| -> Result<Tensor, PolicyError> {
            let dim = table.size()[1];
            let rows = cast(&table.f_index_select(0, &positions.view(-1))?, self.kind)?;
            Ok(rows.view([users, 1, 1, len, dim])) // broadcast over heads and branches
        };
        let (cos, sin) = (per_row(&self.rotary.0)?, per_row(&self.rotary.1)?);
        // The attention's scale rides on the queries' rotation.
        let scale = 1.0 / (self.config.head_dim as f64).sqrt();
        let (q_cos, q_sin) = (&cos * scale, &sin * scale);
        // Within a branch token i sees tokens 0..=past + i.
        let later = Tensor::ones([len, past + len], (Kind::Bool, tokens.device())).triu(past + 1);
        let causal = Tensor::zeros([len, past + len], (Kind::Float, tokens.device()))
            .masked_fill(&later, f64::NEG_INFINITY);

        let kv_heads = to_i64(self.config.num_key_value_heads);
        let dim = to_i64(self.config.head_dim);
        let repeat = to_i64(self.config.num_attention_heads) / kv_heads;
        let mut x = self.embed(tokens)?; // [U, W, S, D]
        for (layer, kept) in self.layers.iter().zip(&mut cache.layers) {
            let (q, k, v) = self.project(layer, &x, &[users, width, len])?; // [U, W, S, H, hd]
            let heads_first = |t: Tensor| t.permute([0, 3, 1, 2, 4]); // [U, H, W, S, hd]
            let q = rotate(&heads_first(q), &q_cos, &q_sin);
            let mut k = rotate(&heads_first(k), &cos, &sin);
            let mut v = heads_first(v);
            if let Some((keys, values)) = kept.branch.take() {
                k = Tensor::f_cat(&[keys, k], 3)?;
                v = Tensor::f_cat(&[values, v], 3)?;
            }
            // Query heads that share a key head stand next to each other.
            let q = q.reshape([users, kv_heads, repeat * width * len, dim]);
            let (prompt_k, prompt_v) = &kept.prompt;
            let mut on_prompt = q.f_matmul(&prompt_k.transpose(2, 3))?; // [U, Hkv, rep·W·S, T]
            let _ = on_prompt.f_add_(&cache.prompt_mask)?;
            let split = [users, kv_heads, repeat, width, len];
            let q = q.view([users, kv_heads, repeat, width, len, dim]);
            let mut on_branch = q.f_matmul(&k.unsqueeze(2).transpose(-1, -2))?; // […, S, past + S]
            if len > 1 {
                let _ = on_branch.f_add_(&causal)?;
            }
            let longest = on_prompt.size()[3];
            let on_prompt = on_prompt.view([&split[..], &[longest]].concat().as_slice());
            let weights = Tensor::f_cat(&[on_prompt, on_branch], -1)?.f_softmax(-1, Kind::Float)?;
            let weights = cast(&weights, self.kind)?;
            let on_prompt = weights.narrow(-1, 0, longest).reshape([
                users,
                kv_heads,
                repeat * width * len,
                longest,
            ]);
            let on_branch = weights.narrow(-1, longest, past + len);
            let attended =
                on_prompt.f_matmul(prompt_v)?.view([users, kv_heads, repeat, width, len, dim])
                    + on_branch.f_matmul(&v.unsqueeze(2))?;
            let attended = attended
                .permute([0, 3, 4, 1, 2, 5]) // [U, W, S, Hkv, rep, hd]
                .reshape([users, width, len, kv_heads * repeat * dim]);
            kept.branch = Some((k, v));
            x = layer.o.apply(&attended, self.kind)?.f_add_(&x)?;
            x = self.feed_forward(layer, &x)?.f_add_(&x)?;
        }
        cache.branch_len += len;
        cache.width = Some(width);
        self.normalise(&x, &self.norm)
    }

    /// Logits `[N, V]` of hidden states `[N, D]`.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, PolicyError> {
        Ok(hidden.f_linear(&cast(&self.head, self.kind)?, None::<&Tensor>)?)
    }

    /// Logits `[N, R]` of the vocabulary rows `rows` (`[R]`, i64) alone.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits_of(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, PolicyError> {
        let rows = cast(&self.head.f_index_select(0, rows)?, self.kind)?;
        Ok(hidden.f_linear(&rows, None::<&Tensor>)?)
    }

    /// Log-sum-exp `[N]` over the whole vocabulary of the logits of hidden states `[N, D]`, in
    /// nats.
    ///
    /// Rows go through in chunks of at most 64 MiB of logits; where gradients are recorded the
    /// graph keeps every chunk.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn log_normaliser(&self, hidden: &Tensor) -> Result<Tensor, PolicyError> {
        let rows = (LOGITS_AT_ONCE / to_i64(self.config.vocab_size)).max(1);
        let parts = hidden
            .f_split(rows, 0)?
            .iter()
            .map(|rows| {
                let logits = cast(&self.logits(rows)?, Kind::Float)?;
                Ok(logits.f_logsumexp([-1i64].as_slice(), false)?)
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// Accepts a tokenizer all of whose ids have a row in the embedding.
    ///
    /// # Errors
    /// [`PolicyError::Vocabulary`].
    pub fn check_vocabulary(&self, tokenizer: &SidTokenizer) -> Result<(), PolicyError> {
        let (tokenizer, model) = (tokenizer.vocab_size(), self.config.vocab_size);
        if tokenizer > model { Err(PolicyError::Vocabulary { tokenizer, model }) } else { Ok(()) }
    }

    fn embed(&self, ids: &Tensor) -> Result<Tensor, PolicyError> {
        cast(&Tensor::f_embedding(&self.embedding, ids, -1, false, false)?, self.kind)
    }

    fn check_positions(&self, found: i64) -> Result<(), PolicyError> {
        let limit = to_i64(self.config.max_position_embeddings);
        if found > limit { Err(PolicyError::Positions { found, limit }) } else { Ok(()) }
    }

    /// Queries, keys and values, each `[…, heads, hd]`.
    fn project(
        &self,
        layer: &Layer,
        x: &Tensor,
        shape: &[i64],
    ) -> Result<(Tensor, Tensor, Tensor), PolicyError> {
        let normed = self.normalise(x, &layer.input_norm)?;
        let split = |linear: &Linear| -> Result<Tensor, PolicyError> {
            let shape = [shape, &[-1, to_i64(self.config.head_dim)]].concat();
            Ok(linear.apply(&normed, self.kind)?.f_view(shape.as_slice())?)
        };
        let (q, k, v) = (split(&layer.q)?, split(&layer.k)?, split(&layer.v)?);
        match &layer.head_norms {
            None => Ok((q, k, v)),
            Some((q_norm, k_norm)) => {
                Ok((self.normalise(&q, q_norm)?, self.normalise(&k, k_norm)?, v))
            }
        }
    }

    fn feed_forward(&self, layer: &Layer, x: &Tensor) -> Result<Tensor, PolicyError> {
        let h = self.normalise(x, &layer.post_norm)?;
        let gate = layer.gate.apply(&h, self.kind)?.f_silu()?;
        let up = layer.up.apply(&h, self.kind)?;
        layer.down.apply(&(gate * up), self.kind)
    }

    fn normalise(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor, PolicyError> {
        let weight = cast(weight, self.kind)?;
        Ok(x.f_rms_norm(weight.size(), Some(&weight), Some(self.config.rms_norm_eps))?)
    }
}

/// Tensor names and shapes of a checkpoint with these settings.
fn shapes(config: &DecoderConfig) -> Shapes {
    let size = |n: usize| to_i64(n);
    let (d, ff, hd) =
        (size(config.hidden_size), size(config.intermediate_size), size(config.head_dim));
    let (q, kv) = (size(config.num_attention_heads) * hd, size(config.num_key_value_heads) * hd);
    let mut shapes = Shapes::from([
        ("model.embed_tokens.weight".to_owned(), vec![size(config.vocab_size), d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ]);
    if !config.tie_word_embeddings {
        shapes.insert("lm_head.weight".to_owned(), vec![size(config.vocab_size), d]);
    }
    for layer in 0..config.num_hidden_layers {
        let matrices = [
            ("self_attn.q_proj", [q, d], config.input_bias()),
            ("self_attn.k_proj", [kv, d], config.input_bias()),
            ("self_attn.v_proj", [kv, d], config.input_bias()),
            ("self_attn.o_proj", [d, q], config.output_bias()),
            ("mlp.gate_proj", [ff, d], false),
            ("mlp.up_proj", [ff, d], false),
            ("mlp.down_proj", [d, ff], false),
        ];
        for (name, shape, biased) in matrices {
            if biased {
                shapes.insert(format!("model.layers.{layer}.{name}.bias"), vec![shape[0]]);
            }
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape.to_vec());
        }
        let mut norms = vec![("input_layernorm", d), ("post_attention_layernorm", d)];
        if config.architecture.normalises_heads() {
            norms.extend([("self_attn.q_norm", hd), ("self_attn.k_norm", hd)]);
        }
        for (name, width) in norms {
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), vec![width]);
        }
    }
    shapes
}
