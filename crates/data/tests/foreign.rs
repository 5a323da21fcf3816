//! Files as converters and other projects write them: quoting, lists in a field, words for a missing
//! value, indexes with a suffix and in other notations, scripts in the place of titles.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidereal_data::read::recbole::{Loaded, ReadOptions, read};
use sidereal_data::read::{
    CategorySeparator, OnDoubtful, OnPlaceholder, ProblemKind, RowPolicy, Skips, amazon, items,
    lcrec, minionerec,
};
use sidereal_data::{DataError, Item, Keys, audit, leave_one_out};
use sidereal_sid::TokenStyle;

/// A folder of files made for one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Two users over `i1`, `i2` and `i3`.
const INTER: &str = "user_id:token\titem_id:token\ttimestamp:float\nu1\ti1\t10\nu1\ti2\t20\n\
                     u1\ti3\t30\nu2\ti2\t11\nu2\ti1\t12\nu2\ti3\t13\n";

fn shop(item: &str, options: &ReadOptions) -> Result<Loaded, DataError> {
    let folder = Folder::new();
    read(&folder.write("x.inter", INTER), &folder.write("x.item", item), options)
}

fn item<'a>(loaded: &'a Loaded, key: &str) -> &'a Item {
    loaded.dataset.items().iter().find(|item| item.key == key).unwrap()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
struct Tables {
    tables: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
struct Table {
    text: String,
    titles: Vec<Option<String>>,
}

#[test]
fn titles_are_those_that_pandas_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/pandas_tables.json");
    let tables: Tables = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut titles, mut refused) = (0, Vec::new());
    for (name, table) in &tables.tables {
        let folder = Folder::new();
        let read = match items::read(&folder.write("x.item", &table.text), &RowPolicy::strict()) {
            Err(DataError::OpenQuote { .. }) => {
                refused.push(name.as_str());
                continue;
            }
            read => read.unwrap(),
        };
        assert_eq!(read.items.len(), table.titles.len(), "{name}");
        let missing = table.titles.iter().filter(|title| title.is_none()).count() as u64;
        for (number, (item, expected)) in read.items.iter().zip(&table.titles).enumerate() {
            assert_eq!(item.key, format!("i{number}"), "{name}");
            // A title is kept on one line.
            let expected = one_line(expected.as_deref().unwrap_or_default());
            assert_eq!(one_line(&item.title), expected, "{name}");
            assert!(!item.title.contains(['\t', '\n', '\r']));
            titles += 1;
        }
        if name == "words_for_none" {
            assert_eq!((read.skips.placeholders.total(), missing), (11, 11));
        }
    }
    assert_eq!(titles, 108);
    assert_eq!(refused, Vec::<&str>::new());
}

#[test]
fn an_unclosed_quote_in_a_title_does_not_swallow_rows() {
    let header = "item_id:token\ttitle:token\tbrand:token\n";
    for (rows, line) in [
        // Never closed: pandas gives up, too.
        ("i1\tone\tx\ni2\t\"Weird\tx\ni3\tthree\tx\n", 3),
        // Closed by chance at the end of a later field: pandas makes one row of three.
        ("i1\t\"Weird\tx\ni2\ttwo\tx\ni3\tTV 42\"\tx\n", 2),
        // Closed in the middle of a later field.
        ("i1\t\"Weird\tx\ni2\tTV 42\" case\tx\ni3\tthree\tx\n", 2),
        ("i1\tone\tx\n\ni2\t\"", 4),
    ] {
        let error = shop(&format!("{header}{rows}"), &ReadOptions::new(1)).unwrap_err();
        let named = matches!(&error, DataError::OpenQuote { line: found, .. } if *found == line);
        assert!(named, "{rows:?}: {error:?}");
        assert!(error.to_string().contains(&format!("x.item`, line {line}: a field begins with")));
    }
    // Lines after a field of several lines keep their numbers.
    let rows = "i1\t\"one\ntwo\"\tx\ni2\ttwo\n";
    let error = shop(&format!("{header}{rows}"), &ReadOptions::new(1)).unwrap_err();
    assert!(matches!(error, DataError::Ragged { line: 4, found: 2, expected: 3, .. }), "{error}");
}

#[test]
fn a_quoted_header_after_a_byte_order_mark_is_read() {
    let item = "\u{feff}\"item_id:token\"\t\"title:token\"\n\"i1\"\t\"one\"\ni2\ttwo\ni3\tthree\n";
    let loaded = shop(item, &ReadOptions::new(1)).unwrap();
    assert_eq!(item_title(&loaded, "i1"), "one");
}

fn item_title<'a>(loaded: &'a Loaded, key: &str) -> &'a str {
    &item(loaded, key).title
}

/// RecBole's Amazon files: `str(set)[1:-1]`, and `nan` for what is missing.
const OFFICIAL: &str = "\
item_id:token\ttitle:token\tsales_rank:float\tcategories:token_seq\tprice:float\tbrand:token
i1\tAbus lock\t12.0\t'Sports & Outdoors', 'Locks', 'Cycling'\t19.9\tAbus
i2\tnan\tnan\t'Sports & Outdoors', \"Women's Clothing\"\tnan\tnan
i3\tnan\t7.0\t\"Women's Clothing\", 'Knives, Forks'\t-\tnan
";

#[test]
fn sets_that_python_printed_are_lists_of_whole_names_without_an_order() {
    let loaded = shop(OFFICIAL, &ReadOptions::new(1)).unwrap();
    let categories = |key| item(&loaded, key).categories.clone();
    assert_eq!(categories("i1"), ["Sports & Outdoors", "Locks", "Cycling"]);
    assert_eq!(categories("i2"), ["Sports & Outdoors", "Women's Clothing"]);
    assert_eq!(categories("i3"), ["Women's Clothing", "Knives, Forks"]);
    assert_eq!(loaded.category_separator, Some(CategorySeparator::Quoted));
    assert_eq!(loaded.unordered_categories, 3);
    assert!(loaded.notes().iter().any(|note| note.contains("categories of 3 items may be a set")));
}

fn with_categories(fields: [&str; 3], options: &ReadOptions) -> Result<Loaded, DataError> {
    let rows = (1..).zip(fields).map(|(number, field)| format!("i{number}\tt\t{field}\n"));
    let header = "item_id:token\ttitle:token\tcategories:token_seq\n";
    shop(&format!("{header}{}", rows.collect::<String>()), options)
}

#[test]
fn the_file_as_a_whole_tells_how_its_categories_are_separated() {
    for (fields, separator, first, second) in [
        (
            ["Coffee & Tea", "Food, Coffee & Tea", " "],
            CategorySeparator::Comma,
            vec!["Coffee & Tea"],
            vec!["Food", "Coffee & Tea"],
        ),
        (
            ["Hair Care", "Hair Care,Shampoo & Soap", ""],
            CategorySeparator::Comma,
            vec!["Hair Care"],
            vec!["Hair Care", "Shampoo & Soap"],
        ),
        (
            ["Film-Noir", "Adventure|Children's", "nan"],
            CategorySeparator::Bar,
            vec!["Film-Noir"],
            vec!["Adventure", "Children's"],
        ),
        (
            ["['Home & Kitchen', 'Mugs']", "[\"Women's Clothing\", 'x']", "[]"],
            CategorySeparator::Quoted,
            vec!["Home & Kitchen", "Mugs"],
            vec!["Women's Clothing", "x"],
        ),
        (
            ["{'Home & Kitchen'}", "\"\"\"Women's Clothing\"\", 'x'\"", "et("],
            CategorySeparator::Quoted,
            vec!["Home & Kitchen"],
            vec!["Women's Clothing", "x"],
        ),
        (
            ["c1 c2 c3", "Tools,_Parts  Hair_Care", "N/A"],
            CategorySeparator::Space,
            vec!["c1", "c2", "c3"],
            vec!["Tools,_Parts", "Hair_Care"],
        ),
    ] {
        let loaded = with_categories(fields, &ReadOptions::new(1)).unwrap();
        assert_eq!(loaded.category_separator, Some(separator), "{fields:?}");
        assert_eq!(item(&loaded, "i1").categories, first);
        assert_eq!(item(&loaded, "i2").categories, second);
        assert_eq!(item(&loaded, "i3").categories, Vec::<String>::new());
    }
}

#[test]
fn an_unknown_separator_is_an_error_that_names_the_option() {
    for (fields, line) in [
        (["Food", "Coffee & Tea", "Gyms"], 3),
        (["['Adventure' 'Comedy']", "x", "y"], 2),
        (["'Sports', 'Locks'", "'Sports', 'Lo", "'Sports'"], 3),
    ] {
        let error = with_categories(fields, &ReadOptions::new(1)).unwrap_err().to_string();
        let place = format!("x.item`, line {line}, column `categories`: expected");
        assert!(error.contains(&place) && error.contains("name the separator"), "{error}");
    }
    // Whoever names one gets it.
    let options = ReadOptions::new(1).with_category_separator(CategorySeparator::Comma);
    let loaded = with_categories(["Food", "Coffee & Tea", "Gyms"], &options).unwrap();
    assert_eq!(item(&loaded, "i2").categories, ["Coffee & Tea"]);
    let options = ReadOptions::new(1).with_category_separator(CategorySeparator::Space);
    let loaded = with_categories(["a, b", "c", "d"], &options).unwrap();
    assert_eq!(item(&loaded, "i1").categories, ["a,", "b"]);
}

#[test]
fn nan_is_not_a_title_and_placeholders_are_counted() {
    let loaded = shop(OFFICIAL, &ReadOptions::new(1)).unwrap();
    assert_eq!(item_title(&loaded, "i1"), "Abus lock");
    assert_eq!((item_title(&loaded, "i2"), item_title(&loaded, "i3")), ("", ""));
    assert_eq!(loaded.placeholders.of("title").collect::<Vec<_>>(), [("nan", 2)]);
    let split = leave_one_out(&loaded.dataset, NonZeroUsize::MAX).unwrap();
    assert_eq!(audit(&loaded.dataset, &split).untitled_items, 2);
    assert!(loaded.notes()[0].contains("title: 2 times `nan`"), "{:?}", loaded.notes());
    // A film may be called so.
    let options = ReadOptions::new(1).with_placeholders(OnPlaceholder::Keep);
    let kept = shop(OFFICIAL, &options).unwrap();
    assert_eq!(item_title(&kept, "i2"), "nan");
    assert!(kept.placeholders.is_empty());
}

#[test]
fn a_key_that_means_missing_is_an_error() {
    let folder = Folder::new();
    let item = "item_id:token\ttitle:token\ni1\tone\nnan\ttwo\n";
    let item = folder.write("x.item", item);
    let inter = folder.write("x.inter", "user_id:token\titem_id:token\ttimestamp:float\n");
    let error = read(&inter, &item, &ReadOptions::new(1)).unwrap_err().to_string();
    assert!(error.contains("line 3, column `item_id`: expected a value, found `nan`"), "{error}");
    let item = folder.write("x.item", "item_id:token\ttitle:token\ni1\tone\ni2\ttwo\n");
    for (row, column) in
        [("None\ti1\t3", "user_id"), ("u\tNaN\t3", "item_id"), ("u\ti1\tnan", "timestamp")]
    {
        let text = format!("user_id:token\titem_id:token\ttimestamp:float\nu\ti1\t1\n{row}\n");
        let inter = folder.write("x.inter", &text);
        let error = read(&inter, &item, &ReadOptions::new(1)).unwrap_err().to_string();
        assert!(error.contains(&format!("line 3, column `{column}`: expected a")), "{error}");
    }
}

fn index_files(folder: &Folder, index: &str) -> (PathBuf, PathBuf, PathBuf) {
    let entry = |i: u32| format!("\"{i}\": {{\"title\": \"t{i}\", \"description\": \"['x']\"}}");
    let items: Vec<String> = (0..5).map(entry).collect();
    (
        folder.write("x.inter.json", r#"{"0": [0, 1, 2, 3], "1": [4, 2, 0]}"#),
        folder.write("x.item.json", &format!("{{{}}}", items.join(", "))),
        folder.write("x.index.json", index),
    )
}

fn lcrec_index(index: &str, policy: &RowPolicy) -> Result<lcrec::Loaded, DataError> {
    let folder = Folder::new();
    let (interactions, items, index) = index_files(&folder, index);
    let files =
        lcrec::Files { interactions: &interactions, items: Some(&items), index: Some(&index) };
    lcrec::read(&files, 7, NonZeroUsize::MAX, policy)
}

/// Items 0 and 1 collide on the first two levels and have one code more.
const SUFFIXED: &str = r#"{"0": ["<a_1>", "<b_2>", "<c_1>"], "1": ["<a_1>", "<b_2>", "<c_2>"],
    "2": ["<a_3>", "<b_1>"], "3": ["<a_2>", "<b_2>"], "4": ["<a_2>", "<b_1>"]}"#;

fn text(error: &DataError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn codes_that_only_colliding_items_have_are_a_suffix() {
    let loaded = lcrec_index(SUFFIXED, &RowPolicy::strict()).unwrap();
    let catalog = loaded.catalog.unwrap();
    assert_eq!((catalog.spec().codebook_sizes(), catalog.spec().suffix_size()), (&[4, 3][..], 3));
    assert_eq!(catalog.num_sids(), 5);
    for (item, sid) in loaded.dataset.items().iter().zip(catalog.sids()) {
        let expected =
            ["<a_1><b_2><c_1>", "<a_1><b_2><c_2>", "<a_3><b_1>", "<a_2><b_2>", "<a_2><b_1>"];
        assert_eq!(sid.to_string(), expected[item.key.parse::<usize>().unwrap()]);
    }

    let folder = Folder::new();
    let (_, items, index) = index_files(&folder, SUFFIXED);
    let header = "user_id,history_item_id,item_id,item_sid\n";
    let valid = folder.write("valid.csv", &format!("{header}A,\"[0, 1]\",2,<a_3><b_1>\n"));
    let test = folder.write("test.csv", &format!("{header}A,\"[0, 1, 2]\",1,<a_1><b_2><c_2>\n"));
    let files =
        minionerec::Files { items: &items, index: &index, train: None, valid: &valid, test: &test };
    for (sizes, found) in [
        (None, (&[4, 3][..], 3)),
        (Some(&[8, 8][..]), (&[8, 8][..], 3)),
        (Some(&[8, 8, 4]), (&[8, 8], 4)),
    ] {
        let read = minionerec::read(&files, 7, NonZeroUsize::MAX, sizes, &RowPolicy::strict());
        let spec = read.unwrap().catalog.spec().clone();
        assert_eq!((spec.codebook_sizes(), spec.suffix_size()), found);
    }
    let small = Some(&[4, 2][..]);
    let error = minionerec::read(&files, 7, NonZeroUsize::MAX, small, &RowPolicy::strict());
    let error = text(&error.unwrap_err());
    assert!(["0", "1", "3"].iter().any(|key| error.contains(&format!("item `{key}`"))), "{error}");
    assert!(error.contains("code 2 is outside the codebook of 2"), "{error}");
}

#[test]
fn semantic_ids_that_fit_no_catalogue_name_their_items_by_key() {
    // Item 1 has two codes more than the shortest.
    let long = SUFFIXED.replace(r#""<c_2>"]"#, r#""<c_2>", "<d_0>"]"#);
    let error = text(&lcrec_index(&long, &RowPolicy::strict()).unwrap_err());
    assert!(error.contains("item `1`") && error.contains("has 4 codes"), "{error}");
    // Item 0 keeps the short form that item 1 lengthens.
    let first = SUFFIXED.replace(r#""<b_2>", "<c_1>"]"#, r#""<b_2>"]"#);
    let error = text(&lcrec_index(&first, &RowPolicy::strict()).unwrap_err());
    assert!(
        error.contains("<a_1><b_2> of item `0` is the beginning of that of item `1`"),
        "{error}"
    );
}

#[test]
fn the_notation_of_openonerec_is_read() {
    let wide = SUFFIXED.replace("\"<", "\"<s_").replace("[\"", "[\"<|sid_begin|>\", \"");
    let wide = wide.replace(">\"]", ">\", \"<|sid_end|>\"]");
    let both = [SUFFIXED, &wide]
        .map(|index| lcrec_index(index, &RowPolicy::strict()).unwrap().catalog.unwrap());
    // The same codes, and each catalogue keeps the style of its file.
    assert_eq!(both[0].sids(), both[1].sids());
    let styles = both.each_ref().map(|catalog| catalog.spec().style().clone());
    assert_eq!(styles, TokenStyle::published());
    // And as one text an item.
    let one = SUFFIXED.replace("\", \"", "").replace("[\"", "\"").replace("\"]", "\"");
    assert_eq!(lcrec_index(&one, &RowPolicy::strict()).unwrap().catalog.unwrap(), both[0]);
}

#[test]
fn an_index_of_which_every_entry_was_skipped_says_so_and_what_is_read() {
    let other = r#"{"0": ["<C1_1>", "<C2_4>"], "1": ["<C1_1>", "<C2_5>"]}"#;
    let error = lcrec_index(other, &RowPolicy::lenient()).unwrap_err().to_string();
    for part in ["all 2 rows were skipped", "<C1_1>", "`<a_12>`", "<|sid_begin|>"] {
        assert!(error.contains(part), "{error}");
    }
    let error = lcrec_index(other, &RowPolicy::strict()).unwrap_err().to_string();
    assert!(
        error.contains("line 1: malformed: expected a list of tokens like `<a_12>`"),
        "{error}"
    );
    // Some skipped: the item that is missing says that there were such.
    let some = SUFFIXED.replace("<a_3>", "<C_3>");
    let error = lcrec_index(&some, &RowPolicy::lenient()).unwrap_err().to_string();
    assert!(error.contains("item `2`, 1 of its entries were skipped"), "{error}");
    // A second entry of an item is not taken in silence.
    let twice = SUFFIXED.replace("\"4\":", "\"3\": [\"<a_0>\", \"<b_0>\"], \"4\":");
    let error = lcrec_index(&twice, &RowPolicy::strict()).unwrap_err().to_string();
    assert!(error.contains("duplicate: expected one entry for each item, found `3`"), "{error}");
    let loaded = lcrec_index(&twice, &RowPolicy::lenient()).unwrap();
    assert_eq!(loaded.skips.iter().map(Skips::total).sum::<u64>(), 1);
}

/// Metadata of 2018 with a page's script in the place of two titles.
const SCRIPTS: &str = r#"{"asin": "B0", "title": "Good title", "category": ["Sports", "Bikes"], "description": ["d"]}
{"asin": "B1", "title": "var aPageStart = (new Date()).getTime();\nvar ue_t0=window.ue_t0||+new Date();", "description": ["d"]}
{"asin": "B2", "title": "<span id=\"productTitle\">\n  Real &amp; good\n</span>", "description": ["P.when('a').execute(f);", "d"]}
{"asin": "B3", "title": "<span id=\"p\"><script type=\"text/javascript\">var aPageStart = (new Date()).getTime();</script>"}
{"asin": "B4", "title": ["a", "list"]}
{"asin": "B5", "title": "nan", "brand": "None", "category": ["Sports", "nan"], "description": ["N/A", "d"]}
"#;

fn metadata(policy: &RowPolicy) -> Result<amazon::Catalogue, DataError> {
    let folder = Folder::new();
    let mut wanted = Keys::default();
    for key in ["B0", "B1", "B2", "B3", "B4", "B5"] {
        wanted.insert(key);
    }
    let path = folder.write("meta.json", SCRIPTS);
    amazon::read_metadata(&path, amazon::Release::Y2018, &wanted, policy)
}

#[test]
fn scripts_are_no_titles_and_have_a_line_of_their_own() {
    let error = metadata(&RowPolicy::strict()).unwrap_err().to_string();
    assert!(error.contains("line 2, field `title`: script: expected a title"), "{error}");

    let loaded = metadata(&RowPolicy::lenient()).unwrap();
    let titles: Vec<&str> = loaded.items.values().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Good title", "Real & good"]);
    let count = |kind| loaded.skips.counts.get(&kind).copied();
    assert_eq!(count(ProblemKind::Script), Some(2));
    assert_eq!(count(ProblemKind::MissingTitle), Some(1)); // `nan`
    assert_eq!(count(ProblemKind::Markup), Some(1));
    assert_eq!(count(ProblemKind::Field), Some(1)); // the list
    assert!(loaded.skips.to_string().contains("\n  script: 2"), "{}", loaded.skips);
    // The script of a description goes, and is told.
    assert_eq!(loaded.items["B2"].description, "d");
    assert!(!loaded.skips.placeholders.is_empty());

    let policy = RowPolicy { missing_titles: OnDoubtful::Keep, ..RowPolicy::lenient() };
    let kept = metadata(&policy).unwrap();
    let titles: Vec<&str> = kept.items.values().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Good title", "", "Real & good", "", ""]);
    assert_eq!(kept.skips.counts[&ProblemKind::Script], 2);
}

#[test]
fn missing_value_words_are_not_values() {
    let policy = RowPolicy { missing_titles: OnDoubtful::Keep, ..RowPolicy::lenient() };
    let loaded = metadata(&policy).unwrap();
    let item = &loaded.items["B5"];
    assert_eq!((item.title.as_str(), item.brand.as_str()), ("", ""));
    assert_eq!(
        (item.categories.as_slice(), item.description.as_str()),
        (&["Sports".to_owned()][..], "d")
    );
    let told = loaded.skips.to_string();
    for part in ["brand: 1 time `None`", "categories: 1 time `nan`", "title: 1 time `nan`"] {
        assert!(told.contains(part), "{told}");
    }
    let keeping = RowPolicy { placeholders: OnPlaceholder::Keep, ..policy };
    let kept = metadata(&keeping).unwrap();
    assert_eq!((kept.items["B5"].title.as_str(), kept.items["B5"].brand.as_str()), ("nan", "None"));
}

#[test]
fn categories_that_a_json_file_holds_as_one_text_are_a_list() {
    let folder = Folder::new();
    let text = r#"{"0": {"title": "a", "categories": "Arts, Crafts & Sewing,Painting"},
        "1": {"title": "b", "categories": "['Arts, Crafts & Sewing', \"Women's\"]"},
        "2": {"title": "NaN", "brand": "nan", "categories": ["x, y"], "description": "None"},
        "3": {"title": "c", "categories": ""}}"#;
    let policy = RowPolicy { missing_titles: OnDoubtful::Keep, ..RowPolicy::strict() };
    let loaded = items::read(&folder.write("x.item.json", text), &policy).unwrap();
    let categories: Vec<&[String]> =
        loaded.items.iter().map(|item| item.categories.as_slice()).collect();
    let expected: [&[&str]; 4] = [
        &["Arts, Crafts & Sewing", "Painting"],
        &["Arts, Crafts & Sewing", "Women's"],
        &["x, y"],
        &[],
    ];
    assert_eq!(categories, expected);
    let third = &loaded.items[2];
    assert_eq!([&third.title, &third.brand, &third.description], ["", "", ""]);
    assert_eq!(loaded.skips.placeholders.total(), 3);
    let error = items::read(&folder.write("y.item.json", text), &RowPolicy::strict()).unwrap_err();
    assert!(error.to_string().contains("line 3, field `title`: missing title"), "{error}");
}
