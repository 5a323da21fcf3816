//! From raw files to samples, beside a plain Python program, and what is left out on the way.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use sidereal_data::filter::{KCore, TitleLimit};
use sidereal_data::prepare::{PrepareConfig, prepare};
use sidereal_data::read::amazon::Release;
use sidereal_data::read::{OnDoubtful, ProblemKind, RowPolicy};
use sidereal_data::{
    Assembly, DataError, HeldOut as _, Numbering, Shares, SplitProtocol, Ties, write,
};

#[derive(serde::Deserialize)]
struct Parity {
    reviews: String,
    kept: usize,
    train: String,
    valid: String,
    test: String,
}

fn config() -> PrepareConfig {
    PrepareConfig {
        release: Release::Y2018,
        policy: RowPolicy { duplicates: OnDoubtful::Keep, ..RowPolicy::strict() },
        window: None,
        title_limit: None,
        k_core: KCore { user: 3, item: 3 },
        assembly: Assembly::new(1)
            .with_numbering(Numbering::FirstAppearance)
            .with_ties(Ties::FileOrder),
        protocol: SplitProtocol::GlobalTime(Shares::default()),
        max_history: NonZeroUsize::new(4).unwrap(),
    }
}

#[test]
fn samples_are_those_of_plain_dictionaries_however_the_file_is_packed() {
    let parity: Parity = serde_json::from_str(include_str!("parity/prepare.json")).unwrap();
    let plain = parity.reviews.as_bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain).unwrap();
    let windows = parity.reviews.replace('\n', "\r\n\r\n");
    let packed = [
        plain.to_vec(),
        gzip.finish().unwrap(),
        zstd::encode_all(plain, 1).unwrap(),
        windows.into_bytes(),
    ];
    for bytes in packed {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reviews");
        std::fs::write(&path, bytes).unwrap();
        let prepared = prepare(&path, None, &config()).unwrap();
        assert_eq!(prepared.dataset.num_interactions(), parity.kept);
        write::samples::write(&prepared.split, dir.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("train.csv"), parity.train);
        assert_eq!(read("valid.csv"), parity.valid);
        assert_eq!(read("test.csv"), parity.test);
    }
}

const REVIEWS: &str = r#"{"reviewerID": "u", "asin": "a", "overall": 5.0, "unixReviewTime": 1300000000}
{"reviewerID": "u", "asin": "a", "overall": 5.0, "unixReviewTime": 1300000000}
{"reviewerID": "u", "asin": "b", "overall": 4.0, "unixReviewTime": 1300000001}
{"reviewerID": "u", "asin": "c", "overall": 4.0, "unixReviewTime": 1300000002}
{"reviewerID": "u", "asin": "d", "overall": 4.0, "unixReviewTime": 1300000003}
{"reviewerID": "u", "asin": "e", "overall": 4.0, "unixReviewTime": 1300000004}
{"reviewerID": "u", "asin": "f", "overall": 4.0, "unixReviewTime": 1400000000}
{"reviewerID": "u", "asin": "g", "overall": 9.0, "unixReviewTime": 1300000000}
{"reviewerID": "u", "asin": "g", "overall": 5.0, "unixReviewTime": 1300000000000}
{"reviewerID": "", "asin": "g", "overall": 5.0, "unixReviewTime": 1300000000}
{"reviewerID": "u", "asin": 7, "overall": 5.0, "unixReviewTime": 1300000000}
{"reviewerID": "u", "asin": "g"
"#;

const ITEMS: &str = r#"{"asin": "a", "title": "an apple"}
{"asin": "b", "title": "a &quot;bean&quot;"}
{"asin": "c", "title": "corn"}
{"asin": "d", "title": ""}
{"asin": "f", "title": "fig"}
{"asin": "e", "title": "one two three four five six"}
"#;

fn files(dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (reviews, items) = (dir.join("reviews.json"), dir.join("meta.json"));
    std::fs::write(&reviews, REVIEWS).unwrap();
    std::fs::write(&items, ITEMS).unwrap();
    (reviews, items)
}

#[test]
fn each_step_says_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let (reviews, items) = files(dir.path());
    let config = PrepareConfig {
        policy: RowPolicy::lenient(),
        window: Some(("2011-01-01".parse().unwrap(), "2012-01-01".parse().unwrap())),
        title_limit: Some(TitleLimit::Words(5)),
        k_core: KCore { user: 3, item: 1 },
        protocol: SplitProtocol::LeaveOneOut,
        ..config()
    };
    let prepared = prepare(&reviews, Some(&items), &config).unwrap();
    let titles: Vec<_> = prepared.dataset.items().iter().map(|i| i.title.as_str()).collect();
    assert_eq!(titles, ["an apple", "a \"bean\"", "corn"]);
    let count = |file: usize, kind| prepared.skips[file].counts.get(&kind).copied();
    assert_eq!(count(0, ProblemKind::Duplicate), Some(1));
    assert_eq!(count(0, ProblemKind::Rating), Some(1));
    assert_eq!(count(0, ProblemKind::Time), Some(1));
    assert_eq!(count(0, ProblemKind::Field), Some(2));
    assert_eq!(count(0, ProblemKind::Malformed), Some(1));
    assert_eq!(count(1, ProblemKind::MissingTitle), Some(1));
    assert_eq!(count(1, ProblemKind::Markup), Some(1));
    let dropped: Vec<_> =
        prepared.steps.iter().map(|step| (step.name, step.dropped.items)).collect();
    assert_eq!(
        dropped,
        [
            ("time window", 1),
            ("without a line of their own", 1),
            ("title length", 1),
            ("k-core", 0)
        ]
    );
    assert_eq!(prepared.split.test.num_samples(), 1);
    let report = prepared.report();
    assert_eq!(report.samples, [0, 1, 1]);
    assert_eq!(report.statistics.interactions, 3);
    let text = report.to_string();
    assert!(text.contains("line 9, field `unixReviewTime`: bad time"), "{text}");
    assert!(text.contains("leave-one-out"), "{text}");
}

#[test]
fn a_strict_policy_stops_at_the_first_problem_in_file_order() {
    let dir = tempfile::tempdir().unwrap();
    let (reviews, items) = files(dir.path());
    let strict = PrepareConfig { policy: RowPolicy::strict(), ..config() };
    let error = prepare(&reviews, None, &strict).unwrap_err().to_string();
    assert!(error.contains("reviews.json`, line 2: duplicate"), "{error}");
    let policy = RowPolicy { duplicates: OnDoubtful::Keep, ..RowPolicy::strict() };
    let error =
        prepare(&reviews, None, &PrepareConfig { policy, ..config() }).unwrap_err().to_string();
    assert!(error.contains("line 8, field `overall`: bad rating: expected 1 to 5"), "{error}");
    let policy = RowPolicy { missing_titles: OnDoubtful::Error, ..RowPolicy::lenient() };
    let error = prepare(&reviews, Some(&items), &PrepareConfig { policy, ..config() }).unwrap_err();
    assert!(error.to_string().contains("meta.json`, line 4, field `title`"), "{error}");
    let protocol = SplitProtocol::Published;
    let policy = RowPolicy::lenient();
    let error = prepare(
        &reviews,
        None,
        &PrepareConfig { policy, protocol, k_core: KCore { user: 1, item: 1 }, ..config() },
    );
    assert!(matches!(error, Err(DataError::NotASplit { .. })));
}
