//! The diversity of rollouts, SAGE's `H(S)`.

use std::collections::BTreeSet;

use sidereal_sid::{ItemId, SemanticId, SidSpec, Trie};

use super::Rl;
use super::rollout::PromptGroup;
use crate::categories::Categories;

/// What the diversity of rollouts is measured by.
#[derive(Debug, Clone, Copy)]
struct Diversity<'a> {
    spec: &'a SidSpec,
    /// Whose leaves hold the items of a Semantic ID.
    trie: &'a Trie,
    categories: &'a Categories,
}

impl Rl<'_> {
    /// Diversity of each rollout of each group; no groups where there are no categories to measure it by.
    pub(super) fn diversities(&self, groups: &[PromptGroup<'_>]) -> Vec<Vec<f64>> {
        let Self { spec, constraint, facts, .. } = *self;
        let Some(categories) = facts.categories() else { return Vec::new() };
        let diversity = Diversity { spec, trie: constraint.trie(), categories };
        groups.iter().map(|group| diversity.of_group(&group.sids, &group.slates)).collect()
    }
}

impl Diversity<'_> {
    /// Diversity of each rollout of a group, in nats.
    ///
    /// Of a slate it is the entropy of its items' categories: the paper's `H(S)`, "e.g., category
    /// entropy" (SAGE 3.4.2), over second-level categories as in its metric (4.1.3). In `[0, ln n]` for
    /// a slate of `n` items.
    ///
    /// The paper has slates only. The entropy of a single item is 0, so that `H̄` would be 0 too, and
    /// equation 6 would never act. Where a rollout is one Semantic ID, what is recommended to a user is
    /// the group: here all rollouts of the group have the entropy of the categories of all items that
    /// they name, each Semantic ID counted once. A Semantic ID of several items counts all of them, as
    /// in a ranking. Rollouts that name no item of the catalogue count none.
    fn of_group(&self, sids: &[SemanticId], slates: &[Vec<ItemId>]) -> Vec<f64> {
        if !slates.is_empty() {
            return slates
                .iter()
                .map(|slate| self.categories.entropy(slate.iter().copied()))
                .collect();
        }
        let distinct: BTreeSet<&SemanticId> = sids.iter().collect();
        let named = distinct.into_iter().flat_map(|sid| self.items(sid)).copied();
        vec![self.categories.entropy(named); sids.len()]
    }

    /// The items of a Semantic ID.
    fn items(&self, sid: &SemanticId) -> &[ItemId] {
        let node = self.spec.tokens(sid).ok().and_then(|tokens| self.trie.walk(&tokens));
        node.map_or(&[], |node| self.trie.items(node))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sidereal_data::{Dataset, Item, User};
    use sidereal_sid::Catalog;

    use super::*;

    /// Items 0 to 5 of the categories a, b, a, c, none, b; items 1 and 5 share a Semantic ID.
    fn shop() -> (Catalog, Categories) {
        let sids = [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [0, 1]].map(SemanticId::from).to_vec();
        let catalog = Catalog::new(SidSpec::new(vec![3, 3], 0).unwrap(), sids).unwrap();
        let kinds = ["a", "b", "a", "c", "", "b"].iter().enumerate();
        let item = |(number, kind): (usize, &&str)| {
            let categories = ["root", kind].map(str::to_owned).to_vec();
            Item::new(number.to_string(), "").with_categories(categories)
        };
        let items: Vec<Item> = kinds.map(item).collect();
        let users = vec![User::new("u", vec![ItemId(0)])];
        let dataset = Dataset::new(items, users).unwrap();
        (catalog, Categories::new(&dataset))
    }

    /// The entropy of labels, by counting: `ln n - 1/n · Σ count · ln count`.
    fn counted(labels: &[&str]) -> f64 {
        let mut counts = BTreeMap::new();
        for label in labels {
            *counts.entry(label).or_insert(0.0) += 1.0;
        }
        let n = labels.len() as f64;
        n.ln() - counts.values().map(|count: &f64| count * count.ln()).sum::<f64>() / n
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_slate_has_the_entropy_of_its_own_categories() {
        let (catalog, categories) = shop();
        let trie = Trie::from_catalog(&catalog);
        let diversity = Diversity { spec: catalog.spec(), trie: &trie, categories: &categories };
        let slates: [Vec<u32>; 4] = [vec![0, 2], vec![0, 1, 2], vec![0, 1, 3, 4], vec![]];
        let expected: Vec<f64> = [&["a", "a"][..], &["a", "b", "a"], &["a", "b", "c", ""]]
            .iter()
            .map(|labels| counted(labels))
            .chain([0.0])
            .collect();
        let slates = slates.map(|slate| slate.into_iter().map(ItemId).collect::<Vec<_>>());
        let unnamed = vec![SemanticId::default(); slates.len()];
        assert_close(&diversity.of_group(&unnamed, &slates), &expected);
        // Four categories of four items are as diverse as a slate of four can be.
        assert!((expected[2] - 4f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn single_items_share_the_entropy_of_their_groups_distinct_answers() {
        let (catalog, categories) = shop();
        let trie = Trie::from_catalog(&catalog);
        let diversity = Diversity { spec: catalog.spec(), trie: &trie, categories: &categories };
        let of = |sids: &[&[u16]]| {
            let sids: Vec<_> = sids.iter().map(|codes| SemanticId::from(codes.to_vec())).collect();
            diversity.of_group(&sids, &[])
        };
        // An answer that comes three times counts once, and [0, 1] are two items.
        let found = of(&[&[0, 0], &[0, 0], &[0, 1], &[0, 0], &[1, 0]]);
        assert_close(&found, &[counted(&["a", "b", "b", "a"]); 5]);
        // What is no item of the catalogue counts nothing; a group without items has no diversity.
        assert_close(&of(&[&[0, 0], &[2, 0], &[], &[1, 1]]), &[counted(&["a", "c"]); 4]);
        assert_close(&of(&[&[2, 0], &[]]), &[0.0; 2]);
        assert_close(&of(&[&[0, 0], &[0, 0]]), &[0.0; 2]);
    }
}
