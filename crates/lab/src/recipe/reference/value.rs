//! Kinds and defaults of keys, in the terms of TOML.

use serde_json::Value;

/// The node that a reference stands for, and its name; the caller handles
/// siblings of the reference.
pub(super) fn resolve<'a>(root: &'a Value, node: &'a Value) -> (&'a Value, Option<&'a str>) {
    let reference = node["$ref"].as_str().or_else(|| node["allOf"][0]["$ref"].as_str());
    let name = reference.and_then(|path| path.strip_prefix("#/definitions/"));
    match name {
        Some(name) => (&root["definitions"][name], Some(name)),
        None => match node["allOf"].get(0) {
            Some(inner) => (inner, None),
            None => (node, None),
        },
    }
}

/// The values of a node that is a choice of plain texts, each with its meaning.
pub(super) fn texts(node: &Value) -> Option<Vec<(&str, &str)>> {
    let alternatives = node["oneOf"].as_array().map(Vec::as_slice);
    let own = std::slice::from_ref(node);
    let mut texts = Vec::new();
    for alternative in alternatives.unwrap_or(own) {
        let means = alternative["description"].as_str().unwrap_or_default();
        match (&alternative["const"], &alternative["enum"]) {
            (Value::String(text), _) => texts.push((text.as_str(), means)),
            (_, Value::Array(several)) => {
                texts.extend(several.iter().filter_map(Value::as_str).map(|text| (text, "")));
            }
            _ => return None,
        }
    }
    Some(texts)
}

/// A value as TOML writes it within a line.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::Object(keys) if keys.is_empty() => "{}".to_owned(),
        Value::Object(keys) => {
            let pairs = keys.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        // Texts are quoted in the same way in both.
        plain => plain.to_string(),
    }
}
