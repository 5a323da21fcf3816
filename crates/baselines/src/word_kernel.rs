//! Items whose texts share words with those of the history, rare words above all.

use sidereal_sid::ItemId;

use crate::history::Decay;
use crate::idf_vectors::IdfVectors;
use crate::{BaselineError, Recommender};

/// Scores items by the words that their texts share with those of the history, the latest counting most.
///
/// ```text
/// x_i[w]   = ln(N / n_w) if the text of item i has the word w, else 0      n_w: items with the word
/// score(j) = Σ_{i in history} share(i) · cos(x_i, x_j)         share(i) = decay^age(i) / Σ decay^age
/// ```
/// A word is a run of letters and digits, in lower case. How often a text has it does not count. The last
/// item of the history has age 0. Scores lie in `[0, 1]`. It needs no encoder; with the vectors of one,
/// [`VectorKernel`](crate::VectorKernel) is the same kernel.
///
/// ```
/// use sidereal_baselines::{Recommender, WordKernel};
/// use sidereal_sid::ItemId;
///
/// let model = WordKernel::fit(&["Oolong tea", "tea, oolong!", "a pen"], 0.6)?;
/// let mut scores = [0.0; 3];
/// model.score(&[ItemId(0)], &mut scores)?;
/// assert!((scores[1] - 1.0).abs() < 1e-6 && scores[2].abs() < 1e-6);
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct WordKernel {
    vectors: IdfVectors,
    decay: Decay,
}

impl WordKernel {
    /// The kernel of the items' texts, `[N]`.
    ///
    /// `decay`: the weight of an item of the history relative to the next later one, `(0, 1]`.
    ///
    /// # Errors
    /// [`BaselineError::Setting`] for a decay out of its range.
    pub fn fit<T: AsRef<str>>(texts: &[T], decay: f64) -> Result<Self, BaselineError> {
        let decay = Decay::new(decay)?;
        let lower: Vec<String> = texts.iter().map(|text| text.as_ref().to_lowercase()).collect();
        let words = |text| str::split(text, |letter: char| !letter.is_alphanumeric());
        let names = lower.iter().map(|text| words(text).filter(|word| !word.is_empty()).collect());
        Ok(Self { vectors: IdfVectors::new(&names.collect::<Vec<_>>()), decay })
    }

    /// Number of items without a word that counts. They score 0 after any history.
    #[must_use]
    pub fn num_zero(&self) -> usize {
        self.vectors.num_zero()
    }
}

impl Recommender for WordKernel {
    fn num_items(&self) -> usize {
        self.vectors.num_items()
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        self.vectors.score(self.decay, history, scores)
    }
}
