use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::read::{ProblemKind, TimeFormat};
use crate::{HeldOut as _, Labels, SplitProtocol};

fn lists(rows: &[Option<&[i64]>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for row in rows {
        match row {
            Some(values) => lists.append_value(values.iter().map(|value| Some(*value))),
            None => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}

fn ints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn load(
    table: Vec<(&str, ArrayRef)>,
    columns: &Columns,
    policy: &RowPolicy,
) -> Result<Loaded, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let batch = RecordBatch::try_from_iter_with_nullable(
        table.into_iter().map(|(name, values)| (name, values, true)),
    )
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    read(&path, columns, 3, NonZeroUsize::MAX, policy)
}

/// Keys of a user's events.
fn keys<'l>(loaded: &'l Loaded, user: &str) -> Vec<&'l str> {
    let user = loaded.dataset.users().iter().find(|it| it.key == user).unwrap();
    user.events.iter().map(|id| loaded.dataset.item(*id).unwrap().key.as_str()).collect()
}

/// Three users: one trains, two are tested, the last of them likes nothing.
fn recif() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("uid", ints(&[Some(7), Some(8), Some(9)])),
        ("split", ints(&[Some(0), Some(1), Some(1)])),
        ("hist_video_pid", lists(&[Some(&[1, 2, 1]), Some(&[3, 1]), Some(&[4])])),
        ("hist_video_like", lists(&[Some(&[1, 0, 1]), Some(&[1, 1]), Some(&[0])])),
        ("target_video_pid", lists(&[Some(&[5]), Some(&[2, 5]), Some(&[])])),
        ("target_video_like", lists(&[Some(&[1]), Some(&[1, 0]), Some(&[])])),
        ("unread", lists(&[None, None, None])),
    ]
}

#[test]
fn sequences_come_whole_or_by_the_label_of_a_behaviour() {
    let all = load(recif(), &Columns::recif("video", None), &RowPolicy::strict()).unwrap();
    assert_eq!(keys(&all, "7"), ["1", "2", "1", "5"]);
    assert_eq!((keys(&all, "8"), keys(&all, "9")), (vec!["3", "1", "2", "5"], vec!["4"]));
    assert_eq!(all.without_events, 0);
    let liked =
        load(recif(), &Columns::recif("video", Some("like")), &RowPolicy::strict()).unwrap();
    assert_eq!((keys(&liked, "7"), keys(&liked, "8")), (vec!["1", "1", "5"], vec!["3", "1", "2"]));
    assert_eq!((liked.dataset.num_users(), liked.without_events), (2, 1));
    assert!(!liked.dataset.has_times());
}

#[test]
fn behaviours_label_the_events_whether_or_not_one_of_them_decides_what_counts() {
    let label = |set: bool| if set { Labels::default().with(0) } else { Labels::default() };
    let of = |loaded: &Loaded, key: &str| -> Vec<bool> {
        let user = loaded.dataset.users().iter().find(|user| user.key == key).unwrap();
        user.labels.iter().map(|found| *found == label(true)).collect()
    };
    let columns = Columns::recif_labelled("video", None, &["like"]);
    let all = load(recif(), &columns, &RowPolicy::strict()).unwrap();
    assert_eq!(all.dataset.behaviours(), ["like"]);
    assert_eq!(of(&all, "7"), [true, false, true, true]);
    assert_eq!((of(&all, "8"), of(&all, "9")), (vec![true, true, true, false], vec![false]));
    // A behaviour may both count and label.
    let columns = Columns::recif_labelled("video", Some("like"), &["like"]);
    let liked = load(recif(), &columns, &RowPolicy::strict()).unwrap();
    assert_eq!(of(&liked, "8"), [true; 3]);
    let columns = Columns::recif_labelled("video", None, &["comment"]);
    let missing = load(recif(), &columns, &RowPolicy::strict()).unwrap_err();
    assert!(missing.to_string().contains("hist_video_comment"), "{missing}");
}

#[test]
fn portraits_and_queries_come_with_their_users_and_their_items_are_items() {
    let texts =
        |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let mut table = recif();
    table.push((
        "inter_user_profile_with_sid",
        texts([Some("likes tea <|sid_begin|><s_a_1><|sid_end|>"), None, Some("  ")]),
    ));
    let asked = [Some(r#"{"tea": [2, 11], "pots": [5]}"#), Some("{}"), None];
    table.push(("inter_keyword_to_items", texts(asked)));
    let columns = Columns::recif("video", None).with_queries();
    let loaded = load(table.clone(), &columns, &RowPolicy::strict()).unwrap();
    let of = |key: &str| loaded.dataset.users().iter().find(|user| user.key == key).unwrap();
    assert!(of("7").portrait.starts_with("likes tea"));
    let found: Vec<(&str, &str)> = of("7")
        .queried()
        .map(|(query, id)| (query.words.as_str(), loaded.dataset.item(id).unwrap().key.as_str()))
        .collect();
    assert_eq!(found, [("pots", "5"), ("tea", "2"), ("tea", "11")]);
    for key in ["8", "9"] {
        assert!(of(key).portrait.is_empty() && of(key).queries.is_empty(), "{key}");
    }
    // Item 11 is in a query alone. Without the columns nothing of this is read.
    assert_eq!(loaded.dataset.num_items(), 6);
    let plain = load(table.clone(), &Columns::recif("video", None), &RowPolicy::strict()).unwrap();
    assert!(plain.dataset.num_items() == 5 && !plain.dataset.has_queries());
    let bad = [Some(r#"{"tea": 2}"#), None, None];
    table.iter_mut().filter(|(name, _)| name.ends_with("items")).for_each(|it| it.1 = texts(bad));
    let error = load(table, &columns, &RowPolicy::strict()).unwrap_err().to_string();
    assert!(error.contains("line 1, field `inter_keyword_to_items`"), "{error}");
}

#[test]
fn some_training_users_are_kept_for_validation_if_asked() {
    let many: Vec<i64> = (0..40).collect();
    let uids: Vec<Option<i64>> = many.iter().copied().map(Some).collect();
    let splits: Vec<Option<i64>> = many.iter().map(|uid| Some(i64::from(*uid >= 30))).collect();
    let table = vec![
        ("uid", ints(&uids)),
        ("split", ints(&splits)),
        ("hist_video_pid", lists(&[Some(&[1, 2, 3][..]); 40])),
        ("target_video_pid", lists(&[Some(&[4, 5][..]); 40])),
    ];
    let columns = Columns::recif("video", None).with_valid_every(NonZeroUsize::new(10).unwrap());
    let split = load(table.clone(), &columns, &RowPolicy::strict()).unwrap().split.unwrap();
    // Three of thirty; their targets are no training events, and the test is as published.
    assert_eq!((split.valid.num_samples(), split.test.num_samples()), (6, 20));
    assert_eq!(split.train.num_sequences(), 27);
    for sample in split.valid.samples() {
        assert!(split.train.events_of(sample.user).is_empty());
    }
    let columns = Columns::recif("video", None);
    let split = load(table, &columns, &RowPolicy::strict()).unwrap().split.unwrap();
    assert_eq!((split.valid.num_samples(), split.train.num_sequences()), (0, 30));
}

#[test]
fn the_published_split_holds_the_targets_of_its_test_users_out() {
    let loaded = load(recif(), &Columns::recif("video", None), &RowPolicy::strict()).unwrap();
    let split = loaded.split.unwrap();
    assert_eq!(split.protocol, SplitProtocol::Published);
    // Three targets after the first event of the one who trains, two of the one who is tested.
    assert_eq!((split.train.num_samples(), split.valid.num_samples()), (3, 0));
    let tested: Vec<_> = split
        .test
        .samples()
        .map(|it| (it.history.len(), loaded.dataset.item(it.target).unwrap().key.as_str()))
        .collect();
    assert_eq!(tested, [(2, "2"), (3, "5")]);
}

#[test]
fn rows_of_one_event_are_put_together_by_time() {
    let events = EventColumns {
        items: "item".to_owned(),
        label: Some("click".to_owned()),
        behaviours: Vec::new(),
        times: Some("when".to_owned()),
    };
    let columns = Columns {
        user: "who".to_owned(),
        history: events,
        target: None,
        behaviours: Vec::new(),
        portrait: None,
        queries: None,
        split: None,
        valid_every: None,
        time_format: TimeFormat::Seconds,
    };
    let table = |times: &[i64]| -> Vec<(&str, ArrayRef)> {
        vec![
            ("who", Arc::new(StringArray::from(vec!["a", "b", "a", "a", "a"]))),
            ("item", Arc::new(StringArray::from(vec!["x", "y", "z", "x", "w"]))),
            ("click", Arc::new(BooleanArray::from(vec![true, true, true, true, false]))),
            ("when", Arc::new(Int64Array::from(times.to_vec()))),
        ]
    };
    let good = table(&[1_300_000_009, 1_300_000_000, 1_300_000_003, 1_300_000_004, 1_300_000_000]);
    let loaded = load(good, &columns, &RowPolicy::strict()).unwrap();
    assert_eq!(keys(&loaded, "a"), ["z", "x", "x"]);
    assert!(loaded.dataset.has_times() && loaded.split.is_none());
    // Milliseconds taken for seconds; one event twice.
    let bad = [1_300_000_009, 1_300_000_000_000, 1_300_000_003, 1_300_000_009, 1_300_000_000];
    let error = load(table(&bad), &columns, &RowPolicy::strict()).unwrap_err().to_string();
    assert!(error.contains("line 2, field `when`: bad time"), "{error}");
    let skips = load(table(&bad), &columns, &RowPolicy::lenient()).unwrap().skips;
    let found: Vec<_> = skips.listed.iter().map(|it| (it.line, it.kind)).collect();
    assert_eq!(found, [(2, ProblemKind::Time), (4, ProblemKind::Duplicate)]);
}

#[test]
fn lists_of_codes_are_semantic_ids() {
    let mut sids = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
    for codes in [[1, 22, 3], [4, 5, 6]] {
        sids.values().append_value(codes.map(Some));
    }
    sids.append(true);
    let mut columns = Columns::recif("video", None);
    (columns.target, columns.split) = (None, None);
    let table =
        vec![("uid", ints(&[Some(7)])), ("hist_video_pid", Arc::new(sids.finish()) as ArrayRef)];
    let loaded = load(table, &columns, &RowPolicy::strict()).unwrap();
    assert_eq!(keys(&loaded, "7"), ["<a_1><b_22><c_3>", "<a_4><b_5><c_6>"]);
}

#[test]
fn rows_with_problems_are_errors_or_counted_skips() {
    type Change = (&'static str, ArrayRef);
    let cases: [(Change, &str, ProblemKind); 6] = [
        (("uid", ints(&[Some(7), None, Some(9)])), "line 2, field `uid`", ProblemKind::Field),
        (("uid", ints(&[Some(7), Some(7), Some(9)])), "line 2: duplicate", ProblemKind::Duplicate),
        (
            ("split", ints(&[Some(0), Some(5), Some(1)])),
            "line 2, field `split`",
            ProblemKind::Field,
        ),
        (
            ("hist_video_pid", lists(&[Some(&[1, 2, 1]), None, Some(&[4])])),
            "line 2, field `hist_video_pid`",
            ProblemKind::Field,
        ),
        (
            ("hist_video_like", lists(&[Some(&[1, 1, 1]), Some(&[1]), Some(&[1])])),
            "line 2, field `hist_video_like`: bad field: expected as many as items, found `1 of 2`",
            ProblemKind::Field,
        ),
        (
            ("target_video_like", lists(&[Some(&[1]), None, Some(&[])])),
            "line 2, field `target_video_like`",
            ProblemKind::Field,
        ),
    ];
    let columns = Columns::recif("video", Some("like"));
    for ((name, values), needed, kind) in cases {
        let mut table = recif();
        table.iter_mut().filter(|(column, _)| *column == name).for_each(|it| it.1 = values.clone());
        let error = load(table.clone(), &columns, &RowPolicy::strict()).unwrap_err().to_string();
        assert!(error.contains(needed), "{error}");
        let loaded = load(table, &columns, &RowPolicy::lenient()).unwrap();
        assert_eq!(loaded.skips.counts.get(&kind), Some(&1), "{name}");
    }
}

#[test]
fn missing_and_mistyped_columns_are_named_with_what_was_found() {
    let strict = RowPolicy::strict();
    let error = load(recif(), &Columns::recif("ad", None), &strict).unwrap_err().to_string();
    assert!(
        error.contains("no column `hist_ad_pid`; the columns are `uid`, `split`, `hist_vid"),
        "{error}"
    );
    let mut columns = Columns::recif("video", Some("like"));
    columns.history.label = Some("uid".to_owned());
    let error = load(recif(), &columns, &strict).unwrap_err().to_string();
    assert!(error.contains("column `uid` holds Int64; expected truth values or"), "{error}");
    columns.user = "hist_video_pid".to_owned();
    let error = load(recif(), &columns, &strict).unwrap_err().to_string();
    assert!(error.contains("column `hist_video_pid` holds List"), "{error}");
}

#[test]
fn what_is_no_parquet_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    for bytes in [&b""[..], b"PAR1", b"PAR1 not really PAR1", b"{}"] {
        std::fs::write(&path, bytes).unwrap();
        let columns = Columns::recif("video", None);
        let error = read(&path, &columns, 3, NonZeroUsize::MAX, &RowPolicy::strict()).unwrap_err();
        assert!(matches!(error, DataError::Parquet { .. }), "{error}");
    }
}

/// The fixture's rows as `recif.py` beside it wrote them, with pyarrow.
#[test]
fn a_table_of_pyarrow_reads_as_it_was_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let columns = Columns::recif("video", Some("like"));
    let path = folder.join("recif.parquet");
    let loaded = read(&path, &columns, 3, NonZeroUsize::MAX, &RowPolicy::strict()).unwrap();
    let expected = std::fs::read_to_string(folder.join("recif.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let users = expected["liked"].as_object().unwrap();
    assert_eq!(loaded.dataset.num_users(), users.len());
    for (user, items) in users {
        let items: Vec<_> = items.as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(keys(&loaded, user), items, "{user}");
    }
    let split = loaded.split.unwrap();
    assert_eq!(split.test.num_samples() as u64, expected["test_samples"].as_u64().unwrap());
    assert_eq!(split.train.num_samples() as u64, expected["train_samples"].as_u64().unwrap());
}
