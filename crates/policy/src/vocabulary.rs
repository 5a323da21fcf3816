//! Teaching a pretrained checkpoint the tokens of Semantic IDs.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sidereal_sid::SidSpec;
use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::checkpoint::{checkpoint_file, read_checkpoint, read_config};
use crate::generator::SeededGenerator;
use crate::models::foreign::{HEAD, decoder_names, settle_head};
use crate::models::t5::names;
use crate::sizes::{axes, to_usize};
use crate::tokenizer::{Codes, SidTokenizer};
use crate::weights::{Weights, to_i64, write_safetensors, write_text};

/// Matrices with a row for each token, by their names in HF checkpoints.
const ROWS_OF_TOKENS: [&str; 3] = [EMBEDDING, names::SHARED, HEAD];
/// A decoder's embedding.
const EMBEDDING: &str = "model.embed_tokens.weight";
/// Settings of generation in old configurations, which readers still use.
const GENERATION: [&str; 24] = [
    "bad_words_ids",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// What the rows of new tokens begin as.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RowInit {
    /// Draws from N(0, σ²), σ as the base was initialised: `initializer_range` of its
    /// configuration (0.02 where it names none), for T5 `initializer_factor` (1).
    #[default]
    Random,
    /// The mean of the rows of the base's tokens, plus draws from N(0, `noise`²): new tokens begin
    /// about as likely as an average one.
    Mean {
        /// Standard deviation of the noise. Where it is 0 all new rows are equal, and only training
        /// tells them apart. Range `[0, ∞)`.
        noise: f64,
    },
}

/// How a pretrained vocabulary grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyExtension {
    /// What new rows begin as, in the embedding and in an output head of its own alike.
    pub init: RowInit,
    /// The number of rows becomes a multiple of this; rows that no token has are zero. Range
    /// `1..`.
    pub pad_to_multiple_of: usize,
    /// The token that a completion in words ends with; without it, the base's `eos_token`.
    pub end_of_turn: Option<String>,
    /// Seed of the draws.
    pub seed: i64,
}

impl Default for VocabularyExtension {
    /// Random rows, no padding, the base's own end, seed 0.
    fn default() -> Self {
        Self { init: RowInit::default(), pad_to_multiple_of: 1, end_of_turn: None, seed: 0 }
    }
}

impl VocabularyExtension {
    /// Accepts settings that a vocabulary can grow by.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] names the setting.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.pad_to_multiple_of == 0 {
            let (field, expected) = ("pad_to_multiple_of", "1 and above");
            return Err(PolicyError::Unsupported { field, found: "0".into(), expected });
        }
        match self.init {
            RowInit::Mean { noise } if !(noise.is_finite() && noise >= 0.0) => {
                let (field, expected) = ("noise", "a finite number from 0 on");
                Err(PolicyError::Unsupported { field, found: noise.to_string(), expected })
            }
            _ => Ok(()),
        }
    }
}

/// Writes into `out` the checkpoint of `base` with one token for each code of `spec`: tokenizer,
/// embedding and, if it is not tied, output head.
///
/// Works on any decoder or T5 in HF form, whole or sharded, with `tokenizer.json`, and on a decoder in a GGUF file;
/// element types stay, those of GGUF become f32. Codes that the base already has, because it was trained on Semantic IDs, keep their ids
/// and their rows. New tokens take the ids after the tokenizer's last. They first use the padding
/// rows of the base, which are initialised again. The number of rows never shrinks. No setting of
/// generation is inherited; `generation_config.json` only names special tokens. The weights are
/// written last, so that an incomplete directory does not load.
///
/// Embeddings are drawn from libtorch's global generator, seeded by `how.seed`.
///
/// # Errors
/// Those of [`SidTokenizer::extend`]; damaged or missing files by name; [`PolicyError::Vocabulary`]
/// if the base has more tokens than rows; [`PolicyError::Unsupported`] for settings out of range
/// and if `out` is `base`.
pub fn extend_pretrained(
    base: &Path,
    spec: &SidSpec,
    how: &VocabularyExtension,
    out: &Path,
) -> Result<SidTokenizer, PolicyError> {
    how.check()?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Io { path, source }
    };
    fs::create_dir_all(out).map_err(io(out))?;
    if base.canonicalize().map_err(io(base))? == out.canonicalize().map_err(io(out))? {
        let (field, found) = ("directory of the extended checkpoint", out.display().to_string());
        return Err(PolicyError::Unsupported { field, found, expected: "another than the base's" });
    }
    let (config, path) = read_config(base)?;
    let mut config: Map<String, Value> =
        serde_json::from_value(config).map_err(|source| PolicyError::Json { path, source })?;
    let (tokenizer, codes) = SidTokenizer::extend_counted(base, spec, how.end_of_turn.as_deref())?;
    report(&codes, spec, base);
    let mut weights = decoder_names(read_checkpoint(base, None)?);
    let sigma = sigma(&config);
    let known = codes.known;
    let rows = Rows {
        known: to_i64(known),
        used: to_i64(tokenizer.vocab_size()),
        multiple: to_i64(how.pad_to_multiple_of),
        init: how.init,
        sigma,
    };
    settle(&mut config, &mut weights, &checkpoint_file(base))?;
    let generator = SeededGenerator::new(how.seed);
    let mut vocab_size = None;
    for name in ROWS_OF_TOKENS {
        if let Some(matrix) = weights.get_mut(name) {
            let [found, _] = axes("axes of a matrix with a row for each token", matrix)?;
            if found < rows.known {
                let model = to_usize(found)?;
                return Err(PolicyError::Vocabulary { tokenizer: known, model });
            }
            *matrix = rows.grow(matrix)?;
            vocab_size = Some(matrix.size()[0]);
        }
    }
    drop(generator);
    let vocab_size = vocab_size.ok_or_else(|| PolicyError::MissingTensor {
        path: checkpoint_file(base),
        name: ROWS_OF_TOKENS[0].to_owned(),
    })?;
    config.insert("vocab_size".into(), json!(vocab_size));
    config.retain(|field, _| !GENERATION.contains(&field.as_str()));
    config.extend(tokenizer.special_ids());
    write_text(&out.join("config.json"), &format!("{:#}\n", Value::Object(config)))?;
    tokenizer.save(out)?;
    write_safetensors(&out.join("model.safetensors"), &weights)?;
    Ok(tokenizer)
}

/// Standard deviation that the base's embedding was drawn with.
fn sigma(config: &Map<String, Value>) -> f64 {
    let number = |field: &str| config.get(field).and_then(Value::as_f64);
    if config.get("model_type").is_some_and(|kind| kind == "t5") {
        number("initializer_factor").unwrap_or(1.0)
    } else {
        number("initializer_range").unwrap_or(0.02)
    }
}

/// Removes what readers make from another matrix anyway, and records in the configuration whether
/// the head is the embedding.
fn settle(
    config: &mut Map<String, Value>,
    weights: &mut Weights,
    path: &Path,
) -> Result<(), PolicyError> {
    const TIED: &str = "tie_word_embeddings";
    let t5 = config.get("model_type").is_some_and(|kind| kind == "t5");
    let stated = config.get(TIED).and_then(Value::as_bool);
    // The configuration of T5 leaves out the default.
    let says_tied = stated.unwrap_or(t5);
    let tied = if t5 {
        names::settle(weights, says_tied, path)?
    } else {
        settle_head(weights, EMBEDDING, says_tied, path)?
    };
    if says_tied && !tied {
        if t5 {
            // The old value also says whether states are scaled before the head.
            config.entry("scale_decoder_outputs").or_insert(json!(true));
        }
        config.insert(TIED.to_owned(), json!(false));
    }
    Ok(())
}

/// Logs what a base that already has codes gives to the run.
fn report(codes: &Codes, spec: &SidSpec, base: &Path) {
    let (Codes { kept, added, .. }, base) = (codes, base.display());
    if *kept > 0 {
        tracing::info!(
            "`{base}` already has {kept} of {} codes: they keep their ids and rows, so the Semantic \
             IDs of the run must be those that it was trained on",
            spec.num_tokens()
        );
        if let Some(first) = added.first() {
            let missing = added.len();
            tracing::warn!(
                "`{base}` has no tokens for {missing} codes (the first is `{first}`): they are added as new tokens"
            );
        }
    }
}

/// How a matrix with a row for each token grows.
#[derive(Debug, Clone, Copy)]
struct Rows {
    /// Rows that the base's tokens have.
    known: i64,
    /// Rows that tokens have afterwards.
    used: i64,
    multiple: i64,
    init: RowInit,
    sigma: f64,
}

impl Rows {
    fn grow(&self, matrix: &Tensor) -> Result<Tensor, PolicyError> {
        let [found, width] = <[i64; 2]>::try_from(matrix.size()).map_err(|_| {
            PolicyError::Size { what: "axes of an embedding", found: matrix.dim(), expected: 2 }
        })?;
        let old = matrix.f_narrow(0, 0, self.known)?;
        let shape = [self.used - self.known, width];
        let draw = |sigma: f64| -> Result<Tensor, PolicyError> {
            Ok(Tensor::f_randn(shape, (Kind::Float, Device::Cpu))? * sigma)
        };
        let new = match self.init {
            RowInit::Random => draw(self.sigma)?,
            RowInit::Mean { noise } => {
                let mean = old.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
                mean.f_expand(shape, false)? + draw(noise)?
            }
        };
        let mut parts = vec![old, new.f_to_kind(matrix.kind())?];
        if found > self.used {
            parts.push(matrix.f_narrow(0, self.used, found - self.used)?);
        }
        let rows = found.max(self.used);
        let padding = (self.multiple - rows % self.multiple) % self.multiple;
        parts.push(Tensor::f_zeros([padding, width], (matrix.kind(), Device::Cpu))?);
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}
