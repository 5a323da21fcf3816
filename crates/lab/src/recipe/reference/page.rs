//! The schema as a page of Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::tidy::RANGE;
use super::value::{resolve, texts, toml};
use crate::error::LabError;

const HEAD: &str = "\
# All keys of a recipe

This page is made of the types that read recipes: `sidereal keys --write docs` writes it anew, and a test
compares it with them. [recipes.md](recipes.md) says how recipes are used. `recipe.schema.json` beside this page
says the same to editors: with `#:schema PATH/recipe.schema.json` in its first line, a recipe is checked and
completed by those that know TOML, such as VS Code with Even Better TOML.

Keys stand in alphabetical order, required ones first. A key with the default – may be left out, and its meaning
says what happens then. Ranges are written as `1..` (1 and more), `[0, 1)` (from 0 to below 1) and `(0, ∞)`
(above 0). `sidereal keys stage.rl.optim` prints the keys of one table.
";

/// The most values that a row names; if there are more, they have a section.
const FEW: usize = 5;

/// The page of a whole schema.
pub(super) fn whole(schema: &Value) -> String {
    let mut page = Page { root: schema, text: HEAD.to_owned(), sections: BTreeMap::new() };
    page.section(&Place { path: String::new(), node: schema, default: None, list: false });
    page.text
}

/// The sections of one key and of all keys below it; a row if the key holds a plain value.
pub(super) fn part(schema: &Value, key: &str) -> Result<String, LabError> {
    let mut place = Place { path: String::new(), node: schema, default: None, list: false };
    for name in key.split('.') {
        let mut keys = place.keys(schema);
        let Some(at) = keys.iter().position(|key| key.name == name) else {
            let found = keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
            let (key, table) = (key.to_owned(), place.path);
            return Err(LabError::UnknownKey { key, table, found });
        };
        place = keys.swap_remove(at).place;
    }
    let mut page = Page { root: schema, text: String::new(), sections: BTreeMap::new() };
    if place.keys(schema).is_empty() && values(schema, place.node).is_none() {
        let name = place.path.rsplit('.').next().unwrap_or(key);
        let place = place.clone();
        page.rows(&[Key {
            name,
            spelling: Spelling::Key,
            required: false,
            alternative: None,
            place,
        }]);
    } else {
        page.section(&place);
    }
    Ok(page.text.trim_start().to_owned())
}

/// A node of the schema at its place in a recipe.
#[derive(Clone)]
struct Place<'a> {
    path: String,
    node: &'a Value,
    /// The default that the table around it gives.
    default: Option<&'a Value>,
    /// Whether it is one of a list of tables.
    list: bool,
}

/// A key of a table, or one of several alternatives.
struct Key<'a> {
    name: &'a str,
    spelling: Spelling<'a>,
    required: bool,
    /// If the key is an alternative of a choice: that alternative, which describes the key.
    alternative: Option<&'a Value>,
    place: Place<'a>,
}

/// How a name is written in a recipe.
#[derive(Clone, Copy, PartialEq)]
enum Spelling<'a> {
    /// As a key.
    Key,
    /// As a text in place of a table.
    Text,
    /// As the text of this key of a table, which says what other keys the table has.
    Tag(&'a str),
}

impl<'a> Place<'a> {
    /// The keys within a table, or the alternatives of a choice; nothing for a plain value.
    fn keys(&self, root: &'a Value) -> Vec<Key<'a>> {
        let (node, _) = resolve(root, self.node);
        let node = if node["type"] == "array" { resolve(root, &node["items"]).0 } else { node };
        if let Some(alternatives) = node["oneOf"].as_array()
            && values(root, node).is_none()
        {
            return alternatives.iter().flat_map(|node| self.alternative(node)).collect();
        }
        let mut keys = self.properties(node);
        keys.sort_by_key(|key| !key.required);
        keys
    }

    fn properties(&self, node: &'a Value) -> Vec<Key<'a>> {
        let required = |name: &str| {
            node["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name))
        };
        let key = |(name, node): (&'a String, &'a Value)| {
            let default = self.default.and_then(|table| table.get(name)).or(node.get("default"));
            let place = Place { path: self.below(name), node, default, list: false };
            let required = required(name) && default.is_none();
            Key { name, spelling: Spelling::Key, required, alternative: None, place }
        };
        node["properties"].as_object().into_iter().flatten().map(key).collect()
    }

    /// An alternative of a choice: some texts, tables by their names, or a table with a key that names it.
    fn alternative(&self, node: &'a Value) -> Vec<Key<'a>> {
        let place = |path, node| Place { path, node, default: None, list: false };
        if let Some(texts) = texts(node) {
            let key = |(name, _)| {
                let (place, alternative) = (place(self.path.clone(), node), Some(node));
                Key { name, spelling: Spelling::Text, required: false, alternative, place }
            };
            return texts.into_iter().map(key).collect();
        }
        if let Some((tag, name)) = tag(node) {
            let place = place(format!("{} ({tag} = \"{name}\")", self.path), node);
            let (spelling, alternative) = (Spelling::Tag(tag), Some(node));
            return vec![Key { name, spelling, required: false, alternative, place }];
        }
        let mut keys = self.properties(node);
        for key in &mut keys {
            (key.required, key.alternative) = (false, Some(node));
        }
        keys
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The key of a table that can only be one text, and that text.
fn tag(node: &Value) -> Option<(&str, &str)> {
    let keys = node["properties"].as_object()?;
    keys.iter().find_map(|(key, node)| Some((key.as_str(), node["const"].as_str()?)))
}

/// The values of a node that is a choice of texts.
fn values<'a>(root: &'a Value, node: &'a Value) -> Option<Vec<(&'a str, &'a str)>> {
    texts(resolve(root, node).0)
}

struct Page<'a> {
    root: &'a Value,
    text: String,
    /// The path at which a type with its defaults has its section.
    sections: BTreeMap<(String, String), String>,
}

impl<'a> Page<'a> {
    /// A heading, a description of the table, its rows, and the sections of the tables within it.
    fn section(&mut self, place: &Place<'a>) {
        let (node, _) = resolve(self.root, place.node);
        let title = match (place.path.as_str(), place.list) {
            ("", _) => "The file itself".to_owned(),
            (path, true) => format!("`[[{path}]]`"),
            (path, false) => format!("`{path}`"),
        };
        let node = if place.list { resolve(self.root, &node["items"]).0 } else { node };
        self.line(&format!("\n## {title}\n"));
        if let Some(text) = node["description"].as_str() {
            self.line(&format!("{text}\n"));
        }
        if let Some(texts) = texts(node) {
            self.line("| value | meaning |\n|---|---|");
            for (text, means) in texts {
                self.line(&format!("| `\"{text}\"` | {} |", cell(means)));
            }
            return;
        }
        let keys = place.keys(self.root);
        let below = self.rows(&keys);
        for place in below {
            self.section(&place);
        }
    }

    /// The rows of a table; returns the nodes that need a section of their own.
    fn rows(&mut self, keys: &[Key<'a>]) -> Vec<Place<'a>> {
        // One of several alternatives is chosen: none has a default of its own.
        let is_choice = keys.iter().all(|key| key.alternative.is_some());
        self.line(if is_choice {
            "| one of | type | range | meaning |\n|---|---|---|---|"
        } else {
            "| key | type | default | range | meaning |\n|---|---|---|---|---|"
        });
        let mut below = Vec::new();
        for Key { name, spelling, required, alternative, place } in keys {
            let (node, _) = resolve(self.root, place.node);
            let is_text = *spelling == Spelling::Text;
            let name = match spelling {
                Spelling::Key => format!("`{name}`"),
                Spelling::Text => format!("`\"{name}\"`"),
                Spelling::Tag(key) => format!("`{key} = \"{name}\"`"),
            };
            let kind = if is_text { "this text".to_owned() } else { self.kind(place, &mut below) };
            let default = match (place.default, required) {
                (_, true) => "required".to_owned(),
                // Its keys have defaults of their own.
                (Some(Value::Object(_)), _) if node["properties"].is_object() => {
                    "see its keys".to_owned()
                }
                (Some(value), _) => format!("`{}`", toml(value)),
                (None, _) => "–".to_owned(),
            };
            let of = |key: &str| {
                let nodes = [*alternative, Some(place.node), Some(node)].into_iter().flatten();
                nodes
                    .filter_map(|node| node[key].as_str())
                    .find(|text| !text.is_empty())
                    .unwrap_or("")
            };
            let mut means = vec![of("description").to_owned()];
            let few = texts(node).filter(|texts| (2..=FEW).contains(&texts.len()) && !is_text);
            let told = few.into_iter().flatten().filter(|(_, text)| !text.is_empty());
            means.extend(told.map(|(text, meaning)| format!("`\"{text}\"`: {meaning}")));
            let (range, means) = (cell(of(RANGE)), cell(&means.join("<br>")));
            let default = if is_choice { String::new() } else { format!(" {default} |") };
            self.line(&format!("| {name} | {kind} |{default} {range} | {means} |"));
        }
        below
    }

    /// The kind of a value, with a link if it has a section.
    fn kind(&mut self, place: &Place<'a>, below: &mut Vec<Place<'a>>) -> String {
        let (node, name) = resolve(self.root, place.node);
        if let Some(texts) = texts(node) {
            if texts.len() > FEW {
                return self.link("one of these texts", name, place, below);
            }
            let quoted = texts.iter().map(|(text, _)| format!("`\"{text}\"`"));
            return quoted.collect::<Vec<_>>().join(", ");
        }
        if node["oneOf"].is_array() {
            return self.link("one of these", name, place, below);
        }
        match node["type"].as_str() {
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => self.list(node, place, below),
            Some("object") => match node["properties"].as_object() {
                Some(keys) if keys.is_empty() => "`{}`".to_owned(),
                Some(_) => self.link("table", name, place, below),
                None => self.map(node, place, below),
            },
            _ => "text".to_owned(),
        }
    }

    fn list(&mut self, node: &'a Value, place: &Place<'a>, below: &mut Vec<Place<'a>>) -> String {
        if let Some(several) = node["items"].as_array() {
            let kinds = several.iter().map(|node| {
                self.kind(&Place { node, default: None, ..place.clone() }, &mut Vec::new())
            });
            return format!("list of {}", kinds.collect::<Vec<_>>().join(", "));
        }
        let (item, _) = resolve(self.root, &node["items"]);
        let of_tables = item["properties"].is_object();
        let inner = Place { node: &node["items"], default: None, list: of_tables, ..place.clone() };
        let mut found = Vec::new();
        let kind = self.kind(&inner, &mut found);
        // The section of a list of tables belongs to the list, as its heading says.
        below.extend(found.into_iter().map(|inner| {
            if of_tables { Place { list: true, default: None, ..place.clone() } } else { inner }
        }));
        format!("list of: {kind}")
    }

    fn map(&mut self, node: &'a Value, place: &Place<'a>, below: &mut Vec<Place<'a>>) -> String {
        let patterns =
            node["patternProperties"].as_object().and_then(|nodes| nodes.values().next());
        let values = patterns.or(node.get("additionalProperties")).filter(|node| node.is_object());
        match values {
            Some(node) => {
                let inner = Place { node, default: None, ..place.clone() };
                format!("table of name = {}", self.kind(&inner, below))
            }
            None => "`{}`".to_owned(),
        }
    }

    /// The text, linked to the section of the type. The first place of a type gets that section.
    fn link(
        &mut self,
        words: &str,
        name: Option<&str>,
        place: &Place<'a>,
        below: &mut Vec<Place<'a>>,
    ) -> String {
        let default = place.default.filter(|value| value.is_object());
        let default = default.map(ToString::to_string).unwrap_or_default();
        let of_path = || (place.path.clone(), String::new());
        let id = name.map_or_else(of_path, |name| (name.to_owned(), default));
        let path = self.sections.entry(id).or_insert_with(|| {
            below.push(place.clone());
            place.path.clone()
        });
        let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
        let anchor = path.chars().filter(kept).collect::<String>().replace(' ', "-");
        if *path == place.path {
            format!("[{words}](#{anchor})")
        } else {
            format!("{words}, as [`{path}`](#{anchor})")
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A text within a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
