//! The order in which training sees its samples.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A place in an endless sequence of epochs: what a checkpoint stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Samples of the epoch already seen.
    pub position: usize,
}

/// Every index once an epoch, in an order that depends on seed and epoch alone.
///
/// A run that is resumed from its [`Cursor`] sees the same batches as an uninterrupted run.
///
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_prompts::{Cursor, Shuffle};
///
/// let two = NonZeroUsize::new(2).unwrap();
/// let mut unbroken = Shuffle::new(5, 42);
/// unbroken.next_batch(two);
/// let mut resumed = Shuffle::resume(5, 42, unbroken.cursor());
/// assert_eq!(resumed.next_batch(two), unbroken.next_batch(two));
/// assert_eq!(resumed.next_batch(two).len(), 1); // an epoch's last batch
/// ```
#[derive(Debug, Clone)]
pub struct Shuffle {
    seed: u64,
    cursor: Cursor,
    order: Vec<usize>,
}

impl Shuffle {
    /// Starts the first epoch over the indices `0..len`.
    #[must_use]
    pub fn new(len: usize, seed: u64) -> Self {
        Self::resume(len, seed, Cursor::default())
    }

    /// Continues at `cursor`; one at or past an epoch's end continues with the next epoch.
    #[must_use]
    pub fn resume(len: usize, seed: u64, cursor: Cursor) -> Self {
        let mut shuffle = Self { seed, cursor, order: (0..len).collect() };
        shuffle.reorder();
        shuffle
    }

    /// The next `size` indices, or as many as the epoch has left: a batch never spans two epochs.
    /// Empty only if there are no indices at all.
    pub fn next_batch(&mut self, size: NonZeroUsize) -> &[usize] {
        if self.cursor.position >= self.order.len() {
            self.cursor = Cursor { epoch: self.cursor.epoch + 1, position: 0 };
            self.reorder();
        }
        let start = self.cursor.position;
        let end = start.saturating_add(size.get()).min(self.order.len());
        self.cursor.position = end;
        &self.order[start..end]
    }

    /// Where the next batch begins.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Number of indices in an epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no indices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Batches of an epoch: `⌈len / size⌉`.
    #[must_use]
    pub fn batches_per_epoch(&self, size: NonZeroUsize) -> usize {
        self.order.len().div_ceil(size.get())
    }

    fn reorder(&mut self) {
        self.order.sort_unstable();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.cursor.epoch);
        self.order.shuffle(&mut rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_differ_and_seeds_differ() {
        let epoch = |seed, epoch| {
            let cursor = Cursor { epoch, position: 0 };
            Shuffle::resume(100, seed, cursor).next_batch(NonZeroUsize::MAX).to_vec()
        };
        assert_ne!(epoch(1, 0), epoch(1, 1));
        assert_ne!(epoch(1, 0), epoch(2, 0));
        assert_eq!(epoch(1, 3), epoch(1, 3));
    }

    #[test]
    fn nothing_to_shuffle_gives_empty_batches() {
        assert!(Shuffle::new(0, 1).next_batch(NonZeroUsize::MIN).is_empty());
    }
}
