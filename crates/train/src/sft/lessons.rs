//! What supervised fine-tuning learns, epoch by epoch.

use rand::seq::SliceRandom as _;

use crate::TrainError;
use crate::fold::Sequence;
use crate::seed::{Purpose, stream_of};

/// Number of batches whose rows are sorted by length together: there is little padding, and batches
/// are still random.
const POOL: usize = 32;

/// The data of a supervised training. Batches depend only on the epoch, so a resumed run sees the
/// same batches as an uninterrupted one.
pub trait Lessons {
    /// The batches of an epoch, from 0.
    ///
    /// # Errors
    /// Those of reading the samples.
    fn epoch(&self, epoch: usize) -> Result<Epoch<'_>, TrainError>;
}

/// The batches of one epoch, made when they are needed.
pub struct Epoch<'a> {
    /// Batches of this epoch.
    pub len: usize,
    /// Batches of all epochs, from which the schedule of the learning rate follows.
    pub total: usize,
    /// Batch of a number from 0.
    pub batch: Box<dyn Fn(usize) -> Result<Vec<Sequence>, TrainError> + 'a>,
}

impl std::fmt::Debug for Epoch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoch").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Histories and a share of alignment sequences, shuffled again in each epoch. A batch has rows of
/// similar length, and the batches are in random order.
pub struct Histories<'a> {
    /// SID history → SID of an epoch, folded; every epoch must have the same number of sequences.
    pub next_item: &'a dyn Fn(usize) -> Result<Vec<Sequence>, TrainError>,
    /// Title → SID and SID → title.
    pub alignment: Vec<Sequence>,
    /// Share of `alignment` that each epoch adds; they take turns.
    pub alignment_share: f64,
    /// Sequences of a batch.
    pub batch_size: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Seed of the order.
    pub seed: u64,
}

impl std::fmt::Debug for Histories<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histories")
            .field("alignment", &self.alignment.len())
            .finish_non_exhaustive()
    }
}

impl Lessons for Histories<'_> {
    fn epoch(&self, epoch: usize) -> Result<Epoch<'_>, TrainError> {
        let rows = self.sequences(epoch)?;
        let plan = self.plan(&rows, epoch);
        let (len, total) = (plan.len(), plan.len() * self.epochs);
        let batch = move |number: usize| {
            Ok(plan[number].iter().map(|index| rows[*index].clone()).collect())
        };
        Ok(Epoch { len, total, batch: Box::new(batch) })
    }
}

impl Histories<'_> {
    /// The sequences of an epoch: next items, and the alignment sequences whose turn it is.
    fn sequences(&self, epoch: usize) -> Result<Vec<Sequence>, TrainError> {
        let mut rows = (self.next_item)(epoch)?;
        let mut turns: Vec<&Sequence> = self.alignment.iter().collect();
        turns.shuffle(&mut stream_of(self.seed, Purpose::Alignment, 0));
        let share = (self.alignment_share.clamp(0.0, 1.0) * turns.len() as f64).round();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to its length"
        )]
        let share = share as usize;
        rows.extend(turns.into_iter().cycle().skip(epoch * share).take(share).cloned());
        Ok(rows)
    }

    /// The batches of an epoch: rows of similar length together, batches in random order.
    fn plan(&self, rows: &[Sequence], epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = stream_of(self.seed, Purpose::Batches, epoch as u64);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.shuffle(&mut rng);
        let batch = self.batch_size.max(1);
        let mut batches = Vec::with_capacity(order.len().div_ceil(batch));
        for pool in order.chunks_mut(batch * POOL) {
            pool.sort_by_key(|index| rows[*index].ids.len());
            batches.extend(pool.chunks(batch).map(<[usize]>::to_vec));
        }
        batches.shuffle(&mut rng);
        batches
    }
}
