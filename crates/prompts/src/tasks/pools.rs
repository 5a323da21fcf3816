//! Candidates to choose from: the item that the user chose, and items that the user did not choose.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sidereal_data::{Digest, Negatives, Sample, TrainSet};
use sidereal_sid::ItemId;

use crate::PromptError;

/// Sizes of pools and slates, and when a pool holds the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// Candidates of a sample, at least 2.
    pub size: usize,
    /// Items of a slate, 1 to `size`.
    pub slate_size: usize,
    /// Share of pools that hold the target, in `[0, 1]`; the others are all negatives.
    pub target_share: f64,
    /// Seed of the draws. The pool of a sample depends only on this seed and the identity of the
    /// sample.
    pub seed: u64,
}

impl PoolConfig {
    /// 20 candidates, slates of 10, the target always among the candidates.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { size: 20, slate_size: 10, target_share: 1.0, seed }
    }
}

/// Draws the candidates of samples, and orders a slate to learn from.
#[derive(Debug, Clone)]
pub struct Pools<'a> {
    config: PoolConfig,
    negatives: Negatives<'a>,
    /// How often training shows each item.
    counts: Vec<u32>,
}

impl<'a> Pools<'a> {
    /// Pools of the target and `negatives`.
    ///
    /// # Errors
    /// [`PromptError::Config`] for sizes or a share outside their ranges;
    /// [`PromptError::ItemRange`] if `train` is of another dataset.
    pub fn new(
        config: PoolConfig,
        negatives: Negatives<'a>,
        train: &TrainSet,
    ) -> Result<Self, PromptError> {
        let refuse =
            |field, found: String, expected| Err(PromptError::Config { field, found, expected });
        if config.size < 2 {
            return refuse("size", config.size.to_string(), "at least 2 candidates");
        }
        if !(1..=config.size).contains(&config.slate_size) {
            return refuse("slate_size", config.slate_size.to_string(), "1 to `size`");
        }
        if !(0.0..=1.0).contains(&config.target_share) {
            return refuse("target_share", config.target_share.to_string(), "a share in [0, 1]");
        }
        let num_items = negatives.num_items();
        let mut counts = vec![0; num_items];
        for item in train.sequences().flat_map(|sequence| sequence.events) {
            let count = counts.get_mut(item.index());
            *count.ok_or(PromptError::ItemRange { item: *item, num_items })? += 1;
        }
        Ok(Self { config, negatives, counts })
    }

    /// Settings.
    #[must_use]
    pub const fn config(&self) -> PoolConfig {
        self.config
    }

    /// The candidates of a sample in the order in which they are shown, all different: the target
    /// at a random place (or, according to `target_share`, not at all), and negatives. No negative
    /// is the target, has its Semantic ID, or was chosen before.
    ///
    /// # Errors
    /// [`PromptError::Data`] if too few items can be candidates, or for a sample of another
    /// dataset.
    pub fn draw(&self, sample: &Sample<'_>) -> Result<Vec<ItemId>, PromptError> {
        self.draw_accepted(sample, &mut |_| true)
    }

    /// As [`draw`](Self::draw), with negatives for which `accept` holds.
    pub(super) fn draw_accepted(
        &self,
        sample: &Sample<'_>,
        accept: &mut dyn FnMut(ItemId) -> bool,
    ) -> Result<Vec<ItemId>, PromptError> {
        let mut digest = Digest::default();
        digest.text("pool");
        digest.number(self.config.seed);
        digest.sample(sample.id);
        let mut rng = ChaCha8Rng::seed_from_u64(digest.draw());
        let with_target = rng.r#gen::<f64>() < self.config.target_share;
        let count = self.config.size - usize::from(with_target);
        let mut pool = self.negatives.draw_accepted(sample, count, &mut rng, accept)?;
        pool.extend(with_target.then_some(sample.target));
        pool.shuffle(&mut rng);
        Ok(pool)
    }

    /// The slate to learn: the target, then the other candidates that training shows most often,
    /// equal ones in the order of the pool; `None` for a pool without the target.
    ///
    /// Deviation: SAGE fills the slate with items of the user's later interactions (its §3.2). Here
    /// popularity is the guess, which needs no later event and no model.
    #[must_use]
    pub fn slate(&self, target: ItemId, pool: &[ItemId]) -> Option<Vec<ItemId>> {
        // An item that training does not know was never shown.
        let count = |item: &ItemId| self.counts.get(item.index()).copied().unwrap_or(0);
        let mut slate = pool.to_vec();
        slate.sort_by_key(|item| (*item != target, std::cmp::Reverse(count(item))));
        slate.truncate(self.config.slate_size);
        (slate.first() == Some(&target)).then_some(slate)
    }
}
