//! Batches of rows.

use rand::seq::SliceRandom as _;
use sidereal_sid::ItemId;

use super::model::Lesson;
use super::random::{Purpose, stream};

/// Batches by length are sorted within pools of this many batches.
const POOL: usize = 16;

/// A piece of a sequence.
#[derive(Debug, Clone, Copy)]
struct Row {
    sequence: usize,
    start: usize,
    end: usize,
    /// What it counts in the size of a batch: its targets, or 1.
    cost: usize,
}

/// The rows that a model learns from.
#[derive(Debug)]
pub(crate) struct Rows {
    sequences: Vec<Vec<u32>>,
    parts: Vec<Row>,
    by_length: bool,
}

impl Rows {
    /// Cuts sequences as the lesson says, each piece at most `max_history + 1` items with its target.
    ///
    /// - [`Lesson::Positions`]: consecutive pieces that share one item, from the end; so every item but a
    ///   user's first is a target once.
    /// - [`Lesson::Prefixes`]: one piece for each item but a user's first; with
    ///   [`Lesson::AllPrefixes`], for that too.
    /// - [`Lesson::Hidden`]: consecutive pieces of at most `max_history` items, from the end.
    ///
    /// `by_length`: whether the rows of a batch should be of similar length.
    pub(crate) fn new(
        sequences: &[&[ItemId]],
        lesson: Lesson,
        max_history: usize,
        by_length: bool,
    ) -> Self {
        let sequences: Vec<Vec<u32>> =
            sequences.iter().map(|items| items.iter().map(|item| item.0).collect()).collect();
        let mut rows = Vec::new();
        for (sequence, items) in sequences.iter().enumerate() {
            let mut push = |start: usize, end: usize, cost: usize| {
                rows.push(Row { sequence, start, end, cost });
            };
            let mut end = items.len();
            match lesson {
                Lesson::Positions => {
                    while end > 1 {
                        let start = end.saturating_sub(max_history + 1);
                        push(start, end, end - 1 - start);
                        end = start + 1;
                    }
                }
                Lesson::Prefixes | Lesson::AllPrefixes => {
                    let first = if lesson == Lesson::AllPrefixes { 1 } else { 2 };
                    for end in first..=end {
                        push(end.saturating_sub(max_history + 1), end, 1);
                    }
                }
                Lesson::Hidden { copies } => {
                    while end > 1 {
                        let start = end.saturating_sub(max_history);
                        for _ in 0..copies {
                            push(start, end, 1);
                        }
                        end = start;
                    }
                }
            }
        }
        Self { sequences, parts: rows, by_length }
    }

    /// The items of a row.
    pub(crate) fn items(&self, row: usize) -> &[u32] {
        let Row { sequence, start, end, .. } = self.parts[row];
        &self.sequences[sequence][start..end]
    }

    /// Rows of each batch of an epoch: a new random order, if asked for sorted by length within pools
    /// of batches, which are cut where the batch is full, and the batches in random order.
    pub(crate) fn plan(
        &self,
        batch_size: usize,
        seed: u64,
        purpose: Purpose,
        epoch: usize,
    ) -> Vec<Vec<usize>> {
        let mut rng = stream(seed, purpose, epoch);
        let mut order: Vec<usize> = (0..self.parts.len()).collect();
        order.shuffle(&mut rng);
        if !self.by_length {
            return self.cut(&order, batch_size).into_iter().map(<[usize]>::to_vec).collect();
        }
        let len = |row: &usize| self.parts[*row].end - self.parts[*row].start;
        let mut batches = Vec::new();
        for pool in self.cut(&order, batch_size.saturating_mul(POOL)) {
            let mut pool = pool.to_vec();
            pool.sort_by_key(len); // stable: rows of one length stay in random order
            batches.extend(self.cut(&pool, batch_size).into_iter().map(<[usize]>::to_vec));
        }
        batches.shuffle(&mut rng);
        batches
    }

    /// Cuts rows into pieces of at most `most` in cost, or of one row.
    fn cut<'r>(&self, rows: &'r [usize], most: usize) -> Vec<&'r [usize]> {
        let (mut pieces, mut start, mut cost) = (Vec::new(), 0, 0);
        for (at, row) in rows.iter().enumerate() {
            let more = self.parts[*row].cost;
            if at > start && cost + more > most {
                pieces.push(&rows[start..at]);
                (start, cost) = (at, 0);
            }
            cost += more;
        }
        if start < rows.len() {
            pieces.push(&rows[start..]);
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_item_is_a_target_once_and_the_first_where_the_lesson_says_so(
            lens in prop::collection::vec(0_usize..30, 1..40),
            max_history in 1_usize..12,
            batch_size in 1_usize..40,
            kind in 0_usize..3,
            by_length: bool,
        ) {
            let lesson = [Lesson::Positions, Lesson::Prefixes, Lesson::AllPrefixes][kind];
            let least = if lesson == Lesson::AllPrefixes { 1 } else { 2 };
            let all: Vec<Vec<ItemId>> = (0_u32..)
                .zip(&lens)
                .map(|(user, len)| (0_u32..).take(*len).map(|at| ItemId(100 * user + at)).collect())
                .collect();
            let sequences: Vec<&[ItemId]> = all.iter().map(Vec::as_slice).collect();
            let rows = Rows::new(&sequences, lesson, max_history, by_length);
            let plan = rows.plan(batch_size, 1, Purpose::Order, 0);
            let mut targets: Vec<u32> = Vec::new();
            for batch in &plan {
                let mut cost = 0;
                for row in batch {
                    let items = rows.items(*row);
                    prop_assert!((least..=max_history + 1).contains(&items.len()));
                    let first = if lesson == Lesson::Positions { 1 } else { items.len() - 1 };
                    cost += items.len() - first;
                    targets.extend(&items[first..]);
                }
                prop_assert!(cost <= batch_size || batch.len() == 1);
            }
            targets.sort_unstable();
            let wanted = all.iter().flat_map(|s| s.iter().skip(least - 1).map(|item| item.0));
            let wanted: Vec<u32> = wanted.collect();
            prop_assert_eq!(targets, wanted);
        }
    }

    #[test]
    fn whole_sequences_are_shown_as_often_as_asked_for() {
        let items: Vec<ItemId> = (0..5).map(ItemId).collect();
        let rows = Rows::new(&[&items, &items[..1]], Lesson::Hidden { copies: 3 }, 3, true);
        let mut found: Vec<&[u32]> = (0..6).map(|row| rows.items(row)).collect();
        found.sort_unstable();
        assert_eq!(found[..3], [&[0, 1][..]; 3]);
        assert_eq!(found[3..], [&[2, 3, 4][..]; 3]);
        assert_eq!(rows.plan(2, 1, Purpose::Order, 0).concat().len(), 6);
    }
}
