//! Ranges, as doc comments write them.

use serde_json::{Map, Number, Value};

/// The bounds that a range such as `1..`, `2..=9` or `(0, 1]` gives a number, as JSON schema names them.
/// A bound that is not a number (`∞`, the name of another key) is left out.
pub(super) fn bounds(range: &str) -> Map<String, Value> {
    let mut bounds = Map::new();
    let Some(range) = range.strip_prefix('`').and_then(|rest| rest.split('`').next()) else {
        return bounds;
    };
    let mut bound = |name: &str, text: &str| {
        if let Some(number) = number(text.trim()) {
            bounds.insert(name.to_owned(), Value::Number(number));
        }
    };
    if let Some((low, high)) = range.split_once("..") {
        bound("minimum", low);
        bound("maximum", high.strip_prefix('=').unwrap_or_default());
    } else if let Some((low, high)) = range.split_once(',') {
        match low.strip_prefix('[') {
            Some(low) => bound("minimum", low),
            None => bound("exclusiveMinimum", low.strip_prefix('(').unwrap_or_default()),
        }
        match high.strip_suffix(']') {
            Some(high) => bound("maximum", high),
            None => bound("exclusiveMaximum", high.strip_suffix(')').unwrap_or_default()),
        }
    }
    bounds
}

fn number(text: &str) -> Option<Number> {
    match text.parse::<u64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ranges_become_bounds() {
        for (range, expected) in [
            ("`1..`", json!({ "minimum": 1 })),
            ("`2..=9`", json!({ "minimum": 2, "maximum": 9 })),
            ("`1..=size`", json!({ "minimum": 1 })),
            ("`[0, 1)`", json!({ "minimum": 0, "exclusiveMaximum": 1 })),
            ("`(0, 0.5]`, as said", json!({ "exclusiveMinimum": 0, "maximum": 0.5 })),
            ("`(0, ∞)`", json!({ "exclusiveMinimum": 0 })),
            ("at least 1", json!({})),
        ] {
            assert_eq!(Value::Object(bounds(range)), expected, "{range}");
        }
    }
}
