//! Laws of notation, catalogue and trie.
#![allow(clippy::unwrap_used, reason = "a failed test may panic, in its helpers too")]

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sidereal_sid::{
    Catalog, NodeId, SemanticId, SidSpec, TokenStyle, Trie, TrieArrays, sid_of_tokens, strategies,
};

proptest! {
    #[test]
    fn parse_reads_back_what_display_writes(
        (spec, sid) in strategies::spec().prop_flat_map(|s| (Just(s.clone()), strategies::semantic_id(&s)))
    ) {
        prop_assert_eq!(spec.parse(&sid.to_string()).unwrap(), sid);
    }

    #[test]
    fn every_style_reads_back_and_finds_what_it_writes(
        (spec, sids) in (strategies::spec(), strategies::style()).prop_flat_map(|(spec, style)| {
            let sids = [strategies::semantic_id(&spec), strategies::semantic_id(&spec)];
            (Just(spec.with_style(style)), sids)
        }),
        words in "[ <>_|a-c0-9é]{0,8}",
    ) {
        let [first, last] = sids.each_ref().map(|sid| spec.text(sid));
        prop_assert_eq!(&spec.parse(&last).unwrap(), &sids[1]);
        // Behind other words and other Semantic IDs.
        prop_assert_eq!(spec.find_last(&format!("{words}{first}{last}")), Some(sids[1].clone()));
        let json = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(&serde_json::from_str::<SidSpec>(&json).unwrap(), &spec);
        let listed = spec.style().tokens(&sids[1]);
        prop_assert_eq!(&spec.style().sid_of_tokens(&listed).unwrap(), &sids[1]);
        // Token by token, the text is read as the same list.
        let (mut rest, mut read) = (last.as_str(), Vec::new());
        while let Some(token) = spec.style().first_token(rest) {
            read.push(token);
            rest = &rest[token.len()..];
        }
        prop_assert_eq!((read, rest), (listed.iter().map(String::as_str).collect(), ""));
        prop_assert!(spec.style().begins(&listed[0]));
        prop_assert!(!listed[1..].iter().any(|token| spec.style().begins(token)));
        let (vocabulary, tokens) = (spec.vocabulary(), spec.tokens(&sids[1]).unwrap());
        let [begin, end] = spec.style().marks().unwrap_or_default();
        let written: String = tokens.iter().map(|token| &*vocabulary[*token as usize]).collect();
        prop_assert_eq!(format!("{begin}{written}{end}"), last);
        // No token, and no mark, begins another.
        let marks = spec.style().marks().into_iter().flatten().map(str::to_owned);
        let mut all: Vec<String> = vocabulary.into_iter().chain(marks).collect();
        all.sort();
        prop_assert!(all.windows(2).all(|pair| !pair[1].starts_with(&pair[0])));
    }

    #[test]
    fn the_style_of_a_published_list_is_found(
        sid in strategies::spec().prop_flat_map(|spec| strategies::semantic_id(&spec)),
    ) {
        let published = TokenStyle::published();
        for style in published.iter().cloned().chain(published.clone().map(TokenStyle::without_marks)) {
            let tokens = style.tokens(&sid);
            prop_assert_eq!(&TokenStyle::of_tokens(&tokens).unwrap(), &style);
            prop_assert_eq!(&sid_of_tokens(&tokens).unwrap(), &sid);
        }
    }

    #[test]
    fn arrays_hold_the_paths_of_the_trie(catalog in strategies::catalog(40), first in 0u32..9) {
        let trie = Trie::from_catalog(&catalog);
        let ids: Vec<u32> = (0..u32::try_from(catalog.spec().num_tokens()).unwrap())
            .map(|flat| first + 3 * flat)
            .collect();
        let arrays = TrieArrays::new(&trie, &ids).unwrap();
        let row = |starts: &[u32], node: usize| starts[node] as usize..starts[node + 1] as usize;
        // Every path from the root, with the items at its end.
        let (mut open, mut found) = (vec![(0usize, Vec::new())], Vec::new());
        while let Some((node, path)) = open.pop() {
            for edge in row(&arrays.row_starts, node) {
                let path = path.iter().copied().chain([arrays.tokens[edge]]).collect();
                open.push((arrays.nodes[edge] as usize, path));
            }
            for at in row(&arrays.item_starts, node) {
                found.push((arrays.items[at], path.clone()));
            }
        }
        found.sort();
        let expected: Vec<(u32, Vec<u32>)> = catalog
            .iter()
            .map(|(item, sid)| {
                let tokens = catalog.spec().tokens(sid).unwrap();
                (item.0, tokens.iter().map(|flat| ids[*flat as usize]).collect())
            })
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(TrieArrays::new(&trie, &[]), None);
    }

    #[test]
    fn flat_tokens_invert(spec in strategies::spec(), token in 0u32..300) {
        match spec.level_and_code(token) {
            Some((level, code)) => prop_assert_eq!(spec.token(level, code), Some(token)),
            None => prop_assert!(token as usize >= spec.num_tokens()),
        }
    }

    #[test]
    fn every_item_is_one_complete_path_and_every_leaf_an_item(catalog in strategies::catalog(60)) {
        let trie = Trie::from_catalog(&catalog);
        for item in catalog.items_by_sid() {
            let tokens = catalog.spec().tokens(catalog.sid(*item).unwrap()).unwrap();
            let leaf = trie.walk(&tokens).expect("own path exists");
            prop_assert!(trie.is_leaf(leaf));
            prop_assert!(trie.items(leaf).contains(item));
            prop_assert_eq!(trie.leaf(*item), Some(leaf));
        }
        let nodes = (0..u32::try_from(trie.num_nodes()).unwrap()).map(NodeId);
        prop_assert_eq!(trie.rows().len(), trie.num_nodes() + 1);
        let at_leaves: usize = nodes.clone().map(|n| trie.items(n).len()).sum();
        prop_assert_eq!(at_leaves, catalog.num_items());
        let leaves: Vec<NodeId> = trie.leaves().collect();
        let ends = nodes.clone().filter(|node| !trie.items(*node).is_empty());
        prop_assert_eq!(leaves, ends.collect::<Vec<_>>());
        for node in nodes {
            prop_assert_eq!(trie.is_leaf(node), !trie.items(node).is_empty());
            let children = trie.children(node);
            prop_assert!(children.tokens.is_sorted());
            let row = trie.rows()[node.index()] as usize..trie.rows()[node.index() + 1] as usize;
            prop_assert_eq!((children.first.index(), children.len()), (row.start, row.len()));
            prop_assert_eq!(children.tokens, &trie.tokens()[row]);
            for (k, token) in children.tokens.iter().enumerate() {
                prop_assert_eq!(children.find(*token), Some(children.node(k)));
                prop_assert_eq!(trie.parent(children.node(k)), Some(node));
            }
        }
    }

    #[test]
    fn a_nodes_mass_is_that_of_its_leaves(
        // Items share Semantic IDs: 3 x 3 of them for up to 40 items.
        sids in proptest::collection::vec([0u16..3, 0u16..3], 1..40),
        values in proptest::collection::vec(0f32..4.0, 40),
    ) {
        let spec = SidSpec::new(vec![3, 3], 0).unwrap();
        let sids = sids.into_iter().map(SemanticId::from).collect();
        let catalog = Catalog::new(spec, sids).unwrap();
        same_mass_as_leaf_by_leaf(&catalog, &values[..catalog.num_items()])?;
    }

    #[test]
    fn a_nodes_mass_is_that_of_its_leaves_at_any_depth(
        catalog in strategies::catalog(40), values in proptest::collection::vec(0f32..4.0, 40),
    ) {
        same_mass_as_leaf_by_leaf(&catalog, &values[..catalog.num_items()])?;
    }

    #[test]
    fn items_inverts_sid(catalog in strategies::catalog(60)) {
        for item in catalog.items_by_sid() {
            prop_assert!(catalog.items(catalog.sid(*item).unwrap()).contains(item));
        }
    }

    #[test]
    fn generated_items_that_would_collide_are_numbered_by_their_suffix(
        catalog in strategies::catalog(60)
    ) {
        let num_levels = catalog.spec().num_levels();
        let mut largest = 0;
        for (item, sid) in catalog.sids().iter().enumerate() {
            let alike = |other: &&SemanticId| other[..num_levels] == sid[..num_levels];
            let (all, earlier) = (
                catalog.sids().iter().filter(alike).count(),
                catalog.sids()[..item].iter().filter(alike).count(),
            );
            let suffix: Vec<usize> = sid[num_levels..].iter().copied().map(usize::from).collect();
            prop_assert_eq!(suffix, if all > 1 { vec![earlier] } else { vec![] });
            largest = largest.max(if all > 1 { all } else { 0 });
        }
        prop_assert_eq!(catalog.spec().suffix_size(), largest);
        prop_assert_eq!(catalog.num_sids(), catalog.num_items());
    }

    #[test]
    fn text_never_panics(text in "[<>a-c_0-9x ]{0,24}") {
        let spec = SidSpec::new(vec![9, 9], 2).unwrap();
        if let Ok(sid) = spec.parse(&text) {
            prop_assert!(spec.check(&sid).is_ok());
        }
    }

    #[test]
    fn json_never_panics(text in r#"\{"spec":\{"codebook_sizes":\[[0-9,]{0,6}\],"suffix_size":[0-9]\},"sids":\[(\[[0-9,]{0,5}\],?){0,3}\]\}"#) {
        let _ = serde_json::from_str::<Catalog>(&text);
    }
}

/// Compares the masses of all nodes with sums over the items whose Semantic IDs begin so.
fn same_mass_as_leaf_by_leaf(catalog: &Catalog, values: &[f32]) -> Result<(), TestCaseError> {
    let trie = Trie::from_catalog(catalog);
    let parents = trie.parents();
    let path = |mut node: NodeId| {
        let mut tokens = Vec::new();
        while node != Trie::ROOT {
            tokens.push(trie.tokens()[node.index()]);
            node = parents[node.index()];
        }
        tokens.reverse();
        tokens
    };
    let plain = trie.node_mass(values).unwrap();
    let logs: Vec<f32> = values.iter().map(|value| value.ln()).collect();
    let log = trie.node_log_mass(&logs).unwrap();
    prop_assert_eq!((plain.len(), trie.num_items()), (trie.num_nodes(), catalog.num_items()));
    for node in (0..u32::try_from(trie.num_nodes()).unwrap()).map(NodeId) {
        let prefix = path(node);
        prop_assert_eq!(trie.walk(&prefix), Some(node));
        let under = catalog
            .iter()
            .zip(values)
            .filter(|((_, sid), _)| catalog.spec().tokens(sid).unwrap().starts_with(&prefix));
        let expected: f64 = under.map(|(_, value)| f64::from(*value)).sum();
        let found = f64::from(plain[node.index()]);
        prop_assert!((found - expected).abs() <= 1e-6 * expected, "{found} {expected}");
        let found = f64::from(log[node.index()]).exp();
        prop_assert!((found - expected).abs() <= 1e-5 * expected, "{found} {expected}");
    }
    Ok(())
}

#[test]
fn generated_catalogues_hold_items_with_and_without_a_suffix() {
    let mut runner = TestRunner::deterministic();
    let catalogs: Vec<Catalog> =
        (0..50).map(|_| strategies::catalog(60).new_tree(&mut runner).unwrap().current()).collect();
    assert!(catalogs.iter().any(|catalog| catalog.spec().suffix_size() == 0));
    assert!(catalogs.iter().any(|catalog| catalog.spec().suffix_size() > 1));
}
