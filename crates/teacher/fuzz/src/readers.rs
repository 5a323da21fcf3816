//! What the fuzz target does with its bytes. The replay of its corpus, a test of `sidereal-teacher`,
//! includes this file: both do the same.

use sidereal_teacher::{AnswerCache, Durability};

/// A cache of answers: what opens once opens again, with as many answers.
pub fn answers(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("answers");
    std::fs::write(&path, bytes).expect("a file");
    let open = || AnswerCache::open(&path, Durability::Buffered).map(|it| it.len());
    if let Ok(len) = open() {
        assert_eq!(open().expect("the same file"), len);
    }
}
