//! One dataset in every format. The tests of the samples include this file: both write the same.

#[path = "bench.rs"]
mod bench;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use parquet::arrow::ArrowWriter;
use serde::Serialize;
use sidereal_data::synthetic::{Shop, ShopConfig};
use sidereal_data::{Dataset, Item, ItemId, Timestamp, User, write};

const DEPARTMENTS: [&str; 4] = ["baking", "camping", "coffee", "gardening"];
const STYLES: [&str; 2] = ["minimalist", "rugged"];
const NUM_USERS: usize = 60;
/// Items of a window of `MiniOneRec`, and seconds of a day.
const WINDOW: usize = 10;
const DAY: i64 = 86_400;
/// 2012-01-01 in seconds.
const START: i64 = 1_325_376_000;

/// A part of the shop: 40 products of four departments and two styles, and the first 60 customers who
/// chose three of them or more. Keys are numbers, which every format can hold.
pub(crate) fn dataset() -> anyhow::Result<Dataset> {
    let shop = Shop::new(ShopConfig::new(20))?.generate()?;
    let is_sold = |item: &Item| {
        let [department, _, style] = &item.categories[..] else { return false };
        DEPARTMENTS.contains(&department.as_str()) && STYLES.contains(&style.as_str())
    };
    let sold = (0..).map(ItemId).zip(shop.items()).filter(|(_, item)| is_sold(item));
    let (mut items, mut ids) = (Vec::new(), BTreeMap::new());
    for ((old, item), new) in sold.zip((0..).map(ItemId)) {
        ids.insert(old, new);
        let (brand, rest) = item.title.split_once(' ').context("a title begins with a brand")?;
        let department = &item.categories[0];
        let described = Item::new((101 + new.0).to_string(), &item.title)
            .with_brand(brand)
            .with_categories(item.categories.clone())
            .with_description(format!("A {rest} of our {department} department, made by {brand}."));
        items.push(described);
    }
    let mut users = Vec::new();
    for user in shop.users() {
        let events: Vec<ItemId> =
            user.events.iter().filter_map(|id| ids.get(id)).copied().collect();
        if events.len() < 3 || users.len() == NUM_USERS {
            continue;
        }
        let number = i64::try_from(users.len())?;
        let time = |position: i64| START + (37 * number % 365 + 3 * position) * DAY + 977 * number;
        let times = (0..).take(events.len()).map(|at| Timestamp(1000 * time(at))).collect();
        users.push(User::new((1001 + number).to_string(), events).with_times(times));
    }
    Ok(Dataset::new(items, users)?)
}

/// Writes every sample, each format into a folder of its own.
pub(crate) fn write_all(out: &Path) -> anyhow::Result<()> {
    let data = dataset()?;
    for folder in
        ["recbole", "amazon-2014", "amazon-2018", "amazon-2023", "minionerec", "lcrec", "recif"]
    {
        let path = out.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    }
    fs::create_dir_all(out.join("tables"))?;
    let file = |name: &str, bytes: Vec<u8>| {
        write::write_whole(&out.join(name), |file| file.write_all(&bytes))
    };
    let recbole = out.join("recbole");
    write::recbole::write(&data, &recbole.join("shop.inter"), &recbole.join("shop.item"))?;
    file("amazon-2014/reviews.json", old_reviews(&data)?)?;
    file("amazon-2014/meta.json", metadata_2014(&data)?)?;
    file("amazon-2018/reviews.json", old_reviews(&data)?)?;
    file("amazon-2018/meta.json", metadata_2018(&data)?)?;
    file("amazon-2023/reviews.jsonl", new_reviews(&data)?)?;
    file("amazon-2023/meta.jsonl", metadata_2023(&data)?)?;
    file("minionerec/shop.item.json", item_json(&data, |list| format!("{list:?}"))?)?;
    file("minionerec/shop.index.json", index_json(&data)?)?;
    for (name, set) in [("train", Set::Train), ("valid", Set::Valid), ("test", Set::Test)] {
        file(&format!("minionerec/{name}.csv"), windows(&data, set)?)?;
    }
    file("lcrec/shop.inter.json", inter_json(&data)?)?;
    file("lcrec/shop.index.json", index_json(&data)?)?;
    file("lcrec/shop.item.json", item_json(&data, |list| list.join(""))?)?;
    file("recif/shop.parquet", recif(&data)?)?;
    file("recif/bench.parquet", bench::table()?)?;
    file("recif/bench.item", bench::items()?)?;
    file("tables/table.csv", table_csv(&data)?)?;
    file("tables/items.csv", items_csv(&data)?)?;
    file("tables/table.jsonl", table_jsonl(&data)?)?;
    file("tables/items.jsonl", items_jsonl(&data)?)?;
    file("tables/table.parquet", table_parquet(&data)?)?;
    file("tables/items.parquet", items_parquet(&data)?)?;
    Ok(())
}

/// Every event: user, item and, where there is one, time.
fn events(data: &Dataset) -> impl Iterator<Item = (&str, &Item, Option<Timestamp>)> {
    data.users().iter().flat_map(move |user| {
        let event = move |(at, id): (usize, &ItemId)| {
            Some((user.key.as_str(), data.item(*id)?, user.time(at)))
        };
        user.events.iter().enumerate().filter_map(event)
    })
}

/// One JSON object a line.
fn lines<T: Serialize>(rows: impl Iterator<Item = T>) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut out, &row)?;
        out.push(b'\n');
    }
    Ok(out)
}

/// An object with one entry a line, in the order of the rows.
fn object<T: Serialize>(rows: impl Iterator<Item = (String, T)>) -> anyhow::Result<Vec<u8>> {
    let entry = |(key, value): (String, T)| {
        Ok(format!("  {}: {}", serde_json::to_string(&key)?, serde_json::to_string(&value)?))
    };
    let entries: Vec<String> = rows.map(entry).collect::<anyhow::Result<_>>()?;
    Ok(format!("{{\n{}\n}}\n", entries.join(",\n")).into_bytes())
}

/// A CSV file of these rows, the header first.
fn csv_of<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> anyhow::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(header)?;
    for row in rows {
        table.write_record(row)?;
    }
    Ok(table.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

fn seconds(time: Option<Timestamp>) -> i64 {
    time.unwrap_or_default().seconds()
}

#[derive(Serialize)]
#[allow(non_snake_case, reason = "the names of the release's fields")]
struct OldReview<'a> {
    reviewerID: &'a str,
    asin: &'a str,
    overall: f64,
    unixReviewTime: i64,
}

fn old_reviews(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(events(data).map(|(user, item, time)| OldReview {
        reviewerID: user,
        asin: &item.key,
        overall: 5.0,
        unixReviewTime: seconds(time),
    }))
}

#[derive(Serialize)]
struct NewReview<'a> {
    rating: f64,
    parent_asin: &'a str,
    asin: &'a str,
    user_id: &'a str,
    timestamp: i64,
}

fn new_reviews(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(events(data).map(|(user_id, item, time)| NewReview {
        rating: 5.0,
        parent_asin: &item.key,
        asin: &item.key,
        user_id,
        timestamp: time.unwrap_or_default().0,
    }))
}

/// The items of 2014 are literals of Python and no JSON.
fn metadata_2014(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let mut out = String::new();
    for Item { key, title, categories, description, brand, .. } in data.items() {
        let texts = [title, description, brand].into_iter().chain(categories);
        anyhow::ensure!(!texts.into_iter().any(|text| text.contains(['\'', '\\'])), "no quotes");
        let line = format!(
            "{{'asin': '{key}', 'title': '{title}', 'description': '{description}', \
             'brand': '{brand}', 'categories': [['{}']]}}\n",
            categories.join("', '")
        );
        out.push_str(&line);
    }
    Ok(out.into_bytes())
}

#[derive(Serialize)]
struct Metadata2018<'a> {
    category: &'a [String],
    description: [&'a str; 1],
    title: &'a str,
    brand: &'a str,
    asin: &'a str,
}

fn metadata_2018(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(data.items().iter().map(|item| Metadata2018 {
        category: &item.categories,
        description: [&item.description],
        title: &item.title,
        brand: &item.brand,
        asin: &item.key,
    }))
}

#[derive(Serialize)]
struct Metadata2023<'a> {
    title: &'a str,
    description: [&'a str; 1],
    store: &'a str,
    categories: &'a [String],
    parent_asin: &'a str,
}

fn metadata_2023(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(data.items().iter().map(|item| Metadata2023 {
        title: &item.title,
        description: [&item.description],
        store: &item.brand,
        categories: &item.categories,
        parent_asin: &item.key,
    }))
}

#[derive(Serialize)]
struct ItemEntry<'a> {
    title: &'a str,
    description: String,
    brand: &'a str,
    categories: String,
}

/// `MiniOneRec` writes a description as a list that Python printed, LC-Rec as a text.
fn item_json(data: &Dataset, list: impl Fn(&[&str]) -> String) -> anyhow::Result<Vec<u8>> {
    object(data.items().iter().map(|item| {
        let entry = ItemEntry {
            title: &item.title,
            description: list(&[&item.description]),
            brand: &item.brand,
            categories: item.categories.join(","),
        };
        (item.key.clone(), entry)
    }))
}

/// Codes of an item: its department, its kind within the department, its style.
fn codes(data: &Dataset, item: &Item) -> [usize; 3] {
    let [department, kind, style] = &item.categories[..] else { return [0; 3] };
    let within = data.items().iter().filter(|other| other.categories.first() == Some(department));
    let mut kinds: Vec<_> = within.filter_map(|other| other.categories.get(1)).collect();
    kinds.sort();
    kinds.dedup();
    let place = |names: &[&str], name: &str| names.iter().position(|it| *it == name).unwrap_or(0);
    let kind = kinds.iter().position(|it| *it == kind).unwrap_or(0);
    [place(&DEPARTMENTS, department), kind, place(&STYLES, style)]
}

fn tokens(data: &Dataset, item: &Item) -> [String; 3] {
    let [a, b, c] = codes(data, item);
    [format!("<a_{a}>"), format!("<b_{b}>"), format!("<c_{c}>")]
}

fn index_json(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    object(data.items().iter().map(|item| (item.key.clone(), tokens(data, item))))
}

fn numbers(items: &[&Item]) -> anyhow::Result<Vec<i64>> {
    Ok(items.iter().map(|item| item.key.parse()).collect::<Result<_, _>>()?)
}

fn history<'a>(data: &'a Dataset, user: &User) -> Vec<&'a Item> {
    user.events.iter().filter_map(|id| data.item(*id)).collect()
}

fn inter_json(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let user = |user: &User| Ok((user.key.clone(), numbers(&history(data, user))?));
    let users: Vec<_> = data.users().iter().map(user).collect::<anyhow::Result<_>>()?;
    object(users.into_iter())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Train,
    Valid,
    Test,
}

/// Windows of a set and the item after each: the last is tested, the one before it validates.
fn windows(data: &Dataset, wanted: Set) -> anyhow::Result<Vec<u8>> {
    let header = [
        "user_id",
        "history_item_title",
        "item_title",
        "history_item_id",
        "item_id",
        "history_item_sid",
        "item_sid",
    ];
    let mut rows = Vec::new();
    for user in data.users() {
        let items = history(data, user);
        for at in 1..items.len() {
            let set = match items.len() - at {
                1 => Set::Test,
                2 => Set::Valid,
                _ => Set::Train,
            };
            if set != wanted {
                continue;
            }
            let (before, target) = (&items[at.saturating_sub(WINDOW)..at], items[at]);
            let printed = |texts: Vec<String>| format!("['{}']", texts.join("', '"));
            let sid = |item: &Item| tokens(data, item).concat();
            rows.push([
                user.key.clone(),
                printed(before.iter().map(|item| item.title.clone()).collect()),
                target.title.clone(),
                format!("{:?}", numbers(before)?),
                target.key.clone(),
                printed(before.iter().map(|item| sid(item)).collect()),
                sid(target),
            ]);
        }
    }
    csv_of(header, rows.into_iter())
}

/// A table in parquet of these columns.
fn parquet_of(columns: Vec<(&str, ArrayRef)>) -> anyhow::Result<Vec<u8>> {
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(out)
}

/// The last fifth of the users is tested on their last event; an item is liked or not.
fn recif(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let lists = || ListBuilder::new(Int64Builder::new());
    let (mut uids, mut splits) = (Vec::new(), Vec::new());
    let mut parts = [(lists(), lists()), (lists(), lists())];
    for (number, user) in data.users().iter().enumerate() {
        uids.push(user.key.parse::<i64>()?);
        splits.push(i64::from(number >= data.num_users() * 4 / 5));
        let items = numbers(&history(data, user))?;
        let (before, last) = items.split_at(items.len().saturating_sub(1));
        for ((pids, likes), events) in parts.iter_mut().zip([before, last]) {
            pids.append_value(events.iter().map(|item| Some(*item)));
            likes.append_value(events.iter().map(|item| Some(i64::from(item % 4 > 0))));
        }
    }
    let [(mut hist, mut hist_like), (mut target, mut target_like)] = parts;
    parquet_of(vec![
        ("uid", Arc::new(Int64Array::from(uids))),
        ("split", Arc::new(Int64Array::from(splits))),
        ("hist_video_pid", Arc::new(hist.finish())),
        ("hist_video_like", Arc::new(hist_like.finish())),
        ("target_video_pid", Arc::new(target.finish())),
        ("target_video_like", Arc::new(target_like.finish())),
    ])
}

/// Times as ISO 8601 writes them.
pub(crate) fn table_csv(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let row = |(user, item, time): (&str, &Item, Option<Timestamp>)| {
        [user.to_owned(), item.key.clone(), time.map(|it| it.to_string()).unwrap_or_default()]
    };
    csv_of(["user_id", "item_id", "timestamp"], events(data).map(row))
}

/// Categories as one text.
pub(crate) fn items_csv(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let row = |item: &Item| {
        let Item { key, title, categories, description, brand, .. } = item.clone();
        [key, title, brand, categories.join("|"), description]
    };
    let header = ["item_id", "title", "brand", "categories", "description"];
    csv_of(header, data.items().iter().map(row))
}

#[derive(Serialize)]
struct Event<'a> {
    user_id: &'a str,
    item_id: &'a str,
    timestamp: Option<i64>,
}

/// Times in milliseconds.
pub(crate) fn table_jsonl(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(events(data).map(|(user_id, item, time)| Event {
        user_id,
        item_id: &item.key,
        timestamp: time.map(|time| time.0),
    }))
}

#[derive(Serialize)]
struct ItemLine<'a> {
    item_id: &'a str,
    title: &'a str,
    brand: &'a str,
    categories: &'a [String],
    description: &'a str,
}

/// Categories as a list.
pub(crate) fn items_jsonl(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    lines(data.items().iter().map(|item| ItemLine {
        item_id: &item.key,
        title: &item.title,
        brand: &item.brand,
        categories: &item.categories,
        description: &item.description,
    }))
}

/// Times as parquet's own.
pub(crate) fn table_parquet(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let users: StringArray = events(data).map(|(user, ..)| Some(user)).collect();
    let items: StringArray = events(data).map(|(_, item, _)| Some(item.key.as_str())).collect();
    let times: TimestampMillisecondArray =
        events(data).map(|(.., time)| time.map(|it| it.0)).collect();
    parquet_of(vec![
        ("user_id", Arc::new(users)),
        ("item_id", Arc::new(items)),
        ("timestamp", Arc::new(times)),
    ])
}

/// Categories as a list.
pub(crate) fn items_parquet(data: &Dataset) -> anyhow::Result<Vec<u8>> {
    let texts = |text: fn(&Item) -> &str| -> ArrayRef {
        Arc::new(data.items().iter().map(|item| Some(text(item))).collect::<StringArray>())
    };
    let mut categories = ListBuilder::new(StringBuilder::new());
    for item in data.items() {
        categories.append_value(item.categories.iter().map(Some));
    }
    parquet_of(vec![
        ("item_id", texts(|item| &item.key)),
        ("title", texts(|item| &item.title)),
        ("brand", texts(|item| &item.brand)),
        ("categories", Arc::new(categories.finish())),
        ("description", texts(|item| &item.description)),
    ])
}
