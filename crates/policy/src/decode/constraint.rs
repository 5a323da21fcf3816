//! A trie of answers in the vocabulary of a tokenizer: Semantic IDs, or titles.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sidereal_sid::{Catalog, ItemId, NodeId, Trie, TrieError};
use tch::{Device, Kind, Tensor};

use crate::PolicyError;
use crate::tokenizer::SidTokenizer;
use crate::weights::to_i64;

/// What a code's probability is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scoring {
    /// Softmax over the whole vocabulary; illegal tokens keep their share.
    Full,
    /// Softmax over the codes that may legally follow: the probabilities of all Semantic IDs of
    /// the catalogue sum to one.
    Renormalised,
}

/// Which tokens may follow which prefix, in vocabulary ids, with the rows of the output head that
/// each level needs.
///
/// A level of a catalogue has the codes of its codebook. Items can also be spelled by other token
/// sequences, such as titles. Level `d` then holds the distinct tokens found at position `d`,
/// numbered like codes, so every decoder and scorer works unchanged. Memory is linear in the trie.
#[derive(Debug)]
pub struct Constraint {
    trie: Trie,
    ids: Vec<u32>,
    /// First flat token of each level, and the total.
    offsets: Vec<u32>,
    /// Vocabulary rows of each level's codes, i64.
    rows: Vec<Tensor>,
}

impl Constraint {
    /// The constraint of `catalog` for a model that reads `tokenizer`'s ids.
    ///
    /// # Errors
    /// [`PolicyError::Size`] where catalogue and tokenizer have different specs;
    /// [`PolicyError::OtherStyle`] where their codes are written in different styles.
    pub fn new(
        catalog: &Catalog,
        tokenizer: &SidTokenizer,
        device: Device,
    ) -> Result<Self, PolicyError> {
        let [written, read] = [catalog.spec().style(), tokenizer.spec().style()];
        if written != read {
            let (catalog, tokenizer) = (written.to_string(), read.to_string());
            return Err(PolicyError::OtherStyle { catalog, tokenizer });
        }
        if catalog.spec() != tokenizer.spec() {
            return Err(PolicyError::Size {
                what: "codes of the catalogue's spec and of the tokenizer's",
                found: catalog.spec().num_tokens(),
                expected: tokenizer.spec().num_tokens(),
            });
        }
        Self::from_ids(catalog, tokenizer.sid_ids().to_vec(), device)
    }

    /// The constraint of `catalog` for a model in whose vocabulary the code of flat token `i` has
    /// the id `ids[i]`. Use it for vocabularies that were made elsewhere.
    ///
    /// # Errors
    /// [`PolicyError::Size`] unless there is an id for each token of the catalogue's spec.
    pub fn from_ids(catalog: &Catalog, ids: Vec<u32>, device: Device) -> Result<Self, PolicyError> {
        let spec = catalog.spec();
        if ids.len() != spec.num_tokens() {
            let (found, expected) = (ids.len(), spec.num_tokens());
            return Err(PolicyError::Size { what: "vocabulary ids of codes", found, expected });
        }
        let mut offsets: Vec<u32> =
            (0..spec.max_len()).filter_map(|level| spec.token(level, 0)).collect();
        offsets.push(u32::try_from(spec.num_tokens()).unwrap_or(u32::MAX));
        Ok(Self::over(Trie::from_catalog(catalog), ids, offsets, device))
    }

    /// The constraint of `catalog` for a policy that does not read tokens: the code of flat token
    /// `i` has the id `i`.
    ///
    /// # Errors
    /// As [`from_ids`](Self::from_ids).
    pub fn of_codes(catalog: &Catalog, device: Device) -> Result<Self, PolicyError> {
        let ids = (0..).take(catalog.spec().num_tokens()).collect();
        Self::from_ids(catalog, ids, device)
    }

    /// The constraint under which item `i` is written as the text `titles[i]` and the end of a
    /// turn. The end is needed because one title may be the beginning of another. Items with one
    /// title share its leaf.
    ///
    /// The tokens of a title are those of its text alone, so a prompt must end at a place where
    /// they can follow.
    ///
    /// # Errors
    /// [`PolicyError::Trie`] for no titles, an empty title, or a title that contains the end of a
    /// turn; [`PolicyError::Tokenizer`].
    pub fn from_titles<S: AsRef<str>>(
        titles: &[S],
        tokenizer: &SidTokenizer,
        device: Device,
    ) -> Result<Self, PolicyError> {
        let sequences = (0..)
            .map(ItemId)
            .zip(titles)
            .map(|(item, title)| {
                let mut sequence = tokenizer.encode(title.as_ref())?;
                if sequence.is_empty() {
                    return Err(TrieError::EmptySequence { item }.into());
                }
                sequence.push(tokenizer.end_of_turn());
                Ok(sequence)
            })
            .collect::<Result<Vec<_>, PolicyError>>()?;
        Self::from_sequences(&sequences, device)
    }

    /// The constraint under which item `i` is written as `sequences[i]`, in vocabulary ids.
    ///
    /// # Errors
    /// [`PolicyError::Trie`] for no sequences, an empty one, or one that is the beginning of
    /// another.
    pub fn from_sequences<S: AsRef<[u32]>>(
        sequences: &[S],
        device: Device,
    ) -> Result<Self, PolicyError> {
        // Without sequences there are no levels, which the trie refuses.
        let longest = sequences.iter().map(|ids| ids.as_ref().len()).max().unwrap_or(0);
        let (mut ids, mut offsets) = (Vec::new(), vec![0]);
        for level in 0..longest {
            let at_level = sequences.iter().filter_map(|ids| ids.as_ref().get(level));
            ids.extend(at_level.copied().collect::<BTreeSet<u32>>());
            offsets.push(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        }
        let flat = |level: usize, id: u32| {
            let (first, end) = (offsets[level], offsets[level + 1]);
            let place = ids[first as usize..end as usize].partition_point(|other| *other < id);
            first + u32::try_from(place).unwrap_or(u32::MAX)
        };
        let flat: Vec<Vec<u32>> = sequences
            .iter()
            .map(|ids| ids.as_ref().iter().enumerate().map(|(l, id)| flat(l, *id)).collect())
            .collect();
        Ok(Self::over(Trie::from_sequences(&flat)?, ids, offsets, device))
    }

    fn over(trie: Trie, ids: Vec<u32>, offsets: Vec<u32>, device: Device) -> Self {
        let rows = offsets
            .windows(2)
            .map(|range| {
                let rows: Vec<i64> = ids[range[0] as usize..range[1] as usize]
                    .iter()
                    .map(|id| i64::from(*id))
                    .collect();
                Tensor::from_slice(&rows).to_device(device)
            })
            .collect();
        Self { trie, ids, offsets, rows }
    }

    /// The trie over flat token indices.
    #[must_use]
    pub const fn trie(&self) -> &Trie {
        &self.trie
    }

    /// Vocabulary id of a flat token index.
    #[must_use]
    pub fn id(&self, token: u32) -> u32 {
        self.ids[token as usize]
    }

    /// Vocabulary ids of a sequence of flat token indices.
    #[must_use]
    pub fn ids(&self, tokens: &[u32]) -> Vec<u32> {
        tokens.iter().map(|token| self.id(*token)).collect()
    }

    /// Flat token indices that spell an item; `None` for an unknown one.
    #[must_use]
    pub fn flat(&self, item: ItemId) -> Option<Vec<u32>> {
        let (mut node, mut tokens) = (self.trie.leaf(item)?, Vec::new());
        while let Some(parent) = self.trie.parent(node) {
            tokens.push(self.trie.tokens()[node.index()]);
            node = parent;
        }
        tokens.reverse();
        Some(tokens)
    }

    /// Length of the longest Semantic ID.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.rows.len()
    }

    /// Vocabulary rows of a level's codes, `[K]`, i64.
    pub fn rows(&self, level: usize) -> &Tensor {
        &self.rows[level]
    }

    /// First flat token of each level, and the total.
    #[must_use]
    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Level of a flat token.
    #[must_use]
    pub fn level(&self, token: u32) -> usize {
        self.offsets.partition_point(|start| *start <= token).saturating_sub(1)
    }

    /// Code of a flat token within its level: its column among [`rows`](Self::rows).
    #[must_use]
    pub fn column(&self, level: usize, token: u32) -> usize {
        (token - self.offsets[level]) as usize
    }

    /// 0 if a code may follow and −∞ elsewhere, `[nodes, K]`, for nodes of one level.
    pub fn mask(&self, level: usize, nodes: &[NodeId]) -> Tensor {
        let size = (self.offsets[level + 1] - self.offsets[level]) as usize;
        let mut mask = vec![f32::NEG_INFINITY; nodes.len() * size];
        for (row, node) in mask.chunks_exact_mut(size.max(1)).zip(nodes) {
            for token in self.trie.children(*node).tokens {
                row[self.column(level, *token)] = 0.0;
            }
        }
        Tensor::from_slice(&mask)
            .view([to_i64(nodes.len()), to_i64(size)])
            .to_kind(Kind::Float)
            .to_device(self.rows[level].device())
    }
}
