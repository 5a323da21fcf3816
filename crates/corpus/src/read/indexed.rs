//! Items and Semantic IDs as `MiniOneRec`, LC-Rec and LETTER publish them.
//!
//! ```text
//! x.item.json    {"0": {"title": "…", "description": "…", "brand": "…", "categories": "…"}, …}
//! x.index.json   {"0": ["<a_236>", "<b_231>", "<c_226>"], …}
//! ```
//! Keys are the items' numbers in the interaction files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sidereal_sid::{Catalog, ItemId, SemanticId, SidSpec};

use super::item::{Described, describe};
use super::json_map;
use super::literal;
use super::policy::{OnDoubtful, Problem, ProblemKind, RowPolicy, Skips};
use crate::{CorpusError, Item};

/// Codes that a level can have at most, until the file has told how many it has.
const ANY: usize = 1 << 16;

/// Items by number of the source, in the shuffled order that is their identity.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) items: Vec<Item>,
    ids: HashMap<String, ItemId>,
}

impl Numbered {
    /// Gives items identities by chance: numbers in public files follow first appearance.
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
) -> Result<Vec<Item>, CorpusError> {
    let (mut items, mut seen) = (Vec::new(), HashMap::new());
    json_map::read(path, policy.max_line, |number, key, value| {
        let Value::Object(mut fields) = value else {
            let found = format!("{key}: {value}");
            let problem = Problem::new(ProblemKind::Malformed, "", &found, "an object an item");
            return skips.add(problem.at(number), policy);
        };
        let mut take = |name: &str| fields.remove(name);
        let (title, brand, categories) = (take("title"), take("brand"), take("categories"));
        let description = take("description").map(|description| match description {
            // `MiniOneRec` stores the list as Python prints it.
            Value::String(text) => literal::parse(text.trim())
                .ok()
                .filter(Value::is_array)
                .unwrap_or(Value::String(text)),
            other => other,
        });
        match describe(key, title, description, brand, categories, policy) {
            Ok(Described { item, cleaned }) => {
                if let Some(problem) = cleaned {
                    skips.add(problem.at(number), policy)?;
                }
                match seen.get(&item.key) {
                    None => {
                        seen.insert(item.key.clone(), items.len());
                        items.push(item);
                    }
                    // Two entries of one key cannot both be kept: the later one counts, as in
                    // every JSON library.
                    Some(first) if policy.duplicates == OnDoubtful::Keep => items[*first] = item,
                    Some(_) => {
                        let needed = "one entry an item";
                        let problem = Problem::new(ProblemKind::Duplicate, "", &item.key, needed);
                        skips.add(problem.at(number), policy)?;
                    }
                }
                Ok(())
            }
            Err(problem) => skips.add(problem.at(number), policy),
        }
    })?;
    Ok(items)
}

/// Reads the Semantic IDs of `x.index.json` by the items' keys.
pub(super) fn read_index(
    path: &Path,
    policy: &RowPolicy,
    skips: &mut Skips,
) -> Result<BTreeMap<String, SemanticId>, CorpusError> {
    let mut sids = BTreeMap::new();
    json_map::read(path, policy.max_line, |number, key, value| {
        if let Some(sid) = sid(&value) {
            sids.insert(key, sid);
        } else {
            let needed = "a list of tokens like `<a_12>`, level by level";
            let found = format!("{key}: {value}");
            let problem = Problem::new(ProblemKind::Malformed, "", &found, needed);
            skips.add(problem.at(number), policy)?;
        }
        Ok(())
    })?;
    Ok(sids)
}

fn sid(value: &Value) -> Option<SemanticId> {
    let tokens = value.as_array()?;
    let text: String = tokens.iter().map(Value::as_str).collect::<Option<_>>()?;
    let sid = SidSpec::new(vec![ANY; tokens.len()], 0).ok()?.parse(&text).ok()?;
    (sid.len() == tokens.len()).then_some(sid)
}

/// The catalogue of `items`, in their order. `codebook_sizes` of a source that says nothing are the
/// largest code of each level and one more.
pub(super) fn catalog(
    path: &Path,
    items: &[Item],
    sids: &BTreeMap<String, SemanticId>,
    codebook_sizes: Option<&[usize]>,
) -> Result<Catalog, CorpusError> {
    let missing =
        |item: &Item| CorpusError::MissingSid { path: path.to_owned(), item: item.key.clone() };
    let sids: Vec<SemanticId> = items
        .iter()
        .map(|item| sids.get(&item.key).cloned().ok_or_else(|| missing(item)))
        .collect::<Result<_, _>>()?;
    let sizes = codebook_sizes.map_or_else(|| largest(&sids), <[usize]>::to_vec);
    let refused = |source| CorpusError::Catalog { path: path.to_owned(), source };
    let first = ItemId(0);
    let spec = SidSpec::new(sizes, 0)
        .map_err(|source| refused(sidereal_sid::CatalogError::Sid { item: first, source }))?;
    Catalog::new(spec, sids).map_err(refused)
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
