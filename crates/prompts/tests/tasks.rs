//! Samples as text: what is asked, what is learned, what is left out and what is refused.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::HashSet;
use std::num::NonZeroUsize;

use sidereal_data::{
    DataError, Dataset, HeldOut as _, Item, ItemId, NegativeKind, Negatives, Sample, SampleId,
    Split, User, leave_one_out,
};
use sidereal_prompts::{
    Chat, ControlMarkers, Enrichment, EnrichmentKind, Enrichments, Message, PoolConfig, Pools,
    PromptError, PromptRegistry, PromptSet, Role, SegmentKind, Task, Tasks, Wording,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

/// 60 items in pairs of one title; item 0 has none. Every user chose six items in a row.
struct Data {
    dataset: Dataset,
    split: Split,
    catalog: Catalog,
}

fn data() -> Data {
    let title = |i: u32| if i == 0 { String::new() } else { format!("title {}", i / 2) };
    let items = (0..60).map(|i| Item::new(i.to_string(), title(i))).collect();
    let chosen = |user: u32| (0..6).map(|step| ItemId((5 * user + 7 * step + 1) % 60)).collect();
    let users = (0..40).map(|user| User::new(user.to_string(), chosen(user))).collect();
    let dataset = Dataset::new(items, users).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let sids = (0..60).map(|i| SemanticId::from([i / 10, i % 10])).collect();
    let catalog = Catalog::new(SidSpec::new(vec![6, 10], 0).unwrap(), sids).unwrap();
    Data { dataset, split, catalog }
}

/// The same items, and users who come back to an item after five choices: nine events each, of which
/// `held_out` says the last two.
fn returning(held_out: impl Fn(u32) -> [u32; 2]) -> Data {
    let base = data();
    let chosen = |user: u32| {
        let events = (0..7).map(|step| (5 * user + 7 * (step % 5) + 1) % 60);
        events.chain(held_out(user)).map(ItemId).collect()
    };
    let users = (0..40).map(|user| User::new(user.to_string(), chosen(user))).collect();
    let dataset = Dataset::new(base.dataset.items().to_vec(), users).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    Data { dataset, split, ..base }
}

fn set(name: &str) -> PromptSet {
    PromptRegistry::builtin().unwrap().set(name).unwrap().clone()
}

fn pools(data: &Data, config: PoolConfig) -> Result<Pools<'_>, PromptError> {
    let negatives = Negatives::new(NegativeKind::Random, &data.split.train, &data.catalog)?;
    Pools::new(config, negatives, &data.split.train)
}

#[test]
fn a_pool_holds_the_target_once_and_no_item_with_its_title_or_id() {
    let data = data();
    let (sage, sdpo) = (set("sage"), set("sdpo"));
    let pools = pools(&data, PoolConfig::new(3)).unwrap();
    let title = |item: &ItemId| data.dataset.item(*item).unwrap().title.as_str();
    let mut places = HashSet::new();
    for (set, task) in
        [(&sage, Task::TitleSlate), (&sage, Task::SidSlate), (&sdpo, Task::TitleChoice)]
    {
        let tasks = Tasks::new(&data.dataset, &data.catalog, set).unwrap().with_pools(&pools);
        for sample in data.split.test.samples() {
            let Some(row) = tasks.event(task, &sample, Wording::First).unwrap() else {
                let untitled = sample.history.contains(&ItemId(0)) || sample.target == ItemId(0);
                assert!(untitled && task != Task::SidSlate);
                continue;
            };
            assert_eq!(row.candidates.len(), 20);
            let distinct: HashSet<_> = row.candidates.iter().collect();
            assert_eq!(distinct.len(), 20);
            assert!(sample.seen.iter().all(|item| !distinct.contains(item)));
            places.insert(row.candidates.iter().position(|item| *item == sample.target).unwrap());
            if task != Task::SidSlate {
                let titles: HashSet<_> = row.candidates.iter().map(title).collect();
                assert_eq!(titles.len(), 20);
            }
            let lines: Vec<String> = row.completion_text().lines().map(ToOwned::to_owned).collect();
            assert_eq!(lines.len(), if task == Task::TitleChoice { 1 } else { 10 });
            let first = match task {
                Task::SidSlate => data.catalog.sid(sample.target).unwrap().to_string(),
                _ => title(&sample.target).to_owned(),
            };
            assert_eq!(lines[0], first);
            let again = tasks.event(task, &sample, Wording::First).unwrap().unwrap();
            assert_eq!(again, row);
        }
    }
    assert!(places.len() > 10, "the target has no place of its own: {places:?}");
}

/// SAGE's labels, §3.2, by brute force over the events of the users.
#[test]
fn a_slate_to_learn_is_what_the_user_chose_next_in_training_and_then_popular_items() {
    let data = returning(|user| [user, user + 1]);
    let sage = set("sage");
    let pools = pools(&data, PoolConfig { slate_size: 4, ..PoolConfig::new(3) }).unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &sage).unwrap().with_pools(&pools);
    let title = |item: ItemId| data.dataset.item(item).unwrap().title.clone();
    let mut lens = HashSet::new();
    for (task, in_titles) in [(Task::SidSlate, false), (Task::TitleSlate, true)] {
        for sample in data.split.train.samples() {
            let Some(row) = tasks.event(task, &sample, Wording::First).unwrap() else { continue };
            let events = &data.dataset.user(sample.user).unwrap().events;
            let mut expected = vec![sample.target];
            for item in &events[sample.seen.len() + 1..events.len() - 2] {
                let known = sample.seen.contains(item) || expected.contains(item);
                let double = expected.iter().any(|other| title(*other) == title(*item));
                let unnamed = in_titles && (double || title(*item).is_empty());
                if !known && !unnamed && expected.len() < 4 {
                    expected.push(*item);
                }
            }
            lens.insert(expected.len());
            let name = |item: &ItemId| {
                if in_titles { title(*item) } else { data.catalog.sid(*item).unwrap().to_string() }
            };
            let slate: Vec<_> = row.completion_text().lines().map(ToOwned::to_owned).collect();
            let expected: Vec<_> = expected.iter().map(name).collect();
            assert_eq!(slate.len(), 4);
            assert_eq!(slate[..expected.len()], expected[..], "{}", row.id);
            let distinct: HashSet<_> = row.candidates.iter().collect();
            assert_eq!((row.candidates.len(), distinct.len()), (20, 20));
            assert!(
                sample.seen.iter().all(|item| *item == sample.target || !distinct.contains(item))
            );
        }
    }
    assert_eq!(lens, HashSet::from([1, 2, 3, 4]));
}

/// The same for slates of the whole catalogue, by brute force over all items.
#[test]
fn a_slate_of_the_catalogue_is_what_the_user_chose_next_and_then_the_most_frequent_items() {
    let data = returning(|user| [user, user + 1]);
    let slates = set("slates");
    let pools = pools(&data, PoolConfig { slate_size: 4, ..PoolConfig::new(3) }).unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &slates).unwrap().with_pools(&pools);
    let sid = |item: ItemId| data.catalog.sid(item).unwrap();
    let count = |item: ItemId| {
        let events = data.split.train.sequences().flat_map(|sequence| sequence.events);
        events.filter(|event| **event == item).count()
    };
    let mut all: Vec<ItemId> = (0..60).map(ItemId).collect();
    all.sort_by_key(|item| std::cmp::Reverse(count(*item))); // stable
    for sample in data.split.train.samples().chain(data.split.test.samples()) {
        let row = tasks.event(Task::CatalogueSlate, &sample, Wording::First).unwrap().unwrap();
        assert!(row.candidates.is_empty());
        let mut expected = vec![sample.target];
        for item in data.split.train.after(&sample).iter().chain(&all) {
            let double = expected.iter().any(|other| sid(*other) == sid(*item));
            if expected.len() < 4 && !sample.seen.contains(item) && !double {
                expected.push(*item);
            }
        }
        let found: Vec<_> = row.completion_text().lines().map(ToOwned::to_owned).collect();
        let mut lines: Vec<String> = expected.iter().map(|item| sid(*item).to_string()).collect();
        lines.last_mut().unwrap().push_str("<|im_end|>");
        assert_eq!(found, lines, "{}", row.id);
        assert!(row.prompt.plain().unwrap().contains("best 4"));
    }
}

#[test]
fn no_pool_and_no_slate_depends_on_what_a_user_chose_after_it_was_held_out() {
    let config = PoolConfig::new(3);
    let (data, other) = (returning(|user| [user, user + 1]), returning(|user| [59 - user, 9]));
    let (pools_a, pools_b) = (pools(&data, config).unwrap(), pools(&other, config).unwrap());
    assert_eq!(data.split.train, other.split.train);
    for sample in data.split.train.samples() {
        let pool = pools_a.draw(&sample).unwrap();
        assert_eq!(pool, pools_b.draw(&sample).unwrap());
        assert_eq!(pools_a.slate(&sample, &pool), pools_b.slate(&sample, &pool));
    }
    // Held-out samples have no later choice: how many would have room makes no difference.
    let narrow = pools(&data, PoolConfig { slate_size: 1, ..config }).unwrap();
    for sample in data.split.valid.samples().chain(data.split.test.samples()) {
        assert!(data.split.train.after(&sample).is_empty());
        assert_eq!(pools_a.draw(&sample).unwrap(), narrow.draw(&sample).unwrap());
    }
}

#[test]
fn no_two_candidates_in_semantic_ids_share_one() {
    let mut data = data();
    let sids = (0..60).map(|i| SemanticId::from([i / 10, i % 5])).collect();
    data.catalog = Catalog::new(SidSpec::new(vec![6, 5], 0).unwrap(), sids).unwrap();
    let sage = set("sage");
    let pools = pools(&data, PoolConfig::new(3)).unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &sage).unwrap().with_pools(&pools);
    for sample in data.split.train.samples().chain(data.split.test.samples()) {
        let row = tasks.event(Task::SidSlate, &sample, Wording::First).unwrap().unwrap();
        let distinct: HashSet<_> =
            row.candidates.iter().map(|item| data.catalog.sid(*item).unwrap()).collect();
        assert_eq!((row.candidates.len(), distinct.len()), (20, 20));
    }
}

#[test]
fn only_a_share_of_the_pools_holds_the_target() {
    let data = data();
    let sage = set("sage");
    let pools = pools(&data, PoolConfig { target_share: 0.5, ..PoolConfig::new(3) }).unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &sage).unwrap().with_pools(&pools);
    let asked: Vec<_> = data
        .split
        .train
        .samples()
        .map(|sample| tasks.event(Task::SidSlate, &sample, Wording::First).unwrap().unwrap())
        .collect();
    for row in &asked {
        assert_eq!(row.candidates.len(), 20);
        assert_eq!(row.completion.is_empty(), !row.candidates.contains(&row.target.unwrap()));
    }
    let learned: Vec<_> = tasks
        .train(&data.split.train, &[Task::SidSlate], Wording::First)
        .map(Result::unwrap)
        .collect();
    assert_eq!(learned.len(), asked.iter().filter(|row| !row.completion.is_empty()).count());
    // 120 pools, half of them: a deviation of 5.5, eight to each side.
    assert!(asked.len() == 120 && (16..104).contains(&learned.len()), "{}", learned.len());
}

#[test]
fn impossible_pools_are_errors_that_name_the_field() {
    let data = data();
    let base = PoolConfig::new(1);
    for (config, name) in [
        (PoolConfig { size: 1, slate_size: 1, ..base }, "size"),
        (PoolConfig { slate_size: 0, ..base }, "slate_size"),
        (PoolConfig { slate_size: 21, ..base }, "slate_size"),
        (PoolConfig { target_share: f64::NAN, ..base }, "target_share"),
        (PoolConfig { target_share: 1.5, ..base }, "target_share"),
    ] {
        let refused = pools(&data, config);
        assert!(matches!(refused, Err(PromptError::Config { field, .. }) if field == name));
    }
    let sdpo = set("sdpo");
    let tasks = Tasks::new(&data.dataset, &data.catalog, &sdpo).unwrap();
    let sample = data.split.test.sample(0).unwrap();
    let without = tasks.event(Task::TitleChoice, &sample, Wording::First);
    assert!(matches!(without, Err(PromptError::NoPool { task: Task::TitleChoice })));
    // 29 pairs have a title: with the target's own, 29 candidates at most can be told apart.
    let pools = pools(&data, PoolConfig { size: 30, ..base }).unwrap();
    let drawn = tasks.with_pools(&pools).event(Task::TitleChoice, &sample, Wording::First);
    assert!(matches!(drawn, Err(PromptError::Data(DataError::TooFewItems { .. }))));
}

#[test]
fn a_sample_without_a_text_is_left_out_of_training_and_an_error_in_evaluation() {
    let data = data();
    let reasoner = set("sidreasoner");
    let tasks = Tasks::new(&data.dataset, &data.catalog, &reasoner).unwrap();
    let count = |task| tasks.train(&data.split.train, &[task], Wording::First).count();
    assert_eq!(count(Task::NextItem), data.split.train.num_samples());
    assert_eq!(count(Task::SidToTitle), 59);
    let untitled = |items: &[ItemId]| items.contains(&ItemId(0));
    let number_of = |keep: &dyn Fn(&Sample<'_>) -> bool| {
        data.split.train.samples().filter(|sample| keep(sample)).count()
    };
    let titled = |sample: &Sample<'_>| !untitled(sample.history);
    assert_eq!(count(Task::TitleHistoryToSid), number_of(&titled));
    let both = |sample: &Sample<'_>| titled(sample) && sample.target != ItemId(0);
    assert_eq!(count(Task::TitleHistoryToTitle), number_of(&both));
    assert_eq!(count(Task::Reasoning), 0);

    let held_out: Result<Vec<_>, _> =
        tasks.held_out(&data.split.test, Task::TitleHistoryToSid).collect();
    assert!(matches!(
        held_out,
        Err(PromptError::MissingText { task: Task::TitleHistoryToSid, .. })
    ));
    // A chain that nobody wrote down can be asked for all the same.
    let asked: Vec<_> =
        tasks.held_out(&data.split.test, Task::Reasoning).map(Result::unwrap).collect();
    assert_eq!(asked.len(), 40);
    assert!(asked.iter().all(|row| row.completion.is_empty() && row.target.is_some()));
}

#[test]
fn the_wording_changes_the_words_of_samples_and_neither_their_number_nor_their_order() {
    let data = data();
    let singer = set("singer");
    let tasks = Tasks::new(&data.dataset, &data.catalog, &singer).unwrap();
    let rows = |wording| -> Vec<_> {
        let tasks = tasks.train(&data.split.train, &[Task::NextItem, Task::TitleToSid], wording);
        tasks.map(Result::unwrap).collect()
    };
    let first = rows(Wording::First);
    let epochs = [0, 1].map(|epoch| rows(Wording::Varied { seed: 1, epoch }));
    for varied in &epochs {
        assert_eq!(varied.len(), first.len());
        for (a, b) in first.iter().zip(varied) {
            assert_eq!((a.id, a.task, &a.completion), (b.id, b.task, &b.completion));
            assert_eq!(a.prompt == b.prompt, b.paraphrase == 0);
        }
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_eq!(epochs[0], rows(Wording::Varied { seed: 1, epoch: 0 }));
    assert!(first.iter().all(|row| row.paraphrase == 0));
}

#[test]
fn chain_and_answer_are_separate_pieces() {
    let data = data();
    let gream = set("gream");
    let sample = data.split.train.sample(0).unwrap();
    let mut texts = Enrichments::default();
    texts
        .insert(
            Enrichment {
                id: sample.id,
                kind: EnrichmentKind::Reasoning,
                text: "one, two\nRewriting: <a_1><b_1>".to_owned(),
                teacher: "by hand".to_owned(),
                prompt_hash: String::new(),
                dataset: None,
            },
            false,
        )
        .unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &gream).unwrap();
    let tasks = tasks.with_enrichments(&texts).unwrap();
    let rows: Vec<_> = tasks
        .train(&data.split.train, &[Task::Reasoning], Wording::First)
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 1);
    let sid = data.catalog.sid(sample.target).unwrap().to_string();
    assert_eq!(
        rows[0].completion_text(),
        format!(
            "<think>\none, two\n</think>\nThe history, rewritten: <a_1><b_1>.\nAfter this analysis, the \
             recommended item is\n<answer>{sid}</answer>"
        )
    );
    let kinds: Vec<_> = rows[0].completion.iter().map(|segment| segment.kind).collect();
    let (frame, words) = (SegmentKind::Frame, SegmentKind::Words);
    assert_eq!(kinds, [frame, words, frame, words, frame, frame, SegmentKind::Sid, frame]);

    // A text in another form is an error, and no sample that is left out.
    let other = texts.iter().next().unwrap().clone();
    texts.insert(Enrichment { text: "one, two".to_owned(), ..other }, true).unwrap();
    let tasks = Tasks::new(&data.dataset, &data.catalog, &gream).unwrap();
    let refused = tasks.with_enrichments(&texts).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, PromptError::NoRewriting { id, .. } if *id == sample.id));
    assert!(refused.to_string().contains("begins with `Rewriting:`"), "{refused}");
}

#[test]
fn texts_of_other_data_or_another_catalogue_are_refused() {
    let data = data();
    let reasoner = set("sidreasoner");
    let with = |id: &str, text: &str| {
        let mut texts = Enrichments::default();
        let id: SampleId = id.parse().unwrap();
        let kind = match id {
            SampleId::Item(_) => EnrichmentKind::ItemParagraph,
            _ => EnrichmentKind::Preference,
        };
        let (text, teacher) = (text.to_owned(), "by hand".to_owned());
        let prompt_hash = String::new();
        let text = Enrichment { id, kind, text, teacher, prompt_hash, dataset: None };
        texts.insert(text, false).unwrap();
        let tasks = Tasks::new(&data.dataset, &data.catalog, &reasoner).unwrap();
        tasks.with_enrichments(&texts).map(|_| ())
    };
    assert!(with("i11", "<a_1><b_1> is one of ours").is_ok());
    assert!(with("u0.5", "tea").is_ok());
    let other = with("i11", "<a_1><b_2> is another's");
    assert!(matches!(other, Err(PromptError::ForeignSid { item: ItemId(11), .. })));
    assert!(matches!(with("i60", "<a_1>"), Err(PromptError::ForeignEnrichment { .. })));
    assert!(matches!(with("u0.6", "tea"), Err(PromptError::ForeignEnrichment { .. })));
}

#[test]
fn each_task_gets_the_facts_that_it_needs() {
    let data = data();
    let singer = set("singer");
    let tasks = Tasks::new(&data.dataset, &data.catalog, &singer).unwrap();
    let sample = data.split.train.sample(0).unwrap();
    for task in Task::ALL {
        let wrong = |result: Result<Option<_>, PromptError>| {
            matches!(result, Err(PromptError::WrongTask { .. }))
        };
        let about_an_item = task.is_about_an_item();
        assert_eq!(wrong(tasks.item(task, ItemId(1), Wording::First)), !about_an_item);
        let about_a_query = task.is_about_a_query();
        assert_eq!(wrong(tasks.query(task, sample.user, 0, Wording::First)), !about_a_query);
        let not_an_event = about_an_item || about_a_query || task == Task::Chat;
        assert_eq!(wrong(tasks.event(task, &sample, Wording::First)), not_an_event, "{task}");
    }
    let unknown = tasks.item(Task::TitleToSid, ItemId(60), Wording::First);
    assert!(matches!(unknown, Err(PromptError::ItemRange { item: ItemId(60), num_items: 60 })));
}

#[test]
fn control_tokens_in_shown_texts_are_refused() {
    let item = |title: &str, text: &str| Item::new("k", title).with_description(text);
    let catalog =
        Catalog::new(SidSpec::new(vec![2], 0).unwrap(), vec![SemanticId::from([0])]).unwrap();
    let check = |item: Item, set: &PromptSet| {
        let user = User::new("u", vec![ItemId(0); 3]);
        let dataset = Dataset::new(vec![item], vec![user]).unwrap();
        match Tasks::new(&dataset, &catalog, set).map(|_| ()) {
            Err(PromptError::ControlToken { field, .. }) => field,
            other => other.map(|()| "nothing").unwrap(),
        }
    };
    let (terse, singer) = (set("terse"), set("singer"));
    assert_eq!(check(item("see <a_1>", ""), &terse), "title");
    assert_eq!(check(item("x </think>", ""), &terse), "title");
    assert_eq!(check(item("x", "<|im_end|>"), &singer), "description");
    assert_eq!(check(item("x", "<|im_end|>"), &terse), "nothing"); // which shows no description
}

#[test]
fn control_tokens_in_titles_texts_and_conversations_are_errors() {
    let data = data();
    let reasoner = set("sidreasoner");
    let markers = ControlMarkers::new(["<s>", "</s>", "[INST]"]);
    let tasks = |title: &str| {
        let mut items = data.dataset.items().to_vec();
        items[3].title = title.to_owned();
        Dataset::new(items, data.dataset.users().to_vec()).unwrap()
    };
    for (title, token) in [("Cap </s> lock", "</s>"), ("[INST] mug", "[INST]")] {
        let dataset = tasks(title);
        let plain = Tasks::new(&dataset, &data.catalog, &reasoner).unwrap();
        let refused = plain.with_markers(&markers).unwrap_err().to_string();
        let named = format!("item `3`: its title contains `{token}`");
        assert!(refused.contains(&named), "{refused}");
    }
    // A teacher's text, whichever is set first.
    let text = Enrichment {
        id: "u0.5".parse().unwrap(),
        kind: EnrichmentKind::Preference,
        text: "tea </s> and mugs".to_owned(),
        teacher: "by hand".to_owned(),
        prompt_hash: String::new(),
        dataset: None,
    };
    let mut texts = Enrichments::default();
    texts.insert(text, false).unwrap();
    let plain = || Tasks::new(&data.dataset, &data.catalog, &reasoner).unwrap();
    let refused = [
        plain().with_markers(&markers).unwrap().with_enrichments(&texts).map(|_| ()),
        plain().with_enrichments(&texts).unwrap().with_markers(&markers).map(|_| ()),
    ];
    for refused in refused {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the preference text `u0.5` contains `</s>`"), "{refused}");
    }
    let turns = vec![
        Message::new(Role::User, "what is <s> in HTML?"),
        Message::new(Role::Assistant, "<think>easy</think>struck out"),
    ];
    let chat = Chat::new(turns).unwrap();
    let tags = ControlMarkers::new(["<think>", "</think>"]);
    chat.check_markers(8, &tags).unwrap();
    let refused = chat.check_markers(8, &markers).unwrap_err().to_string();
    assert!(refused.contains("the conversation `c8` contains `<s>`"), "{refused}");
}
