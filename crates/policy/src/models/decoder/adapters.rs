//! Training of low-rank adapters or of some weights, instead of all weights.

use std::path::Path;

use tch::Tensor;

use super::{Decoder, Layer};
use crate::PolicyError;
use crate::generator::SeededGenerator;
use crate::lora::{Adapter, Lora, MODULES};
use crate::models::linear::Linear;
use crate::weights::{Shapes, Weights, select};

impl Layer {
    /// The matrix of this name in checkpoints.
    fn module(&mut self, name: &str) -> Option<&mut Linear> {
        Some(match name {
            "q_proj" => &mut self.q,
            "k_proj" => &mut self.k,
            "v_proj" => &mut self.v,
            "o_proj" => &mut self.o,
            "gate_proj" => &mut self.gate,
            "up_proj" => &mut self.up,
            "down_proj" => &mut self.down,
            _ => return None,
        })
    }

    /// The matrices that can have adapters, each with its block and name.
    fn modules(&self) -> [(&'static str, &Linear); 7] {
        [
            ("self_attn.q_proj", &self.q),
            ("self_attn.k_proj", &self.k),
            ("self_attn.v_proj", &self.v),
            ("self_attn.o_proj", &self.o),
            ("mlp.gate_proj", &self.gate),
            ("mlp.up_proj", &self.up),
            ("mlp.down_proj", &self.down),
        ]
    }
}

impl Decoder {
    /// Makes those weights leaves that gradients reach whose names `trained` accepts, and no
    /// others; adapters and rows of codes stay as they are.
    #[must_use]
    pub fn require_grad_of(mut self, trained: impl Fn(&str) -> bool) -> Self {
        for (name, weight) in &mut self.weights {
            let _ = weight.requires_grad_(trained(name));
        }
        self
    }

    /// What is trained: the weights, adapters and rows of codes that require gradients, by name.
    #[must_use]
    pub fn trained(&self) -> Weights {
        let rows = self.code_rows();
        self.weights
            .iter()
            .chain(&self.adapters)
            .chain(&rows)
            .filter(|(_, weight)| weight.requires_grad())
            .map(|(name, weight)| (name.clone(), weight.shallow_clone()))
            .collect()
    }

    /// The adapters by their names, `model.layers.0.self_attn.q_proj.lora_A.weight` and so on.
    #[must_use]
    pub const fn adapters(&self) -> &Weights {
        &self.adapters
    }

    /// Adds new adapters to the matrices that `lora` names. They are trained, and have no effect
    /// before training. Weights stay as they are. Equal seeds give equal adapters.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] if there are adapters already; [`PolicyError::Torch`].
    pub fn with_lora(self, lora: &Lora, seed: i64) -> Result<Self, PolicyError> {
        let _generator = SeededGenerator::new(seed);
        self.adapted(lora, |_, weight| lora.adapter(weight))
    }

    /// Adds the adapters of a directory that was written by HF PEFT or
    /// [`save_adapters`](Self::save_adapters).
    ///
    /// # Errors
    /// Damaged or missing files; settings and tensors that are not supported or do not fit, by
    /// name.
    pub fn with_adapters_of(self, dir: &Path) -> Result<Self, PolicyError> {
        let (lora, found) = Lora::load(dir)?;
        let mut shapes = Shapes::new();
        let rank = i64::try_from(lora.config().rank).unwrap_or(i64::MAX);
        for layer in 0..self.config.num_hidden_layers {
            for (module, block) in MODULES.iter().filter(|(module, _)| lora.targets(module)) {
                let name = format!("model.layers.{layer}.{block}.{module}");
                if let Some([out, input]) = self
                    .weights
                    .get(&format!("{name}.weight"))
                    .and_then(|weight| <[i64; 2]>::try_from(weight.size()).ok())
                {
                    shapes.insert(format!("{name}.lora_A.weight"), vec![rank, input]);
                    shapes.insert(format!("{name}.lora_B.weight"), vec![out, rank]);
                }
            }
        }
        let path = dir.join("adapter_model.safetensors");
        let found = select(found, &shapes, self.device(), &path)?;
        self.adapted(&lora, |name, _| {
            let part = |which: &str| {
                let name = format!("{name}.lora_{which}.weight");
                found
                    .get(&name)
                    .map(Tensor::shallow_clone)
                    .ok_or_else(|| PolicyError::MissingTensor { path: path.clone(), name })
            };
            Ok(lora.adapter_of(part("A")?, part("B")?))
        })
    }

    /// Writes the adapters as HF PEFT reads them.
    ///
    /// # Errors
    /// [`PolicyError::Unsupported`] if there are none, or if other weights are trained too, because
    /// these files would not hold what was learned ([`save`](Self::save) does, merged);
    /// [`PolicyError::Io`] and [`PolicyError::TensorFile`].
    pub fn save_adapters(&self, dir: &Path) -> Result<(), PolicyError> {
        let refuse = |found: &str| PolicyError::Unsupported {
            field: "adapters",
            found: found.into(),
            expected: "a model of which adapters alone are trained",
        };
        let Some(lora) = &self.lora else { return Err(refuse("none")) };
        let rows = self.code_rows();
        let mut all = self.weights.iter().chain(&rows);
        if let Some((name, _)) = all.find(|(_, weight)| weight.requires_grad()) {
            return Err(refuse(&format!("beside the trained weight `{name}`")));
        }
        lora.save(&self.adapters, dir)
    }

    /// The weights with the updates of the adapters added; weights without an adapter share
    /// storage.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn merged_weights(&self) -> Result<Weights, PolicyError> {
        let _guard = tch::no_grad_guard();
        let mut weights: Weights =
            self.weights.iter().map(|(name, weight)| (name.clone(), weight.detach())).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            for (name, linear) in layer.modules() {
                if let Some(adapter) = &linear.adapter {
                    let name = format!("model.layers.{index}.{name}.weight");
                    if let Some(weight) = weights.get_mut(&name) {
                        *weight = weight.f_add(&adapter.update()?.f_to_kind(weight.kind())?)?;
                    }
                }
            }
        }
        Ok(weights)
    }

    /// The same model with the updates of its adapters in its weights, and without adapters.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn merged(self) -> Result<Self, PolicyError> {
        let weights = self.merged_weights()?;
        Ok(Self::from_weights(self.config, weights)?.computing_in(self.kind))
    }

    /// The adapters that `make` returns for a name without its ending and a weight.
    fn adapted(
        mut self,
        lora: &Lora,
        make: impl Fn(&str, &Tensor) -> Result<Adapter, PolicyError>,
    ) -> Result<Self, PolicyError> {
        if self.lora.is_some() {
            let found = "a model that has some".to_owned();
            let expected = "a model without; `merged` takes them in";
            return Err(PolicyError::Unsupported { field: "adapters", found, expected });
        }
        for (index, layer) in self.layers.iter_mut().enumerate() {
            for (module, block) in MODULES.iter().filter(|(module, _)| lora.targets(module)) {
                let Some(linear) = layer.module(module) else { continue };
                let name = format!("model.layers.{index}.{block}.{module}");
                let mut adapter = make(&name, &linear.weight)?;
                for (which, matrix) in [("A", &mut adapter.a), ("B", &mut adapter.b)] {
                    let _ = matrix.requires_grad_(true);
                    let name = format!("{name}.lora_{which}.weight");
                    self.adapters.insert(name, matrix.shallow_clone());
                }
                linear.adapter = Some(adapter);
            }
        }
        self.lora = Some(lora.clone());
        Ok(self)
    }
}
