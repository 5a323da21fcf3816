//! Batches of a mixture, for one machine or for several that share them.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::{Cursor, MixError, Mixture, MixtureRow};

/// One of the machines that share the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// The whole mixture, without shards.
    pub const WHOLE: Self = Self { index: 0, count: 1 };
}

/// The batches of a [`Mixture`], one after the other.
///
/// Batches, and the order of their rows, do not depend on the number of shards: shard `i` of `n`
/// takes rows `i`, `i + n`, `i + 2n`, … of every batch. All shards see equally many batches; if a
/// batch has fewer rows than there are shards, the last shards get an empty batch.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    mixture: &'a Mixture,
    size: NonZeroUsize,
    seed: u64,
    shard: Shard,
    cursor: Cursor,
    plan: Plan,
    rows: Vec<MixtureRow>,
}

impl Mixture {
    /// The batches, from the first on, with up to `size` rows of all shards together. No batch
    /// spans two epochs. If some sources come late, no batch holds both kinds.
    ///
    /// # Errors
    /// [`MixError::Shard`].
    pub fn batches(
        &self,
        size: NonZeroUsize,
        seed: u64,
        shard: Shard,
    ) -> Result<Batches<'_>, MixError> {
        self.resume(size, seed, shard, Cursor::default())
    }

    /// The batches from `cursor` on: those of an unbroken run with the same mixture, size and seed.
    /// The number of shards may have changed.
    ///
    /// # Errors
    /// [`MixError::Shard`]; [`MixError::Cursor`] if no batch begins or ends at `cursor`.
    pub fn resume(
        &self,
        size: NonZeroUsize,
        seed: u64,
        shard: Shard,
        cursor: Cursor,
    ) -> Result<Batches<'_>, MixError> {
        let Shard { index, count } = shard;
        if index >= count {
            return Err(MixError::Shard { index, count });
        }
        let plan = Plan::new(self, cursor.epoch, size.get(), seed);
        if cursor.position > 0 && plan.ends.binary_search(&cursor.position).is_err() {
            return Err(MixError::Cursor { cursor });
        }
        Ok(Batches { mixture: self, size, seed, shard, cursor, plan, rows: Vec::new() })
    }
}

impl Batches<'_> {
    /// This shard's rows of the next batch. After the last batch of an epoch, the next epoch
    /// begins. The batch is empty for a shard that gets no rows of a small batch, and always after
    /// [`is_over`](Self::is_over).
    pub fn next_batch(&mut self) -> &[MixtureRow] {
        if self.cursor.position >= self.plan.rows.len() && !self.is_over() {
            self.cursor = Cursor { epoch: self.cursor.epoch + 1, position: 0 };
            self.plan = Plan::new(self.mixture, self.cursor.epoch, self.size.get(), self.seed);
        }
        let start = self.cursor.position;
        let next = self.plan.ends.partition_point(|end| *end <= start);
        let end = self.plan.ends.get(next).copied().unwrap_or(start);
        let batch = self.plan.rows.get(start..end).unwrap_or_default();
        self.rows.clear();
        self.rows.extend(batch.iter().skip(self.shard.index).step_by(self.shard.count));
        self.cursor.position = end;
        &self.rows
    }

    /// Whether no batch is left: the last stage has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let at_end = self.cursor.position >= self.plan.rows.len();
        at_end && self.mixture.stage(self.cursor.epoch.saturating_add(1)).is_none()
    }

    /// Where the next batch begins, in rows of all shards together: what a checkpoint stores. All
    /// shards are at the same place.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Batches of the epoch in which the last batch was.
    #[must_use]
    pub fn batches_in_epoch(&self) -> usize {
        self.plan.ends.len()
    }
}
