//! An item from the loosely typed fields of published files.

use serde_json::Value;

use super::policy::{OnDoubtful, OnMarkup, Problem, ProblemKind, RowPolicy};
use super::title::{clean, markup, one_line};
use crate::Item;

/// An item, and what was cleaned away if its title had markup.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) item: Item,
    pub(super) cleaned: Option<Problem>,
}

/// The item of these fields, its title as `policy` wants it.
pub(super) fn describe(
    key: String,
    title: Option<Value>,
    description: Option<Value>,
    brand: Option<Value>,
    categories: Option<Value>,
    policy: &RowPolicy,
) -> Result<Described, Problem> {
    let raw = match title {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(title)) => title,
        Some(other) => {
            return Err(Problem::new(ProblemKind::Field, "title", &other.to_string(), "a text"));
        }
    };
    let found = markup(&raw)
        .map(|found| Problem::new(ProblemKind::Markup, "title", found, "a title without HTML"));
    let (title, cleaned) = match (found, policy.markup) {
        (None, _) | (Some(_), OnMarkup::Keep) => (one_line(&raw), None),
        (Some(problem), OnMarkup::Clean) => (clean(&raw), Some(problem)),
        (Some(problem), OnMarkup::Error | OnMarkup::Skip) => return Err(problem),
    };
    if title.is_empty() && policy.missing_titles != OnDoubtful::Keep {
        return Err(Problem::new(ProblemKind::MissingTitle, "title", &raw, "a title"));
    }
    let item = Item::new(key, title)
        .with_categories(texts(categories))
        .with_description(texts(description).join(" "))
        .with_brand(texts(brand).join(" "));
    Ok(Described { item, cleaned })
}

/// The texts of a text or a list of texts, each on one line; anything else is no text.
fn texts(value: Option<Value>) -> Vec<String> {
    let of = |value: Value| match value {
        Value::String(text) => Some(one_line(&text)).filter(|text| !text.is_empty()),
        _ => None,
    };
    match value {
        Some(Value::Array(values)) => values.into_iter().filter_map(of).collect(),
        Some(value) => of(value).into_iter().collect(),
        None => Vec::new(),
    }
}
