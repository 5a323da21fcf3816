//! A table in the layout of `RecIF-Bench`: three domains, behaviours, and several targets a user.
//!
//! Everything is by rule. Item `i` of a domain is of kind `i % 4`, and user `u` has the taste `u % 4`. Three events
//! of four are of the user's taste; within a kind the user goes from item to item. A video of the user's taste is
//! viewed to its end (`longview`), and liked unless its number is divisible by 3 (`like`); every fourth event is
//! commented if it is liked (`comment`). A portrait names the user's taste, and the queries of a user ask for the
//! taste and for another kind, each with videos of that kind. So a model can learn what comes next, what is liked,
//! and what a query asks for.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, Int64Array, StringArray};

use super::parquet_of;

const USERS: i64 = 80;
/// Items of a domain.
const ITEMS: i64 = 24;
const KINDS: i64 = 4;
const DOMAINS: [(&str, i64); 3] = [("video", 1000), ("ad", 2000), ("goods", 3000)];
const WORDS: [&str; 4] = ["cooking", "climbing", "knitting", "chess"];
const FORMS: [&str; 6] = ["lesson", "contest", "story", "review", "portrait", "trick"];

/// The event of this number of a user: the item within its domain, and its behaviours long view, like, comment.
fn event(user: i64, domain: i64, number: i64) -> (i64, [i64; 3]) {
    let taste = user % KINDS;
    let other = (user * 5 + number * 3 + domain) % 4 == 0;
    let kind = (taste + i64::from(other) * (1 + number % 3)) % KINDS;
    let item = (kind + KINDS * (user / KINDS + number + domain)) % ITEMS;
    let (viewed, liked) = (kind == taste, kind == taste && item % 3 != 0);
    (item, [viewed, liked, liked && number % 4 == 0].map(i64::from))
}

/// The table. A user has 8 to 12 events of a domain before the targets, and 3 to 5 targets; every fifth user is
/// tested.
pub(crate) fn table() -> anyhow::Result<Vec<u8>> {
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("uid".to_owned(), Arc::new(Int64Array::from_iter_values((0..USERS).map(|u| 5000 + u)))),
        ("split".to_owned(), Arc::new(Int64Array::from_iter_values((0..USERS).map(tested)))),
    ];
    for (number, (domain, first)) in (0..).zip(DOMAINS) {
        for part in ["hist", "target"] {
            let lists = || ListBuilder::new(Int64Builder::new());
            let (mut pids, mut labels) = (lists(), [lists(), lists(), lists()]);
            for user in 0..USERS {
                let (before, after) = (8 + user % 5, 3 + user % 3);
                let range = if part == "hist" { 0..before } else { before..before + after };
                let events: Vec<(i64, [i64; 3])> =
                    range.map(|at| event(user, number, at)).collect();
                pids.append_value(events.iter().map(|(item, _)| Some(first + item)));
                for (place, list) in labels.iter_mut().enumerate() {
                    list.append_value(events.iter().map(|(_, labels)| Some(labels[place])));
                }
            }
            columns.push((format!("{part}_{domain}_pid"), Arc::new(pids.finish())));
            // Ads and goods are clicks without further behaviours.
            if domain == "video" {
                for (name, mut list) in ["longview", "like", "comment"].into_iter().zip(labels) {
                    columns.push((format!("{part}_{domain}_{name}"), Arc::new(list.finish())));
                }
            }
        }
    }
    let portraits = (0..USERS).map(portrait).collect::<anyhow::Result<Vec<_>>>()?;
    let queries = (0..USERS).map(queries).collect::<anyhow::Result<Vec<_>>>()?;
    for (name, texts) in
        [("inter_user_profile_with_sid", portraits), ("inter_keyword_to_items", queries)]
    {
        columns.push((name.to_owned(), Arc::new(StringArray::from(texts))));
    }
    parquet_of(columns.iter().map(|(name, values)| (name.as_str(), values.clone())).collect())
}

/// 1 for a user of the test, else 0.
fn tested(user: i64) -> i64 {
    i64::from(user % 5 == 4)
}

/// Who a user is, in words.
fn portrait(user: i64) -> anyhow::Result<String> {
    Ok(format!("watches {} videos", WORDS[usize::try_from(user % KINDS)?]))
}

/// What a user asked for: a JSON object of two words, each with three videos of its kind.
fn queries(user: i64) -> anyhow::Result<String> {
    let (_, first) = DOMAINS[0];
    let query = |kind: i64| -> anyhow::Result<String> {
        let forms = ITEMS / KINDS;
        let ids = (0..3).map(|at| first + kind + KINDS * ((user / KINDS + at) % forms));
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        Ok(format!("\"{}\": [{}]", WORDS[usize::try_from(kind)?], ids.join(", ")))
    };
    let (taste, other) = (user % KINDS, (user + 1 + user / KINDS % 3) % KINDS);
    Ok(format!("{{{}, {}}}", query(taste)?, query(other)?))
}

/// What the items of all domains are called, as `RecBole` writes items.
pub(crate) fn items() -> anyhow::Result<Vec<u8>> {
    let mut text = String::from("item_id:token\ttitle:token_seq\tcategories:token_seq\n");
    for (domain, first) in DOMAINS {
        for item in 0..ITEMS {
            let word = WORDS[usize::try_from(item % KINDS)?];
            let form = FORMS[usize::try_from(item / KINDS)?];
            writeln!(text, "{}\t{word} {form} {domain}\t{domain} {word}", first + item)?;
        }
    }
    Ok(text.into_bytes())
}
