//! The readers on what fuzzing found worth keeping: no panic, and the laws of the fuzz targets.
#![allow(clippy::expect_used, reason = "a test's panic is its report")]

use std::path::Path;

#[path = "../fuzz/src/readers.rs"]
#[allow(unreachable_pub, reason = "a library to the fuzz targets")]
mod readers;

/// Runs a target on its corpus, and on every input cut in half.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("an input");
        run(&bytes);
        run(&bytes[..bytes.len() / 2]);
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

macro_rules! replays {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            replay(stringify!($target), readers::$target);
        }
    )* };
}

replays! {
    amazon_reviews amazon_metadata literal recbole minionerec lcrec recif tabular
}

/// Before its metadata were walked, this file of a kilobyte kept the decoder busy for minutes.
#[cfg(feature = "parquet")]
#[test]
fn a_table_with_elements_without_bytes_is_an_error_before_decoding() {
    use std::num::NonZeroUsize;

    use sidereal_data::read::RowPolicy;
    use sidereal_data::read::recif::{Columns, read};

    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus/recif/b5ebfb8f499f568b6b4812bd884e200a7a9aa063");
    let columns = Columns::recif("video", None);
    let error = read(&path, &columns, 1, NonZeroUsize::MAX, &RowPolicy::strict())
        .expect_err("the table is damaged");
    let source = std::error::Error::source(&error).expect("what parquet says").to_string();
    assert!(source.contains("the metadata are damaged"), "{error}: {source}");
}
