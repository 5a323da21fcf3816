//! Semantic IDs by the keys of the items, as `MiniOneRec`, LC-Rec and LETTER publish them, or with the tokens
//! of `OpenOneRec`.
//!
//! ```text
//! {"item-003": ["<a_12>", "<b_5>", "<c_99>"], …}
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use sidereal_data::{Dataset, Item};
use sidereal_files::{read_json, write_json_line};
use sidereal_sid::{Catalog, SemanticId, SidSpec, TokenStyle, sid_of_tokens};

/// The file of Semantic IDs within a folder.
pub(crate) const INDEX: &str = "index.json";

/// Writes the Semantic ID of every item under its key, in the catalogue's style.
pub(crate) fn write(path: &Path, items: &[Item], catalog: &Catalog) -> anyhow::Result<()> {
    let entries: BTreeMap<&str, Vec<String>> = items
        .iter()
        .zip(catalog.sids())
        .map(|(item, sid)| (item.key.as_str(), catalog.spec().style().tokens(sid)))
        .collect();
    Ok(write_json_line(path, &entries)?)
}

/// The catalogue of a dataset's items. The codebooks are as large as the largest codes ask for; Semantic IDs
/// that are one code longer than the shortest end with a suffix. The catalogue has the style of its first
/// item.
pub(crate) fn read(path: &Path, dataset: &Dataset) -> anyhow::Result<Catalog> {
    let entries: BTreeMap<String, Vec<String>> = read_json(path)?;
    let mut sids: Vec<SemanticId> = Vec::with_capacity(dataset.num_items());
    let mut style = None;
    for item in dataset.items() {
        let Some(tokens) = entries.get(&item.key) else {
            bail!(
                "`{}` has no Semantic ID of the item `{}`: make one for every item of the data with \
                 `sidereal sids`",
                path.display(),
                item.key
            );
        };
        let of_item =
            || format!("`{}`: the Semantic ID of the item `{}`", path.display(), item.key);
        sids.push(sid_of_tokens(tokens).with_context(of_item)?);
        if style.is_none() {
            style = Some(TokenStyle::of_tokens(tokens).with_context(of_item)?);
        }
    }
    // Without items there are no levels, which the spec refuses.
    let shortest = sids.iter().map(|sid| sid.len()).min().unwrap_or(0);
    let longest = sids.iter().map(|sid| sid.len()).max().unwrap_or(0);
    let size = |level: usize| {
        let codes = sids.iter().filter_map(|sid| sid.get(level));
        codes.max().map_or(0, |code| usize::from(*code) + 1)
    };
    let suffix = if longest > shortest { size(shortest) } else { 0 };
    let spec = SidSpec::new((0..shortest).map(size).collect(), suffix)?;
    let spec = spec.with_style(style.unwrap_or_default());
    Catalog::new(spec, sids).with_context(|| format!("the Semantic IDs of `{}`", path.display()))
}
