//! Beam search against enumeration of the catalogue and against a plain beam search.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sidereal_policy::{BeamSearch, Conditions, Hypothesis, PolicyError, Scoring};
use sidereal_sid::{Catalog, Code, SemanticId, strategies};

use crate::naive::Naive;
use crate::tiny;

/// A prompt's text and what its Semantic ID must begin with.
#[derive(Debug, Clone)]
struct Request {
    text: Vec<u32>,
    guide: Vec<Code>,
}

fn request(catalog: &Catalog) -> impl Strategy<Value = Request> + use<> {
    let sids = catalog.sids().to_vec();
    (prop::collection::vec(1u32..256, 1..12), any::<prop::sample::Index>(), 0usize..=2).prop_map(
        move |(text, item, guide)| {
            let sid = item.get(&sids);
            Request { text, guide: sid[..guide.min(sid.len() - 1)].to_vec() }
        },
    )
}

fn requests() -> impl Strategy<Value = (Catalog, Vec<Request>)> {
    strategies::catalog(14).prop_flat_map(|catalog| {
        let requests = prop::collection::vec(request(&catalog), 1..4);
        (Just(catalog), requests)
    })
}

fn scoring() -> impl Strategy<Value = Scoring> {
    prop_oneof![Just(Scoring::Full), Just(Scoring::Renormalised)]
}

fn sid_of(catalog: &Catalog, hypothesis: &Hypothesis) -> SemanticId {
    let code = |token: &u32| catalog.spec().level_and_code(*token).unwrap().1;
    hypothesis.tokens.iter().map(code).collect()
}

/// Beam search over code prefixes with plain sets: at each length the `width` best continuations
/// stay, whole Semantic IDs step aside. `None` where a cut is too close to call in f32.
fn plain(naive: &Naive<'_>, prompt: &[u32], guide: &[Code], width: usize) -> Option<Vec<f32>> {
    let sids = naive.catalog.sids();
    let score_of = |prefix: &[Code]| {
        let whole = sids.iter().find(|sid| sid.starts_with(prefix)).unwrap();
        let _guard = tch::no_grad_guard();
        let logp = naive.logp(prompt, guide.len(), whole);
        logp[..prefix.len() - guide.len()].iter().map(|x| f32::try_from(x).unwrap()).sum()
    };
    let cut = |scored: &mut Vec<(f32, Vec<Code>)>| {
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let close = scored.len() > width && scored[width - 1].0 - scored[width].0 < 1e-4;
        scored.truncate(width);
        (!close).then_some(())
    };
    let (mut open, mut whole) = (BTreeSet::from([guide.to_vec()]), Vec::new());
    while let Some(len) = open.first().map(Vec::len) {
        let longer: BTreeSet<Vec<Code>> = sids
            .iter()
            .filter(|sid| sid.len() > len && open.contains(&sid[..len]))
            .map(|sid| sid[..=len].to_vec())
            .collect();
        let mut scored: Vec<_> = longer.into_iter().map(|p| (score_of(&p), p)).collect();
        cut(&mut scored)?;
        let is_whole = |prefix: &Vec<Code>| sids.iter().any(|sid| sid.codes() == prefix);
        whole.extend(scored.iter().filter(|(_, prefix)| is_whole(prefix)).cloned());
        open = scored.into_iter().map(|(_, prefix)| prefix).filter(|p| !is_whole(p)).collect();
    }
    cut(&mut whole)?;
    Some(whole.into_iter().map(|(score, _)| score).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn beams_are_the_best_of_the_catalogue(
        (catalog, requests) in requests(),
        scoring in scoring(),
        width in 1usize..20,
        seed in 0i64..1000,
    ) {
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, seed % 2 == 0), seed);
        let naive = Naive { model: &model, tokenizer: &tokenizer, catalog: &catalog, scoring };
        let flat = |guide: &[Code]| -> Vec<u32> {
            guide.iter().enumerate().map(|(l, c)| catalog.spec().token(l, *c).unwrap()).collect()
        };
        let guides: Vec<Vec<u32>> = requests.iter().map(|r| flat(&r.guide)).collect();
        let prompts: Vec<Vec<u32>> = requests
            .iter()
            .zip(&guides)
            .map(|(r, guide)| [r.text.clone(), constraint.ids(guide)].concat())
            .collect();
        let guides: Vec<&[u32]> = guides.iter().map(Vec::as_slice).collect();
        let search =
            BeamSearch { model: &model, constraint: &constraint, beam_width: width, scoring };
        let found = search.search(&tiny::batch(&prompts), &guides).unwrap();
        prop_assert_eq!(found.len(), requests.len());

        for ((request, prompt), beams) in requests.iter().zip(&prompts).zip(&found) {
            let behind: BTreeSet<&SemanticId> =
                catalog.sids().iter().filter(|sid| sid.starts_with(&request.guide)).collect();
            let written: Vec<SemanticId> = beams.iter().map(|b| sid_of(&catalog, b)).collect();
            // Legal, complete, without repetition, in order, with true scores.
            prop_assert!(written.iter().all(|sid| behind.contains(sid)), "{written:?}");
            prop_assert_eq!(written.iter().collect::<BTreeSet<_>>().len(), written.len());
            prop_assert!(beams.is_sorted_by(|a, b| a.score >= b.score));
            prop_assert!(beams.len() <= width);
            for (beam, sid) in beams.iter().zip(&written) {
                let score = naive.score(prompt, request.guide.len(), sid);
                prop_assert!((beam.score - score).abs() < 1e-4, "{} {score}", beam.score);
                prop_assert_eq!(constraint.trie().walk(&beam.tokens), Some(beam.node));
                prop_assert_eq!(constraint.trie().items(beam.node), catalog.items(sid));
            }
            if width >= behind.len() {
                prop_assert_eq!(beams.len(), behind.len());
                if scoring == Scoring::Renormalised {
                    let total: f32 = beams.iter().map(|beam| beam.score.exp()).sum();
                    prop_assert!((total - 1.0).abs() < 1e-4, "{total}");
                }
            }
            if let Some(expected) = plain(&naive, prompt, &request.guide, width) {
                prop_assert_eq!(beams.len(), expected.len());
                for (beam, score) in beams.iter().zip(expected) {
                    prop_assert!((beam.score - score).abs() < 1e-4, "{} {score}", beam.score);
                }
            }
        }
    }
}

#[test]
fn the_observed_prefixes_lead_to_every_hypothesis() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 8);
    let scoring = Scoring::Renormalised;
    let search = BeamSearch { model: &model, constraint: &constraint, beam_width: 4, scoring };
    let prompts = tiny::batch(&[vec![5, 9, 2], vec![7]]);
    let mut kept = BTreeMap::new();
    let found = search
        .search_observed(&prompts, &Conditions::default(), &mut |prefix| {
            kept.insert((prefix.prompt, prefix.tokens.to_vec()), prefix.score);
        })
        .unwrap();
    assert_eq!(found, search.search(&prompts, &[&[], &[]]).unwrap());
    for (prompt, hypotheses) in found.iter().enumerate() {
        for hypothesis in hypotheses {
            let scores: Vec<f32> = (1..=hypothesis.tokens.len())
                .map(|len| kept[&(prompt, hypothesis.tokens[..len].to_vec())])
                .collect();
            assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
            assert_eq!(scores.last().unwrap().to_bits(), hypothesis.score.to_bits());
        }
    }
}

#[test]
fn requests_that_lead_nowhere_are_errors() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 1);
    let prompts = tiny::batch(&[vec![1, 2, 3]]);
    let run = |beam_width, guides: &[&[u32]]| {
        let scoring = Scoring::Full;
        BeamSearch { model: &model, constraint: &constraint, beam_width, scoring }
            .search(&prompts, guides)
            .unwrap_err()
    };
    assert!(matches!(run(0, &[&[]]), PolicyError::Empty { .. }));
    assert!(matches!(run(4, &[]), PolicyError::Size { what: "guides", found: 0, expected: 1 }));
    assert!(matches!(run(4, &[&[3]]), PolicyError::Empty { .. }), "no item begins with <a_3>");
    assert!(matches!(run(4, &[&[0, 6]]), PolicyError::Empty { .. }), "nothing follows an item");
    assert!(matches!(run(4, &[&[u32::MAX]]), PolicyError::Empty { .. }));
}

#[test]
fn a_score_that_is_not_finite_is_an_error() {
    let catalog = tiny::catalog();
    let (constraint, tokenizer) = tiny::constraint(&catalog);
    for value in [f64::NAN, f64::INFINITY] {
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, true), 7);
        {
            let _guard = tch::no_grad_guard();
            let table = model.weights()["model.embed_tokens.weight"].shallow_clone();
            let mut row = table.get(i64::from(constraint.id(1)));
            let _ = row.fill_(value);
        }
        for scoring in [Scoring::Full, Scoring::Renormalised] {
            for beam_width in [1, 3, 9] {
                let search =
                    BeamSearch { model: &model, constraint: &constraint, beam_width, scoring };
                let prompts = tiny::batch(&[vec![5, 9, 2], vec![7]]);
                let error = search.search(&prompts, &[&[], &[]]).unwrap_err();
                assert!(matches!(error, PolicyError::NotFinite { .. }), "{value}: {error}");
            }
        }
    }
}
