//! The output head: hidden states to logits over the vocabulary.

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::models::linear::cast;

/// Most logits that [`Head::log_normaliser`] holds at once: 64 MiB of f32.
const LOGITS_AT_ONCE: i64 = 1 << 24;

/// The matrix `[V, D]` that turns hidden states into logits, sharing storage with the named
/// weight: the embedding where the two are tied.
#[derive(Debug)]
pub struct Head {
    weight: Tensor,
    /// Element type that products are computed in.
    kind: Kind,
}

impl Head {
    pub(crate) fn new(weight: Tensor) -> Self {
        let kind = weight.kind();
        Self { weight, kind }
    }

    /// The same head with products computed in another element type.
    pub(crate) fn computing_in(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Where the weights live.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weight.device()
    }

    /// Logits `[N, V]` of hidden states `[N, D]`.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, PolicyError> {
        Ok(hidden.f_linear(&cast(&self.weight, self.kind)?, None::<&Tensor>)?)
    }

    /// Logits `[N, R]` of the vocabulary rows `rows` (`[R]`, i64) alone.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits_of(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, PolicyError> {
        let rows = cast(&self.weight.f_index_select(0, rows)?, self.kind)?;
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
        let vocabulary = self.weight.size().first().map_or(1, |rows| (*rows).max(1));
        let rows = (LOGITS_AT_ONCE / vocabulary).max(1);
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
}
