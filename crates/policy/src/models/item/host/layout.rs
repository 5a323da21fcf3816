//! Where each weight is in one array, and each gradient likewise.

use super::super::repeats;

/// Sizes of a policy.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Sizes {
    /// `D`.
    pub(in super::super) width: usize,
    pub(in super::super) layers: usize,
    /// `H`.
    pub(in super::super) heads: usize,
    /// Width of the feed-forward layers, `F`.
    pub(in super::super) inner: usize,
    /// Width of the small network of a level.
    pub(in super::super) head_inner: usize,
    /// `P`.
    pub(in super::super) max_history: usize,
    /// Levels, `L`.
    pub(in super::super) levels: usize,
    /// Width of text vectors, `T`; 0 without text.
    pub(in super::super) text: usize,
    /// Added to variances.
    pub(in super::super) epsilon: f32,
    /// Share of the filtered branch in a layer; 0 without one.
    pub(in super::super) filter_share: f32,
    /// Whether there are weights of repeats.
    pub(in super::super) repeats: bool,
}

/// A weight's part of the array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: usize,
    len: usize,
}

impl Place {
    pub(super) fn of(self, values: &[f32]) -> &[f32] {
        &values[self.start..self.start + self.len]
    }

    pub(super) fn of_mut(self, values: &mut [f32]) -> &mut [f32] {
        &mut values[self.start..self.start + self.len]
    }

    /// All but the first of several equal parts.
    pub(super) const fn rest(self, of: usize) -> Self {
        let first = self.len / of;
        Self { start: self.start + first, len: self.len - first }
    }

    /// One of several equal parts.
    pub(super) fn part(self, at: usize, of: usize) -> Self {
        let len = self.len / of;
        Self { start: self.start + at * len, len }
    }
}

/// A matrix `[outputs, inputs]` with its bias.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    pub(super) weight: Place,
    pub(super) bias: Place,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// Factor and summand of a layer norm, `[D]` each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub(super) weight: Place,
    pub(super) bias: Place,
}

/// The weights of the branch that smooths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    /// `[P]`.
    pub(super) distance: Place,
    /// `[D]`.
    pub(super) high: Place,
    pub(super) norm: Norm,
}

/// The weights of repeats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeats {
    /// `[1]`.
    pub(super) level: Place,
    /// `[P]`.
    pub(super) distance: Place,
}

/// The weights of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub(super) qkv: Linear,
    pub(super) out: Linear,
    /// `[P, H]`.
    pub(super) distance: Place,
    pub(super) attention_norm: Norm,
    pub(super) filter: Option<Filter>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) feed_forward_norm: Norm,
}

/// All weights of the body, the head and the projections of text.
#[derive(Debug)]
pub(in super::super) struct Layout {
    pub(in super::super) sizes: Sizes,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
    /// The two matrices of each level.
    pub(super) head: Vec<(Linear, Linear)>,
    /// Projections of the texts of each level's nodes and, after them, of the items: `[L + 1, T, D]`.
    pub(super) text: Option<Place>,
    pub(super) repeats: Option<Repeats>,
    names: Vec<(String, Place)>,
    len: usize,
}

impl Layout {
    pub(in super::super) fn new(sizes: Sizes) -> Self {
        let Sizes { width, heads, inner, head_inner, max_history, levels, text, .. } = sizes;
        let (mut names, mut len) = (Vec::new(), 0);
        let mut place = |name: String, size: usize| {
            let place = Place { start: len, len: size };
            len += size;
            names.push((name, place));
            place
        };
        let text = (text > 0).then(|| {
            let of_levels = place("text.levels".to_owned(), levels * text * width);
            let of_items = place("text.items".to_owned(), text * width);
            Place { start: of_levels.start, len: of_levels.len + of_items.len }
        });
        let mut linear = |name: String, outputs: usize, inputs: usize| Linear {
            weight: place(format!("{name}.weight"), outputs * inputs),
            bias: place(format!("{name}.bias"), outputs),
            inputs,
            outputs,
        };
        let matrices: Vec<[Linear; 4]> = (0..sizes.layers)
            .map(|layer| {
                let name = |part: &str| format!("layers.{layer}.{part}");
                [
                    linear(name("attention.qkv"), 3 * width, width),
                    linear(name("attention.out"), width, width),
                    linear(name("feed_forward.up"), inner, width),
                    linear(name("feed_forward.down"), width, inner),
                ]
            })
            .collect();
        let head = (0..levels)
            .map(|level| {
                let up = linear(format!("head.{level}.up"), head_inner, width);
                (up, linear(format!("head.{level}.down"), width, head_inner))
            })
            .collect();
        let mut norm = |name: String| Norm {
            weight: place(format!("{name}.weight"), width),
            bias: place(format!("{name}.bias"), width),
        };
        let first = norm("norm".to_owned());
        let filters = sizes.filter_share > 0.0;
        let norms: Vec<([Norm; 2], Option<Norm>)> = (0..sizes.layers)
            .map(|layer| {
                let name = |part: &str| format!("layers.{layer}.{part}");
                let both = [norm(name("attention_norm")), norm(name("feed_forward_norm"))];
                (both, filters.then(|| norm(name("filter_norm"))))
            })
            .collect();
        let repeats = sizes.repeats.then(|| Repeats {
            level: place(repeats::LEVEL.to_owned(), 1),
            distance: place(repeats::DISTANCE.to_owned(), max_history),
        });
        let layers = matrices
            .into_iter()
            .zip(norms)
            .enumerate()
            .map(|(layer, ([qkv, out, up, down], (norms, filter_norm)))| {
                let name = |part: &str| format!("layers.{layer}.{part}");
                let distance = place(name("attention.distance.weight"), max_history * heads);
                let filter = filter_norm.map(|norm| Filter {
                    distance: place(name("filter.distance.weight"), max_history),
                    high: place(name("filter.high"), width),
                    norm,
                });
                let [attention_norm, feed_forward_norm] = norms;
                Layer { qkv, out, distance, attention_norm, filter, up, down, feed_forward_norm }
            })
            .collect();
        Self { sizes, norm: first, layers, head, text, repeats, names, len }
    }

    /// All matrices that vectors are multiplied by.
    pub(super) fn matrices(&self) -> impl Iterator<Item = Linear> {
        let of_layer = |layer: &Layer| [layer.qkv, layer.out, layer.up, layer.down];
        let of_level = |(up, down): &(Linear, Linear)| [*up, *down];
        self.layers.iter().flat_map(of_layer).chain(self.head.iter().flat_map(of_level))
    }

    /// Values in all.
    pub(in super::super) const fn len(&self) -> usize {
        self.len
    }

    /// Each weight's name with its values.
    pub(in super::super) fn each<'a>(
        &'a self,
        values: &'a [f32],
    ) -> impl Iterator<Item = (&'a str, &'a [f32])> {
        self.names.iter().map(|(name, place)| (name.as_str(), place.of(values)))
    }

    /// Names, in the order of their values.
    pub(in super::super) fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().map(|(name, place)| (name.as_str(), place.len))
    }
}
