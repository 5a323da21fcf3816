//! Batches of histories of similar length.

use rand::Rng as _;
use rand::seq::SliceRandom as _;

use super::config::NextItemConfig;
use super::data::History;
use crate::TrainError;
use crate::augment::AugmentConfig;
use crate::seed::{Purpose, stream_of};

/// The batches of all epochs.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    train: &'a [History],
    /// Number of positions of each history that is learned from, with its index; sorted by index.
    lens: Vec<(usize, usize)>,
    batch_size: usize,
    max_positions: usize,
    augment: AugmentConfig,
    /// Largest number of items of a row.
    longest: usize,
    seed: u64,
}

impl<'a> Batches<'a> {
    /// Batches of rows of at most `max_history` positions.
    pub(super) fn new(
        train: &'a [History],
        config: &NextItemConfig,
        max_history: usize,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let positions = |(index, history): (usize, &History)| {
            let len = history.items.len().min(max_history + 1);
            (len > 1).then(|| (len - 1, index))
        };
        let lens: Vec<(usize, usize)> = train.iter().enumerate().filter_map(positions).collect();
        if lens.is_empty() {
            return Err(TrainError::NoSamples { what: "next-item training" });
        }
        Ok(Self {
            train,
            lens,
            batch_size: config.batch_size,
            max_positions: config.max_positions,
            augment: config.augment,
            longest: max_history + 1,
            seed,
        })
    }

    /// Batches of an epoch; all epochs have the same number.
    pub(super) fn len(&self) -> usize {
        let mut lens: Vec<usize> = self.lens.iter().map(|(len, _)| *len).collect();
        lens.sort_unstable();
        lens.chunks(self.batch_size).map(|block| self.parts(block)).sum()
    }

    /// Parts that a block of histories is split into, given their lengths, ascending.
    fn parts(&self, lens: &[usize]) -> usize {
        // A block without histories has no positions.
        let longest = lens.last().copied().unwrap_or(0);
        (lens.len() * longest).div_ceil(self.max_positions).clamp(1, lens.len().max(1))
    }

    /// Indices of each batch's histories: sorted by length, equals in random order, cut into blocks, long
    /// blocks into parts at random, and the parts shuffled.
    pub(super) fn plan(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = stream_of(self.seed, Purpose::Batches, epoch as u64);
        let mut order: Vec<(usize, u64, usize)> = self
            .lens
            .iter()
            .map(|(len, index)| (*len, rng.gen_range(0..u64::MAX), *index))
            .collect();
        order.sort_unstable();
        let mut batches = Vec::with_capacity(self.len());
        for block in order.chunks(self.batch_size) {
            let lens: Vec<usize> = block.iter().map(|(len, ..)| *len).collect();
            let parts = self.parts(&lens);
            let mut block: Vec<usize> = block.iter().map(|(.., index)| *index).collect();
            block.shuffle(&mut rng);
            // As even as possible: the first parts have one more.
            let (each, more) = (block.len() / parts, block.len() % parts);
            let mut rest = block.as_slice();
            for part in 0..parts {
                let (batch, after) = rest.split_at(each + usize::from(part < more));
                batches.push(batch.to_vec());
                rest = after;
            }
        }
        batches.shuffle(&mut rng);
        batches
    }

    /// The item ids of a batch, with the variation of its epoch; at least two of each history.
    pub(super) fn rows(&self, epoch: usize, batch: &[usize]) -> Vec<Vec<u32>> {
        let row = |index: &usize| {
            let items = &self.train[*index].items;
            let items = if self.augment.is_off() {
                items[items.len().saturating_sub(self.longest)..].to_vec()
            } else {
                let round = (epoch as u64) << 32 | *index as u64;
                let mut rng = stream_of(self.seed, Purpose::Variation, round);
                self.augment.apply(items, self.longest, &mut rng)
            };
            items.iter().map(|item| item.0).collect()
        };
        batch.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sidereal_data::{ItemId, UserId};

    use super::*;

    proptest! {
        #[test]
        fn each_history_is_learned_once_an_epoch_within_the_limits(
            lens in prop::collection::vec(0usize..40, 1..120),
            batch_size in 1usize..20,
            max_positions in 1usize..200,
            epoch in 0usize..3,
        ) {
            prop_assume!(lens.iter().any(|len| *len > 1));
            let train: Vec<History> = (0u32..)
                .zip(&lens)
                .map(|(user, len)| History {
                    user: UserId(user),
                    items: (0u32..).take(*len).map(ItemId).collect(),
                })
                .collect();
            let config = NextItemConfig { batch_size, max_positions, ..NextItemConfig::default() };
            let batches = Batches::new(&train, &config, 25, 7).unwrap();
            let plan = batches.plan(epoch);
            prop_assert_eq!(plan.len(), batches.len());
            prop_assert_eq!(&plan, &batches.plan(epoch));
            let mut met: Vec<usize> = plan.concat();
            met.sort_unstable();
            let wanted: Vec<usize> = (0..lens.len()).filter(|index| lens[*index] > 1).collect();
            prop_assert_eq!(met, wanted);
            for batch in &plan {
                let rows = batches.rows(epoch, batch);
                let longest = rows.iter().map(Vec::len).max().unwrap();
                prop_assert!(!batch.is_empty() && batch.len() <= batch_size && longest <= 26);
                let places = batch.len() * (longest - 1);
                // A block's parts have one row more at most than an even share.
                prop_assert!(batch.len() == 1 || places <= max_positions + longest, "{places}");
                for (row, index) in rows.iter().zip(batch) {
                    let latest = lens[*index].min(26);
                    prop_assert!(row.iter().map(|id| *id as usize).eq(lens[*index] - latest..lens[*index]));
                }
            }
        }
    }
}
