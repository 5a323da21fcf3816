//! The reference against the types that read recipes, the recipes that there are, and the files in `docs`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml::Value as Toml;

use super::value::{resolve, texts};
use crate::recipe::Recipe;

const REMEDY: &str = "write them anew: cargo run -p sidereal-cli -- keys --write docs";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// What is wrong with a value by the schema, by the rules of JSON schema that a recipe's schema uses.
fn faults(root: &Value, node: &Value, value: &Value, path: &str) -> Vec<String> {
    let (node, _) = resolve(root, node);
    if let Some(choices) = node["oneOf"].as_array().or(node["anyOf"].as_array()) {
        let fit = choices.iter().filter(|node| faults(root, node, value, path).is_empty()).count();
        return if fit == 1 { vec![] } else { vec![format!("{path}: fits {fit} alternatives")] };
    }
    let mut found = Vec::new();
    let mut refuse = |what: &str| found.push(format!("{path}: {value} is {what}"));
    let is_of_type = match node["type"].as_str() {
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !is_of_type {
        refuse("of another type");
    }
    if !node["const"].is_null() && node["const"] != *value {
        refuse("another text");
    }
    if node["enum"].as_array().is_some_and(|texts| !texts.contains(value)) {
        refuse("none of the texts");
    }
    if let Some(number) = value.as_f64() {
        let bound = |name: &str| node[name].as_f64();
        if bound("minimum").is_some_and(|least| number < least)
            || bound("exclusiveMinimum").is_some_and(|least| number <= least)
            || bound("maximum").is_some_and(|most| number > most)
            || bound("exclusiveMaximum").is_some_and(|most| number >= most)
        {
            refuse("outside the range");
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let of_item = node["items"].get(index).unwrap_or(&node["items"]);
        found.extend(faults(root, of_item, item, &format!("{path}[{index}]")));
    }
    let Some(keys) = value.as_object() else { return found };
    for name in node["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !keys.contains_key(name) {
            found.push(format!("{path}: `{name}` is missing"));
        }
    }
    for (name, value) in keys {
        let path = format!("{path}.{name}");
        let patterns =
            node["patternProperties"].as_object().and_then(|nodes| nodes.values().next());
        match (node["properties"].get(name).or(patterns), &node["additionalProperties"]) {
            (None, Value::Bool(false)) => found.push(format!("{path}: there is no such key")),
            (Some(node), _) | (None, node) => found.extend(faults(root, node, value, &path)),
        }
    }
    found
}

/// The recipes of the library as they are in their files, and as a run writes them, with all defaults.
fn recipes() -> Vec<(String, Value)> {
    let mut recipes = Vec::new();
    for preset in Recipe::presets() {
        let table: toml::Table = preset.text.parse().unwrap();
        let whole = Toml::try_from(Recipe::preset(preset.name).unwrap()).unwrap();
        recipes.push((preset.name.to_owned(), serde_json::to_value(table).unwrap()));
        recipes.push((format!("{}, whole", preset.name), serde_json::to_value(whole).unwrap()));
    }
    recipes
}

#[test]
fn the_committed_reference_is_that_of_the_types() {
    let schema = format!("{}\n", serde_json::to_string_pretty(&Recipe::schema()).unwrap());
    for (name, text) in [("recipe.md", Recipe::reference()), ("recipe.schema.json", schema)] {
        let path = docs(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "`{}` is not that of the types; {REMEDY}", path.display());
    }
}

#[test]
fn the_schema_accepts_every_recipe_of_the_library() {
    let schema = Recipe::schema();
    for (name, recipe) in recipes() {
        assert_eq!(faults(&schema, &schema, &recipe, ""), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let schema = Recipe::schema();
    let (_, good) = recipes().into_iter().find(|(name, _)| name == "singer/small, whole").unwrap();
    for (pointer, wrong) in [
        ("/seed", json!("one")),
        ("/split", json!("by_chance")),
        ("/max_history", json!(0)),
        ("/stage/0/sft/epochs", json!(-1)),
        ("/stage/0/sft/optim/warmup", json!(1.0)),
        ("/stage/0/sft", json!({ "epoch": 3 })),
    ] {
        let mut recipe = good.clone();
        *recipe.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = wrong;
        assert!(!faults(&schema, &schema, &recipe, "").is_empty(), "{pointer}");
        let text = toml::to_string(&recipe).unwrap();
        assert!(Recipe::parse(&text, Path::new("it")).is_err(), "{pointer}");
    }
}

/// Every number of a value that has a bound in the schema, with a value just outside.
fn outside(
    root: &Value,
    node: &Value,
    value: &Value,
    path: &str,
    found: &mut Vec<(String, Value)>,
) {
    let (node, _) = resolve(root, node);
    for alternative in node["oneOf"].as_array().into_iter().flatten() {
        if faults(root, alternative, value, path).is_empty() {
            outside(root, alternative, value, path, found);
        }
    }
    let whole = value.is_u64() && node["type"] == "integer";
    if value.is_number() {
        for (bound, step) in [
            ("minimum", -1.0),
            ("exclusiveMinimum", 0.0),
            ("maximum", 1.0),
            ("exclusiveMaximum", 0.0),
        ] {
            let Some(wrong) = node[bound].as_f64().map(|bound| bound + step) else { continue };
            // A whole number below 0 is not read at all; that says nothing of a range.
            if !(whole && wrong < 0.0) {
                #[allow(clippy::cast_possible_truncation, reason = "small bounds")]
                let wrong = if whole { json!(wrong as i64) } else { json!(wrong) };
                found.push((path.to_owned(), wrong));
            }
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        outside(root, &node["properties"][name], value, &format!("{path}/{name}"), found);
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        let of_item = node["items"].get(index).unwrap_or(&node["items"]);
        outside(root, of_item, value, &format!("{path}/{index}"), found);
    }
}

#[test]
fn a_number_outside_its_documented_range_is_refused() {
    let schema = Recipe::schema();
    let mut checked = std::collections::BTreeSet::new();
    for (name, recipe) in recipes().into_iter().filter(|(name, _)| name.ends_with("whole")) {
        let mut cases = Vec::new();
        outside(&schema, &schema, &recipe, "", &mut cases);
        for (pointer, wrong) in cases {
            let mut changed = recipe.clone();
            *changed.pointer_mut(&pointer).unwrap() = wrong.clone();
            let text = toml::to_string(&changed).unwrap();
            let read = Recipe::parse(&text, Path::new("it"));
            assert!(read.is_err(), "{name}: {pointer} may be {wrong}, outside of its range");
            checked.insert(pointer.replace(|c: char| c.is_ascii_digit(), "#"));
        }
    }
    assert!(checked.len() > 40, "only {} keys were tried: {checked:?}", checked.len());
}

#[test]
fn every_key_says_what_it_means() {
    let page = Recipe::reference();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.contains("| meaning")) {
        let meaning = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        assert!(!meaning.is_empty(), "{line}");
        assert!(!line.contains("](crate::") && !line.contains("](sidereal"), "{line}");
    }
}

#[test]
fn a_part_of_the_reference_is_found_by_its_key() {
    let part = Recipe::reference_of("stage.rl.optim").unwrap();
    assert!(part.starts_with("## `stage.rl.optim`") && part.contains("| `lr` |"), "{part}");
    let row = Recipe::reference_of("stage.rl.objective.grpo.clip.low").unwrap();
    assert!(row.contains("| `low` |") && !row.contains("`high`"), "{row}");
    assert!(Recipe::reference_of("stage.task").unwrap().contains("`\"next-item\"`"));
    let error = Recipe::reference_of("stage.rl.step").unwrap_err().to_string();
    assert!(error.contains("`stage.rl.step`") && error.contains("steps"), "{error}");
    assert!(Recipe::reference_of("seeds").unwrap_err().to_string().contains("the file itself has"));
}

#[test]
fn texts_are_found_with_and_without_meanings() {
    let plain = json!({ "type": "string", "enum": ["a", "b"] });
    assert_eq!(texts(&plain), Some(vec![("a", ""), ("b", "")]));
    let told = json!({ "oneOf": [{ "const": "a", "description": "first" }, { "enum": ["b"] }] });
    assert_eq!(texts(&told), Some(vec![("a", "first"), ("b", "")]));
    assert_eq!(texts(&json!({ "type": "string" })), None);
}
