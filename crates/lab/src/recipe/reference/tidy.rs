//! Turns a generated schema into one for recipes and their readers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::prose::first_paragraph;
use super::range::bounds;

/// Key of a schema's node, beside those of JSON schema, that keeps a range as it is written.
pub(super) const RANGE: &str = "x-range";

/// Shortens descriptions to plain text, gives numbers their ranges, and removes `null`, which TOML lacks.
pub(super) fn tidy(node: &mut Value) {
    match node {
        Value::Array(nodes) => nodes.iter_mut().for_each(tidy),
        Value::Object(keys) => {
            without_null(keys);
            describe(keys);
            for (key, node) in keys {
                if key != "default" {
                    tidy(node);
                }
            }
        }
        _ => {}
    }
}

/// Removes `required` from the type of this name and from all types within it. Alternatives of a choice
/// keep the key that tells them apart.
pub(super) fn without_required_below(schema: &mut Value, name: &str) {
    let (mut waiting, mut seen) = (vec![name.to_owned()], BTreeSet::new());
    while let Some(name) = waiting.pop() {
        let node = &mut schema["definitions"][&name];
        if let Some(keys) = node.as_object_mut() {
            keys.remove("required");
        }
        references(node, &mut waiting);
        seen.insert(name);
        waiting.retain(|name| !seen.contains(name));
    }
}

/// The names of all types that a node refers to.
fn references(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Array(nodes) => nodes.iter().for_each(|node| references(node, found)),
        Value::Object(keys) => {
            let own = keys.get("$ref").and_then(Value::as_str);
            found.extend(
                own.and_then(|path| path.strip_prefix("#/definitions/")).map(str::to_owned),
            );
            keys.values().for_each(|node| references(node, found));
        }
        _ => {}
    }
}

fn without_null(keys: &mut Map<String, Value>) {
    if let Some(mut default) = keys.remove("default").filter(|default| !default.is_null()) {
        without_null_values(&mut default);
        keys.insert("default".to_owned(), default);
    }
    if let Some(Value::Array(types)) = keys.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            keys.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if choices.len() == 1 {
            let only = keys.remove("anyOf").unwrap_or_default();
            keys.insert("allOf".to_owned(), only);
        }
    }
    // The widths of Rust's numbers mean nothing to a reader, and the bounds of floats are not
    // ranges.
    keys.remove("format");
}

/// Removes from the default of a table the keys that are left out.
fn without_null_values(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(without_null_values),
        Value::Object(keys) => {
            keys.retain(|_, value| !value.is_null());
            keys.values_mut().for_each(without_null_values);
        }
        _ => {}
    }
}

fn describe(keys: &mut Map<String, Value>) {
    let Some(text) = keys.get("description").and_then(Value::as_str).map(first_paragraph) else {
        return;
    };
    let (text, _) = super::prose::take_sentence(&text, "Default");
    let (text, range) = super::prose::take_sentence(&text, "Range");
    keys.insert("description".to_owned(), Value::String(text));
    let Some(range) = range else { return };
    if matches!(keys.get("type").and_then(Value::as_str), Some("integer" | "number")) {
        keys.extend(bounds(&range));
    }
    keys.insert(RANGE.to_owned(), Value::String(range));
}
