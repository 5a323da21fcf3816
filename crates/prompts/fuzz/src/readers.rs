//! What the fuzz target does with its bytes. The replay of its corpus, a test of `sidereal-prompts`,
//! includes this file: both do the same.

use sidereal_data::read::{OnDoubtful, RowPolicy};
use sidereal_prompts::Enrichments;

/// Texts of teachers: what is read can be written and read again.
pub fn enrichments(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second) = (dir.path().join("1"), dir.path().join("2"));
    std::fs::write(&first, bytes).expect("a file");
    // Lines are short, so that a fuzzer can make one that is too long.
    let lenient = RowPolicy { max_line: 1 << 12, ..RowPolicy::lenient() };
    let keeping = RowPolicy { duplicates: OnDoubtful::Keep, ..lenient.clone() };
    for policy in [lenient, keeping] {
        let Ok(loaded) = Enrichments::read(&first, &policy) else { continue };
        loaded.enrichments.write(&second).expect("a file");
        let again = Enrichments::read(&second, &RowPolicy::strict()).expect("what was written");
        assert_eq!(again.enrichments, loaded.enrichments);
    }
}
