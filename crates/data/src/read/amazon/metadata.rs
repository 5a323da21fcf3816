//! Items: titles and what else is known of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::Release;
use super::reviews::{object, opens_object, shown};
use crate::read::item::{Described, describe};
use crate::read::lines::{self, Lines, TooLong};
use crate::read::policy::{OnDoubtful, RowPolicy, Skips};
use crate::read::problem::{Problem, ProblemKind};
use crate::{DataError, Item, Keys};

/// What was read of a file of items.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Catalogue {
    /// Items by key.
    pub items: BTreeMap<String, Item>,
    /// Lines left out, and titles that were cleaned.
    pub skips: Skips,
}

/// Reads what a file of items says about the `wanted` items.
///
/// Lines stream through all cores; lines of other items are only looked at for their key, and
/// memory is that of the wanted ones. A second line of an item is a duplicate.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Row`] for the first problem of a wanted item, or of a line whose
/// item cannot be told, that `policy` calls an error; [`DataError::AllSkipped`] if lines were
/// skipped and no item is left.
///
/// # Examples
/// ```
/// use sidereal_data::Keys;
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::amazon::{Release, read_metadata};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("meta.json");
/// std::fs::write(&path, "{'asin': 'B7', 'title': \"Salt &amp; pepper\", 'categories': [['Food']]}")?;
/// let mut wanted = Keys::default();
/// wanted.insert("B7");
/// let items = read_metadata(&path, Release::Y2014, &wanted, &RowPolicy::lenient())?.items;
/// assert_eq!(items["B7"].title, "Salt & pepper");
/// assert_eq!(items["B7"].categories, ["Food"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_metadata(
    path: &Path,
    release: Release,
    wanted: &Keys,
    policy: &RowPolicy,
) -> Result<Catalogue, DataError> {
    let mut items = BTreeMap::new();
    let mut skips = Skips::new(path);
    let parse = |lines: Lines<'_>| -> Vec<(u64, Result<Option<Described>, Problem>)> {
        let parse = |line: Result<&[u8], TooLong>| match line {
            Ok(line) => parse(line, release, wanted, policy),
            Err(too_long) => Err(Problem::from(too_long)),
        };
        let lines = lines.iter(policy.max_line).map(|(number, line)| (number, parse(line)));
        lines.filter(|(_, item)| !matches!(item, Ok(None))).collect()
    };
    lines::read(path, policy.max_line, parse, |first_line, block| {
        for (line, item) in block {
            let line = first_line + line;
            let described = match item {
                Ok(Some(described)) => described,
                Ok(None) => continue,
                Err(problem) => {
                    skips.add(problem.at(line), policy)?;
                    continue;
                }
            };
            let key = &described.item.key;
            if policy.duplicates != OnDoubtful::Keep && items.contains_key(key) {
                let problem = Problem::new(ProblemKind::Duplicate, "", key, "one line an item");
                skips.add(problem.at(line), policy)?;
                continue;
            }
            let item = described.told(line, &mut skips, policy)?;
            items.insert(item.key.clone(), item);
        }
        Ok(())
    })?;
    skips.left_some(items.len())?;
    skips.tell();
    Ok(Catalogue { items, skips })
}

/// The fields of all releases that are used.
#[derive(Deserialize)]
struct Line {
    asin: Option<Value>,
    parent_asin: Option<Value>,
    title: Option<Value>,
    description: Option<Value>,
    brand: Option<Value>,
    store: Option<Value>,
    category: Option<Value>,
    categories: Option<Value>,
}

fn parse(
    line: &[u8],
    release: Release,
    wanted: &Keys,
    policy: &RowPolicy,
) -> Result<Option<Described>, Problem> {
    let fast = if opens_object(line) { serde_json::from_slice(line).ok() } else { None };
    let line: Line = match fast {
        Some(line) => line,
        None => serde_json::from_value(object(line, release)?).map_err(|error| {
            Problem::new(ProblemKind::Malformed, "", &error.to_string(), "one object a line")
        })?,
    };
    let (key, field) = match release {
        Release::Y2014 | Release::Y2018 => (line.asin, "asin"),
        Release::Y2023 => (line.parent_asin, "parent_asin"),
    };
    let key = match key {
        Some(Value::String(key)) if !key.is_empty() => key,
        other => {
            let found = shown(other.as_ref());
            return Err(Problem::new(ProblemKind::Field, field, &found, "a text"));
        }
    };
    if wanted.get(&key).is_none() {
        return Ok(None);
    }
    let categories = match (release, line.category, line.categories) {
        (Release::Y2018, Some(category), _) => Some(category),
        // A list of paths, of which the first is the main one.
        (Release::Y2014, _, Some(Value::Array(paths))) => paths.into_iter().next(),
        (_, category, categories) => categories.or(category),
    };
    let brand = line.brand.or(line.store);
    describe(key, line.title, line.description, brand, categories, policy).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, release: Release, policy: &RowPolicy) -> Result<Catalogue, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.json");
        std::fs::write(&path, text).unwrap();
        let mut wanted = Keys::default();
        for key in ["a", "b", "c", "d"] {
            wanted.insert(key);
        }
        read_metadata(&path, release, &wanted, policy)
    }

    #[test]
    fn each_release_is_read_by_its_own_fields() {
        let old = "{'asin': 'a', 'title': 'x', 'categories': [['p', 'q'], ['r']], 'brand': 'y'}";
        let middle = r#"{"asin": "a", "title": "x", "category": ["p", "q"], "brand": "y",
            "description": ["one", "two"]}"#
            .replace('\n', "");
        let new = r#"{"parent_asin": "a", "asin": "z", "title": "x", "categories": ["p", "q"], "store": "y", "price": null, "details": {"a": 1}}"#;
        for (text, release) in
            [(old, Release::Y2014), (middle.as_str(), Release::Y2018), (new, Release::Y2023)]
        {
            let items = load(text, release, &RowPolicy::strict()).unwrap().items;
            let item = &items["a"];
            assert_eq!((item.title.as_str(), item.brand.as_str()), ("x", "y"), "{release:?}");
            assert_eq!(item.categories, ["p", "q"]);
            let described = if release == Release::Y2018 { "one two" } else { "" };
            assert_eq!(item.description, described);
        }
    }

    #[test]
    fn every_problem_is_skipped_counted_and_listed_by_a_lenient_policy() {
        let text = r#"{"asin": "a", "title": "ok"}
{"asin": "a", "title": "again"}
{"asin": "b"}
{"asin": "c", "title": "<b>x</b>"}
{"asin": 5}
not json
{"asin": "unwanted"}
"#;
        let loaded = load(text, Release::Y2018, &RowPolicy::lenient()).unwrap();
        assert_eq!(loaded.items.len(), 2);
        assert_eq!(loaded.items["a"].title, "ok");
        assert_eq!(loaded.items["c"].title, "x");
        let kinds: Vec<_> =
            loaded.skips.listed.iter().map(|problem| (problem.line, problem.kind)).collect();
        assert_eq!(
            kinds,
            [
                (2, ProblemKind::Duplicate),
                (3, ProblemKind::MissingTitle),
                (4, ProblemKind::Markup),
                (5, ProblemKind::Field),
                (6, ProblemKind::Malformed),
            ]
        );
    }

    #[test]
    fn python_is_read_in_2014_only() {
        let text = "{'asin': 'a', 'title': 'x'}";
        assert!(load(text, Release::Y2014, &RowPolicy::strict()).is_ok());
        let error = load(text, Release::Y2018, &RowPolicy::strict()).unwrap_err().to_string();
        assert!(error.contains("meta.json`, line 1: malformed: expected one object"), "{error}");
    }
}
