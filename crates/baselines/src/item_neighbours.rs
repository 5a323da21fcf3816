//! Items that the users of the history's items chose too.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sidereal_metrics::Placement;
use sidereal_sid::ItemId;

use crate::history::{Decay, check_scores};
use crate::touched::Touched;
use crate::transition::check_sequences;
use crate::{BaselineError, Recommender};

/// Unchecked settings of [`ItemNeighbours`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NeighboursConfig {
    /// Neighbours of an item that count. Range `1..`.
    pub neighbours: usize,
    /// What is added to the denominator of a similarity, so that items which few users chose are less
    /// similar. Range `[0, ∞)`.
    pub shrinkage: f64,
    /// Weight of an item of the history relative to the next later one; 1 is the classic, which knows
    /// no order. Range `(0, 1]`.
    pub decay: f64,
}

/// 100 neighbours, shrinkage 10, decay 1.
impl Default for NeighboursConfig {
    fn default() -> Self {
        Self { neighbours: 100, shrinkage: 10.0, decay: 1.0 }
    }
}

impl NeighboursConfig {
    /// Sets the number of neighbours that count.
    #[must_use]
    pub fn with_neighbours(mut self, neighbours: usize) -> Self {
        self.neighbours = neighbours;
        self
    }

    /// Sets the shrinkage.
    #[must_use]
    pub fn with_shrinkage(mut self, shrinkage: f64) -> Self {
        self.shrinkage = shrinkage;
        self
    }

    /// Sets the decay over the history.
    #[must_use]
    pub fn with_decay(mut self, decay: f64) -> Self {
        self.decay = decay;
        self
    }
}

/// Checked settings of [`ItemNeighbours`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NeighboursConfig", into = "NeighboursConfig")]
pub struct Neighbours(NeighboursConfig);

impl TryFrom<NeighboursConfig> for Neighbours {
    type Error = BaselineError;

    fn try_from(config: NeighboursConfig) -> Result<Self, BaselineError> {
        if config.neighbours == 0 {
            let needed = "at least 1";
            return Err(BaselineError::Setting { field: "neighbours", value: 0.0, needed });
        }
        if !(config.shrinkage >= 0.0 && config.shrinkage.is_finite()) {
            let (field, value) = ("shrinkage", config.shrinkage);
            let needed = "a finite number, 0 or more";
            return Err(BaselineError::Setting { field, value, needed });
        }
        Decay::new(config.decay)?;
        Ok(Self(config))
    }
}

impl From<Neighbours> for NeighboursConfig {
    fn from(settings: Neighbours) -> Self {
        settings.0
    }
}

/// Item k-nearest neighbours with cosine similarity and shrinkage.
///
/// ```text
/// sim(i, j) = c_ij / (sqrt(n_i · n_j) + shrinkage)      c_ij: sequences with both, n_i: with item i
/// score(j)  = Σ_{i in history, i near j} decay^age(i) · sim(i, j)
/// ```
/// `i` is near `j` if it is among the `neighbours` items other than `j` that are most similar to `j`; all
/// that tie with the last of them are near too, so that no order of items decides. An item that occurs
/// several times counts once, at its latest place in the history; the last item has age 0.
///
/// Sarwar et al., WWW 2001, with the shrinkage of Ferrari Dacrema et al.,
/// [arXiv:1907.06902](https://arxiv.org/abs/1907.06902), section 3.2. Deviations: the decay (1 is the
/// paper's), and ties.
///
/// ```
/// use sidereal_baselines::{ItemNeighbours, Neighbours, NeighboursConfig, Recommender};
/// use sidereal_sid::ItemId;
///
/// let settings = Neighbours::try_from(NeighboursConfig::default().with_shrinkage(1.0))?;
/// let sequences = [[0, 1], [0, 1], [0, 2]].map(|s| s.map(ItemId));
/// let model = ItemNeighbours::fit(&settings, 3, &sequences)?;
/// let mut scores = [0.0; 3];
/// model.score(&[ItemId(0)], &mut scores)?;
/// assert!((scores[1] - 2.0 / (6_f32.sqrt() + 1.0)).abs() < 1e-6); // c = 2, n = 3 and 2
/// assert!((scores[2] - 1.0 / (3_f32.sqrt() + 1.0)).abs() < 1e-6); // c = 1, n = 3 and 1
/// # Ok::<(), sidereal_baselines::BaselineError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ItemNeighbours {
    decay: Decay,
    /// Row `i`: the items that it is near to, with the similarities: `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    similarities: Vec<f32>,
}

impl ItemNeighbours {
    /// Counts which items occur in the same sequences.
    ///
    /// # Errors
    /// [`BaselineError::Sequence`] if a sequence holds an item of `num_items` or above.
    pub fn fit<Q: AsRef<[ItemId]> + Sync>(
        settings: &Neighbours,
        num_items: usize,
        sequences: &[Q],
    ) -> Result<Self, BaselineError> {
        check_sequences(num_items, sequences)?;
        let NeighboursConfig { neighbours, shrinkage, decay } = settings.0;
        let sets: Vec<Vec<u32>> = sequences.iter().map(|items| distinct(items.as_ref())).collect();
        let mut holders: Vec<Vec<usize>> = vec![Vec::new(); num_items];
        for (sequence, items) in sets.iter().enumerate() {
            for item in items {
                holders[*item as usize].push(sequence);
            }
        }
        let near: Vec<Vec<(u32, f32)>> = holders
            .par_iter()
            .enumerate()
            .map_init(
                || vec![0_u32; num_items],
                |counts, (item, own)| {
                    let together = counted(own, &sets, item, counts);
                    let similar = together.into_iter().map(|(other, count)| {
                        let product = own.len() as f64 * holders[other as usize].len() as f64;
                        (other, f64::from(count) / (product.sqrt() + shrinkage))
                    });
                    nearest(similar.collect(), neighbours)
                },
            )
            .collect();
        Ok(Self::transposed(&near, Decay::new(decay)?))
    }

    /// From the near items of each item to the items that each item is near to.
    fn transposed(near: &[Vec<(u32, f32)>], decay: Decay) -> Self {
        let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); near.len()];
        for (item, of_item) in (0..).zip(near) {
            for (other, similarity) in of_item {
                rows[*other as usize].push((item, *similarity));
            }
        }
        let mut model =
            Self { decay, starts: vec![0], columns: Vec::new(), similarities: Vec::new() };
        for row in rows {
            model.columns.extend(row.iter().map(|entry| entry.0));
            model.similarities.extend(row.iter().map(|entry| entry.1));
            model.starts.push(model.columns.len());
        }
        model
    }

    /// Number of pairs of an item and one that is near to it.
    #[must_use]
    pub fn num_pairs(&self) -> usize {
        self.columns.len()
    }

    /// Adds the scores after a history to `add`.
    fn for_each(
        &self,
        history: &[ItemId],
        mut add: impl FnMut(usize, f32),
    ) -> Result<(), BaselineError> {
        for (item, weight) in self.decay.latest(history, self.num_items())? {
            let range = self.starts[item.index()]..self.starts[item.index() + 1];
            let row = self.columns[range.clone()].iter().zip(&self.similarities[range]);
            row.for_each(|(column, similarity)| add(*column as usize, weight * similarity));
        }
        Ok(())
    }
}

/// The items of a sequence, each once.
fn distinct(items: &[ItemId]) -> Vec<u32> {
    let mut items: Vec<u32> = items.iter().map(|item| item.0).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// How many of the sequences in `own` hold each other item; `counts` `[N]` is 0 before and after.
fn counted(own: &[usize], sets: &[Vec<u32>], item: usize, counts: &mut [u32]) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    for other in own.iter().flat_map(|sequence| &sets[*sequence]) {
        let count = &mut counts[*other as usize];
        if *count == 0 && *other as usize != item {
            found.push(*other);
        }
        *count += 1;
    }
    found.sort_unstable();
    let counted: Vec<(u32, u32)> =
        found.iter().map(|other| (*other, counts[*other as usize])).collect();
    counts[item] = 0;
    for other in &*found {
        counts[*other as usize] = 0;
    }
    counted
}

/// The most similar ones, with all that tie with the last.
#[allow(clippy::cast_possible_truncation, reason = "scores are f32")]
fn nearest(mut similar: Vec<(u32, f64)>, neighbours: usize) -> Vec<(u32, f32)> {
    if neighbours < similar.len() {
        let mut sorted: Vec<f64> = similar.iter().map(|entry| entry.1).collect();
        let (_, last, _) =
            sorted.select_nth_unstable_by(neighbours - 1, |one, two| two.total_cmp(one));
        let lowest = *last;
        similar.retain(|entry| entry.1 >= lowest);
    }
    similar.into_iter().map(|(item, similarity)| (item, similarity as f32)).collect()
}

impl Recommender for ItemNeighbours {
    fn num_items(&self) -> usize {
        self.starts.len() - 1
    }

    fn score(&self, history: &[ItemId], scores: &mut [f32]) -> Result<(), BaselineError> {
        check_scores(scores, self.num_items())?;
        scores.fill(0.0);
        self.for_each(history, |item, score| scores[item] += score)
    }

    fn place(
        &self,
        history: &[ItemId],
        removed: &[ItemId],
        target: ItemId,
        scratch: &mut [f32],
    ) -> Result<Placement, BaselineError> {
        check_scores(scratch, self.num_items())?;
        let mut touched = Touched::new(scratch);
        self.for_each(history, |item, score| touched.add(item, score))?;
        touched.place(removed, target)
    }
}
