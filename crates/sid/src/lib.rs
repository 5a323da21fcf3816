//! Semantic IDs: an item's short code, the catalogue that assigns one to every item, and the
//! compiled trie that keeps a decoder on legal codes.
//!
//! Use this crate for items and their codes: quantisers write a [`Catalog`], rewards compare
//! [`SemanticId`]s, decoders walk a [`Trie`]. It does not depend on tensors or language models.
//!
//! ```
//! use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie};
//!
//! let spec = SidSpec::new(vec![4, 4], 0)?;
//! let sids = vec![SemanticId::from([0, 1]), SemanticId::from([0, 2]), SemanticId::from([3, 1])];
//! let catalog = Catalog::new(spec, sids)?;
//! let trie = Trie::from_catalog(&catalog);
//!
//! let sid = catalog.spec().parse("<a_0><b_2>")?;
//! assert_eq!(catalog.items(&sid), [sidereal_sid::ItemId(1)]);
//! assert_eq!(trie.children(Trie::ROOT).len(), 2); // <a_0> and <a_3>
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `semantic_id` | [`Code`], [`SemanticId`], [`ItemId`], the common-prefix length |
//! | `notation` | [`SidSpec`]: levels, codebook sizes, token text ↔ codes, flat token indices |
//! | `style` | [`TokenStyle`]: `<a_12>`, `<s_a_12>` between marks, or a template of your own |
//! | `tokens` | [`sid_of_tokens`]: the lists of index files, in the notations of several projects |
//! | `answer` | [`SidSpec::answered`]: the Semantic ID that a free text answers with, right or wrong |
//! | `catalog` | [`Catalog`]: items ↔ Semantic IDs, collisions explicit, JSON file, hash |
//! | `trie`, `trie_arrays` | [`Trie`]: compressed sparse rows over flat token indices; [`TrieArrays`]: the same for decoders elsewhere |
//! | `node_mass` | sums of item values under every node of a [`Trie`], plain and of logarithms |
//! | `strategies` | property-test strategies (feature `proptest`) |
//!
//! # Conventions
//! `L` levels, `K` codes of a level, `N` items. A *flat token index* numbers every code of every
//! level: level `l`, code `c` has index `K_0 + … + K_{l-1} + c`.
//!
//! # Features
//! - `proptest`: the module `strategies`, for property tests of code that consumes Semantic IDs.

mod answer;
mod catalog;
mod node_mass;
mod notation;
mod semantic_id;
#[cfg(feature = "proptest")]
pub mod strategies;
mod style;
mod tokens;
mod trie;
mod trie_arrays;

pub use catalog::{Catalog, CatalogError};
pub use node_mass::NodeMassError;
pub use notation::{NotationError, SidSpec};
pub use semantic_id::{Code, ItemId, SemanticId};
pub use style::TokenStyle;
pub use tokens::sid_of_tokens;
pub use trie::{Children, NodeId, Trie, TrieError};
pub use trie_arrays::TrieArrays;
