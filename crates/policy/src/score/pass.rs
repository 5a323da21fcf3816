//! Log-probabilities with the backward pass to the weights.

use std::fmt;

use tch::{Kind, Tensor};

use crate::PolicyError;

/// Adds the gradient of `(logp · d_logp).sum()` to the weights' gradients, given `d_logp`.
type WayBack<'a> = Box<dyn FnOnce(&Tensor) -> Result<(), PolicyError> + 'a>;

/// Log-probabilities, and the backward pass to the weights that they come from.
///
/// An objective that depends on a policy only through these numbers passes its derivative by each
/// of them to [`backward`](Self::backward).
pub struct LogpPass<'a> {
    logp: Tensor,
    back: WayBack<'a>,
}

impl fmt::Debug for LogpPass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogpPass").field("logp", &self.logp).finish_non_exhaustive()
    }
}

impl<'a> LogpPass<'a> {
    /// Log-probabilities `[N]`, in nats, whose backward pass is the graph that they carry.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn of_graph(logp: Tensor) -> Result<Self, PolicyError> {
        let values = logp.detach().f_to_kind(Kind::Float)?;
        Ok(Self::new(values, move |d_logp| {
            if !logp.requires_grad() {
                return Ok(());
            }
            let d_logp = d_logp.f_to_kind(logp.kind())?;
            Ok((&logp * d_logp).f_sum(logp.kind())?.f_backward()?)
        }))
    }

    /// Log-probabilities `[N]` without a graph, in nats, whose backward pass is `back`: it adds the
    /// gradient of `(logp · d_logp).sum()` to the weights' gradients, given `d_logp` `[N]`, f32.
    pub fn new(logp: Tensor, back: impl FnOnce(&Tensor) -> Result<(), PolicyError> + 'a) -> Self {
        Self { logp, back: Box::new(back) }
    }

    /// The log-probabilities `[N]`, f32, in nats, without a graph.
    pub const fn logp(&self) -> &Tensor {
        &self.logp
    }

    /// The same log-probabilities, with more to do after the backward pass.
    #[must_use]
    pub fn and_then(self, more: impl FnOnce() -> Result<(), PolicyError> + 'a) -> Self {
        let Self { logp, back } = self;
        Self::new(logp, move |d_logp| {
            back(d_logp)?;
            more()
        })
    }

    /// Adds the gradient of `(logp · d_logp).sum()` to the weights' gradients; `d_logp` is `[N]`.
    ///
    /// # Errors
    /// [`PolicyError::Size`] for another number of derivatives; [`PolicyError::Torch`].
    pub fn backward(self, d_logp: &Tensor) -> Result<(), PolicyError> {
        if d_logp.size() != self.logp.size() {
            let (found, expected) = (d_logp.numel(), self.logp.numel());
            return Err(PolicyError::Size {
                what: "derivatives by log-probabilities",
                found,
                expected,
            });
        }
        (self.back)(&d_logp.f_to_kind(Kind::Float)?.f_to_device(self.logp.device())?)
    }
}
