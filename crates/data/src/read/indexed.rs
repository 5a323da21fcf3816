//! Items and Semantic IDs as `MiniOneRec`, LC-Rec and LETTER publish them.
//!
//! ```text
//! x.item.json    {"0": {"title": "…", "description": "…", "brand": "…", "categories": "…"}, …}
//! x.index.json   {"0": ["<a_236>", "<b_231>", "<c_226>"], …}
//! ```
//! Categories are a list, or names that are joined by commas. If one comma of the file has no space after it, commas
//! with a space belong to a name (`Arts, Crafts & Sewing,Painting`). Tokens may also be `OpenOneRec`'s, `<s_a_236>`
//! between `<|sid_begin|>` and `<|sid_end|>`. Items that would share a Semantic ID may have one more code, a suffix.
//! Keys are the items' numbers in the interaction files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sidereal_sid::{
    Catalog, CatalogError, ItemId, NotationError, SemanticId, SidSpec, TokenStyle, sid_of_tokens,
};

use super::categories::split_joined;
use super::item::describe;
use super::json_map;
use super::literal;
use super::policy::{OnDoubtful, RowPolicy, Skips};
use super::problem::{Problem, ProblemKind};
use crate::{DataError, Item};

/// Items by number of the source, in the shuffled order that is their identity.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) items: Vec<Item>,
    ids: HashMap<String, ItemId>,
}

impl Numbered {
    /// Gives items random identities, because numbers in public files follow first appearance.
    pub(super) fn shuffled(mut items: Vec<Item>, seed: u64) -> Self {
        items.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let ids = items.iter().map(|item| item.key.clone()).zip((0..).map(ItemId)).collect();
        Self { items, ids }
    }

    pub(super) fn id(&self, key: &str) -> Option<ItemId> {
        self.ids.get(key).copied()
    }
}

/// Reads the items of `x.item.json` in file order.
pub(super) fn read_items(
    path: &Path,
    policy: &RowPolicy,
    skips: &mut Skips,
) -> Result<Vec<Item>, DataError> {
    let (mut items, mut seen): (Vec<Item>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
    // Whether the categories of an item were one text.
    let mut joined: Vec<bool> = Vec::new();
    json_map::read(path, policy.max_line, |number, key, value| {
        let Value::Object(mut fields) = value else {
            let found = format!("{key}: {value}");
            let problem = Problem::new(ProblemKind::Malformed, "", &found, "an object an item");
            return skips.add(problem.at(number), policy);
        };
        let mut take = |name: &str| fields.remove(name);
        let (title, brand, categories) = (take("title"), take("brand"), take("categories"));
        let description = take("description").map(printed_list);
        let categories = categories.map(printed_list);
        let is_joined = matches!(categories, Some(Value::String(_)));
        match describe(key, title, description, brand, categories, policy) {
            Ok(described) => {
                let item = described.told(number, skips, policy)?;
                match seen.get(&item.key) {
                    None => {
                        seen.insert(item.key.clone(), items.len());
                        items.push(item);
                        joined.push(is_joined);
                    }
                    // Two entries of one key cannot both be kept: the later one counts, as in
                    // every JSON library.
                    Some(first) if policy.duplicates == OnDoubtful::Keep => {
                        items[*first] = item;
                        joined[*first] = is_joined;
                    }
                    Some(_) => {
                        let needed = "one entry for each item";
                        let problem = Problem::new(ProblemKind::Duplicate, "", &item.key, needed);
                        skips.add(problem.at(number), policy)?;
                    }
                }
                Ok(())
            }
            Err(problem) => skips.add(problem.at(number), policy),
        }
    })?;
    skips.left_some(items.len())?;
    let texts = items.iter_mut().zip(joined).filter(|(_, joined)| *joined);
    split_joined(texts.map(|(item, _)| &mut item.categories).collect());
    Ok(items)
}

/// The list that a text holds as Python prints it (`MiniOneRec` stores descriptions in this form);
/// else the value.
fn printed_list(value: Value) -> Value {
    match value {
        Value::String(text) => {
            literal::parse(text.trim()).ok().filter(Value::is_array).unwrap_or(Value::String(text))
        }
        other => other,
    }
}

/// Semantic IDs by the items' keys, and the style of the first one.
#[derive(Debug, Default)]
pub(super) struct Index {
    sids: BTreeMap<String, SemanticId>,
    style: Option<TokenStyle>,
}

/// Reads the Semantic IDs of `x.index.json`.
pub(super) fn read_index(
    path: &Path,
    policy: &RowPolicy,
    skips: &mut Skips,
) -> Result<Index, DataError> {
    let Index { mut sids, mut style } = Index::default();
    json_map::read(path, policy.max_line, |number, key, value| {
        if let Some((sid, of_sid)) = sid(&value) {
            if policy.duplicates != OnDoubtful::Keep && sids.contains_key(&key) {
                let problem =
                    Problem::new(ProblemKind::Duplicate, "", &key, "one entry for each item");
                return skips.add(problem.at(number), policy);
            }
            sids.insert(key, sid);
            style.get_or_insert(of_sid);
            return Ok(());
        }
        let needed = "a list of tokens like `<a_12>`, level by level, or like `<s_a_12>` between \
                      `<|sid_begin|>` and `<|sid_end|>`";
        let found = format!("{key}: {value}");
        let problem = Problem::new(ProblemKind::Malformed, "", &found, needed);
        skips.add(problem.at(number), policy)
    })?;
    skips.left_some(sids.len())?;
    Ok(Index { sids, style })
}

fn sid(value: &Value) -> Option<(SemanticId, TokenStyle)> {
    let tokens: Vec<&str> = match value {
        Value::Array(tokens) => tokens.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::String(text) => text.split_inclusive('>').map(str::trim).collect(),
        _ => return None,
    };
    Some((sid_of_tokens(&tokens).ok()?, TokenStyle::of_tokens(&tokens).ok()?))
}

/// The catalogue of `items`, in their order. `codebook_sizes` of a source that says nothing are the
/// largest code of each level and one more. Semantic IDs with one code more than the shortest end
/// with a suffix, whose size is the last of `codebook_sizes` if that names one more than the shortest
/// has. The catalogue has the style of the index.
pub(super) fn catalog(
    path: &Path,
    items: &[Item],
    index: &Index,
    codebook_sizes: Option<&[usize]>,
    skips: &Skips,
) -> Result<Catalog, DataError> {
    let Index { sids, style } = index;
    let known = sids.len();
    let missing = |item: &Item| DataError::MissingSid {
        path: path.to_owned(),
        item: item.key.clone(),
        skipped: skips.total(),
    };
    let sids: Vec<SemanticId> = items
        .iter()
        .map(|item| sids.get(&item.key).cloned().ok_or_else(|| missing(item)))
        .collect::<Result<_, _>>()?;
    if known > items.len() {
        let unused = known - items.len();
        tracing::warn!("{}: entries without an item in the item file: {unused}", path.display());
    }
    // Without items there are no levels, which the spec refuses.
    let levels = sids.iter().map(|sid| sid.len()).min().unwrap_or(0);
    // Errors name items by their keys: their numbers are shuffled.
    let of = |item: &Item, source| {
        let (path, item) = (path.to_owned(), item.key.clone());
        DataError::ItemSid { path, item, source }
    };
    if let Some((item, sid)) = items.iter().zip(&sids).find(|(_, sid)| sid.len() > levels + 1) {
        let expected = format!("{levels} or {}", levels + 1);
        let (sid, found) = (style.clone().unwrap_or_default().tokens(sid).concat(), sid.len());
        return Err(of(item, NotationError::Length { sid, found, expected }));
    }
    let found = largest(&sids);
    let sizes = codebook_sizes.unwrap_or(&found);
    let (sizes, suffix) = sizes.split_at_checked(levels).unwrap_or((sizes, &[]));
    let suffix = match (suffix, found.get(levels)) {
        ([], Some(found)) => *found,
        ([], None) => 0,
        ([size, ..], _) => *size,
    };
    let refused = |source| DataError::Catalog { path: path.to_owned(), source };
    let spec = SidSpec::new(sizes.to_vec(), suffix)
        .map_err(|source| DataError::IndexSizes { path: path.to_owned(), source })?
        .with_style(style.clone().unwrap_or_default());
    let by_key = |error| {
        let item = |id: ItemId| items.get(id.index());
        match error {
            CatalogError::Sid { item: id, source } => match item(id) {
                Some(item) => of(item, source),
                None => refused(CatalogError::Sid { item: id, source }),
            },
            CatalogError::Prefix { short, long, sid } => {
                let key = |id| item(id).map_or_else(String::new, |item| item.key.clone());
                let path = path.to_owned();
                DataError::SidPrefix { path, short: key(short), long: key(long), sid }
            }
            other => refused(other),
        }
    };
    Catalog::new(spec, sids).map_err(by_key)
}

fn largest(sids: &[SemanticId]) -> Vec<usize> {
    let mut sizes: Vec<usize> = Vec::new();
    for sid in sids {
        sizes.resize(sizes.len().max(sid.len()), 1);
        for (size, code) in sizes.iter_mut().zip(sid.codes()) {
            *size = (*size).max(usize::from(*code) + 1);
        }
    }
    sizes
}
