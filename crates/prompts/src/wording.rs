//! Which paraphrase a sample gets.

use sidereal_data::{Digest, SampleId};

use crate::Task;

/// How the paraphrase of a sample is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wording {
    /// Always the first one: for evaluation and serving.
    #[default]
    First,
    /// Always this one, from 0.
    Nth(usize),
    /// A random one, which depends only on these numbers, the sample and the task: for training. A
    /// sample has the same words for any order of samples and any number of machines.
    Varied {
        /// Of the run.
        seed: u64,
        /// From 0.
        epoch: u64,
    },
}

impl Wording {
    /// Number of the paraphrase of a sample in a task with `count` of them, from 0; below `count`
    /// unless [`Nth`](Self::Nth) asks for more. A random choice is uniform, up to `count / 2^64`.
    #[must_use]
    pub fn paraphrase(self, task: Task, id: SampleId, count: usize) -> usize {
        let (seed, epoch) = match self {
            Self::First => return 0,
            Self::Nth(paraphrase) => return paraphrase,
            Self::Varied { seed, epoch } => (seed, epoch),
        };
        if count < 2 {
            return 0; // and no digest for sets that have nothing to choose from
        }
        let mut digest = Digest::default();
        digest.text("paraphrase");
        digest.number(seed);
        digest.number(epoch);
        digest.number(task as u64);
        digest.sample(id);
        let high = (u128::from(digest.draw()) * count as u128) >> 64;
        usize::try_from(high).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::{ItemId, UserId};

    use super::*;

    #[test]
    fn every_paraphrase_is_as_likely_and_every_part_of_the_key_counts() {
        let key = |seed, epoch, task, user| {
            let id = SampleId::Event { user: UserId(user), position: 1 };
            Wording::Varied { seed, epoch }.paraphrase(task, id, 4)
        };
        let mut counts = [0u32; 4];
        (0..4000).for_each(|user| counts[key(1, 0, Task::NextItem, user)] += 1);
        // 1,000 expected with a deviation of 27: eight of them to each side.
        assert!(counts.iter().all(|count| (780..1220).contains(count)), "{counts:?}");
        // 100 keys that agree by chance in a quarter of the cases: all agree once in 4^100.
        let same = |other: &dyn Fn(u32) -> usize| {
            (0..100).all(|user| key(1, 0, Task::NextItem, user) == other(user))
        };
        assert!(same(&|user| key(1, 0, Task::NextItem, user)));
        assert!(!same(&|user| key(2, 0, Task::NextItem, user)));
        assert!(!same(&|user| key(1, 1, Task::NextItem, user)));
        assert!(!same(&|user| key(1, 0, Task::Reasoning, user)));
        let item = |user| {
            let wording = Wording::Varied { seed: 1, epoch: 0 };
            wording.paraphrase(Task::NextItem, SampleId::Item(ItemId(user)), 4)
        };
        assert!(!same(&item));
    }

    #[test]
    fn evaluation_reads_the_first_paraphrase() {
        let id = SampleId::Item(ItemId(3));
        assert_eq!(Wording::First.paraphrase(Task::SidToTitle, id, 9), 0);
        assert_eq!(Wording::Varied { seed: 1, epoch: 1 }.paraphrase(Task::SidToTitle, id, 1), 0);
    }
}
