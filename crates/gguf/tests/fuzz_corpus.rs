//! The reader on what fuzzing found worth keeping: no panic, and the law of the fuzz target.
#![allow(clippy::expect_used, reason = "a test's panic is its report")]

use std::path::Path;

#[path = "../fuzz/src/readers.rs"]
#[allow(unreachable_pub, reason = "a library to the fuzz target")]
mod readers;

/// Every input of the corpus, whole and cut in half.
#[test]
fn gguf() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/gguf");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("an input");
        readers::gguf(&bytes);
        readers::gguf(&bytes[..bytes.len() / 2]);
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus is empty");
}
