//! Candidates to choose from, and slates to learn: the item that the user chose, items that the user chose later, and items
//! that the user did not choose.

use std::collections::HashSet;

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
    train: &'a TrainSet,
    /// How often training shows each item.
    counts: Vec<u32>,
    /// All items, the most frequent in training first, equal ones by number, which is random.
    frequent: Vec<ItemId>,
}

impl<'a> Pools<'a> {
    /// Pools of the target, of what the user chose later in `train`, and of `negatives`.
    ///
    /// # Errors
    /// [`PromptError::Config`] for sizes or a share outside their ranges;
    /// [`PromptError::ItemRange`] if `train` is of another dataset.
    pub fn new(
        config: PoolConfig,
        negatives: Negatives<'a>,
        train: &'a TrainSet,
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
        let all = u32::try_from(num_items).unwrap_or(u32::MAX);
        let mut frequent: Vec<ItemId> = (0..all).map(ItemId).collect();
        frequent.sort_by_key(|item| std::cmp::Reverse(counts.get(item.index()).copied())); // stable
        Ok(Self { config, negatives, train, counts, frequent })
    }

    /// Settings.
    #[must_use]
    pub const fn config(&self) -> PoolConfig {
        self.config
    }

    /// The candidates of a sample in the order in which they are shown, all different and at random
    /// places: the target (or, according to `target_share`, not); beside it, as far as a slate has
    /// room for them, the earliest items that the user chose after it in training; and negatives.
    /// No candidate but the target is the target, has its Semantic ID, or was chosen before.
    ///
    /// Nothing follows the samples of validation and test in training, so their pools hold no later
    /// choice, except as a negative by chance.
    ///
    /// # Errors
    /// [`PromptError::Data`] if too few items can be candidates, or for a sample of another
    /// dataset.
    pub fn draw(&self, sample: &Sample<'_>) -> Result<Vec<ItemId>, PromptError> {
        self.draw_accepted(sample, &mut |_| true)
    }

    /// As [`draw`](Self::draw), with candidates besides the target for which `accept` holds.
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
        let mut chosen = Vec::new();
        if with_target {
            for item in self.train.after(sample) {
                if chosen.len() + 1 == self.config.slate_size {
                    break;
                }
                let new = !chosen.contains(item) && self.negatives.allows(sample, *item);
                if new && accept(*item) {
                    chosen.push(*item);
                }
            }
            chosen.push(sample.target);
        }
        let count = self.config.size - chosen.len();
        let mut accept = |item: ItemId| !chosen.contains(&item) && accept(item);
        let mut pool = self.negatives.draw_accepted(sample, count, &mut rng, &mut accept)?;
        pool.append(&mut chosen);
        pool.shuffle(&mut rng);
        Ok(pool)
    }

    /// The slate to learn from a pool of [`draw`](Self::draw): the target; then what the user chose
    /// later in training, in that order; then the other candidates that training shows most often,
    /// equal ones in the order of the pool. `None` for a pool without the target.
    ///
    /// SAGE, §3.2: the label is made of the user's subsequent interactions. It does not say what
    /// fills a slate if there are too few of them; here popularity is the guess, which needs no model.
    #[must_use]
    pub fn slate(&self, sample: &Sample<'_>, pool: &[ItemId]) -> Option<Vec<ItemId>> {
        let later = self.train.after(sample);
        let place =
            |item: &ItemId| later.iter().position(|chosen| chosen == item).unwrap_or(usize::MAX);
        // An item that training does not know was never shown.
        let count = |item: &ItemId| self.counts.get(item.index()).copied().unwrap_or(0);
        let mut slate = pool.to_vec();
        slate.sort_by_key(|item| {
            (*item != sample.target, place(item), std::cmp::Reverse(count(item)))
        });
        slate.truncate(self.config.slate_size);
        (slate.first() == Some(&sample.target)).then_some(slate)
    }

    /// The slate of the whole catalogue to learn: the target; then what the user chose later in training, in
    /// that order; then the items that training shows most often. Each item stands once, none but the target was
    /// chosen before, and no two have the same `name`; what has none is left out. A slate is shorter than
    /// configured if there are too few items.
    ///
    /// As with [`slate`](Self::slate), SAGE does not say what fills a slate; popularity is ours.
    pub(super) fn slate_of_all<'n>(
        &self,
        sample: &Sample<'_>,
        name: &mut dyn FnMut(ItemId) -> Option<&'n str>,
    ) -> Vec<ItemId> {
        let later = self.train.after(sample).iter();
        let allowed = |item: &&ItemId| self.negatives.allows(sample, **item);
        let others = later.chain(&self.frequent).filter(allowed);
        let mut names = HashSet::new();
        let mut slate = Vec::new();
        for item in std::iter::once(&sample.target).chain(others) {
            if slate.len() == self.config.slate_size {
                break;
            }
            if name(*item).is_some_and(|name| names.insert(name)) {
                slate.push(*item);
            }
        }
        slate
    }
}
