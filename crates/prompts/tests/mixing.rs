//! Laws of mixtures: what an epoch holds, that resuming changes nothing, that shards partition.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::*;
use sidereal_prompts::{
    Amount, Batches, CurriculumStage, Cursor, Insertion, MixError, Mixture, MixtureRow, Shard,
};

/// One to three stages, the last endless or not, over one to four sources, the first never empty.
fn mixture() -> impl Strategy<Value = Mixture> {
    let lens =
        (1usize..12, vec(0usize..12, 0..4)).prop_map(|(first, rest)| [vec![first], rest].concat());
    lens.prop_flat_map(|lens| {
        let amount = |len: usize| {
            let rows = if len == 0 { 0 } else { 3 * len };
            prop_oneof![Just(Amount::All), (0..=rows).prop_map(Amount::Rows)]
        };
        let amounts: Vec<_> = lens.iter().map(|len| amount(*len)).collect();
        let late =
            proptest::sample::subsequence((0..lens.len()).collect::<Vec<_>>(), 0..=lens.len());
        let insertion = proptest::option::of((late, 0.1..4.0));
        let insertion = insertion.prop_map(|it| it.map(|(late, gamma)| Insertion { late, gamma }));
        let stage = (1u64..3, amounts, insertion).prop_map(|(epochs, mut amounts, insertion)| {
            if let Amount::Rows(rows) = &mut amounts[0] {
                *rows = (*rows).max(1); // a stage has rows
            }
            CurriculumStage { epochs: Some(epochs), amounts, insertion }
        });
        (Just(lens), vec(stage, 1..4), any::<bool>())
    })
    .prop_map(|(lens, mut stages, endless)| {
        if endless && let Some(last) = stages.last_mut() {
            last.epochs = None;
        }
        Mixture::staged(lens, stages).unwrap()
    })
}

fn size() -> impl Strategy<Value = NonZeroUsize> {
    (1usize..9).prop_map(|size| NonZeroUsize::new(size).unwrap())
}

/// Batches of the next `epochs` epochs, epoch by epoch.
fn epochs(batches: &mut Batches<'_>, epochs: u64) -> Vec<Vec<Vec<MixtureRow>>> {
    let mut all: Vec<Vec<Vec<MixtureRow>>> = Vec::new();
    while !batches.is_over() {
        let batch = batches.next_batch().to_vec();
        let epoch = usize::try_from(batches.cursor().epoch).unwrap();
        if epoch as u64 >= epochs {
            break;
        }
        all.resize(epoch + 1, Vec::new());
        all[epoch].push(batch);
    }
    all
}

fn counts(rows: impl IntoIterator<Item = MixtureRow>) -> BTreeMap<MixtureRow, usize> {
    let mut counts = BTreeMap::new();
    rows.into_iter().for_each(|row| *counts.entry(row).or_default() += 1);
    counts
}

proptest! {
    #[test]
    fn an_epoch_holds_what_its_stage_says_and_no_row_twice_before_another_once(
        mixture in mixture(), seed: u64, size in size(),
    ) {
        let mut batches = mixture.batches(size, seed, Shard::WHOLE).unwrap();
        let mut walked: BTreeMap<usize, BTreeMap<MixtureRow, usize>> = BTreeMap::new();
        for (epoch, batches) in epochs(&mut batches, 5).into_iter().enumerate() {
            let stage = mixture.stage(epoch as u64).unwrap();
            prop_assert!(batches.iter().all(|batch| (1..=size.get()).contains(&batch.len())));
            let rows: Vec<MixtureRow> = batches.concat();
            for (source, (len, amount)) in mixture.lens().iter().zip(&stage.amounts).enumerate() {
                let of_source: Vec<MixtureRow> =
                    rows.iter().copied().filter(|row| row.source == source).collect();
                prop_assert!(of_source.iter().all(|row| row.index < *len));
                match amount {
                    Amount::All => {
                        prop_assert_eq!(of_source.len(), *len);
                        prop_assert_eq!(counts(of_source).len(), *len);
                    }
                    Amount::Rows(rows) => {
                        prop_assert_eq!(of_source.len(), *rows);
                        let walked = walked.entry(source).or_default();
                        for row in of_source {
                            *walked.entry(row).or_default() += 1;
                        }
                        let often = walked.values().copied().max().unwrap_or(0);
                        let all_seen = walked.len() == *len;
                        let seldom = if all_seen { walked.values().copied().min() } else { None };
                        prop_assert!(often - seldom.unwrap_or(0) <= 1, "{:?}", walked);
                    }
                }
            }
        }
    }

    #[test]
    fn resume_equals_uninterrupted(
        mixture in mixture(), seed: u64, size in size(), before in 0usize..30, after in 1usize..30,
    ) {
        let mut unbroken = mixture.batches(size, seed, Shard::WHOLE).unwrap();
        for _ in 0..before {
            unbroken.next_batch();
        }
        let json = serde_json::to_string(&unbroken.cursor()).unwrap();
        let cursor: Cursor = serde_json::from_str(&json).unwrap();
        let mut resumed = mixture.resume(size, seed, Shard::WHOLE, cursor).unwrap();
        for _ in 0..after {
            prop_assert_eq!(resumed.is_over(), unbroken.is_over());
            prop_assert_eq!(resumed.next_batch(), unbroken.next_batch());
            prop_assert_eq!(resumed.cursor(), unbroken.cursor());
        }
    }

    #[test]
    fn shards_partition_every_batch_whatever_their_number(
        mixture in mixture(), seed: u64, size in size(), count in 1usize..6,
    ) {
        let mut whole = mixture.batches(size, seed, Shard::WHOLE).unwrap();
        let mut shards: Vec<_> = (0..count)
            .map(|index| mixture.batches(size, seed, Shard { index, count }).unwrap())
            .collect();
        for _ in 0..20 {
            let batch = whole.next_batch().to_vec();
            let parts: Vec<Vec<MixtureRow>> = shards.iter_mut().map(|s| s.next_batch().to_vec()).collect();
            let mut union: Vec<Option<MixtureRow>> = vec![None; batch.len()];
            for (index, part) in parts.iter().enumerate() {
                for (step, row) in part.iter().enumerate() {
                    prop_assert!(union[index + step * count].replace(*row).is_none());
                }
            }
            prop_assert_eq!(union, batch.into_iter().map(Some).collect::<Vec<_>>());
            prop_assert!(shards.iter().all(|shard| shard.cursor() == whole.cursor()));
        }
    }

    #[test]
    fn late_batches_are_apart_and_each_comes_once(
        lens in vec(1usize..40, 2..5), seed: u64, size in size(), gamma in 0.1f64..4.0,
    ) {
        let late = vec![lens.len() - 1];
        let mixture = Mixture::gream(lens.clone(), late.clone(), gamma).unwrap();
        let mut batches = mixture.batches(size, seed, Shard::WHOLE).unwrap();
        for (epoch, batches) in epochs(&mut batches, 4).into_iter().enumerate() {
            let rows = batches.concat();
            prop_assert_eq!(counts(rows.iter().copied()).len(), rows.len());
            prop_assert_eq!(rows.len(), lens.iter().sum::<usize>());
            if epoch < 2 {
                let is_late = |row: &MixtureRow| late.contains(&row.source);
                let apart = |batch: &Vec<MixtureRow>| {
                    batch.iter().all(is_late) || !batch.iter().any(is_late)
                };
                prop_assert!(batches.iter().all(apart));
                prop_assert!(!batches[0].iter().any(is_late), "the first is an early one");
                let number = batches.iter().filter(|batch| is_late(&batch[0])).count();
                prop_assert_eq!(number, lens[late[0]].div_ceil(size.get()));
            }
        }
    }
}

#[test]
fn late_batches_come_as_often_as_their_probability_says() {
    // 200 batches of the others and 50 late ones of one row each: no probability is cut, as the
    // last is 1.5 · 50 / 200 = 0.375, and with 37.7 expected the 50 hardly ever run out.
    let mixture = Mixture::gream(vec![200, 50], vec![1], 1.5).unwrap();
    let mut follows = vec![0u32; 200];
    let runs = 400;
    for seed in 0..runs {
        let mut batches = mixture.batches(NonZeroUsize::MIN, seed, Shard::WHOLE).unwrap();
        let order: Vec<usize> = (0..250).map(|_| batches.next_batch()[0].source).collect();
        let mut early = 0;
        for pair in order.windows(2) {
            early += usize::from(pair[0] == 0);
            if pair == [0, 1] && early < 200 {
                follows[early - 1] += 1;
            }
        }
    }
    // Twenties of places: 8,000 draws each at a mean of 1.5 · (i / 200) · (50 / 200), a deviation
    // of at most √(8000 · 0.36 · 0.64) = 43: six of them to each side, 1 in 10^8 for all nine.
    for (part, counts) in follows.chunks(20).take(9).enumerate() {
        let found: u32 = counts.iter().sum();
        let places = (20 * part + 1)..=(20 * part + 20);
        let expected: f64 =
            places.map(|i| runs as f64 * 1.5 * (i as f64 / 200.0) * (50.0 / 200.0)).sum();
        assert!((f64::from(found) - expected).abs() < 258.0, "{part}: {found}, {expected}");
    }
}

#[test]
fn a_weighted_epoch_is_mixed_through_and_through() {
    let mixture = Mixture::weighted(vec![7000, 900], &[3.0, 1.0], 4000).unwrap();
    let hundred = NonZeroUsize::new(100).unwrap();
    let mut batches = mixture.batches(hundred, 9, Shard::WHOLE).unwrap();
    for epoch in epochs(&mut batches, 2) {
        let of_second = |rows: &[MixtureRow]| rows.iter().filter(|row| row.source == 1).count();
        assert_eq!(of_second(&epoch.concat()), 1000);
        // A quarter of each hundred with a deviation below √(100 · 3/16) = 4.4: 22 is five of
        // them, 1 in 10^4 for both epochs' eighty batches.
        assert!(epoch.iter().all(|batch| of_second(batch).abs_diff(25) <= 22));
        // A batch that were of one kind, or an epoch of two blocks, would be far outside.
    }
}

#[test]
fn general_rows_come_in_their_ratio() {
    let mixture = Mixture::with_extra(vec![30, 10], 1000, 0.25).unwrap();
    let ten = NonZeroUsize::new(10).unwrap();
    let mut batches = mixture.batches(ten, 1, Shard::WHOLE).unwrap();
    let mut seen = Vec::new();
    for epoch in epochs(&mut batches, 3) {
        let rows = epoch.concat();
        let extra: Vec<MixtureRow> = rows.iter().copied().filter(|row| row.source == 2).collect();
        assert_eq!((rows.len(), extra.len()), (50, 10));
        seen.extend(extra);
    }
    assert_eq!(counts(seen).len(), 30, "an epoch goes on where the one before it stopped");
}

#[test]
fn orders_of_epochs_seeds_and_sources_differ() {
    let mixture = Mixture::uniform(vec![50, 50]).unwrap();
    let order = |seed| -> Vec<Vec<MixtureRow>> {
        let mut batches = mixture.batches(NonZeroUsize::MAX, seed, Shard::WHOLE).unwrap();
        epochs(&mut batches, 2).into_iter().map(|epoch| epoch.concat()).collect()
    };
    let (one, two) = (order(1), order(2));
    assert_eq!(one, order(1));
    assert!(one[0] != one[1] && one[0] != two[0]);
    let walk = Mixture::weighted(vec![50, 50], &[1.0, 1.0], 100).unwrap();
    let mut batches = walk.batches(NonZeroUsize::MAX, 1, Shard::WHOLE).unwrap();
    let rows = batches.next_batch();
    let of = |source| rows.iter().filter(move |row| row.source == source).map(|row| row.index);
    assert!(!of(0).eq(of(1)));
}

#[test]
fn a_larger_amount_holds_the_rows_of_a_smaller_one() {
    let rows = |count| -> BTreeSet<usize> {
        let mixture = Mixture::weighted(vec![100], &[1.0], count).unwrap();
        let mut batches = mixture.batches(NonZeroUsize::MAX, 3, Shard::WHOLE).unwrap();
        batches.next_batch().iter().map(|row| row.index).collect()
    };
    for (small, large) in [(5, 10), (10, 40), (40, 100)] {
        assert_eq!((rows(small).len(), rows(large).len()), (small, large));
        assert!(rows(small).is_subset(&rows(large)), "{small} of {large}");
    }
}

#[test]
fn impossible_shards_and_cursors_are_errors() {
    let mixture = Mixture::uniform(vec![10]).unwrap();
    let four = NonZeroUsize::new(4).unwrap();
    for shard in [Shard { index: 2, count: 2 }, Shard { index: 0, count: 0 }] {
        let refused = mixture.batches(four, 1, shard).map(|_| ());
        assert!(matches!(refused, Err(MixError::Shard { .. })));
    }
    for (position, there) in [(0, true), (4, true), (10, true), (5, false), (12, false)] {
        let cursor = Cursor { epoch: 3, position };
        let resumed = mixture.resume(four, 1, Shard::WHOLE, cursor).map(|_| ());
        assert_eq!(resumed.is_ok(), there, "{position}: {resumed:?}");
    }
}

#[test]
fn a_mixture_that_ends_has_no_more_batches() {
    let stage = CurriculumStage { epochs: Some(2), amounts: vec![Amount::All], insertion: None };
    let mixture = Mixture::staged(vec![3], vec![stage]).unwrap();
    let two = NonZeroUsize::new(2).unwrap();
    let mut batches = mixture.batches(two, 1, Shard::WHOLE).unwrap();
    let sizes: Vec<usize> = (0..6).map(|_| batches.next_batch().len()).collect();
    assert_eq!(sizes, [2, 1, 2, 1, 0, 0]);
    assert!(batches.is_over());
    let mut resumed = mixture.resume(two, 1, Shard::WHOLE, batches.cursor()).unwrap();
    assert!(resumed.is_over() && resumed.next_batch().is_empty());
}
