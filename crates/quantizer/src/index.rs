//! `*.index.json` of the MiniOneRec and LC-Rec family: `{"0": ["<a_1>", "<b_2>", "<c_3>"], …}`, and the same in
//! `OpenOneRec`'s notation.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use sidereal_sid::{Catalog, SemanticId, SidSpec, TokenStyle, sid_of_tokens};

use crate::QuantizerError;
use crate::storage::{io, write_atomically};

/// Reads an index file as a catalogue: the item with key `i` becomes item `i`. Tokens are in one of
/// the notations of [`sid_of_tokens`]; the catalogue has the style of item 0. An index in a style of one's
/// own is read by [`read_index_in`].
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
    read(path, sizes, None)
}

/// As [`read_index`], of a file whose tokens are in this style and in no other.
///
/// # Errors
/// As [`read_index`].
pub fn read_index_in(
    path: &Path,
    sizes: Option<&[usize]>,
    style: &TokenStyle,
) -> Result<Catalog, QuantizerError> {
    read(path, sizes, Some(style))
}

fn read(
    path: &Path,
    sizes: Option<&[usize]>,
    style: Option<&TokenStyle>,
) -> Result<Catalog, QuantizerError> {
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
    let tokens: Vec<Vec<String>> = tokens.into_iter().flatten().collect();
    let bad = |item| move |source| QuantizerError::IndexSid { path: path.to_owned(), item, source };
    let of_catalog = match (style, tokens.first()) {
        (Some(style), _) => style.clone(),
        (None, Some(first)) => TokenStyle::of_tokens(first).map_err(bad(0))?,
        (None, None) => TokenStyle::default(),
    };
    let sid = |(item, tokens): (usize, &Vec<String>)| match style {
        Some(style) => style.sid_of_tokens(tokens).map_err(bad(item)),
        None => sid_of_tokens(tokens).map_err(bad(item)),
    };
    let sids: Vec<SemanticId> = tokens.iter().enumerate().map(sid).collect::<Result<_, _>>()?;
    // Without items there are no levels, which the spec refuses.
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
    // No size beyond the levels: no Semantic ID has a suffix.
    let spec = SidSpec::new(levels.to_vec(), suffix.first().copied().unwrap_or(0))?;
    Ok(Catalog::new(spec.with_style(of_catalog), sids)?)
}

/// Writes a catalogue as an index file, replaced whole or not at all.
///
/// The tokens are in the catalogue's style. Other programs know `<a_12>`, the default, and that of
/// `OpenOneRec`.
///
/// # Errors
/// [`QuantizerError::Io`] and [`QuantizerError::Index`].
pub fn write_index(catalog: &Catalog, path: &Path) -> Result<(), QuantizerError> {
    let style = catalog.spec().style();
    let tokens = catalog.sids().iter().map(|sid| style.tokens(sid));
    let entries: BTreeMap<usize, Vec<String>> = tokens.enumerate().collect();
    let text = serde_json::to_vec(&entries)
        .map_err(|source| QuantizerError::Index { path: path.to_owned(), source })?;
    write_atomically(path, &text)
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

    fn read_text(text: &str, sizes: Option<&[usize]>) -> Result<Catalog, QuantizerError> {
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
        let catalog = read_text(text, None).unwrap();
        assert_eq!(catalog.spec().codebook_sizes(), [237, 232, 227]);
        assert_eq!(catalog.sid(ItemId(0)), Some(&SemanticId::from([236, 231, 226])));
        assert_eq!(catalog.items(&SemanticId::from([42, 80, 160])), [ItemId(1), ItemId(2)]);
        let catalog = read_text(text, Some(&[256, 256, 256])).unwrap();
        assert_eq!(catalog.spec().codebook_sizes(), [256; 3]);
    }

    #[test]
    fn a_longer_id_has_a_suffix() {
        let text = r#"{"0":["<a_1>","<b_0>"],"1":["<a_0>","<b_1>","<c_0>"],"2":["<a_0>","<b_1>","<c_1>"]}"#;
        let catalog = read_text(text, None).unwrap();
        assert_eq!(catalog.spec(), &SidSpec::new(vec![2, 2], 2).unwrap());
        assert_eq!(catalog.num_sids(), 3);
    }

    #[test]
    fn the_notation_of_openonerec_is_read_and_others_are_quoted() {
        let text = r#"{"0": ["<|sid_begin|>", "<s_a_0>", "<s_b_7>", "<|sid_end|>"],
                       "1": ["<|sid_begin|>", "<s_a_1>", "<s_b_7>", "<|sid_end|>"]}"#;
        let catalog = read_text(text, None).unwrap();
        assert_eq!(catalog.sid(ItemId(1)), Some(&SemanticId::from([1, 7])));
        let error = read_text(r#"{"0": ["<C1_0>"]}"#, None).unwrap_err();
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
    fn every_style_reads_back_as_it_was_written() {
        let spec = SidSpec::new(vec![4, 300], 2).unwrap();
        let sids = vec![[1, 299, 0].into(), [1, 299, 1].into(), SemanticId::from([3, 0])];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.index.json");
        for style in TokenStyle::published() {
            let catalog = Catalog::new(spec.clone().with_style(style), sids.clone()).unwrap();
            write_index(&catalog, &path).unwrap();
            assert_eq!(read_index(&path, Some(&[4, 300, 2])).unwrap(), catalog);
        }
        let own =
            TokenStyle::new("[{level}:{code}]").unwrap().with_marks("[sid]", "[/sid]").unwrap();
        let catalog = Catalog::new(spec.with_style(own.clone()), sids).unwrap();
        write_index(&catalog, &path).unwrap();
        assert_eq!(read_index_in(&path, Some(&[4, 300, 2]), &own).unwrap(), catalog);
        for error in [
            read_index(&path, None),
            read_index_in(&path, None, &TokenStyle::default()),
            read_index_in(&path, None, &own.without_marks()),
        ] {
            assert!(matches!(error, Err(QuantizerError::IndexSid { item: 0, .. })), "{error:?}");
        }
    }

    #[test]
    fn damaged_indices_are_refused_by_item() {
        let key = |text| match read_text(text, None) {
            Err(QuantizerError::IndexKey { key, .. }) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key(r#"{"0":["<a_1>"],"2":["<a_2>"]}"#), "2");
        assert_eq!(key(r#"{"0":["<a_1>"],"0":["<a_2>"]}"#), "0");
        assert_eq!(key(r#"{"zero":["<a_1>"]}"#), "zero");
        assert!(matches!(
            read_text(r#"{"0":["<a_1>"],"1":["<b_1>"]}"#, None),
            Err(QuantizerError::IndexSid { item: 1, .. })
        ));
        assert!(matches!(
            read_text(r#"{"0":["<a_1>"],"1":[]}"#, None),
            Err(QuantizerError::IndexSid { item: 1, .. })
        ));
        assert!(matches!(
            read_text(r#"{"0":["<a_1>"],"1":["<a_0>","<b_1>","<c_1>"]}"#, None),
            Err(QuantizerError::IndexLength { item: 1, found: 3, shortest: 1, .. })
        ));
        assert!(matches!(read_text(r"[1]", None), Err(QuantizerError::Index { .. })));
        assert!(matches!(read_text("{}", None), Err(QuantizerError::Sizes(_))));
        assert!(matches!(
            read_text(r#"{"0":["<a_5>"]}"#, Some(&[4])),
            Err(QuantizerError::Catalog(_))
        ));
    }
}
