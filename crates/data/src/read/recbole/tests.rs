use std::fs;

use super::*;

const ITEMS: &str = "item_id:token\ttitle:token_seq\na\tan apple\nb\ta bean\nc\ta \"corn\n";
const HEADER: &str = "user_id:token\titem_id:token\ttimestamp:float\n";

fn load(inter: &[u8], item: &[u8], options: &ReadOptions) -> Result<Loaded, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let (inter_path, item_path) = (dir.path().join("x.inter"), dir.path().join("x.item"));
    fs::write(&inter_path, inter).unwrap();
    fs::write(&item_path, item).unwrap();
    read(&inter_path, &item_path, options)
}

fn interactions(rows: &str) -> Result<Loaded, DataError> {
    load(format!("{HEADER}{rows}").as_bytes(), ITEMS.as_bytes(), &ReadOptions::new(7))
}

fn items(text: &[u8]) -> Result<Loaded, DataError> {
    load(format!("{HEADER}u\ta\t1\nu\tb\t2\n").as_bytes(), text, &ReadOptions::new(7))
}

fn keys(dataset: &Dataset, user: usize) -> Vec<&str> {
    dataset.users()[user]
        .events
        .iter()
        .map(|item| dataset.item(*item).unwrap().key.as_str())
        .collect()
}

#[test]
fn columns_are_found_by_name_and_others_ignored() {
    let inter = "rating:float\ttimestamp:float\titem_id:token\tuser_id:token\n\
                 5\t2.5\ta\tu\n1\t-1e3\tb\tu\n";
    let item = "title:token\tbrand:token\tcategories:token_seq\titem_id:token\n\
                an apple\tx\tfruit red\ta\na bean\ty\t\tb\n";
    let dataset = load(inter.as_bytes(), item.as_bytes(), &ReadOptions::new(3)).unwrap().dataset;
    assert_eq!(keys(&dataset, 0), ["b", "a"]);
    let apple = dataset.items().iter().find(|item| item.key == "a").unwrap();
    assert_eq!(apple.title, "an apple");
    assert_eq!(apple.categories, ["fruit", "red"]);
}

#[test]
fn quotes_and_windows_line_ends_are_plain_text() {
    let text = ITEMS.replace('\n', "\r\n");
    let dataset = items(text.as_bytes()).unwrap().dataset;
    assert!(dataset.items().iter().any(|item| item.title == "a \"corn"));
}

#[test]
fn identities_are_shuffled_by_the_seed() {
    use std::fmt::Write as _;
    let mut item = String::from("item_id:token\ttitle:token_seq\n");
    (0..200).for_each(|i| writeln!(item, "k{i:03}\tt").unwrap());
    let inter = format!("{HEADER}u\tk000\t1\nu\tk001\t2\n");
    let order = |seed| -> Vec<String> {
        let loaded = load(inter.as_bytes(), item.as_bytes(), &ReadOptions::new(seed)).unwrap();
        loaded.dataset.items().iter().map(|item| item.key.clone()).collect()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut sorted = order(1);
    assert!(!sorted.is_sorted());
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 200);
}

#[test]
fn ties_keep_the_file_order_only_when_asked_to() {
    let inter = format!("{HEADER}{}", "u\ta\t1\nu\tb\t1\nu\tc\t1\n".repeat(9));
    let read = |ties| {
        let options = ReadOptions::new(4).with_ties(ties);
        load(inter.as_bytes(), ITEMS.as_bytes(), &options).unwrap().dataset
    };
    assert_eq!(keys(&read(Ties::FileOrder), 0), ["a", "b", "c"].repeat(9));
    assert_ne!(keys(&read(Ties::Shuffle), 0), ["a", "b", "c"].repeat(9)); // 1 in 27!/9!^3 to agree
}

#[test]
fn times_are_kept_and_a_number_that_is_none_is_named() {
    let dataset = interactions("u\ta\t2.5\nu\tb\t-1\n").unwrap().dataset;
    assert_eq!(dataset.users()[0].times, [Timestamp(-1000), Timestamp(2500)]);
    assert!(matches!(
        interactions("u\ta\t1e300\nu\tb\t1\n"),
        Err(DataError::Time { line: 2, column, .. }) if column == "timestamp"
    ));
}

#[test]
fn a_one_item_history_is_an_error_or_a_counted_skip() {
    let rows = "u\ta\t1\nw\tc\t1\nu\tb\t2\n";
    let error = interactions(rows).unwrap_err();
    assert!(matches!(&error, DataError::ShortHistory { line: 3, user, .. } if user == "w"));
    assert!(error.to_string().contains("x.inter`, line 3: user `w` has 1 interaction"));
    let skip = ReadOptions::new(7).with_short_histories(ShortHistories::Skip);
    let inter = format!("{HEADER}{rows}");
    let loaded = load(inter.as_bytes(), ITEMS.as_bytes(), &skip).unwrap();
    assert_eq!((loaded.dataset.num_users(), loaded.skipped_users), (1, 1));
    let alone = format!("{HEADER}w\tc\t1\n");
    assert!(matches!(
        load(alone.as_bytes(), ITEMS.as_bytes(), &skip),
        Err(DataError::NoHistories { .. })
    ));
}

#[test]
fn empty_files_and_bare_headers_are_named() {
    let empty = load(b"", ITEMS.as_bytes(), &ReadOptions::new(7)).unwrap_err();
    assert!(empty.to_string().ends_with("expected a header line with `user_id:token`"), "{empty}");
    assert!(
        matches!(items(b""), Err(DataError::EmptyFile { path, .. }) if path.ends_with("x.item"))
    );
    assert!(matches!(interactions(""), Err(DataError::NoRows { .. })));
    assert!(matches!(items(b"item_id:token\ttitle:token_seq\n"), Err(DataError::NoRows { .. })));
}

#[test]
fn header_mistakes_are_named() {
    let missing = items(b"item_id:token\tname:token\na\tx\n").unwrap_err().to_string();
    assert!(
        missing.ends_with(
            "line 1: no column `title:token_seq|token`; the columns are `item_id:token`, `name:token`"
        ),
        "{missing}"
    );
    assert!(matches!(
        items(b"item_id:token\titem_id:token\ttitle:token\na\ta\tx\n"),
        Err(DataError::RepeatedColumn { column, .. }) if column == "item_id"
    ));
    assert!(matches!(
        items(b"item_id:float\ttitle:token\n1\tx\n"),
        Err(DataError::ColumnType { found, .. }) if found == "float"
    ));
}

#[test]
fn row_mistakes_are_named_with_their_line() {
    assert!(matches!(
        interactions("u\ta\t1\nu\tz\t2\n"),
        Err(DataError::UnknownItem { line: 3, item, .. }) if item == "z"
    ));
    assert!(matches!(
        interactions("u\ta\t1\nu\tb\n"),
        Err(DataError::Ragged { line: 3, found: 2, expected: 3, .. })
    ));
    assert!(matches!(
        interactions("u\ta\t1\n\tb\t2\n"),
        Err(DataError::EmptyField { line: 3, column, .. }) if column == "user_id"
    ));
    for number in ["x", "NaN", "inf", "1e999", "1,5"] {
        assert!(matches!(
            interactions(&format!("u\ta\t1\nu\tb\t{number}\n")),
            Err(DataError::Number { line: 3, found, .. }) if found == number
        ));
    }
    assert!(matches!(
        items(b"item_id:token\ttitle:token\na\tx\nb\ty\na\tz\n"),
        Err(DataError::RepeatedItem { line: 4, first: 2, .. })
    ));
    assert!(matches!(
        items(b"item_id:token\ttitle:token\na\tx\nb\t\xff\n"),
        Err(DataError::NotUtf8 { line: 3, column, .. }) if column == "title"
    ));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_name() {
    assert!(items(format!("\u{feff}{ITEMS}").as_bytes()).is_ok());
}

#[test]
fn a_blank_line_does_not_shift_the_line_of_a_mistake() {
    assert!(matches!(
        interactions("u\ta\t1\n\n\nu\tz\t2\n"),
        Err(DataError::UnknownItem { line: 5, .. })
    ));
    assert!(matches!(
        interactions("u\ta\t1\r\n\r\nu\tz\t2"),
        Err(DataError::UnknownItem { line: 4, .. })
    ));
}

#[test]
fn packed_files_read_as_plain_ones() {
    let inter = format!("{HEADER}u\ta\t1\nu\tb\t2\n");
    let options = ReadOptions::new(7);
    let plain = load(inter.as_bytes(), ITEMS.as_bytes(), &options).unwrap();
    let pack = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    assert_eq!(load(&pack(&inter), &pack(ITEMS), &options).unwrap(), plain);
}

#[test]
fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
    let inter = format!("{HEADER}{}", "x".repeat(17 << 20));
    assert!(matches!(
        load(inter.as_bytes(), ITEMS.as_bytes(), &ReadOptions::new(7)),
        Err(DataError::LongLine { line: 2, .. })
    ));
}

#[test]
fn a_missing_file_is_named() {
    let error =
        read(Path::new("/nowhere/x.inter"), Path::new("/nowhere/x.item"), &ReadOptions::new(1))
            .unwrap_err();
    assert_eq!(error.to_string(), "cannot access `/nowhere/x.item`");
}
