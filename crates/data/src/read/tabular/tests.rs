use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::Timestamp;
use crate::read::{OnDoubtful, ProblemKind, TimeFormat};

/// A folder of files made for one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn columns() -> Columns {
    let items = ItemColumns::new("id").with_title("title").with_categories("kinds");
    Columns::new("user", "item").with_time("time").with_items(items)
}

fn load_of(
    table: &[u8],
    items: Option<&str>,
    columns: &Columns,
    policy: &RowPolicy,
) -> Result<ReadData, DataError> {
    let folder = Folder::new();
    let interactions = folder.write("table", table);
    let items = items.map(|items| folder.write("items", items));
    let files = Files { interactions: &interactions, items: items.as_deref() };
    let assembly = Assembly::new(3).with_ties(Ties::FileOrder);
    read(&files, columns, &assembly, policy)
}

fn load(table: &str, items: Option<&str>, policy: &RowPolicy) -> Result<ReadData, DataError> {
    load_of(table.as_bytes(), items, &columns(), policy)
}

/// Each user's events, by key.
fn histories(data: &ReadData) -> Vec<String> {
    let dataset = &data.dataset;
    let user = |user: &User| {
        let keys = user.events.iter().map(|id| dataset.item(*id).unwrap().key.as_str());
        format!("{}: {}", user.key, keys.collect::<Vec<_>>().join(" "))
    };
    dataset.users().iter().map(user).collect()
}

fn categories(data: &ReadData, key: &str) -> Vec<String> {
    data.dataset.items().iter().find(|item| item.key == key).unwrap().categories.clone()
}

const TABLE: &str = "user,item,time\nann,a,2016-10-02\nann,b,2016-10-01\nbob,a,2016-10-03\n";

#[test]
fn the_kind_of_a_file_is_told_by_its_first_bytes() {
    let expected = ["ann: b a", "bob: a"];
    let strict = RowPolicy::strict();
    let tabs = TABLE.replace(',', "\t");
    let quoted = TABLE.replace("user,item,time", "\"time, of day\";\"user\";\"item\";\"time\"");
    let quoted = quoted.replace("\nann", "\n-;\"ann\"").replace("\nbob", "\n-;bob");
    let quoted = quoted.replace(',', ";").replace("time; of", "time, of").replace('\n', "\r\n");
    let lines = "{\"user\": \"ann\", \"item\": \"a\", \"time\": 1475366400}\n\
                 {\"item\": \"b\", \"time\": 1475280000, \"user\": \"ann\", \"more\": [1]}\n\n\
                 {\"user\": \"bob\", \"item\": \"a\", \"time\": 1475452800.5}";
    for text in [TABLE, &tabs, &quoted, lines] {
        for mark in ["", "\u{feff}"] {
            let data = load(&format!("{mark}{text}"), None, &strict).unwrap();
            assert_eq!(histories(&data), expected, "{text}");
            assert_eq!(data.dataset.users()[0].times[0], Timestamp(1_475_280_000_000));
            assert_eq!((data.num_skipped(), data.notes.len()), (0, 0));
        }
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let data = load_of(&packed.finish().unwrap(), None, &columns(), &strict).unwrap();
    assert_eq!(histories(&data), expected);
}

#[test]
fn without_times_the_rows_are_in_order_and_may_repeat() {
    let columns = Columns::new("user", "item");
    let table = "item,user\nb,ann\na,ann\nb,ann\n";
    let data = load_of(table.as_bytes(), None, &columns, &RowPolicy::strict()).unwrap();
    assert_eq!(histories(&data), ["ann: b a b"]);
    assert!(!data.dataset.has_times());
    assert!(data.notes[0].contains("in the order of the rows"), "{:?}", data.notes);
}

#[test]
fn a_missing_column_is_named_with_the_existing_columns() {
    let lines = "{\"uid\": 1, \"item\": 2, \"time\": 1475280000}\n".repeat(3);
    for (table, needed) in [
        ("uid,item,time\n1,2,3\n", "no column `user`; the columns are `uid`, `item`, `time`"),
        ("user\titem\n1\t2\n", "no column `time`; the columns are `user`, `item`"),
        (lines.as_str(), "no column `user`; the columns are `"),
        ("user,item,time,user\n1,2,3,4\n", "column `user` appears twice"),
        ("", "expected a header line with `user, item, time`"),
        ("user,item,time\n", "has a header but no rows"),
        ("[{\"user\": 1, \"item\": 2}]", "has one object a line"),
    ] {
        for policy in [RowPolicy::strict(), RowPolicy::lenient()] {
            let error = load(table, None, &policy).unwrap_err().to_string();
            assert!(error.contains(needed) && error.contains("table`"), "{error}");
        }
    }
    // A column that rows may lack must be in one row at least.
    for (items, needed) in [
        ("id,title\na,x\nb,y\n", "no column `kinds`; the columns are `id`, `title`"),
        ("{\"id\": \"a\", \"title\": \"x\"}", "no column `kinds`; the columns are `id`, `title`"),
    ] {
        let error = load(TABLE, Some(items), &RowPolicy::strict()).unwrap_err().to_string();
        assert!(error.contains(needed) && error.contains("items`"), "{error}");
    }
    let rare =
        "{\"id\": \"a\", \"title\": \"x\"}\n{\"id\": \"b\", \"title\": \"y\", \"kinds\": null}\n";
    assert!(load(TABLE, Some(rare), &RowPolicy::strict()).is_ok());
}

#[test]
fn rows_with_problems_are_errors_with_file_and_line_or_counted_skips() {
    let row = |row: &str| format!("{TABLE}{row}\ncarl,b,2016-10-01\n");
    for (table, needed, kind) in [
        (row("carl,a"), "line 5: malformed: expected as many fields", ProblemKind::Malformed),
        (row(",a,2016-10-01"), "line 5, field `user`: bad field", ProblemKind::Field),
        (row("carl,nan,2016-10-01"), "line 5, field `item`: bad field", ProblemKind::Field),
        (row("carl,a,"), "line 5, field `time`: bad time: ", ProblemKind::Time),
        (row("carl,a,7"), "found `7`", ProblemKind::Time),
        (row("ann,a,2016-10-02"), "line 5: duplicate", ProblemKind::Duplicate),
        (row(&"x".repeat(5000)), "line 5: too long", ProblemKind::TooLong),
    ] {
        let strict = RowPolicy { max_line: 4096, ..RowPolicy::strict() };
        let error = load(&table, None, &strict).unwrap_err().to_string();
        assert!(error.contains(needed) && error.contains("table`, "), "{error}");
        let lenient = RowPolicy { max_line: 4096, ..RowPolicy::lenient() };
        let data = load(&table, None, &lenient).unwrap();
        assert_eq!((data.num_skipped(), data.skips[0].counts[&kind]), (1, 1), "{table}");
        assert_eq!(histories(&data), ["ann: b a", "bob: a", "carl: b"]);
    }
    let kept = RowPolicy { duplicates: OnDoubtful::Keep, ..RowPolicy::strict() };
    let data = load(&row("ann,a,2016-10-02"), None, &kept).unwrap();
    assert_eq!(histories(&data)[0], "ann: b a a");
    // Bytes that are no text, and objects with other things in the place of names.
    let bytes = [TABLE.as_bytes(), b"ca\xffrl,a,2016-10-01\n"].concat();
    let data = load_of(&bytes, None, &columns(), &RowPolicy::lenient()).unwrap();
    assert_eq!(data.skips[0].counts[&ProblemKind::Malformed], 1);
    let good = "{\"user\": 1, \"item\": 2, \"time\": \"2016-10-01\"}\n";
    for (bad, kind) in [
        ("{\"user\": 1.5, \"item\": 2, \"time\": 1475280000}", ProblemKind::Field),
        ("{\"user\": 1, \"item\": null, \"time\": 1475280000}", ProblemKind::Field),
        ("{\"user\": 1, \"item\": 2}", ProblemKind::Time),
        ("[1, 2, 1475280000]", ProblemKind::Malformed),
        ("{\"user\": 1", ProblemKind::Malformed),
    ] {
        let data = load(&format!("{good}{bad}\n"), None, &RowPolicy::lenient()).unwrap();
        assert_eq!(data.skips[0].counts.get(&kind), Some(&1), "{bad}");
        assert_eq!(data.skips[0].listed[0].line, 2);
    }
    let error = load("user,item,time\n,,\n", None, &RowPolicy::lenient()).unwrap_err();
    assert!(matches!(error, DataError::AllSkipped { count: 1, .. }), "{error}");
}

#[test]
fn quoted_fields_hold_separators_and_lines_and_must_close() {
    let items = "id,title,kinds\r\n\"a\",\"7\"\" mug, \r\nred\",\"x\"\r\nb,7\" tablet,y\r\n";
    let data = load(TABLE, Some(items), &RowPolicy::strict()).unwrap();
    let mut titles: Vec<_> = data.dataset.items().iter().map(|it| it.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["7\" mug, red", "7\" tablet"]);
    // Lines of a text with as many commas as a row.
    let long = "id,title,kinds\na,x,\"one\ntwo, three, four\nfive, six, seven\"\nb,y,z\n";
    assert!(load(TABLE, Some(long), &RowPolicy::strict()).is_ok());
    for open in ["id,title,kinds\na,\"7 mug,x\nb,y,z\n", "id,title,kinds\na,\"x,y\nb,\"y\",z\n"] {
        let error = load(TABLE, Some(open), &RowPolicy::lenient()).unwrap_err();
        assert!(matches!(error, DataError::OpenQuote { line: 2, .. }), "{error}");
    }
}

#[test]
fn categories_are_a_list_or_one_text_with_a_separator() {
    for (texts, note) in [
        (["Food|Tea & Co", "Food"], Some("bars")),
        (["Food > Tea & Co", "Food"], Some("` > `")),
        (["\"Food,Tea & Co\"", "Food"], Some("commas")),
        (["\"['Food', 'Tea & Co']\"", "['Food']"], Some("Python's lists")),
        (["\"[\"\"Food\"\", \"\"Tea & Co\"\"]\"", "\"[\"\"Food\"\"]\""], None),
    ] {
        let items = format!("kinds,id,title\n{},a,x\n{},b,y\n", texts[0], texts[1]);
        let data = load(TABLE, Some(&items), &RowPolicy::strict()).unwrap();
        assert_eq!(categories(&data, "a"), ["Food", "Tea & Co"], "{texts:?}");
        assert_eq!(categories(&data, "b"), ["Food"], "{texts:?}");
        let noted = data.notes.first().map(String::as_str);
        assert_eq!(noted.is_some(), note.is_some(), "{noted:?}");
        assert!(noted.unwrap_or_default().contains(note.unwrap_or_default()), "{noted:?}");
    }
    let lines = "{\"id\": \"a\", \"title\": \"x\", \"kinds\": [\"Food, dry\", \"nan\"]}\n\
                 {\"id\": \"b\", \"title\": \"y\", \"kinds\": \"Food and drink\"}\n";
    let data = load(TABLE, Some(lines), &RowPolicy::strict()).unwrap();
    assert_eq!(categories(&data, "a"), ["Food, dry"]);
    assert_eq!(categories(&data, "b"), ["Food and drink"]);
    assert_eq!(data.skips[1].placeholders.total(), 1);
    let mut named = columns();
    named.items = named.items.with_separator(" / ");
    let items = "id,title,kinds\na,x,Food / Tea | Co / nan\nb,y,\n";
    let data = load_of(TABLE.as_bytes(), Some(items), &named, &RowPolicy::strict()).unwrap();
    assert_eq!(categories(&data, "a"), ["Food", "Tea | Co"]);
    assert_eq!((categories(&data, "b").len(), data.notes.len()), (0, 0));
}

#[test]
fn every_row_of_the_item_table_is_an_item_and_events_of_others_follow_the_policy() {
    let items = "id,title,kinds\na,x,k\nc,z,k\n";
    let error = load(TABLE, Some(items), &RowPolicy::strict()).unwrap_err().to_string();
    let needed = "line 3, field `item`: missing title: expected an item that the item table \
                  describes, found `b`";
    assert!(error.contains(needed), "{error}");
    let data = load(TABLE, Some(items), &RowPolicy::lenient()).unwrap();
    assert_eq!((data.dataset.num_items(), data.num_skipped()), (2, 1));
    let kept = RowPolicy { missing_titles: OnDoubtful::Keep, ..RowPolicy::strict() };
    let data = load(TABLE, Some(items), &kept).unwrap();
    assert_eq!((data.dataset.num_items(), data.num_skipped()), (3, 0));
    // Problems of the item table itself.
    let items = "id,title,kinds\na,x,k\nb,y,k\na,again,k\nc,,k\n,w,k\nd,<b>v</b>,k\n";
    let data = load(TABLE, Some(items), &RowPolicy::lenient()).unwrap();
    let found: Vec<_> = data.skips[1].listed.iter().map(|it| (it.line, it.kind)).collect();
    assert_eq!(
        found,
        [
            (4, ProblemKind::Duplicate),
            (5, ProblemKind::MissingTitle),
            (6, ProblemKind::Field),
            (7, ProblemKind::Markup),
        ]
    );
    assert_eq!(data.dataset.num_items(), 3);
    // Where nobody names a column of titles, none is missing.
    let keys = Columns::new("user", "item").with_items(ItemColumns::new("id"));
    let data = load_of(TABLE.as_bytes(), Some("id\na\nb\n"), &keys, &RowPolicy::strict()).unwrap();
    assert_eq!(data.dataset.num_items(), 2);
}

#[test]
fn columns_are_settings() {
    let text = r#"{"user": "u", "item": "i", "items": {"key": "i"}, "time_format": "seconds"}"#;
    let read: Columns = serde_json::from_str(text).unwrap();
    assert_eq!(read, Columns::new("u", "i").with_time_format(TimeFormat::Seconds));
    assert!(serde_json::from_str::<Columns>(r#"{"user": "u", "item": "i", "tiem": 1}"#).is_err());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let error = load("PAR1 and more", None, &RowPolicy::strict()).unwrap_err().to_string();
    assert!(error.contains("feature `parquet`"), "{error}");
}

#[cfg(feature = "parquet")]
mod in_parquet {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, TimestampNanosecondArray,
    };
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn table(times: ArrayRef) -> Vec<u8> {
        let users: ArrayRef = Arc::new(StringArray::from(vec![Some("ann"), Some("ann"), None]));
        let items: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 9]));
        let columns = [("user", users), ("item", items), ("time", times)];
        let columns = columns.map(|(name, values)| (name, values, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut out = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        out
    }

    #[test]
    fn times_are_those_of_the_table_or_numbers_or_texts() {
        let [one, two] = [1_475_366_400_i64, 1_475_280_000];
        let every: [ArrayRef; 7] = [
            Arc::new(Int64Array::from(vec![one, two, two])),
            Arc::new(Int64Array::from(
                vec![one, two, two].into_iter().map(|it| 1000 * it).collect::<Vec<_>>(),
            )),
            Arc::new(Float64Array::from(vec![1_475_366_400.0, 1_475_280_000.0, f64::NAN])),
            Arc::new(TimestampMicrosecondArray::from(vec![one * 1_000_000, two * 1_000_000, 0])),
            Arc::new(TimestampNanosecondArray::from(vec![
                one * 1_000_000_000,
                two * 1_000_000_000,
                0,
            ])),
            Arc::new(Date32Array::from(vec![17_076, 17_075, 0])),
            Arc::new(StringArray::from(vec!["2016-10-02", "2016-10-01 00:00:00", ""])),
        ];
        for times in every {
            let kind = times.data_type().to_string();
            let data = load_of(&table(times), None, &columns(), &RowPolicy::lenient()).unwrap();
            assert_eq!(histories(&data), ["ann: 8 7"], "{kind}");
            assert_eq!(data.dataset.users()[0].times[1], Timestamp(one * 1000), "{kind}");
            let skipped = &data.skips[0].listed[0];
            assert_eq!((skipped.line, skipped.field.as_ref()), (3, "user"), "{kind}");
        }
    }

    #[test]
    fn a_column_of_another_kind_is_refused_by_name() {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1_475_280_000; 3]));
        for (columns, needed) in [
            (
                Columns::new("user", "thing"),
                "no column `thing`; the columns are `user`, `item`, `time`",
            ),
            (columns().with_time("user"), "bad time"),
        ] {
            let error = load_of(&table(times.clone()), None, &columns, &RowPolicy::strict());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(needed), "{error}");
        }
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0; 3]));
        let columns = Columns::new("time", "item");
        let error = load_of(&table(floats), None, &columns, &RowPolicy::strict()).unwrap_err();
        let needed = "column `time` holds Float64; expected whole numbers or texts";
        assert!(error.to_string().contains(needed), "{error}");
    }
}

#[test]
fn behaviours_are_truth_values_of_their_columns_and_move_with_their_events() {
    let columns = Columns::new("user", "item")
        .with_time("time")
        .with_behaviour("like", "liked")
        .with_behaviour("share", "share");
    let strict = RowPolicy::strict();
    let table = "user,item,time,share,liked\nann,a,2016-10-02,1,true\nann,b,2016-10-01,0,False\n\
                 bob,a,2016-10-03,,0.5\n";
    let lines = "{\"user\":\"ann\",\"item\":\"a\",\"time\":1475366400,\"share\":true,\"liked\":1}\n\
                 {\"user\":\"ann\",\"item\":\"b\",\"time\":1475280000,\"liked\":false}\n\
                 {\"user\":\"bob\",\"item\":\"a\",\"time\":1475452800,\"liked\":\"1\"}\n";
    for text in [table, lines] {
        let data = load_of(text.as_bytes(), None, &columns, &strict).unwrap();
        let dataset = &data.dataset;
        assert_eq!(dataset.behaviours(), ["like", "share"]);
        let shown = |user: &User| -> Vec<[bool; 2]> {
            let sets = user.labels.iter();
            sets.map(|set| [0, 1].map(|place| set.contains(place))).collect()
        };
        let found: Vec<_> = dataset.users().iter().map(shown).collect();
        assert_eq!(found, [vec![[false, false], [true, true]], vec![[true, false]]], "{text}");
    }
    let wrong = table.replace("False", "maybe");
    let refused = load_of(wrong.as_bytes(), None, &columns, &strict).unwrap_err().to_string();
    assert!(refused.contains("liked") && refused.contains("maybe"), "{refused}");
    let gone = table.replace("liked", "other");
    let refused = load_of(gone.as_bytes(), None, &columns, &strict).unwrap_err();
    assert!(matches!(refused, DataError::NoColumn { .. }), "{refused}");
    // Without times the labels stay with the rows.
    let columns = Columns::new("user", "item").with_behaviour("like", "like");
    let table = "user,item,like\nann,b,1\nann,a,0\n";
    let data = load_of(table.as_bytes(), None, &columns, &strict).unwrap();
    let user = &data.dataset.users()[0];
    assert!(user.labels_of(0).contains(0) && !user.labels_of(1).contains(0));
    assert!(user.times.is_empty());
}
