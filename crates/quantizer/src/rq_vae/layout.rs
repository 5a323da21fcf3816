//! All parameters in one buffer.

use tch::{Device, Kind, Tensor};

use crate::QuantizerError;

/// Widths of the network: all that the shapes of its parameters follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Width of the rows.
    pub(super) row_width: usize,
    /// Width of the rows, hidden widths, width of the latent rows.
    pub(super) widths: Vec<i64>,
    /// Codes of each level.
    pub(super) codebook_sizes: Vec<i64>,
}

/// A parameter's place in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) start: i64,
}

impl Entry {
    pub(super) fn len(&self) -> i64 {
        self.shape.iter().product()
    }
}

impl Layout {
    pub(super) fn new(width: usize, hidden: &[usize], latent: usize, sizes: &[usize]) -> Self {
        let widths = [&[width], hidden, &[latent]].concat();
        Self { row_width: width, widths: to_i64(&widths), codebook_sizes: to_i64(sizes) }
    }

    pub(super) fn width(&self) -> i64 {
        self.widths[0]
    }

    pub(super) fn latent(&self) -> i64 {
        self.widths[self.widths.len() - 1]
    }

    /// Every parameter in its order: encoder, decoder (weight `[out, in]`, then bias), codebooks.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mirrored: Vec<i64> = self.widths.iter().rev().copied().collect();
        let mut entries = Vec::new();
        let mut start = 0;
        let mut push = |name: String, shape: Vec<i64>| {
            let entry = Entry { name, shape, start };
            start += entry.len();
            entries.push(entry);
        };
        for (part, widths) in [("encoder", &self.widths), ("decoder", &mirrored)] {
            for (layer, pair) in widths.windows(2).enumerate() {
                push(format!("{part}.{layer}.weight"), vec![pair[1], pair[0]]);
                push(format!("{part}.{layer}.bias"), vec![pair[1]]);
            }
        }
        for (level, size) in self.codebook_sizes.iter().enumerate() {
            push(format!("codebook.{level}"), vec![*size, self.latent()]);
        }
        entries
    }
}

/// The buffer `[P]` and views of it: writing to one writes to the other.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) flat: Tensor,
    pub(super) encoder: Vec<Linear>,
    pub(super) decoder: Vec<Linear>,
    /// `[K, d]` each.
    pub(super) codebooks: Vec<Tensor>,
}

/// A linear layer `y = x Wᵀ + b`.
#[derive(Debug)]
pub(super) struct Linear {
    /// `[out, in]`.
    pub(super) weight: Tensor,
    /// `[out]`.
    pub(super) bias: Tensor,
}

impl Parameters {
    pub(super) fn zeros(layout: &Layout, device: Device) -> Result<Self, QuantizerError> {
        let count: i64 = layout.entries().iter().map(Entry::len).sum();
        Self::over(layout, Tensor::f_zeros([count], (Kind::Float, device))?)
    }

    /// Views of a buffer that has a place for every parameter.
    pub(super) fn over(layout: &Layout, flat: Tensor) -> Result<Self, QuantizerError> {
        let mut views = Vec::new();
        for entry in layout.entries() {
            views.push(flat.f_narrow(0, entry.start, entry.len())?.f_view(&*entry.shape)?);
        }
        let layers = 2 * (layout.widths.len() - 1);
        let codebooks = views.split_off(2 * layers);
        let mut views = views.into_iter();
        let mut linear = Vec::with_capacity(layers);
        while let (Some(weight), Some(bias)) = (views.next(), views.next()) {
            linear.push(Linear { weight, bias });
        }
        let decoder = linear.split_off(layers / 2);
        Ok(Self { flat, encoder: linear, decoder, codebooks })
    }
}

pub(super) fn to_i64(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_a_place_of_its_own() {
        let layout = Layout::new(5, &[4, 3], 2, &[7, 6]);
        let entries = layout.entries();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names[..2], ["encoder.0.weight", "encoder.0.bias"]);
        assert_eq!(names[12..], ["codebook.0", "codebook.1"]);
        assert_eq!(entries[0].shape, [4, 5]);
        assert_eq!(entries[10].shape, [5, 4]);
        for pair in entries.windows(2) {
            assert_eq!(pair[0].start + pair[0].len(), pair[1].start);
        }
    }

    #[test]
    fn writing_to_the_buffer_writes_to_the_views() {
        let layout = Layout::new(3, &[], 2, &[4]);
        let mut parameters = Parameters::zeros(&layout, Device::Cpu).unwrap();
        assert_eq!((parameters.encoder.len(), parameters.decoder.len()), (1, 1));
        let _ = parameters.flat.fill_(2.0);
        let sum = parameters.codebooks[0].sum(Kind::Float).double_value(&[]);
        assert!((sum - 16.0).abs() < 1e-9);
    }
}
