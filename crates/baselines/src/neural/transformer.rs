//! Transformer layers, each with its norms after the residual connections.

use tch::Tensor;

use super::NeuralError;
use super::attention::{Mask, SelfAttention, Sizes};
use super::layers::{LayerNorm, Linear, NORM_EPS, at_places};
use super::padded::Padded;
use super::parameters::Parameters;

/// Two linear layers with a GELU between them, a residual connection and a norm.
///
/// ```text
/// FFN(x) = LN(x + drop(gelu(x W₁ + b₁) W₂ + b₂))
/// ```
#[derive(Debug)]
pub(crate) struct FeedForward {
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl FeedForward {
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        sizes: Sizes,
    ) -> Result<Self, NeuralError> {
        let (hidden, inner) = (sizes.hidden, sizes.inner);
        Ok(Self {
            up: Linear::new(parameters, &format!("{name}.up"), hidden, inner)?,
            down: Linear::new(parameters, &format!("{name}.down"), inner, hidden)?,
            norm: LayerNorm::new(parameters, &format!("{name}.norm"), hidden, NORM_EPS)?,
            dropout: sizes.dropout,
        })
    }

    /// `[…, D]` → `[…, D]`.
    pub(crate) fn forward(&self, x: &Tensor, dropout: bool) -> Result<Tensor, NeuralError> {
        let inner = self.up.forward(x)?.f_gelu("none")?; // […, F]
        let out = self.down.forward(&inner)?.f_dropout(self.dropout, dropout)?; // […, D]
        self.norm.forward(&out.f_add(x)?)
    }
}

/// Transformer layers, each with its norms after the residual connections.
#[derive(Debug)]
pub(crate) struct Transformer {
    layers: Vec<(SelfAttention, FeedForward)>,
}

impl Transformer {
    pub(crate) fn new(
        parameters: &mut Parameters,
        name: &str,
        layers: usize,
        sizes: Sizes,
    ) -> Result<Self, NeuralError> {
        let layer = |at: usize| {
            let attention =
                SelfAttention::new(parameters, &format!("{name}.{at}.attention"), sizes)?;
            let feed = FeedForward::new(parameters, &format!("{name}.{at}.feed_forward"), sizes)?;
            Ok((attention, feed))
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_, NeuralError>>()? })
    }

    /// As [`forward`](Self::forward), with the input of each layer too, to [`extend`](Self::extend) it.
    pub(crate) fn inputs(
        &self,
        x: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<(Vec<Tensor>, Tensor), NeuralError> {
        let (mut x, mut inputs) = (x.shallow_clone(), Vec::with_capacity(self.layers.len()));
        for (attention, feed) in &self.layers {
            inputs.push(x.shallow_clone());
            x = feed.forward(&attention.forward(&x, mask, dropout)?, dropout)?;
        }
        Ok((inputs, x))
    }

    /// One more place after those of `inputs` (`[B, T, D]` for each layer, which gets it too): `[B, 1, D]`
    /// → `[B, 1, D]`.
    pub(crate) fn extend(
        &self,
        inputs: &mut [Tensor],
        x: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let mut x = x.shallow_clone();
        for ((attention, feed), all) in self.layers.iter().zip(inputs) {
            *all = Tensor::f_cat(&[&*all, &x], 1)?;
            x = feed.forward(&attention.attend(&x, all, mask, dropout)?, dropout)?;
        }
        Ok(x)
    }

    /// `[B, T, D]` → `[B, T, D]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        mask: Mask<'_>,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        through(&self.layers, x, mask, dropout)
    }

    /// What [`forward`](Self::forward) gives at the last item of each row, `[B, T, D]` → `[B, D]`. The
    /// last layer computes these places alone.
    ///
    /// `mask` must let the last item attend to all items of its row.
    pub(crate) fn at_last(
        &self,
        x: &Tensor,
        mask: Mask<'_>,
        rows: &Padded,
        dropout: bool,
    ) -> Result<Tensor, NeuralError> {
        let last = rows.last()?;
        let Some(((attention, feed), before)) = self.layers.split_last() else {
            return at_places(x, &last);
        };
        let x = through(before, x, mask, dropout)?; // [B, T, D]
        let own = at_places(&x, &last)?.f_unsqueeze(1)?; // [B, 1, D]
        let closed = rows.closed(x.kind())?; // [B, 1, 1, T]
        let own = attention.attend(&own, &x, Mask::Added(&closed), dropout)?;
        Ok(feed.forward(&own, dropout)?.f_squeeze_dim(1)?)
    }
}

/// Layers one after the other, `[B, T, D]` → `[B, T, D]`.
fn through(
    layers: &[(SelfAttention, FeedForward)],
    x: &Tensor,
    mask: Mask<'_>,
    dropout: bool,
) -> Result<Tensor, NeuralError> {
    let mut x = x.shallow_clone();
    for (attention, feed) in layers {
        x = feed.forward(&attention.forward(&x, mask, dropout)?, dropout)?;
    }
    Ok(x)
}
