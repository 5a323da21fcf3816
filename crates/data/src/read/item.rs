//! An item from the loosely typed fields of published files.

use serde_json::Value;

use super::categories::without_placeholders;
use super::placeholder::{OnPlaceholder, Placeholders, is_placeholder};
use super::policy::{OnDoubtful, OnMarkup, RowPolicy, Skips};
use super::problem::{Problem, ProblemKind};
use super::title::{clean, is_script, markup, one_line};
use crate::{DataError, Item};

/// An item, and a note on what was changed.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) item: Item,
    /// Set if the title was cleaned of markup, or if it counts as missing although the field is not
    /// empty.
    pub(super) changed: Option<Problem>,
    pub(super) placeholders: Placeholders,
}

impl Described {
    /// The item, after the changes were noted in `skips`.
    pub(super) fn told(
        self,
        line: u64,
        skips: &mut Skips,
        policy: &RowPolicy,
    ) -> Result<Item, DataError> {
        if let Some(problem) = self.changed {
            skips.add(problem.at(line), policy)?;
        }
        skips.placeholders.merge(self.placeholders);
        Ok(self.item)
    }
}

/// The item of these fields, with the title as `policy` asks for it.
pub(super) fn describe(
    key: String,
    title: Option<Value>,
    description: Option<Value>,
    brand: Option<Value>,
    categories: Option<Value>,
    policy: &RowPolicy,
) -> Result<Described, Problem> {
    let mut fields = Fields { policy, placeholders: Placeholders::default() };
    let raw = match title {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(title)) => title,
        Some(other) => {
            return Err(Problem::new(ProblemKind::Field, "title", &other.to_string(), "a text"));
        }
    };
    let (title, changed) = fields.title(&raw)?;
    let item = Item::new(key, title)
        .with_categories(fields.texts("categories", categories))
        .with_description(fields.texts("description", description).join(" "))
        .with_brand(fields.texts("brand", brand).join(" "));
    Ok(Described { item, changed, placeholders: fields.placeholders })
}

/// Fields of one item under a policy.
struct Fields<'a> {
    policy: &'a RowPolicy,
    placeholders: Placeholders,
}

impl Fields<'_> {
    /// The title, and what was changed in it.
    fn title(&mut self, raw: &str) -> Result<(String, Option<Problem>), Problem> {
        let RowPolicy { markup: on_markup, missing_titles, placeholders, .. } = self.policy;
        let cleaned = clean(raw);
        let empty = |problem: Problem| match missing_titles {
            OnDoubtful::Keep => Ok((String::new(), Some(problem))),
            OnDoubtful::Error | OnDoubtful::Skip => Err(problem),
        };
        if is_script(raw, &cleaned) {
            return empty(Problem::new(ProblemKind::Script, "title", raw, "a title, not a script"));
        }
        let found = markup(raw)
            .map(|found| Problem::new(ProblemKind::Markup, "title", found, "a title without HTML"));
        let (title, changed) = match (found, on_markup) {
            (None, _) | (Some(_), OnMarkup::Keep) => (one_line(raw), None),
            (Some(problem), OnMarkup::Clean) => (cleaned, Some(problem)),
            (Some(problem), OnMarkup::Error | OnMarkup::Skip) => return Err(problem),
        };
        let missing =
            |found: &str| Problem::new(ProblemKind::MissingTitle, "title", found, "a title");
        if *placeholders == OnPlaceholder::Missing && is_placeholder(&title) {
            let kept = empty(missing(&title))?;
            self.placeholders.add("title", &title);
            return Ok(kept);
        }
        if title.is_empty() && *missing_titles != OnDoubtful::Keep {
            return Err(missing(raw));
        }
        Ok((title, changed))
    }

    /// The texts of a text or a list of texts, each on one line; anything else does not count as
    /// text, and neither does a word for a missing value or a script.
    fn texts(&mut self, field: &str, value: Option<Value>) -> Vec<String> {
        let of = |value: Value| match value {
            Value::String(text) => Some(one_line(&text)).filter(|text| !text.is_empty()),
            _ => None,
        };
        let mut texts: Vec<String> = match value {
            Some(Value::Array(values)) => values.into_iter().filter_map(of).collect(),
            Some(value) => of(value).into_iter().collect(),
            None => Vec::new(),
        };
        let found = &mut self.placeholders;
        if self.policy.placeholders == OnPlaceholder::Missing {
            without_placeholders(&mut texts, |word| found.add(field, word));
        }
        texts.retain(|text| {
            let script = is_script(text, text);
            if script {
                found.add(field, "a page's script");
            }
            !script
        });
        texts
    }
}
