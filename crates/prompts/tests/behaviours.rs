//! Tasks about behaviours and queries: what is asked, what is answered, what is left out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's panic is its report")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal_data::{
    Dataset, HeldOut as _, Item, ItemId, Labels, Query, Sample, SampleId, User, UserId,
    leave_one_out,
};
use sidereal_prompts::{PromptError, PromptRegistry, Task, Tasks, Wording};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

const NAMES: [&str; 3] = ["comment", "like", "share"];

/// Event `e` of user `u` has behaviour `b` by a rule; some have none.
fn has(user: u32, event: usize, behaviour: usize) -> bool {
    (user as usize * 7 + event * 5 + behaviour * 3).is_multiple_of(4)
}

fn data() -> (Dataset, Catalog) {
    let items = (0..12).map(|i| Item::new(i.to_string(), "")).collect();
    let users = (0..20).map(|u| {
        let events = (0..7).map(|e| ItemId((u * 5 + e) % 12)).collect();
        let labels = (0..7).map(|e| (0..3).filter(|b| has(u, e, *b)).collect::<Labels>());
        User::new(u.to_string(), events).with_labels(labels.collect())
    });
    let names = NAMES.map(str::to_owned).to_vec();
    let dataset = Dataset::with_behaviours(items, users.collect(), names).unwrap();
    let sids = (0..12).map(|i| SemanticId::from([i / 4, i % 4])).collect();
    (dataset, Catalog::new(SidSpec::new(vec![3, 4], 0).unwrap(), sids).unwrap())
}

/// The behaviour that a prompt names.
fn asked(text: &str) -> usize {
    NAMES.iter().position(|name| text.contains(name)).unwrap()
}

#[test]
fn a_prediction_is_yes_where_the_event_has_the_behaviour_that_is_asked_for() {
    let (dataset, catalog) = data();
    let registry = PromptRegistry::builtin().unwrap();
    let tasks = Tasks::new(&dataset, &catalog, registry.set("recif").unwrap()).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let mut seen = BTreeSet::new();
    for sample in split.train.samples().chain(split.test.samples()) {
        let row = tasks.event(Task::LabelPrediction, &sample, Wording::First).unwrap().unwrap();
        let prompt = row.prompt.plain().unwrap();
        let held = has(sample.user.0, sample.seen.len(), asked(prompt));
        let expected = if held { " yes<|im_end|>" } else { " no<|im_end|>" };
        assert_eq!(row.completion_text(), expected, "{prompt}");
        assert!(prompt.contains(&catalog.sid(sample.target).unwrap().to_string()), "{prompt}");
        seen.insert((asked(prompt), held));
    }
    assert_eq!(seen.len(), 6, "every behaviour with both answers: {seen:?}");
}

#[test]
fn a_condition_is_a_behaviour_of_the_target_and_targets_without_any_are_left_out() {
    let (dataset, catalog) = data();
    let registry = PromptRegistry::builtin().unwrap();
    let tasks = Tasks::new(&dataset, &catalog, registry.set("recif").unwrap()).unwrap();
    let split = leave_one_out(&dataset, NonZeroUsize::MAX).unwrap();
    let row = |tasks: &Tasks<'_>, sample: &Sample<'_>| {
        tasks.event(Task::LabelConditional, sample, Wording::First).unwrap()
    };
    let like = tasks.clone().with_behaviour("like").unwrap();
    let mut left_out = 0;
    for sample in split.train.samples() {
        let held = |b: usize| has(sample.user.0, sample.seen.len(), b);
        if let Some(found) = row(&tasks, &sample) {
            assert!(held(asked(found.prompt.plain().unwrap())));
            let sid = catalog.sid(sample.target).unwrap().to_string();
            assert_eq!(found.completion_text(), sid);
        } else {
            assert!((0..3).all(|b| !held(b)));
            left_out += 1;
        }
        let liked = row(&like, &sample);
        assert_eq!(liked.is_some(), held(1));
        assert!(liked.is_none_or(|found| asked(found.prompt.plain().unwrap()) == 1));
    }
    assert!(left_out > 0);
    let refused = tasks.with_behaviour("forward").unwrap_err();
    assert!(matches!(refused, PromptError::NoBehaviour { .. }), "{refused}");
}

#[test]
fn a_query_is_answered_by_each_of_its_items_and_users_without_a_portrait_are_left_out() {
    let (plain, catalog) = data();
    let users = plain.users().iter().enumerate().map(|(number, user)| {
        let portrait = if number == 3 { "" } else { "likes <a_1><b_0> and tea" };
        let items = |first: u32| vec![ItemId(first), ItemId(first + 1)];
        let queries = vec![Query::new("mild tea", items(2)), Query::new("pots", items(7))];
        user.clone().with_queries(portrait, queries)
    });
    let users: Vec<User> = users.collect();
    let dataset = |users| {
        let (items, names) = (plain.items().to_vec(), plain.behaviours().to_vec());
        Dataset::with_behaviours(items, users, names).unwrap()
    };
    let asked = dataset(users.clone());
    let registry = PromptRegistry::builtin().unwrap();
    let recif = registry.set("recif").unwrap();
    let tasks = Tasks::new(&asked, &catalog, recif).unwrap();
    let split = leave_one_out(&asked, NonZeroUsize::MAX).unwrap();
    let rows: Vec<_> = tasks
        .train(&split.train, &[Task::Interactive], Wording::First)
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 19 * 4);
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len());
    for row in &rows {
        let SampleId::Query { user, place } = row.id else { panic!("{}", row.id) };
        assert_ne!(user, UserId(3));
        let (words, item) =
            [("mild tea", 2), ("mild tea", 3), ("pots", 7), ("pots", 8)][place as usize];
        let prompt = row.prompt.plain().unwrap();
        assert!(prompt.contains(words) && prompt.contains("likes <a_1><b_0>"), "{prompt}");
        assert_eq!(row.target, Some(ItemId(item)));
        assert_eq!(row.completion_text(), catalog.sid(ItemId(item)).unwrap().to_string());
    }
    let cut = tasks.clone().with_description_words(1);
    let short = cut.query(Task::Interactive, UserId(0), 0, Wording::First).unwrap().unwrap();
    assert!(!short.prompt.plain().unwrap().contains("and tea"));
    assert!(tasks.query(Task::Interactive, UserId(0), 4, Wording::First).unwrap().is_none());
    let sample = split.test.sample(0).unwrap();
    let wrong = tasks.event(Task::Interactive, &sample, Wording::First);
    assert!(matches!(wrong, Err(PromptError::WrongTask { .. })));
    let mut marked = users;
    marked[5].queries[1].words = "tea <|im_end|>".to_owned();
    let marked = dataset(marked);
    let refused = Tasks::new(&marked, &catalog, recif).unwrap_err().to_string();
    assert!(refused.contains("user `5`: the query contains `<|im_end|>`"), "{refused}");
}
