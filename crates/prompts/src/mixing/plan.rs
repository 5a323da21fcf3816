//! The rows of one epoch in their order.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sidereal_data::Digest;

use super::mixture::{Amount, CurriculumStage, Insertion, Mixture};
use super::{Cursor, MixtureRow, Shuffle};

/// An epoch: rows in order, and where each batch ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rows: Vec<MixtureRow>,
    /// Rising ends of batches in `rows`; the last one is its length.
    pub(super) ends: Vec<usize>,
}

impl Plan {
    /// The epoch of a mixture; empty after its last stage.
    pub(super) fn new(mixture: &Mixture, epoch: u64, size: usize, seed: u64) -> Self {
        let Some(stage) = mixture.stage(epoch) else { return Self::default() };
        let late = |row: &MixtureRow| stage.late(row.source);
        let mut rng = ChaCha8Rng::seed_from_u64(derived(seed, "order", 0));
        rng.set_stream(epoch);
        let mut rows = Vec::new();
        for (source, (len, amount)) in mixture.lens.iter().zip(&stage.amounts).enumerate() {
            let row = |index| MixtureRow { source, index };
            match amount {
                Amount::All => rows.extend((0..*len).map(row)),
                Amount::Rows(count) => {
                    let taken = mixture.taken(source, epoch);
                    rows.extend(walk(*len, taken, *count, seed, source).into_iter().map(row));
                }
            }
        }
        rows.shuffle(&mut rng);
        let Some(insertion) = &stage.insertion else {
            let ends = ends(0, rows.len(), size).collect();
            return Self { rows, ends };
        };
        let (late, early): (Vec<MixtureRow>, Vec<MixtureRow>) = rows.into_iter().partition(late);
        insert(&early, &late, insertion.gamma, size, &mut rng)
    }
}

impl CurriculumStage {
    fn late(&self, source: usize) -> bool {
        let insertion = self.insertion.as_ref();
        insertion.is_some_and(|Insertion { late, .. }| late.contains(&source))
    }
}

/// Ends of the batches of `len` rows that begin after `start` others.
fn ends(start: usize, len: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..len.div_ceil(size)).map(move |batch| start + len.min((batch + 1) * size))
}

/// Puts the batches of `late` between those of `early`, as [`Insertion`] says.
fn insert(
    early: &[MixtureRow],
    late: &[MixtureRow],
    gamma: f64,
    size: usize,
    rng: &mut impl Rng,
) -> Plan {
    let mut plan = Plan::default();
    let mut push = |batch: &[MixtureRow]| {
        plan.rows.extend_from_slice(batch);
        plan.ends.push(plan.rows.len());
    };
    let num_early = early.len().div_ceil(size) as f64;
    let num_late = late.len().div_ceil(size) as f64;
    let mut waiting = late.chunks(size);
    for (before, batch) in early.chunks(size).enumerate() {
        push(batch);
        let share = (before + 1) as f64 / num_early;
        // Drawn for every batch, whether or not a batch is waiting, so that the order of one source
        // does not depend on the length of another.
        if rng.r#gen::<f64>() < gamma * share * (num_late / num_early) {
            waiting.next().into_iter().for_each(&mut push);
        }
    }
    waiting.for_each(push);
    plan
}

/// The next `count` rows of an endless walk through `len` rows, of which `taken` were taken before.
/// The walk goes through one order of all rows after the other.
fn walk(len: usize, taken: u64, count: usize, seed: u64, source: usize) -> Vec<usize> {
    if len == 0 {
        return Vec::new();
    }
    let position = usize::try_from(taken % len as u64).unwrap_or_default();
    let cursor = Cursor { epoch: taken / len as u64, position };
    let mut order = Shuffle::resume(len, derived(seed, "walk", source), cursor);
    let mut rows = Vec::with_capacity(count);
    while let Some(left) = std::num::NonZeroUsize::new(count - rows.len()) {
        rows.extend_from_slice(order.next_batch(left));
    }
    rows
}

/// A seed of its own for each use, so that no two orders agree.
fn derived(seed: u64, what: &str, source: usize) -> u64 {
    let mut digest = Digest::default();
    digest.text(what);
    digest.number(seed);
    digest.size(source);
    digest.draw()
}
