//! Laws of prompts and of order.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's panic is its report")]

use std::num::NonZeroUsize;

use proptest::prelude::*;
use sidereal_data::{Dataset, SampleId, leave_one_out, strategies};
use sidereal_prompts::{Cursor, PromptRegistry, Rendered, Shuffle, Task, Tasks, Wording};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

/// Unique Semantic IDs of two or three codes.
fn catalog(dataset: &Dataset) -> Catalog {
    let sids = (0..u16::try_from(dataset.num_items()).unwrap())
        .map(|i| match i % 3 {
            0 => SemanticId::from([i / 40, i % 40, 7]),
            _ => SemanticId::from([i / 40, i % 40]),
        })
        .collect();
    Catalog::new(SidSpec::new(vec![40, 40], 8).unwrap(), sids).unwrap()
}

proptest! {
    #[test]
    fn a_completed_prompt_begins_the_next_one(dataset in strategies::dataset(30, 4)) {
        let catalog = catalog(&dataset);
        let prompts = PromptRegistry::builtin().unwrap();
        let tasks = Tasks::new(&dataset, &catalog, prompts.set("terse").unwrap()).unwrap();
        let Ok(split) = leave_one_out(&dataset, NonZeroUsize::MAX) else { return Ok(()) };
        let rows = tasks.train(&split.train, &[Task::NextItem], Wording::First);
        let rows: Vec<_> = rows.map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), split.train.num_samples());
        for pair in rows.windows(2) {
            let (SampleId::Event { user: a, .. }, SampleId::Event { user: b, .. }) =
                (pair[0].id, pair[1].id) else { panic!("not events") };
            if a == b {
                let prompt = |row: &Rendered| row.prompt.plain().unwrap().to_owned();
                let completed = prompt(&pair[0]) + &pair[0].completion_text();
                prop_assert_eq!(completed, prompt(&pair[1]));
            }
        }
        for row in &rows {
            let sid = catalog.spec().parse(&row.completion_text()).unwrap();
            prop_assert_eq!(catalog.items(&sid), [row.target.unwrap()]);
        }
    }

    #[test]
    fn resume_equals_uninterrupted(
        len in 0usize..50, seed: u64, size in 1usize..9, before in 0usize..20, after in 1usize..9,
    ) {
        let size = NonZeroUsize::new(size).unwrap();
        let mut unbroken = Shuffle::new(len, seed);
        for _ in 0..before {
            unbroken.next_batch(size);
        }
        let json = serde_json::to_string(&unbroken.cursor()).unwrap();
        let cursor: Cursor = serde_json::from_str(&json).unwrap();
        let mut resumed = Shuffle::resume(len, seed, cursor);
        for _ in 0..after {
            prop_assert_eq!(resumed.next_batch(size), unbroken.next_batch(size));
            prop_assert_eq!(resumed.cursor(), unbroken.cursor());
        }
    }

    #[test]
    fn an_epoch_is_every_index_once(len in 1usize..60, seed: u64, size in 1usize..9) {
        let size = NonZeroUsize::new(size).unwrap();
        let mut shuffle = Shuffle::new(len, seed);
        for epoch in 0..3 {
            let mut seen = Vec::new();
            for _ in 0..shuffle.batches_per_epoch(size) {
                seen.extend_from_slice(shuffle.next_batch(size));
                prop_assert_eq!(shuffle.cursor().epoch, epoch);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..len).collect::<Vec<_>>());
        }
    }
}
