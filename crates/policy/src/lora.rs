//! Low-rank adapters: small trained matrices beside frozen ones.

mod peft;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::tensor::{cast, recorded};

/// Matrices that can have adapters, with the block that holds them.
pub(crate) const MODULES: [(&str, &str); 7] = [
    ("q_proj", "self_attn"),
    ("k_proj", "self_attn"),
    ("v_proj", "self_attn"),
    ("o_proj", "self_attn"),
    ("gate_proj", "mlp"),
    ("up_proj", "mlp"),
    ("down_proj", "mlp"),
];

/// Unchecked settings of low-rank adapters, as a TOML file spells them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank `r` of the update. Range `1..`.
    pub rank: usize,
    /// Scale: the update is multiplied by `alpha / rank`. Range `(0, ∞)`.
    pub alpha: f64,
    /// Share of an adapter's inputs that is zeroed while gradients are recorded. Range `[0, 1)`.
    pub dropout: f64,
    /// Matrices of each layer that have an adapter, by their names in checkpoints: `q_proj`,
    /// `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`.
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    /// Rank 16, alpha 32, all matrices.
    fn default() -> Self {
        let target_modules = MODULES.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { rank: 16, alpha: 32.0, dropout: 0.0, target_modules }
    }
}

/// Low-rank adapters (`LoRA`) beside frozen matrices.
///
/// Holding them is the proof that every range holds.
///
/// ```text
/// y = x·Wᵀ + b + alpha/rank · dropout(x)·Aᵀ·Bᵀ      A [rank, in], B [out, rank]
/// ```
/// `LoRA`, [arXiv:2106.09685](https://arxiv.org/abs/2106.09685) §4.1. As in HF PEFT, `A` is drawn
/// uniformly within `±1/√in` and `B` is zero at first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "LoraConfig", into = "LoraConfig")]
pub struct Lora(LoraConfig);

impl TryFrom<LoraConfig> for Lora {
    type Error = PolicyError;

    fn try_from(config: LoraConfig) -> Result<Self, PolicyError> {
        let refuse = |field, found: String, expected| {
            Err(PolicyError::Unsupported { field, found, expected })
        };
        if config.rank == 0 {
            return refuse("rank", "0".into(), "1 or more");
        }
        if !(config.alpha > 0.0 && config.alpha.is_finite()) {
            return refuse("alpha", config.alpha.to_string(), "a finite number above 0");
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return refuse("dropout", config.dropout.to_string(), "a share from 0, below 1");
        }
        let known = |name: &&String| MODULES.iter().any(|(module, _)| module == *name);
        let unknown = config.target_modules.iter().find(|name| !known(name));
        if let Some(name) = unknown
            .map(String::as_str)
            .or_else(|| config.target_modules.is_empty().then_some("empty"))
        {
            const NAMES: &str = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
            return refuse("target_modules", name.into(), NAMES);
        }
        Ok(Self(config))
    }
}

impl From<Lora> for LoraConfig {
    fn from(lora: Lora) -> Self {
        lora.0
    }
}

impl Lora {
    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &LoraConfig {
        &self.0
    }

    /// Whether the matrix `module` has an adapter.
    pub(crate) fn targets(&self, module: &str) -> bool {
        self.0.target_modules.iter().any(|name| name == module)
    }

    /// A fresh adapter beside `weight` `[out, in]`, from libtorch's generator.
    pub(crate) fn adapter(&self, weight: &Tensor) -> Result<Adapter, PolicyError> {
        let [out, input] = <[i64; 2]>::try_from(weight.size()).unwrap_or([0; 2]);
        let rank = i64::try_from(self.0.rank).unwrap_or(i64::MAX);
        let bound = 1.0 / (input as f64).sqrt();
        let a = Tensor::f_empty([rank, input], (Kind::Float, weight.device()))?
            .f_uniform_(-bound, bound)?;
        let b = Tensor::f_zeros([out, rank], (Kind::Float, weight.device()))?;
        Ok(self.adapter_of(a, b))
    }

    /// The adapter of these matrices.
    pub(crate) fn adapter_of(&self, a: Tensor, b: Tensor) -> Adapter {
        let scale = self.0.alpha / self.0.rank as f64;
        Adapter { a, b, scale, dropout: self.0.dropout }
    }
}

/// A low-rank update of one matrix.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// `[r, in]`.
    pub(crate) a: Tensor,
    /// `[out, r]`.
    pub(crate) b: Tensor,
    scale: f64,
    dropout: f64,
}

impl Adapter {
    /// The part that is added to the product of the matrix.
    pub(crate) fn apply(&self, x: &Tensor, kind: Kind) -> Result<Tensor, PolicyError> {
        let low = if self.dropout > 0.0 && recorded(&self.a)? {
            x.f_dropout(self.dropout, true)?.f_linear(&cast(&self.a, kind)?, None::<&Tensor>)?
        } else {
            x.f_linear(&cast(&self.a, kind)?, None::<&Tensor>)?
        };
        Ok((low * self.scale).f_linear(&cast(&self.b, kind)?, None::<&Tensor>)?)
    }

    /// The update itself, `[out, in]`, without a graph.
    pub(crate) fn update(&self) -> Result<Tensor, PolicyError> {
        let _guard = tch::no_grad_guard();
        Ok(self.b.f_matmul(&self.a)? * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let with = |change: fn(&mut LoraConfig)| {
            let mut config = LoraConfig::default();
            change(&mut config);
            Lora::try_from(config).unwrap_err().to_string()
        };
        assert!(with(|config| config.rank = 0).contains("`rank`"));
        assert!(with(|config| config.alpha = f64::NAN).contains("`alpha`"));
        assert!(with(|config| config.dropout = 1.0).contains("`dropout`"));
        assert!(with(|config| config.target_modules = vec!["x_proj".into()]).contains("x_proj"));
        assert!(with(|config| config.target_modules.clear()).contains("`target_modules`"));
    }
}
