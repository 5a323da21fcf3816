//! `*.index.json` of the MiniOneRec and LC-Rec family: `{"0": ["<a_1>", "<b_2>", "<c_3>"], …}`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use sidereal_sid::{Catalog, SemanticId, SidSpec, sid_of_tokens};

use crate::QuantizerError;
use crate::storage::{io, write_atomically};

/// Reads an index file as a catalogue: the item with key `i` becomes item `i`. Tokens are in one of
/// the notations of [`sid_of_tokens`].
///
/// The file does not say how large the codebooks are: `sizes` does, suffix included if items have
/// one, or else the highest code of each level. Semantic IDs that are one code longer than the
/// shortest carry a suffix. Items that share a Semantic ID keep sharing it.
///
/// # Errors
/// [`QuantizerError::Io`]; [`QuantizerError::Index`] for anything but an object of lists of
/// strings; [`QuantizerError::IndexKey`] for keys that are not `0..N`, each once;
/// [`QuantizerError::IndexSid`] for tokens that are not codes, [`QuantizerError::IndexLength`] for
/// a Semantic ID of a length that no suffix explains; [`QuantizerError::Sizes`] and
/// [`QuantizerError::Catalog`] if `sizes` does not fit.
pub fn read_index(path: &Path, sizes: Option<&[usize]>) -> Result<Catalog, QuantizerError> {
    let text = fs::read(path).map_err(io(path))?;
    let entries: Entries = serde_json::from_slice(&text)
        .map_err(|source| QuantizerError::Index { path: path.to_owned(), source })?;
    let num_items = entries.0.len();
    let mut tokens: Vec<Option<Vec<String>>> = vec![None; num_items];
    for (key, sid) in entries.0 {
        let slot = key.parse::<usize>().ok().and_then(|item| tokens.get_mut(item));
        match slot {
            Some(slot @ None) => *slot = Some(sid),
            _ => return Err(QuantizerError::IndexKey { path: path.to_owned(), key, num_items }),
        }
    }
    // As many keys as slots, each filled at most once: all are filled.
    let read = |(item, tokens): (usize, Vec<String>)| {
        let bad = |source| QuantizerError::IndexSid { path: path.to_owned(), item, source };
        sid_of_tokens(&tokens).map_err(bad)
    };
    let sids: Vec<SemanticId> =
        tokens.into_iter().flatten().enumerate().map(read).collect::<Result<_, _>>()?;
    let shortest = sids.iter().map(|sid| sid.len()).min().unwrap_or(0);
    let mut longest = shortest;
    let mut found: Vec<usize> = Vec::new();
    for (item, sid) in sids.iter().enumerate() {
        if sid.len() > shortest + 1 {
            let path = path.to_owned();
            return Err(QuantizerError::IndexLength { path, item, found: sid.len(), shortest });
        }
        longest = longest.max(sid.len());
        found.resize(longest, 0);
        for (size, code) in found.iter_mut().zip(sid.codes()) {
            *size = (*size).max(usize::from(*code) + 1);
        }
    }
    let sizes = sizes.unwrap_or(&found);
    let (levels, suffix) = sizes.split_at_checked(shortest).unwrap_or((sizes, &[]));
    let spec = SidSpec::new(levels.to_vec(), suffix.first().copied().unwrap_or(0))?;
    Ok(Catalog::new(spec, sids)?)
}

/// Writes a catalogue as an index file, replaced whole or not at all.
///
/// The tokens are `<a_12>`, which readers of such files expect, whatever the style of the
/// catalogue.
///
/// # Errors
/// [`QuantizerError::Io`] and [`QuantizerError::Index`].
pub fn write_index(catalog: &Catalog, path: &Path) -> Result<(), QuantizerError> {
    let entries: BTreeMap<usize, Vec<String>> =
        catalog.sids().iter().map(token_texts).enumerate().collect();
    let text = serde_json::to_vec(&entries)
        .map_err(|source| QuantizerError::Index { path: path.to_owned(), source })?;
    write_atomically(path, &text)
}

/// `["<a_1>", "<b_2>"]`, cut from the notation of the whole.
fn token_texts(sid: &SemanticId) -> Vec<String> {
    sid.to_string().split_inclusive('>').map(str::to_owned).collect()
}

/// The entries of the JSON object in their order, repeated keys included.
struct Entries(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of item numbers and lists of tokens")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use sidereal_sid::ItemId;

    use super::*;

    fn read(text: &str, sizes: Option<&[usize]>) -> Result<Catalog, QuantizerError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index.json");
        fs::write(&path, text).unwrap();
        read_index(&path, sizes)
    }

    #[test]
    fn an_index_of_three_levels_with_a_shared_id() {
        // The first lines of a published file, shortened.
        let text = r#"{"0": ["<a_236>", "<b_231>", "<c_226>"], "2": ["<a_42>", "<b_80>", "<c_160>"],
                       "1": ["<a_42>", "<b_80>", "<c_160>"]}"#;
        let catalog = read(text, None).unwrap();
        assert_eq!(catalog.spec().codebook_sizes(), [237, 232, 227]);
        assert_eq!(catalog.sid(ItemId(0)), Some(&SemanticId::from([236, 231, 226])));
        assert_eq!(catalog.items(&SemanticId::from([42, 80, 160])), [ItemId(1), ItemId(2)]);
        let catalog = read(text, Some(&[256, 256, 256])).unwrap();
        assert_eq!(catalog.spec().codebook_sizes(), [256; 3]);
    }

    #[test]
    fn a_longer_id_has_a_suffix() {
        let text = r#"{"0":["<a_1>","<b_0>"],"1":["<a_0>","<b_1>","<c_0>"],"2":["<a_0>","<b_1>","<c_1>"]}"#;
        let catalog = read(text, None).unwrap();
        assert_eq!(catalog.spec(), &SidSpec::new(vec![2, 2], 2).unwrap());
        assert_eq!(catalog.num_sids(), 3);
    }

    #[test]
    fn the_notation_of_openonerec_is_read_and_others_are_quoted() {
        let text = r#"{"0": ["<|sid_begin|>", "<s_a_0>", "<s_b_7>", "<|sid_end|>"],
                       "1": ["<|sid_begin|>", "<s_a_1>", "<s_b_7>", "<|sid_end|>"]}"#;
        let catalog = read(text, None).unwrap();
        assert_eq!(catalog.sid(ItemId(1)), Some(&SemanticId::from([1, 7])));
        let error = read(r#"{"0": ["<C1_0>"]}"#, None).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("`<C1_0>` is not a Semantic ID"), "{source}");
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let spec = SidSpec::new(vec![4, 300], 2).unwrap();
        let sids = vec![[1, 299, 0].into(), [1, 299, 1].into(), SemanticId::from([3, 0])];
        let catalog = Catalog::new(spec, sids).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index.json");
        write_index(&catalog, &path).unwrap();
        assert_eq!(read_index(&path, Some(&[4, 300, 2])).unwrap(), catalog);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            r#"{"0":["<a_1>","<b_299>","<c_0>"],"1":["<a_1>","<b_299>","<c_1>"],"2":["<a_3>","<b_0>"]}"#
        );
    }

    #[test]
    fn damaged_indices_are_refused_by_item() {
        let key = |text| match read(text, None) {
            Err(QuantizerError::IndexKey { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(r#"{"0":["<a_1>"],"2":["<a_2>"]}"#), "2");
        assert_eq!(key(r#"{"0":["<a_1>"],"0":["<a_2>"]}"#), "0");
        assert_eq!(key(r#"{"zero":["<a_1>"]}"#), "zero");
        assert!(matches!(
            read(r#"{"0":["<a_1>"],"1":["<b_1>"]}"#, None),
            Err(QuantizerError::IndexSid { item: 1, .. })
        ));
        assert!(matches!(
            read(r#"{"0":["<a_1>"],"1":[]}"#, None),
            Err(QuantizerError::IndexSid { item: 1, .. })
        ));
        assert!(matches!(
            read(r#"{"0":["<a_1>"],"1":["<a_0>","<b_1>","<c_1>"]}"#, None),
            Err(QuantizerError::IndexLength { item: 1, found: 3, shortest: 1, .. })
        ));
        assert!(matches!(read(r"[1]", None), Err(QuantizerError::Index { .. })));
        assert!(matches!(read("{}", None), Err(QuantizerError::Sizes(_))));
        assert!(matches!(read(r#"{"0":["<a_5>"]}"#, Some(&[4])), Err(QuantizerError::Catalog(_))));
    }
}
