//! Property-test strategies for specs, Semantic IDs and catalogues.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Catalog, Code, SemanticId, SidSpec, TokenStyle};

/// A spec of 1 to 5 levels with 1 to 40 codes each, without a suffix.
pub fn spec() -> impl Strategy<Value = SidSpec> {
    vec(1usize..=40, 1..=5).prop_filter_map("sizes in range", |sizes| SidSpec::new(sizes, 0).ok())
}

/// A style of tokens: the named ones, and templates and marks of any punctuation and
/// letters that are valid.
pub fn style() -> impl Strategy<Value = TokenStyle> {
    const SOME: &str = "[<>|_:#a-c1é]{1,3}";
    let parts = (SOME, "[<>|_:#a-c1é]{0,3}", SOME, SOME, SOME);
    let made =
        parts.prop_filter_map("an unambiguous style", |(open, middle, close, begin, end)| {
            let style = TokenStyle::new(&format!("{open}{{level}}{middle}{{code}}{close}")).ok()?;
            Some(style.clone().with_marks(&begin, &end).unwrap_or(style))
        });
    let one_rec = TokenStyle::open_one_rec();
    prop_oneof![
        Just(TokenStyle::default()),
        Just(one_rec.clone()),
        Just(one_rec.without_marks()),
        made
    ]
}

/// A full-length Semantic ID of `spec`.
pub fn semantic_id(spec: &SidSpec) -> impl Strategy<Value = SemanticId> + use<> {
    let codes: Vec<_> = spec
        .codebook_sizes()
        .iter()
        .map(|size| 0..=Code::try_from(size - 1).unwrap_or(Code::MAX))
        .collect();
    codes.prop_map(SemanticId::from)
}

/// A catalogue of 1 to `max_items` items; equal Semantic IDs receive a suffix code, as
/// quantisers do, so that every item has its own.
pub fn catalog(max_items: usize) -> impl Strategy<Value = Catalog> {
    spec()
        .prop_flat_map(move |spec| {
            let sids = vec(semantic_id(&spec), 1..=max_items);
            (Just(spec), sids)
        })
        .prop_filter_map("a legal catalogue", |(spec, mut sids)| {
            let plain = sids.clone();
            let mut suffix_size = 0;
            for (i, sid) in sids.iter_mut().enumerate() {
                if plain.iter().filter(|other| **other == plain[i]).count() > 1 {
                    let earlier = plain[..i].iter().filter(|other| **other == plain[i]).count();
                    suffix_size = suffix_size.max(earlier + 1);
                    let suffix = Code::try_from(earlier).ok()?;
                    *sid = plain[i].iter().copied().chain([suffix]).collect();
                }
            }
            let spec = SidSpec::new(spec.codebook_sizes().to_vec(), suffix_size).ok()?;
            Catalog::new(spec, sids).ok()
        })
}
