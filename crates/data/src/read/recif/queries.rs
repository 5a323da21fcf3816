//! Portraits and queries of a row.

use arrow_array::{Array as _, RecordBatch};
use serde_json::Value;
use sidereal_sid::SemanticId;

use super::columns::Columns;
use crate::read::batches::cells::texts;
use crate::read::problem::{Problem, ProblemKind};

/// What a row says in words.
#[derive(Debug, Default)]
pub(super) struct InWords {
    pub(super) portrait: String,
    /// Words, and names of items, each once.
    pub(super) queries: Vec<(String, Vec<String>)>,
}

impl InWords {
    /// The texts of a row; none for columns that are not named.
    pub(super) fn of(batch: &RecordBatch, columns: &Columns, row: usize) -> Result<Self, Problem> {
        let text = |column: &Option<String>| -> Option<String> {
            let values = batch.column_by_name(column.as_ref()?)?;
            let value = texts(&values.slice(row, 1), 0);
            value.as_str().map(str::to_owned).filter(|text| !text.trim().is_empty())
        };
        let queries = match (text(&columns.queries), &columns.queries) {
            (Some(json), Some(column)) => queries(&json).ok_or_else(|| {
                let needed = "a JSON object with a list of items for each query";
                Problem::new(ProblemKind::Field, column.clone(), &json, needed)
            })?,
            _ => Vec::new(),
        };
        Ok(Self { portrait: text(&columns.portrait).unwrap_or_default(), queries })
    }
}

/// Queries with words and items, by their words.
fn queries(json: &str) -> Option<Vec<(String, Vec<String>)>> {
    let Ok(Value::Object(object)) = serde_json::from_str(json) else { return None };
    let mut found = Vec::new();
    for (words, items) in object {
        let Value::Array(items) = items else { return None };
        let mut names: Vec<String> = Vec::new();
        for item in &items {
            let name = name(item)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !(words.trim().is_empty() || names.is_empty()) {
            found.push((words, names));
        }
    }
    Some(found)
}

/// An item as columns of items name it: a whole number, a text that is not empty, or codes.
fn name(item: &Value) -> Option<String> {
    match item {
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(codes) => {
            let code = |code: &Value| code.as_u64().and_then(|code| u16::try_from(code).ok());
            let codes: Vec<u16> = codes.iter().map(code).collect::<Option<_>>()?;
            // As many levels as there are letters.
            (1..=26).contains(&codes.len()).then(|| SemanticId::from(codes).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::queries;

    #[test]
    fn items_are_named_as_in_columns_and_what_is_no_object_of_lists_is_refused() {
        let found =
            queries(r#"{"b": [3, "x", 3, [1, 2]], "a": [7], "": [8], "none": []}"#).unwrap();
        let named = |words: &str, items: &[&str]| {
            (words.to_owned(), items.iter().map(ToString::to_string).collect())
        };
        assert_eq!(found, [named("a", &["7"]), named("b", &["3", "x", "<a_1><b_2>"])]);
        for text in
            ["", "[]", "3", r#"{"a": 3}"#, r#"{"a": [1.5]}"#, r#"{"a": [""]}"#, r#"{"a": [[]]}"#]
        {
            assert_eq!(queries(text), None, "{text}");
        }
    }
}
