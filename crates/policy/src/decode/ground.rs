//! Items by the distance between what a policy wrote and their titles.

use tch::{Kind, Tensor};

use crate::PolicyError;
use crate::policy::LanguageModel;
use crate::score::item_head::last_states;
use crate::sizes::{axes, to_usize};

/// The places of titles in the space of a policy's last hidden states.
///
/// ```text
/// place(text) = the hidden state after the last token of the text, read alone
/// distance(text, item) = ‖place(text) − place(title of the item)‖
/// ```
/// `BIGRec`: Bao, Zhang, Wang and others, *A Bi-Step Grounding Paradigm for Large Language Models in
/// Recommendation Systems*, [arXiv:2308.08434](https://arxiv.org/abs/2308.08434), section 3.2 and the authors'
/// code. Deviation: of an encoder-decoder, the place is the first state of the decoder, after the encoder has
/// read the text; the paper has decoders alone.
#[derive(Debug)]
pub struct Grounding {
    /// `[N, D]`, f32.
    places: Tensor,
}

impl Grounding {
    /// The places of these titles, as token ids, read `batch_size` at a time (0 counts as 1).
    ///
    /// # Errors
    /// [`PolicyError::Empty`] for no titles or an empty one; [`PolicyError::PromptLength`] for one that is
    /// longer than the model reads; those of [`LanguageModel::prefill`].
    pub fn new(
        model: &dyn LanguageModel,
        titles: &[Vec<u32>],
        pad: u32,
        batch_size: usize,
    ) -> Result<Self, PolicyError> {
        if titles.is_empty() {
            return Err(PolicyError::Empty { what: "the titles of a grounding" });
        }
        let places = titles
            .chunks(batch_size.max(1))
            .map(|titles| places(model, titles, pad))
            .collect::<Result<Vec<_>, PolicyError>>()?;
        Ok(Self { places: Tensor::f_cat(&places, 0)? })
    }

    /// The distance of each text to each title, `[U][N]`.
    ///
    /// # Errors
    /// As [`new`](Self::new), for the texts; [`PolicyError::NotFinite`] for a distance that is not a number.
    pub fn distances(
        &self,
        model: &dyn LanguageModel,
        texts: &[Vec<u32>],
        pad: u32,
    ) -> Result<Vec<Vec<f32>>, PolicyError> {
        let texts = places(model, texts, pad)?;
        // Mode 2: differences, not products, which lose digits of small distances.
        let found = Tensor::f_cdist(&texts, &self.places, 2.0, 2)?; // [U, N]
        let [_, titles] = axes("axes of distances", &found)?;
        let titles = to_usize(titles)?.max(1);
        let flat = Vec::<f32>::try_from(found.to_kind(Kind::Float).contiguous().view(-1))?;
        if let Some(at) = flat.iter().position(|distance| !distance.is_finite()) {
            let (what, prompt, found) = ("a distance to a title", at / titles, flat[at]);
            return Err(PolicyError::NotFinite { what, prompt, found });
        }
        Ok(flat.chunks_exact(titles).map(<[f32]>::to_vec).collect())
    }
}

/// The places of texts, `[n, D]`.
fn places(model: &dyn LanguageModel, texts: &[Vec<u32>], pad: u32) -> Result<Tensor, PolicyError> {
    let _guard = tch::no_grad_guard();
    last_states(model, texts, pad)
}

/// Distances that count less for popular items.
///
/// ```text
/// d̂ = (d − min d) / (max d − min d)        p̂ likewise, of the popularities
/// result = d̂ / (1 + p̂)^γ
/// ```
/// `BIGRec`, section 3.2.2. Where all values are equal, the scaled ones are 0. With `gamma` 0 the order is that of
/// the distances.
///
/// # Errors
/// [`PolicyError::Size`] unless there is a popularity for each distance.
pub fn popularity_weighted(
    distances: &[f32],
    popularity: &[f32],
    gamma: f32,
) -> Result<Vec<f32>, PolicyError> {
    let (found, expected) = (popularity.len(), distances.len());
    if found != expected {
        return Err(PolicyError::Size { what: "popularities of items", found, expected });
    }
    let distances = scaled(distances);
    let popularity = scaled(popularity);
    Ok(distances.zip(popularity).map(|(d, p)| d * (1.0 + p).powf(-gamma)).collect())
}

/// Values scaled to `[0, 1]`.
fn scaled(values: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let span = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
    values.iter().map(move |value| if span > 0.0 { (value - least) / span } else { 0.0 })
}
