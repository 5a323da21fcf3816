//! The assignment of Semantic IDs to items.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sidereal_files::write_whole;

use crate::{ItemId, NotationError, SemanticId, SidSpec, TokenStyle};

/// Items and their Semantic IDs, in both directions.
///
/// Several items may share one Semantic ID; [`items`](Self::items) then returns all of them. No
/// Semantic ID is a proper prefix of another, so each ends at a leaf of the [`Trie`](crate::Trie).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawCatalog", into = "RawCatalog")]
pub struct Catalog {
    spec: SidSpec,
    sids: Vec<SemanticId>,
    /// Items ordered by Semantic ID, then by identity.
    order: Vec<ItemId>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    spec: SidSpec,
    sids: Vec<SemanticId>,
}

/// Why a catalogue was refused or could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum CatalogError {
    /// No items at all.
    #[error("a catalogue needs at least one item")]
    Empty,
    /// More items than an [`ItemId`] can number.
    #[error("a catalogue holds at most 4294967295 items, but there are {found}")]
    TooMany { found: usize },
    /// A Semantic ID outside the spec.
    #[error("item {item}: its Semantic ID does not fit the codebooks")]
    Sid {
        item: ItemId,
        #[source]
        source: NotationError,
    },
    /// One Semantic ID is the beginning of another.
    #[error("item {short}: its Semantic ID {sid} is the beginning of that of item {long}")]
    Prefix { short: ItemId, long: ItemId, sid: String },
    /// The file could not be read or written.
    #[error("cannot access catalogue `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is not a catalogue.
    #[error("`{}` is not a catalogue", path.display())]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl Catalog {
    /// The catalogue in which item `i` has the Semantic ID `sids[i]`.
    ///
    /// # Errors
    /// [`CatalogError::Empty`], [`CatalogError::TooMany`], [`CatalogError::Sid`] and
    /// [`CatalogError::Prefix`].
    pub fn new(spec: SidSpec, sids: Vec<SemanticId>) -> Result<Self, CatalogError> {
        if sids.is_empty() {
            return Err(CatalogError::Empty);
        }
        let num_items =
            u32::try_from(sids.len()).map_err(|_| CatalogError::TooMany { found: sids.len() })?;
        for (item, sid) in (0..).map(ItemId).zip(&sids) {
            spec.check(sid).map_err(|source| CatalogError::Sid { item, source })?;
        }
        let mut order: Vec<ItemId> = (0..num_items).map(ItemId).collect();
        order.sort_by(|a, b| sids[a.index()].cmp(&sids[b.index()]).then(a.cmp(b)));
        for pair in order.windows(2) {
            let (short, long) = (&sids[pair[0].index()], &sids[pair[1].index()]);
            if short.len() < long.len() && long.starts_with(short) {
                let sid = spec.text(short);
                return Err(CatalogError::Prefix { short: pair[0], long: pair[1], sid });
            }
        }
        Ok(Self { spec, sids, order })
    }

    /// Reads a catalogue that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`CatalogError::Io`] and [`CatalogError::Json`]; the latter also for contents that
    /// [`new`](Self::new) refuses.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let text = fs::read_to_string(path)
            .map_err(|source| CatalogError::Io { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|source| CatalogError::Json { path: path.to_owned(), source })
    }

    /// Writes the catalogue as JSON; an existing file is replaced whole or not at all, and a failed
    /// write leaves nothing behind.
    ///
    /// # Errors
    /// [`CatalogError::Io`] and [`CatalogError::Json`].
    pub fn save(&self, path: &Path) -> Result<(), CatalogError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|source| CatalogError::Json { path: path.to_owned(), source })?;
        write_whole(path, |out| out.write_all(&bytes)).map_err(|error| {
            let (path, source) = error.into_parts();
            CatalogError::Io { path, source }
        })
    }

    /// The same items and codes, written in another style.
    #[must_use]
    pub fn with_style(mut self, style: TokenStyle) -> Self {
        self.spec = self.spec.with_style(style);
        self
    }

    /// Levels and codebook sizes.
    #[must_use]
    pub const fn spec(&self) -> &SidSpec {
        &self.spec
    }

    /// Number of items `N`.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.sids.len()
    }

    /// The Semantic ID of an item; `None` for an identity outside the catalogue.
    #[must_use]
    pub fn sid(&self, item: ItemId) -> Option<&SemanticId> {
        self.sids.get(item.index())
    }

    /// Every item's Semantic ID, by identity.
    #[must_use]
    pub fn sids(&self) -> &[SemanticId] {
        &self.sids
    }

    /// Every item with its Semantic ID, by identity.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ItemId, &SemanticId)> + Clone {
        // `new` has counted them: an identity is a `u32`.
        self.sids
            .iter()
            .enumerate()
            .map(|(i, sid)| (ItemId(u32::try_from(i).unwrap_or(u32::MAX)), sid))
    }

    /// The items with this Semantic ID, ascending; empty for an unknown one.
    #[must_use]
    pub fn items(&self, sid: &SemanticId) -> &[ItemId] {
        let start = self.order.partition_point(|item| &self.sids[item.index()] < sid);
        let len = self.order[start..].partition_point(|item| &self.sids[item.index()] == sid);
        &self.order[start..start + len]
    }

    /// Items in the order of their Semantic IDs, ties by identity.
    #[must_use]
    pub fn items_by_sid(&self) -> &[ItemId] {
        &self.order
    }

    /// Number of distinct Semantic IDs.
    #[must_use]
    pub fn num_sids(&self) -> usize {
        1 + self
            .order
            .windows(2)
            .filter(|pair| self.sids[pair[0].index()] != self.sids[pair[1].index()])
            .count()
    }

    /// BLAKE3 of spec and assignment, in hexadecimal: binds checkpoints to a catalogue.
    ///
    /// The style of the tokens counts where it is not the default.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut word = |value: usize| {
            hasher.update(&(value as u64).to_le_bytes());
        };
        word(self.spec.num_levels());
        self.spec.codebook_sizes().iter().for_each(|size| word(*size));
        word(self.spec.suffix_size());
        for sid in &self.sids {
            word(sid.len());
            sid.iter().for_each(|code| word(usize::from(*code)));
        }
        if *self.spec.style() != TokenStyle::default() {
            hasher.update(self.spec.style().template().as_bytes());
            for mark in self.spec.style().marks().into_iter().flatten() {
                hasher.update(&(mark.len() as u64).to_le_bytes());
                hasher.update(mark.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl TryFrom<RawCatalog> for Catalog {
    type Error = CatalogError;

    fn try_from(raw: RawCatalog) -> Result<Self, CatalogError> {
        Self::new(raw.spec, raw.sids)
    }
}

impl From<Catalog> for RawCatalog {
    fn from(catalog: Catalog) -> Self {
        Self { spec: catalog.spec, sids: catalog.sids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn spec() -> SidSpec {
        SidSpec::new(vec![4, 4], 2).unwrap()
    }

    #[test]
    fn a_prefix_of_another_semantic_id_is_refused() {
        let sids = vec![SemanticId::from([1, 1, 0]), SemanticId::from([1, 1])];
        assert!(matches!(
            Catalog::new(spec(), sids),
            Err(CatalogError::Prefix { short: ItemId(1), long: ItemId(0), .. })
        ));
    }

    #[test]
    fn the_error_names_the_items_and_the_semantic_id() {
        let sids = vec![SemanticId::from([1, 1, 0]), SemanticId::from([1, 1])];
        let refused = Catalog::new(spec(), sids).unwrap_err().to_string();
        let expected = "item 1: its Semantic ID <a_1><b_1> is the beginning of that of item 0";
        assert_eq!(refused, expected);
    }

    #[test]
    fn the_hash_changes_with_every_part_of_spec_and_assignment() {
        let hash = |sizes: [usize; 2], suffix_size: usize, sids: [&[Code]; 2]| {
            let spec = SidSpec::new(sizes.to_vec(), suffix_size).unwrap();
            Catalog::new(spec, sids.map(|sid| SemanticId::from(sid.to_vec())).to_vec())
                .unwrap()
                .hash()
        };
        let hashes = [
            hash([4, 4], 2, [&[0, 1], &[1, 1]]),
            hash([4, 5], 2, [&[0, 1], &[1, 1]]),
            hash([4, 4], 3, [&[0, 1], &[1, 1]]),
            hash([4, 4], 2, [&[1, 1], &[0, 1]]),
            hash([4, 4], 2, [&[0, 1], &[1, 2]]),
            hash([4, 4], 2, [&[0, 1], &[1, 1, 0]]),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        // 256 bits in hexadecimal
        assert!(hashes.iter().all(|hash| hash.len() == 64));
    }

    #[test]
    fn the_hash_of_the_default_style_is_that_of_sizes_and_codes_alone() {
        let catalog = Catalog::new(spec(), vec![SemanticId::from([1, 2])]).unwrap();
        // Two levels of 4 and 4 codes, suffix 2; one item of two codes, 1 and 2: little-endian words.
        let words: Vec<u8> =
            [2u64, 4, 4, 2, 2, 1, 2].iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(catalog.hash(), blake3::hash(&words).to_hex().to_string());
        let styled =
            |style| Catalog::new(spec().with_style(style), catalog.sids().to_vec()).unwrap();
        let one_rec = TokenStyle::open_one_rec();
        let other = styled(one_rec.clone()).hash();
        assert_ne!(other, catalog.hash());
        assert_ne!(other, styled(one_rec.without_marks()).hash());
    }

    #[test]
    fn items_come_by_identity() {
        let sids = [[1, 1], [0, 1]].map(SemanticId::from).to_vec();
        let catalog = Catalog::new(spec(), sids.clone()).unwrap();
        let found: Vec<_> = catalog.iter().collect();
        assert_eq!(found, [(ItemId(0), &sids[0]), (ItemId(1), &sids[1])]);
    }

    #[test]
    fn a_catalogue_that_cannot_be_written_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("catalog.json");
        fs::create_dir(&taken).unwrap();
        let catalog = Catalog::new(spec(), vec![SemanticId::from([1, 1])]).unwrap();
        let refused = catalog.save(&taken);
        assert!(matches!(refused, Err(CatalogError::Io { path, .. }) if path == taken));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn shared_semantic_ids_keep_all_their_items() {
        let sids = [[1, 1], [0, 1], [1, 1], [1, 1]].map(SemanticId::from).to_vec();
        let catalog = Catalog::new(spec(), sids).unwrap();
        assert_eq!(catalog.items(&SemanticId::from([1, 1])), [0, 2, 3].map(ItemId));
        assert_eq!(catalog.items(&SemanticId::from([3, 3])), []);
        assert_eq!(catalog.num_sids(), 2);
    }

    #[test]
    fn a_saved_catalogue_loads_back_equal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        let sids = vec![SemanticId::from([1, 1, 0]), SemanticId::from([1, 1, 1])];
        let catalog = Catalog::new(spec(), sids).unwrap();
        catalog.save(&path).unwrap();
        let back = Catalog::load(&path).unwrap();
        assert_eq!(back, catalog);
        assert_eq!(back.hash(), catalog.hash());
    }

    #[test]
    fn a_catalogue_file_with_an_illegal_code_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.json");
        fs::write(&path, r#"{"spec":{"codebook_sizes":[2],"suffix_size":0},"sids":[[2]]}"#)
            .unwrap();
        assert!(matches!(Catalog::load(&path), Err(CatalogError::Json { .. })));
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        let error = CatalogError::TooMany { found: 4_294_967_296 };
        insta::assert_snapshot!(
            error.to_string(),
            @"a catalogue holds at most 4294967295 items, but there are 4294967296"
        );
    }
}
