//! Samples of a mixture that are longer than a row may be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use sidereal_data::{Dataset, Item, ItemId, Split, User, leave_one_out};
use sidereal_policy::{SidTokenizer, Target};
use sidereal_prompts::{PromptRegistry, Task, Tasks};
use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};
use sidereal_train::{
    Encoder, Lessons as _, MixedData, MixedTasks, MixtureConfig, MixtureOrder, Sequence, SftConfig,
};

struct Data {
    dataset: Dataset,
    split: Split,
    catalog: Catalog,
    tokenizer: SidTokenizer,
}

/// Users who chose thirty items each.
fn data() -> Data {
    let items = (0..60).map(|i| Item::new(i.to_string(), format!("title {i}"))).collect();
    let chosen = |user: u32| (0..30).map(|step| ItemId((5 * user + 7 * step + 1) % 60)).collect();
    let users = (0..6).map(|user| User::new(user.to_string(), chosen(user))).collect();
    let dataset = Dataset::new(items, users).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let sids = (0..60).map(|i| SemanticId::from([i / 10, i % 10])).collect();
    let spec = SidSpec::new(vec![6, 10], 0).unwrap();
    let catalog = Catalog::new(spec.clone(), sids).unwrap();
    let tokenizer =
        SidTokenizer::train(["a title and what comes next"].iter(), 260, &spec).unwrap();
    Data { dataset, split, catalog, tokenizer }
}

/// The rows of an epoch of next items, worded as instructions.
fn rows(data: &Data, max_tokens: usize) -> Vec<Sequence> {
    let prompts = PromptRegistry::builtin().unwrap().set("singer").unwrap().clone();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &prompts).unwrap();
    let trie = Trie::from_catalog(&data.catalog);
    let encoder = Encoder::new(&data.tokenizer, &data.catalog, &prompts, &trie).unwrap();
    let config = MixtureConfig {
        tasks: vec![Task::NextItem],
        order: MixtureOrder::Uniform,
        chat: 0.0,
        max_tokens,
    };
    let mixed =
        MixedData { train: &data.split.train, tasks: &tasks, encoder: &encoder, chats: &[] };
    let sft = SftConfig { epochs: 1, batch_size: 7, ..SftConfig::default() };
    let lessons = MixedTasks::new(&config, &sft, mixed, 3).unwrap();
    let epoch = lessons.epoch(0).unwrap();
    (0..epoch.len).flat_map(|number| (epoch.batch)(number).unwrap()).collect()
}

#[test]
fn samples_that_are_too_long_lose_their_earliest_items_and_keep_their_answers() {
    let data = data();
    let whole = rows(&data, 10_000);
    let lens = || whole.iter().map(|row| row.ids.len());
    let (shortest, longest) = (lens().min().unwrap(), lens().max().unwrap());
    let limit = usize::midpoint(shortest, longest);
    let cut = rows(&data, limit);
    assert_eq!(cut.len(), whole.len());
    let mut shortened = 0;
    for row in &cut {
        let same = whole.iter().find(|other| other.samples == row.samples).unwrap();
        assert!(row.ids.len() <= limit);
        // The answer and what stands before it, the latest items among it, are as they were.
        let of = |row: &Sequence| -> Vec<Target> { row.targets.iter().map(|t| t.1).collect() };
        assert_eq!(of(row), of(same), "{:?}", row.samples);
        let end = row.ids.len() - row.targets[0].0 + 6;
        assert!(row.ids.ends_with(&same.ids[same.ids.len() - end..]), "{:?}", row.samples);
        shortened += usize::from(row.ids.len() < same.ids.len());
    }
    assert!(shortened > 0, "{shortest} {limit} {longest}");
    // What fits is left as it is.
    let short = |rows: &[Sequence]| rows.iter().filter(|row| row.ids.len() == shortest).count();
    assert_eq!(short(&cut), short(&whole));
}

#[test]
fn a_row_without_room_for_its_answer_learns_nothing_more_than_fits() {
    let data = data();
    let rows = rows(&data, 16);
    assert!(rows.iter().all(|row| row.ids.len() <= 16));
    assert!(rows.iter().flat_map(|row| &row.targets).all(|(at, _)| *at < 16));
}
