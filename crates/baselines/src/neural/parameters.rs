//! The weights of a model, by name.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::path::Path;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sidereal_files::{FileError, write_whole_by};
use tch::{Device, Kind, Tensor};

use super::NeuralError;

/// The weights of a model, by name, drawn from a seed.
///
/// The same seed gives the same weights on every device, whatever other threads draw.
#[derive(Debug)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    rng: ChaCha8Rng,
    device: Device,
    kind: Kind,
}

impl Parameters {
    /// No weights yet.
    #[must_use]
    pub fn new(seed: u64, device: Device, kind: Kind) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        Self { tensors: BTreeMap::new(), rng, device, kind }
    }

    /// Where the weights are.
    #[must_use]
    pub const fn device(&self) -> Device {
        self.device
    }

    /// Their type of number.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The weights in the order of their names.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of numbers in all weights.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tensors.values().map(Tensor::numel).sum()
    }

    /// A weight of draws from a normal distribution of this standard deviation around 0.
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    pub fn normal(&mut self, name: &str, shape: &[i64], std: f64) -> Result<Tensor, NeuralError> {
        // Box and Muller: two uniform draws give two normal ones.
        let rng = &mut self.rng;
        let mut spare: Option<f64> = None;
        let mut draw = || {
            spare.take().unwrap_or_else(|| {
                let (radius, angle): (f64, f64) = (rng.r#gen(), rng.r#gen());
                let radius = (-2.0 * (1.0 - radius).ln()).sqrt();
                spare = Some(radius * (TAU * angle).sin());
                radius * (TAU * angle).cos()
            })
        };
        let values: Vec<f64> = (0..volume(shape)).map(|_| std * draw()).collect();
        self.add(name, shape, &values)
    }

    /// A weight of draws between `-bound` and `bound`.
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    pub fn uniform(
        &mut self,
        name: &str,
        shape: &[i64],
        bound: f64,
    ) -> Result<Tensor, NeuralError> {
        let values: Vec<f64> =
            (0..volume(shape)).map(|_| bound * (2.0 * self.rng.r#gen::<f64>() - 1.0)).collect();
        self.add(name, shape, &values)
    }

    /// A weight of one number.
    ///
    /// # Errors
    /// [`NeuralError::Torch`].
    pub fn constant(
        &mut self,
        name: &str,
        shape: &[i64],
        value: f64,
    ) -> Result<Tensor, NeuralError> {
        self.add(name, shape, &vec![value; volume(shape)])
    }

    fn add(&mut self, name: &str, shape: &[i64], values: &[f64]) -> Result<Tensor, NeuralError> {
        let tensor = Tensor::f_from_slice(values)?
            .f_reshape(shape)?
            .f_to_kind(self.kind)?
            .f_to_device(self.device)?
            .f_set_requires_grad(true)?;
        self.tensors.insert(name.to_owned(), tensor.shallow_clone());
        Ok(tensor)
    }

    /// Copies of all weights.
    pub(crate) fn copies(&self) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        self.tensors.values().map(|tensor| tensor.detach().copy()).collect()
    }

    /// Takes the values of [`copies`](Self::copies) back.
    pub(crate) fn restore(&self, copies: &[Tensor]) -> Result<(), NeuralError> {
        let _guard = tch::no_grad_guard();
        for (tensor, copy) in self.tensors.values().zip(copies) {
            tensor.shallow_clone().f_copy_(copy)?;
        }
        Ok(())
    }

    /// Takes the values of named weights, which must be exactly those that are here.
    ///
    /// # Errors
    /// [`NeuralError::Stored`] for a missing, unknown or misshapen weight.
    pub fn assign(&self, values: &BTreeMap<String, Tensor>) -> Result<(), NeuralError> {
        let _guard = tch::no_grad_guard();
        if let Some(name) = values.keys().find(|name| !self.tensors.contains_key(*name)) {
            return Err(NeuralError::Stored { problem: format!("the model has no `{name}`") });
        }
        for (name, tensor) in &self.tensors {
            let problem = match values.get(name) {
                None => format!("`{name}` is missing"),
                Some(value) if value.size() != tensor.size() => {
                    let (found, needed) = (value.size(), tensor.size());
                    format!("`{name}` has the shape {found:?}, needed {needed:?}")
                }
                Some(value) => {
                    tensor.shallow_clone().f_copy_(value)?;
                    continue;
                }
            };
            return Err(NeuralError::Stored { problem });
        }
        Ok(())
    }

    /// Writes all weights as a safetensors file, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), NeuralError> {
        let tensors: Vec<(&str, Tensor)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| Ok((name.as_str(), tensor.detach().f_to_device(Device::Cpu)?)))
            .collect::<Result<_, NeuralError>>()?;
        write_whole_by(path, |partial| {
            Tensor::write_safetensors(&tensors, partial).map_err(NotWritten::Torch)
        })
        .map_err(NeuralError::from)
    }

    /// Reads what [`write`](Self::write) wrote.
    pub(crate) fn read(&self, path: &Path) -> Result<(), NeuralError> {
        self.assign(&Tensor::read_safetensors(path)?.into_iter().collect())
    }
}

/// Why a file was not written.
#[derive(Debug)]
enum NotWritten {
    Torch(tch::TchError),
    File(FileError),
}

impl From<FileError> for NotWritten {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<NotWritten> for NeuralError {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::Torch(error) => error.into(),
            NotWritten::File(error) => error.into(),
        }
    }
}

/// Number of elements of a shape.
fn volume(shape: &[i64]) -> usize {
    shape.iter().map(|size| usize::try_from(*size).unwrap_or_default()).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_seed_and_have_the_spread_that_was_asked_for() {
        let draw = |seed| {
            let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Double);
            parameters.normal("w", &[100, 100], 0.02).unwrap()
        };
        let (one, two) = (draw(1), draw(2));
        assert!(one.equal(&draw(1)) && !one.equal(&two));
        // 10,000 draws: the spread's own standard error is 0.7 %, the mean's 0.0002.
        assert!((one.std(true).double_value(&[]) / 0.02 - 1.0).abs() < 0.05);
        assert!(one.mean(Kind::Double).double_value(&[]).abs() < 0.001);
    }

    #[test]
    fn weights_come_back_from_their_file_and_others_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let make = |seed, width| {
            let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Float);
            let _ = parameters.normal("w", &[3, width], 1.0).unwrap();
            parameters
        };
        let (one, two) = (make(1, 4), make(2, 4));
        one.write(&path).unwrap();
        two.read(&path).unwrap();
        assert!(one.tensors["w"].equal(&two.tensors["w"]));
        let error = make(1, 5).read(&path).unwrap_err().to_string();
        assert!(error.contains("`w`") && error.contains("[3, 5]"), "{error}");
    }
}
