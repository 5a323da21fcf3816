//! JSON files that are one object, entry by entry.

use std::fmt;
use std::io::BufReader;
use std::path::Path;

use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::source::{self, Limited};
use crate::DataError;

/// Hands every entry of the object in `path` to `take`, with its number from 1. One entry at a
/// time is held, of `max_entry` bytes at most.
///
/// # Errors
/// [`DataError::Io`], [`DataError::Json`] if the file is not an object, and the first error of
/// `take`.
pub(super) fn read(
    path: &Path,
    max_entry: usize,
    mut take: impl FnMut(u64, String, Value) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (input, left) = Limited::new(source::open(path)?, max_entry);
    let take = |number, key, value| {
        left.set(max_entry);
        take(number, key, value)
    };
    let mut entries = Entries { take, failed: None };
    let reader = BufReader::new(input);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let read = (&mut entries).deserialize(&mut json).and_then(|()| json.end());
    match (entries.failed, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) if error.is_io() => Err(DataError::io(path, error.into())),
        (None, Err(source)) => Err(DataError::Json { path: path.to_owned(), source }),
        (None, Ok(())) => Ok(()),
    }
}

struct Entries<T> {
    take: T,
    /// An error of `take`, which serde's own error cannot carry.
    failed: Option<DataError>,
}

impl<'de, T: FnMut(u64, String, Value) -> Result<(), DataError>> DeserializeSeed<'de>
    for &mut Entries<T>
{
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: FnMut(u64, String, Value) -> Result<(), DataError>> Visitor<'de> for &mut Entries<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some((key, value)) = map.next_entry()? {
            number += 1;
            if let Err(error) = (self.take)(number, key, value) {
                self.failed = Some(error);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<(u64, String)>, DataError> {
        keys_up_to(text, usize::MAX)
    }

    fn keys_up_to(text: &str, max_entry: usize) -> Result<Vec<(u64, String)>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        std::fs::write(&path, text).unwrap();
        let mut keys = Vec::new();
        read(&path, max_entry, |number, key, value| {
            if value.is_null() {
                return Err(DataError::NoTimes);
            }
            keys.push((number, key));
            Ok(())
        })?;
        Ok(keys)
    }

    #[test]
    fn entries_come_in_file_order() {
        let expected = vec![(1, "b".to_owned()), (2, "a".to_owned())];
        assert_eq!(keys(r#"{"b": 1, "a": {"b": []}}"#).unwrap(), expected);
    }

    #[test]
    fn a_json_entry_that_is_not_an_object_is_named() {
        for text in ["", "[1]", "{\"a\": 1", "{\"a\": 1} x"] {
            let error = keys(text).unwrap_err();
            assert!(matches!(error, DataError::Json { .. }), "{text}: {error:?}");
            assert!(error.to_string().contains("x.json"));
        }
        assert!(matches!(keys("{\"a\": null}"), Err(DataError::NoTimes)));
    }

    #[test]
    fn an_entry_without_an_end_is_refused_and_many_entries_are_not() {
        let entry = |i: usize| format!("\"{i}\": \"{}\"", "x".repeat(10_000));
        let entries: Vec<_> = (0..50).map(entry).collect();
        let text = format!("{{{}}}", entries.join(","));
        assert_eq!(keys_up_to(&text, 50_000).unwrap().len(), 50);
        let refused = keys_up_to(&format!("{{\"a\": \"{}", "x".repeat(100_000)), 50_000);
        assert!(matches!(refused, Err(DataError::Io { .. })), "{refused:?}");
    }
}
