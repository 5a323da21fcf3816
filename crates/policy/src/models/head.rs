//! The output head: hidden states to logits over the vocabulary.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::models::token_rows::{OwnRows, TokenRows};
use crate::sizes::to_usize;
use crate::tensor::{cast, pick};

/// Largest number of logits over the whole vocabulary that are held at once: 64 MiB of f32.
pub(crate) const LOGITS_AT_ONCE: i64 = 1 << 24;

/// The matrix `[V, D]` that turns hidden states into logits, sharing storage with the named weight:
/// the embedding if the two are tied.
#[derive(Debug)]
pub struct Head {
    rows: TokenRows,
    /// Element type that products are computed in.
    kind: Kind,
}

impl Head {
    pub(crate) fn new(weight: Tensor) -> Self {
        let kind = weight.kind();
        Self { rows: TokenRows::new(weight), kind }
    }

    /// The rows of tokens, to take some out as a weight of their own.
    pub(crate) const fn rows_mut(&mut self) -> &mut TokenRows {
        &mut self.rows
    }

    /// The rows that are a weight of their own.
    pub(crate) const fn own(&self) -> Option<&OwnRows> {
        self.rows.own()
    }

    /// The same head with products computed in another element type.
    pub(crate) fn computing_in(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The matrix, `[V, D]`.
    pub(crate) const fn weight(&self) -> &Tensor {
        self.rows.weight()
    }

    /// Element type that products are computed in.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The device of the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.weight().device()
    }

    /// Logits `[N, V]` of hidden states `[N, D]`.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, PolicyError> {
        self.rows.products(hidden, self.kind)
    }

    /// Logits `[N, R]` of the vocabulary rows `rows` (`[R]`, i64) alone.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logits_of(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, PolicyError> {
        let rows = cast(&self.rows.of_ids(rows)?, self.kind)?;
        Ok(hidden.f_linear(&rows, None::<&Tensor>)?)
    }

    /// Log-probability `[N, R]` of the vocabulary rows `rows` (`[R]`, i64) given hidden states
    /// `[N, D]`, as shares of the whole vocabulary, in nats.
    ///
    /// States go through in chunks of at most 64 MiB of logits; if gradients are recorded, the
    /// graph keeps every chunk.
    ///
    /// # Errors
    /// [`PolicyError::Torch`].
    pub fn logp_of_rows(&self, hidden: &Tensor, rows: &Tensor) -> Result<Tensor, PolicyError> {
        self.in_chunks(hidden, |logits, _| {
            Ok(logits.f_log_softmax(-1, Kind::Float)?.f_index_select(1, rows)?)
        })
    }

    /// Log-probability `[N]` of the vocabulary ids `ids` given hidden states `[N, D]`, in nats; in
    /// chunks as [`logp_of_rows`](Self::logp_of_rows).
    pub(crate) fn logp_of(&self, hidden: &Tensor, ids: &[i64]) -> Result<Tensor, PolicyError> {
        self.in_chunks(hidden, |logits, rows| {
            pick(&logits.f_log_softmax(-1, Kind::Float)?, &ids[rows])
        })
    }

    /// Entropy `[N]` over the whole vocabulary given hidden states `[N, D]`, in nats; in chunks as
    /// [`logp_of_rows`](Self::logp_of_rows).
    pub(crate) fn entropy(&self, hidden: &Tensor) -> Result<Tensor, PolicyError> {
        self.in_chunks(hidden, |logits, _| {
            let logp = logits.f_log_softmax(-1, Kind::Float)?;
            Ok(-(logp.exp() * logp).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float))
        })
    }

    /// The result of `of_logits` for the f32 logits of all rows, in chunks of rows.
    fn in_chunks(
        &self,
        hidden: &Tensor,
        of_logits: impl Fn(&Tensor, Range<usize>) -> Result<Tensor, PolicyError>,
    ) -> Result<Tensor, PolicyError> {
        let vocabulary = self.weight().size().first().map_or(1, |rows| (*rows).max(1));
        let rows = (LOGITS_AT_ONCE / vocabulary).max(1);
        let mut start = 0;
        let mut parts = Vec::new();
        for rows in hidden.f_split(rows, 0)? {
            let end = start + to_usize(rows.size()[0])?;
            parts.push(of_logits(&cast(&self.logits(&rows)?, Kind::Float)?, start..end)?);
            start = end;
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}

/// Log-sum-exp `[N]` of rows `[N, R]`, finite, in nats.
///
/// On the CPU, libtorch's own function takes five passes over memory, while the log-softmax of a
/// row takes one. The first element minus its log-probability is the same value, and two to four
/// times as fast.
pub(crate) fn log_sum_exp(logits: &Tensor) -> Result<Tensor, PolicyError> {
    let first = logits.f_select(-1, 0)?;
    Ok(first.f_sub(&logits.f_log_softmax(-1, Kind::Float)?.f_select(-1, 0)?)?)
}
