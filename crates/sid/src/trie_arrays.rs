//! The trie as plain arrays, for decoders outside this workspace.

use serde::{Deserialize, Serialize};

use crate::Trie;

/// A [`Trie`] as compressed sparse rows over a tokenizer's token ids: what a logits processor of
/// another program (transformers, vLLM) needs to keep a decoder on Semantic IDs.
///
/// Node 0 is the root, where the tokens before the Semantic ID have been read. The edges of node `n`
/// are `row_starts[n] .. row_starts[n + 1]`; edge `e` is taken by `tokens[e]` and leads to `nodes[e]`.
/// A node without edges ends a Semantic ID, that of the items
/// `items[item_starts[n] .. item_starts[n + 1]]`. The edges of a node have ascending flat indices;
/// token ids ascend only where the tokenizer numbers the codes in flat order.
///
/// Serialised, it is an object of five arrays. In Python a step of a decoder is
///
/// ```text
/// trie = {k: numpy.array(v) for k, v in json.load(open("trie.json")).items()}
/// row = slice(trie["row_starts"][node], trie["row_starts"][node + 1])
/// mask = torch.full_like(logits, -torch.inf); mask[trie["tokens"][row]] = 0   # legal tokens
/// token = (logits + mask).argmax()
/// node = trie["nodes"][row][trie["tokens"][row] == token][0]                  # the beam's next node
/// ```
///
/// # Shapes
/// `row_starts`, `item_starts` `[nodes + 1]`; `tokens`, `nodes` `[nodes - 1]`; `items` `[N]`.
///
/// ```
/// use sidereal_sid::{Catalog, SemanticId, SidSpec, Trie, TrieArrays};
///
/// let sids = [[0, 1], [0, 2], [3, 1]].map(SemanticId::from).to_vec();
/// let catalog = Catalog::new(SidSpec::new(vec![4, 4], 0)?, sids)?;
/// // The codes' tokens stand after 32,000 words of a tokenizer, in flat order.
/// let ids: Vec<u32> = (32_000..32_008).collect();
/// let arrays = TrieArrays::new(&Trie::from_catalog(&catalog), &ids).expect("an id for each code");
/// assert_eq!(arrays.row_starts, [0, 2, 4, 5, 5, 5, 5]);
/// assert_eq!(arrays.tokens, [32_000, 32_003, 32_005, 32_006, 32_005]);
/// assert_eq!(arrays.nodes, [1, 2, 3, 4, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrieArrays {
    /// First edge of each node, `[nodes + 1]`.
    pub row_starts: Vec<u32>,
    /// Token id of each edge, `[edges]`.
    pub tokens: Vec<u32>,
    /// Node that each edge leads to, `[edges]`.
    pub nodes: Vec<u32>,
    /// First item of each node, `[nodes + 1]`.
    pub item_starts: Vec<u32>,
    /// Items by the node at which their Semantic ID ends, `[N]`.
    pub items: Vec<u32>,
}

impl TrieArrays {
    /// The arrays of a trie whose flat token `t` the decoder knows as `token_ids[t]`; `None` if the
    /// trie has a flat token without an id.
    #[must_use]
    pub fn new(trie: &Trie, token_ids: &[u32]) -> Option<Self> {
        let edges = trie.tokens().iter().skip(1);
        let tokens: Option<Vec<u32>> = edges.map(|t| token_ids.get(*t as usize).copied()).collect();
        let tokens = tokens?;
        let nodes = (1u32..).take(tokens.len()).collect();
        // The children of a node are consecutive, and node 1 is the first child of all.
        let row_starts = trie.rows().iter().map(|start| start - 1).collect();
        let (item_starts, items) = trie.items_by_node();
        Some(Self {
            row_starts,
            tokens,
            nodes,
            item_starts: item_starts.to_vec(),
            items: items.iter().map(|item| item.0).collect(),
        })
    }
}
