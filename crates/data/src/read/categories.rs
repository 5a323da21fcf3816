//! Categories that a file writes in one field.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::literal;
use super::placeholder::is_placeholder;

/// How a file writes an item's categories in one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CategorySeparator {
    /// Recognised from all fields of the file together: [`Quoted`](Self::Quoted) if one is a list
    /// as Python prints it, else [`Path`](Self::Path) if one has ` > `, else [`Comma`](Self::Comma)
    /// if one has a comma (`,_` is part of a name), else [`Bar`](Self::Bar) if one has a bar, else
    /// [`Space`](Self::Space).
    #[default]
    Auto,
    /// White space: `fruit red`, `RecBole`'s own default.
    Space,
    /// Commas: `Food, Coffee & Tea`.
    Comma,
    /// Bars: `Adventure|Comedy`.
    Bar,
    /// Angles between spaces: `Home & Kitchen > Mugs`.
    Path,
    /// Texts in quotes as Python prints a list, a tuple or a set, with its brackets or without:
    /// `'Sports & Outdoors', "Women's Clothing"`.
    Quoted,
}

/// The separator of a file with these fields; `None` if nothing but white space could be one.
pub(super) fn detect<'a>(
    fields: &(impl Iterator<Item = &'a str> + Clone),
) -> Option<CategorySeparator> {
    if fields.clone().any(|field| quoted(field).is_some()) {
        return Some(CategorySeparator::Quoted);
    }
    if fields.clone().any(|field| field.contains(" > ")) {
        return Some(CategorySeparator::Path);
    }
    let comma =
        |field: &str| field.match_indices(',').any(|(at, _)| !field[at + 1..].starts_with('_'));
    if fields.clone().any(comma) {
        return Some(CategorySeparator::Comma);
    }
    fields.clone().any(|field| field.contains('|')).then_some(CategorySeparator::Bar)
}

/// Whether a category is read unchanged from a file whose categories are separated by spaces and
/// whose separator the reader recognises.
pub(crate) fn is_told_from_others_by_space(category: &str) -> bool {
    detect(&std::iter::once(category)).is_none() && !is_part(category)
}

/// Whether a text can only be a piece of a category or of a list: `Coffee & Tea` is not a list of
/// three.
pub(super) fn is_part(text: &str) -> bool {
    !text.contains(char::is_alphanumeric) || text.starts_with(['[', '{'])
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List {
    pub(super) texts: Vec<String>,
    /// Whether the order may be that of a Python set, which has no order.
    pub(super) unordered: bool,
}

impl List {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let texts = texts.map(str::trim).filter(|text| !text.is_empty());
        Self { texts: texts.map(str::to_owned).collect(), unordered: false }
    }
}

/// The categories of one field. `Err` holds what was needed.
pub(super) fn split(field: &str, separator: CategorySeparator) -> Result<List, &'static str> {
    match separator {
        CategorySeparator::Auto | CategorySeparator::Space => {
            Ok(List::of(field.split_whitespace()))
        }
        CategorySeparator::Comma => Ok(List::of(field.split(','))),
        CategorySeparator::Path => Ok(List::of(field.split(" > "))),
        CategorySeparator::Bar => Ok(List::of(field.split('|'))),
        CategorySeparator::Quoted => match quoted(field) {
            Some(list) => Ok(list),
            // A single text whose quotes were removed as the quotes of the table.
            None if !opens(field) => Ok(List::of(std::iter::once(field))),
            None => Err("a list as Python prints it, such as `'Sports', \"Women's Shoes\"`"),
        },
    }
}

fn opens(field: &str) -> bool {
    field.trim_start().starts_with(['\'', '"', '[', '(', '{'])
}

/// A list, a tuple or a set as Python prints it, with its brackets or without.
fn quoted(field: &str) -> Option<List> {
    let field = field.trim();
    // An empty set, and what is left of it if its brackets were cut off.
    if ["set()", "et("].contains(&field) {
        return Some(List::default());
    }
    let named = ["set(", "frozenset("].iter().find_map(|name| field.strip_prefix(name));
    if let Some(inside) = named.and_then(|rest| rest.strip_suffix(')')) {
        let list = printed(inside.trim())?;
        return Some(List { unordered: list.texts.len() > 1, ..list });
    }
    printed(field)
}

fn printed(field: &str) -> Option<List> {
    if !opens(field) {
        return None;
    }
    let inside = |open, close| field.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let set = inside('{', '}');
    let bare = field.starts_with(['\'', '"']);
    let value = match set {
        Some(inside) => literal::parse(&format!("[{inside}]")),
        None if bare => literal::parse(&format!("[{field}]")),
        None => literal::parse(field),
    };
    let Value::Array(values) = value.ok()? else { return None };
    // Of a list of paths the first is the main one.
    let values = match values.first() {
        Some(Value::Array(path)) => path.clone(),
        _ => values,
    };
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    };
    let texts: Vec<String> = values.into_iter().map(text).collect::<Option<_>>()?;
    let unordered = (bare || set.is_some()) && texts.len() > 1;
    let List { texts, .. } = List::of(texts.iter().map(String::as_str));
    Some(List { texts, unordered })
}

/// Splits names that are joined by commas, for all items of a file together. If one comma has no
/// space after it, as in LC-Rec's files, commas with a space belong to a name.
pub(super) fn split_joined(fields: Vec<&mut Vec<String>>) {
    let joins = |rest: &str| !rest.starts_with(char::is_whitespace) && !rest.is_empty();
    let is_tight = |text: &String| text.match_indices(',').any(|(at, _)| joins(&text[at + 1..]));
    let tight = fields.iter().any(|names| names.iter().any(is_tight));
    for names in fields {
        let mut split = Vec::new();
        for text in &*names {
            let mut start = 0;
            for (at, _) in text.match_indices(',') {
                let rest = &text[at + 1..];
                if !tight || rest.is_empty() || joins(rest) {
                    split.push(&text[start..at]);
                    start = at + 1;
                }
            }
            split.push(&text[start..]);
        }
        *names = List::of(split.into_iter()).texts;
    }
}

/// Removes the words for a missing value from a list, and passes each to `found`.
pub(super) fn without_placeholders(list: &mut Vec<String>, mut found: impl FnMut(&str)) {
    list.retain(|text| {
        let stays = !is_placeholder(text);
        if !stays {
            found(text);
        }
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(field: &str, separator: CategorySeparator) -> Vec<String> {
        split(field, separator).unwrap().texts
    }

    #[test]
    fn lists_are_read_however_python_prints_them() {
        let quoted = CategorySeparator::Quoted;
        for (field, unordered) in [
            (r#"'Sports & Outdoors', "Women's Clothing", 'a, b'"#, true),
            (r#"{'Sports & Outdoors', "Women's Clothing", 'a, b'}"#, true),
            (r#"frozenset({'Sports & Outdoors', "Women's Clothing", 'a, b'})"#, true),
            (r#"set(['Sports & Outdoors', "Women's Clothing", 'a, b'])"#, true),
            (r#"['Sports & Outdoors', "Women's Clothing", 'a, b']"#, false),
            (r#"('Sports & Outdoors', "Women's Clothing", 'a, b')"#, false),
            (r#"['Sports & Outdoors', 'Women\'s Clothing', "a, b"]"#, false),
            (r#"[["Sports & Outdoors", "Women's Clothing", "a, b"], ["x"]]"#, false),
        ] {
            let list = split(field, quoted).unwrap();
            let texts = ["Sports & Outdoors", "Women's Clothing", "a, b"].map(str::to_owned);
            assert_eq!(list, List { texts: texts.to_vec(), unordered }, "{field}");
            assert_eq!(detect(&[field].into_iter()), Some(quoted));
        }
        for (field, expected) in
            [("", vec![]), ("set()", vec![]), ("et(", vec![]), ("[]", vec![]), ("'a'", vec!["a"])]
        {
            assert_eq!(texts(field, quoted), expected, "{field}");
        }
        assert_eq!(texts("Women's Clothing", quoted), ["Women's Clothing"]);
        for field in ["'Sports', 'Loc", "['a', x]", "['a'"] {
            assert!(split(field, quoted).is_err(), "{field}");
        }
    }

    #[test]
    fn the_separator_is_recognised_from_the_whole_file() {
        let told = |fields: &[&str]| detect(&fields.iter().copied());
        assert_eq!(told(&["Shopping", "Food, Coffee & Tea"]), Some(CategorySeparator::Comma));
        assert_eq!(told(&["Shopping,Hair Care"]), Some(CategorySeparator::Comma));
        assert_eq!(told(&["Mugs", "Arts, Crafts > Glue"]), Some(CategorySeparator::Path));
        assert_eq!(told(&["Adventure|Comedy", "Film-Noir"]), Some(CategorySeparator::Bar));
        assert_eq!(told(&["fruit red", "Children's", "Tools,_Parts"]), None);
        assert_eq!(told(&["Food, Tea", "'Sports', 'Locks'"]), Some(CategorySeparator::Quoted));
        assert_eq!(told(&[]), None);
        assert_eq!(
            texts("Food, Coffee & Tea,", CategorySeparator::Comma),
            ["Food", "Coffee & Tea"]
        );
        assert_eq!(texts("A, B & C > D", CategorySeparator::Path), ["A, B & C", "D"]);
        assert_eq!(texts(" fruit  red ", CategorySeparator::Space), ["fruit", "red"]);
    }

    #[test]
    fn joined_names_are_split_as_the_file_joins_them() {
        for (fields, expected) in [
            (
                ["Arts, Crafts & Sewing,Painting", "Arts, Crafts & Sewing"],
                ["Arts, Crafts & Sewing|Painting", "Arts, Crafts & Sewing"],
            ),
            (["Active Life, Gyms", "Food"], ["Active Life|Gyms", "Food"]),
            (["a,b,", ""], ["a|b", ""]),
        ] {
            let mut lists = fields.map(|field| vec![field.to_owned()]);
            split_joined(lists.iter_mut().collect());
            assert_eq!(lists.map(|list| list.join("|")), expected);
        }
    }
}
