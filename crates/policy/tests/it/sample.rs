//! Sampling: its distributions against transformers' and against enumeration of the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;
use serde::Deserialize;
use sidereal_policy::{
    BeamSearch, CompletionToken, Completions, Conditions, Excluded, Groups, LanguageModel as _,
    PolicyError, Rollout, Sampler, SamplingConfig, Scoring, Target, TokenLaw, code_targets,
    completion_logp, group_logp,
};
use sidereal_sid::{Catalog, Code, ItemId, SemanticId, SidSpec, strategies};

use crate::naive::Naive;
use crate::{parity, tiny};

#[derive(Deserialize)]
struct Fixture {
    rows: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    row: usize,
    settings: SamplingConfig,
    logp: BTreeMap<usize, f64>,
}

#[test]
fn distributions_are_those_of_the_warpers_of_transformers() {
    let text = fs::read_to_string(parity::fixture("warpers.json")).unwrap();
    let fixture: Fixture = serde_json::from_str(&text).unwrap();
    for Case { row, settings, logp } in &fixture.cases {
        let found = settings.distribution(&fixture.rows[*row]);
        assert!(found.is_sorted_by(|a, b| a.1 >= b.1));
        let found: BTreeMap<usize, f64> = found.into_iter().collect();
        assert!(found.keys().eq(logp.keys()), "row {row}, {settings:?}: {found:?} {logp:?}");
        for (index, value) in logp {
            assert!((found[index] - value).abs() < 1e-5, "row {row}, {settings:?}: {index}");
        }
    }
}

/// Codes of a hypothesis or rollout.
fn sid_of(catalog: &Catalog, tokens: &[u32]) -> SemanticId {
    tokens.iter().map(|token| catalog.spec().level_and_code(*token).unwrap().1).collect()
}

/// Probability of each Semantic ID after `prompt`, code by code at a temperature.
fn exact(naive: &Naive<'_>, prompt: &[u32], temperature: f64) -> BTreeMap<SemanticId, f64> {
    let sids: BTreeSet<&SemanticId> = naive.catalog.sids().iter().collect();
    let _guard = tch::no_grad_guard();
    let logp_of: BTreeMap<&SemanticId, Vec<f64>> = sids
        .iter()
        .map(|sid| {
            let logp = naive.logp(prompt, 0, sid);
            (*sid, logp.iter().map(|x| f64::try_from(x).unwrap()).collect())
        })
        .collect();
    let share = |sid: &SemanticId, level: usize| {
        let mut siblings: BTreeMap<Code, f64> = BTreeMap::new();
        for (other, logp) in &logp_of {
            if other.len() > level && other[..level] == sid[..level] {
                siblings.insert(other[level], (logp[level] / temperature).exp());
            }
        }
        siblings[&sid[level]] / siblings.values().sum::<f64>()
    };
    sids.iter()
        .map(|sid| ((*sid).clone(), (0..sid.len()).map(|level| share(sid, level)).product()))
        .collect()
}

/// Five standard errors of a frequency: a right one is further off once in a million times.
fn bound(p: f64, draws: usize) -> f64 {
    5.0 * ((p * (1.0 - p)).max(0.0) / draws as f64).sqrt() + 1e-4
}

struct Shop {
    catalog: Catalog,
    constraint: sidereal_policy::Constraint,
    tokenizer: sidereal_policy::SidTokenizer,
    model: sidereal_policy::Decoder,
}

impl Shop {
    fn new(catalog: Catalog, seed: i64) -> Self {
        let (constraint, tokenizer) = tiny::constraint(&catalog);
        let model = tiny::model(tiny::config(tokenizer.vocab_size(), 2, seed % 2 == 0), seed);
        Self { catalog, constraint, tokenizer, model }
    }

    fn naive(&self, scoring: Scoring) -> Naive<'_> {
        let Self { catalog, tokenizer, model, .. } = self;
        Naive { model, tokenizer, catalog, scoring }
    }

    fn sampler(&self, sampling: SamplingConfig, seed: u64) -> Sampler<'_> {
        let (model, constraint, scoring) = (&self.model, &self.constraint, Scoring::Renormalised);
        Sampler { model, constraint, sampling, scoring, seed }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn samples_are_items_with_true_log_probabilities_whoever_stands_beside(
        catalog in strategies::catalog(14),
        prompts in prop::collection::vec(prop::collection::vec(1u32..256, 1..12), 1..4),
        renormalised in any::<bool>(),
        num in 1usize..6,
        seed in 0u64..1000,
    ) {
        let shop = Shop::new(catalog, i64::try_from(seed).unwrap());
        let scoring = if renormalised { Scoring::Renormalised } else { Scoring::Full };
        let sampler = Sampler { scoring, ..shop.sampler(SamplingConfig::default(), seed) };
        let keys: Vec<u64> = (0..prompts.len() as u64).map(|key| key * 77 + 3).collect();
        let all = Conditions { keys: &keys, ..Conditions::default() };
        let groups = sampler.sample(&tiny::batch(&prompts), &all, num).unwrap();
        let distinct = sampler.sample_distinct(&tiny::batch(&prompts), &all, num).unwrap();
        let naive = shop.naive(scoring);
        let share = shop.naive(Scoring::Renormalised);
        for (user, prompt) in prompts.iter().enumerate() {
            let alone = Conditions { keys: &keys[user..=user], ..Conditions::default() };
            let batch = tiny::batch(std::slice::from_ref(prompt));
            let tokens = |group: &[Rollout]| -> Vec<Vec<u32>> {
                group.iter().map(|rollout| rollout.tokens.clone()).collect()
            };
            prop_assert_eq!(groups[user].len(), num);
            prop_assert_eq!(
                tokens(&groups[user]),
                tokens(&sampler.sample(&batch, &alone, num).unwrap()[0])
            );
            let distinct: Vec<Rollout> =
                distinct[user].iter().map(|draw| draw.rollout.clone()).collect();
            let different: BTreeSet<&Vec<u32>> = distinct.iter().map(|r| &r.tokens).collect();
            prop_assert_eq!(different.len(), shop.catalog.num_sids().min(num));
            for rollout in groups[user].iter().chain(&distinct) {
                let sid = sid_of(&shop.catalog, &rollout.tokens);
                let items = shop.constraint.trie().items(rollout.node);
                prop_assert!(!items.is_empty());
                prop_assert_eq!(items, shop.catalog.items(&sid));
                let score = naive.score(prompt, 0, &sid);
                prop_assert!((rollout.score() - score).abs() < 1e-4, "{}", score);
                let drawn: f64 = rollout.draw_logp.iter().sum();
                let share = f64::from(share.score(prompt, 0, &sid));
                prop_assert!((drawn - share).abs() < 1e-4, "{}", drawn);
            }
        }
    }

    #[test]
    fn what_is_excluded_is_not_written_and_what_is_left_keeps_its_score(
        catalog in strategies::catalog(14),
        prompt in prop::collection::vec(1u32..256, 1..12),
        out in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        width in 1usize..20,
        seed in 0i64..1000,
    ) {
        let shop = Shop::new(catalog, seed);
        let trie = shop.constraint.trie();
        let num_items = shop.catalog.num_items();
        let out: BTreeSet<ItemId> =
            out.iter().map(|i| ItemId(u32::try_from(i.index(num_items)).unwrap())).collect();
        let excluded = [Excluded::new(trie, out.iter().copied()).unwrap()];
        let conditions = Conditions { excluded: &excluded, ..Conditions::default() };
        let batch = tiny::batch(&[prompt]);
        let search = |beam_width, conditions: &Conditions<'_>| {
            let (model, constraint) = (&shop.model, &shop.constraint);
            BeamSearch { model, constraint, beam_width, scoring: Scoring::Full }
                .search_observed(&batch, conditions, &mut |_| {})
                .unwrap()
                .remove(0)
        };
        let wanted = |node| trie.items(node).iter().any(|item| !out.contains(item));
        let mut left = search(num_items, &Conditions::default());
        left.retain(|found| wanted(found.node));
        let all = search(num_items, &conditions);
        prop_assert_eq!(all.len(), left.len());
        for (a, b) in all.iter().zip(&left) {
            prop_assert!((a.score - b.score).abs() < 1e-5, "{} {}", a.score, b.score);
        }
        let few = search(width, &conditions);
        prop_assert_eq!(few.len(), width.min(left.len()));
        prop_assert!(few.iter().all(|found| wanted(found.node)));

        let sampler = shop.sampler(SamplingConfig::default(), 3);
        let drawn = sampler.sample(&batch, &conditions, 5).unwrap().remove(0);
        prop_assert_eq!(drawn.len(), if left.is_empty() { 0 } else { 5 });
        prop_assert!(drawn.iter().all(|rollout| wanted(rollout.node)));
        let distinct = sampler.sample_distinct(&batch, &conditions, width).unwrap().remove(0);
        prop_assert_eq!(distinct.len(), width.min(left.len()));
        prop_assert!(distinct.iter().all(|draw| wanted(draw.rollout.node)));
    }
}

#[test]
fn frequencies_are_the_exact_probabilities_at_any_temperature() {
    const DRAWS: usize = 4000;
    let shop = Shop::new(tiny::catalog(), 6);
    let prompt = vec![5, 9, 2];
    for temperature in [1.0, 0.6, 2.0] {
        let config = SamplingConfig::new(temperature).unwrap();
        let batch = tiny::batch(std::slice::from_ref(&prompt));
        let group = shop.sampler(config, 11).sample(&batch, &Conditions::default(), DRAWS).unwrap();
        let mut counts: BTreeMap<SemanticId, usize> = BTreeMap::new();
        for rollout in &group[0] {
            *counts.entry(sid_of(&shop.catalog, &rollout.tokens)).or_default() += 1;
        }
        let exact = exact(&shop.naive(Scoring::Renormalised), &prompt, temperature);
        assert!(exact.values().filter(|p| **p > 0.02).count() >= 3, "{exact:?}");
        for (sid, p) in &exact {
            let found = counts.get(sid).copied().unwrap_or(0) as f64 / DRAWS as f64;
            assert!((found - p).abs() < bound(*p, DRAWS), "{sid}: {found} {p}");
        }
    }
}

/// Probability that each of `k` draws without replacement, in this order, is made: the inclusion
/// probabilities by enumeration.
fn inclusion(p: &[f64], k: usize) -> Vec<f64> {
    fn draw(p: &[f64], left: f64, taken: &mut Vec<usize>, so_far: f64, k: usize, out: &mut [f64]) {
        if taken.len() == k {
            for index in taken {
                out[*index] += so_far;
            }
            return;
        }
        for index in 0..p.len() {
            if !taken.contains(&index) {
                taken.push(index);
                draw(p, left - p[index], taken, so_far * p[index] / left, k, out);
                taken.pop();
            }
        }
    }
    let mut out = vec![0.0; p.len()];
    draw(p, 1.0, &mut Vec::new(), 1.0, k, &mut out);
    out
}

#[test]
fn draws_without_replacement_include_each_item_as_often_as_they_should() {
    const PROMPTS: usize = 100;
    const BATCHES: u64 = 30;
    let shop = Shop::new(tiny::catalog(), 6);
    let prompt = vec![5, 9, 2];
    let exact = exact(&shop.naive(Scoring::Renormalised), &prompt, 2.0);
    let sids: Vec<&SemanticId> = exact.keys().collect();
    let p: Vec<f64> = exact.values().copied().collect();
    let batch = tiny::batch(&vec![prompt; PROMPTS]);
    let draws = PROMPTS * usize::try_from(BATCHES).unwrap();
    for k in [1, 3, p.len()] {
        let mut counts = vec![0usize; p.len()];
        let mut gumbels = Vec::new();
        for seed in 0..BATCHES {
            let sampler = shop.sampler(SamplingConfig::new(2.0).unwrap(), seed);
            for group in sampler.sample_distinct(&batch, &Conditions::default(), k).unwrap() {
                assert_eq!(group.len(), k);
                assert!(group.is_sorted_by(|a, b| a.perturbed >= b.perturbed));
                for draw in &group {
                    let sid = sid_of(&shop.catalog, &draw.rollout.tokens);
                    let place = sids.iter().position(|other| **other == sid).unwrap();
                    counts[place] += 1;
                    let logp: f64 = draw.rollout.draw_logp.iter().sum();
                    assert!((logp - p[place].ln()).abs() < 1e-4);
                    gumbels.push(draw.perturbed - p[place].ln());
                }
            }
        }
        for (place, expected) in inclusion(&p, k).into_iter().enumerate() {
            let found = counts[place] as f64 / draws as f64;
            assert!((found - expected).abs() < bound(expected, draws), "{k}: {found} {expected}");
        }
        if k == p.len() {
            // All are drawn, so that what was added to each is a standard Gumbel variable.
            let mean = gumbels.iter().sum::<f64>() / gumbels.len() as f64;
            let error = 1.2826 / (gumbels.len() as f64).sqrt();
            assert!((mean - 0.577_216).abs() < 5.0 * error, "{mean}");
        }
    }
}

#[test]
fn greedy_sampling_equals_a_beam_of_width_one() {
    let shop = Shop::new(tiny::catalog(), 4);
    let batch = tiny::batch(&[vec![5, 9, 2], vec![7]]);
    let sampler = shop.sampler(SamplingConfig::greedy(), 1);
    let groups = sampler.sample(&batch, &Conditions::default(), 3).unwrap();
    let (model, constraint, scoring) = (&shop.model, &shop.constraint, sampler.scoring);
    let beams = BeamSearch { model, constraint, beam_width: 1, scoring };
    for (group, beam) in groups.iter().zip(beams.search(&batch, &[&[], &[]]).unwrap()) {
        for rollout in group {
            assert_eq!(rollout.tokens, beam[0].tokens);
            assert!((rollout.score() - beam[0].score).abs() < 1e-5);
            assert!(rollout.draw_logp.iter().all(|x| *x == 0.0));
        }
    }
}

#[test]
fn cuts_leave_the_most_probable_codes_alone() {
    let shop = Shop::new(tiny::catalog(), 6);
    let one = std::num::NonZeroUsize::MIN;
    let batch = tiny::batch(&[vec![5, 9, 2]]);
    let greedy = shop.sampler(SamplingConfig::greedy(), 1);
    let greedy = greedy.sample(&batch, &Conditions::default(), 1).unwrap();
    for config in [
        SamplingConfig::new(1.7).unwrap().with_top_k(one),
        SamplingConfig::new(1.7).unwrap().with_top_p(1e-9).unwrap(),
    ] {
        let cut = shop.sampler(config, 5).sample(&batch, &Conditions::default(), 4).unwrap();
        assert!(cut[0].iter().all(|rollout| rollout.tokens == greedy[0][0].tokens));
    }
}

#[test]
fn returned_log_probabilities_are_those_that_training_computes() {
    let shop = Shop::new(tiny::catalog(), 8);
    let text = [vec![5, 9, 2], vec![7, 1]];
    let guides: [&[u32]; 2] = [&[1], &[]];
    let prompts: Vec<Vec<u32>> = text
        .iter()
        .zip(guides)
        .map(|(text, guide)| [text.clone(), shop.constraint.ids(guide)].concat())
        .collect();
    let batch = tiny::batch(&prompts);
    for scoring in [Scoring::Full, Scoring::Renormalised] {
        let sampler = Sampler { scoring, ..shop.sampler(SamplingConfig::new(1.5).unwrap(), 2) };
        let groups = sampler.sample(&batch, &Conditions::guided(&guides), 4).unwrap();
        let ours: Vec<f32> = groups.iter().flatten().flat_map(|r| r.logp.clone()).collect();
        let completions: Vec<Vec<Vec<u32>>> = groups
            .iter()
            .zip(guides)
            .map(|(group, guide)| group.iter().map(|r| r.tokens[guide.len()..].to_vec()).collect())
            .collect();
        let groups_of = Groups { prompts: &batch, guides: &guides, completions: &completions };
        let (model, constraint) = (&shop.model, &shop.constraint);
        let theirs = group_logp(model, constraint, &groups_of, scoring).unwrap();
        let rollouts: Vec<Vec<_>> = groups
            .iter()
            .map(|group| group.iter().map(|r| r.completion(constraint)).collect())
            .collect();
        let completions = Completions { prompts: &batch, begun: &[1, 0], rollouts: &rollouts };
        let again = completion_logp(model, constraint, &completions, scoring).unwrap().logp;
        for theirs in [theirs, again] {
            let theirs = Vec::<f32>::try_from(theirs).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}

#[test]
fn draws_at_a_temperature_are_scored_by_the_law_that_drew_them() {
    let shop = Shop::new(tiny::catalog(), 8);
    let batch = tiny::batch(&[vec![5, 9, 2], vec![7, 1]]);
    let (model, constraint) = (&shop.model, &shop.constraint);
    for temperature in [0.4, 1.0, 2.5] {
        let sampling = SamplingConfig::new(temperature).unwrap();
        let words = SamplingConfig::default();
        let law = TokenLaw::of_draws(Scoring::Renormalised, words, sampling).unwrap();
        let groups = shop.sampler(sampling, 2).sample(&batch, &Conditions::default(), 4).unwrap();
        let rollouts: Vec<Vec<_>> = groups
            .iter()
            .map(|group| group.iter().map(|r| r.completion(constraint)).collect())
            .collect();
        let completions = Completions { prompts: &batch, begun: &[0, 0], rollouts: &rollouts };
        let scored = completion_logp(model, constraint, &completions, law).unwrap().logp;
        let scored = Vec::<f64>::try_from(scored.to_kind(tch::Kind::Double)).unwrap();
        let drawn: Vec<f64> = groups.iter().flatten().flat_map(|r| r.draw_logp.clone()).collect();
        assert_eq!(scored.len(), drawn.len());
        for (scored, drawn) in scored.iter().zip(drawn) {
            assert!((scored - drawn).abs() < 1e-4, "at {temperature}: {scored} {drawn}");
        }
    }
}

#[test]
fn words_and_codes_have_separate_temperatures() {
    let shop = Shop::new(tiny::catalog(), 8);
    let batch = tiny::batch(&[vec![5, 9, 2]]);
    let (model, constraint) = (&shop.model, &shop.constraint);
    let law = |words, codes| {
        let [words, codes] = [words, codes].map(|t| SamplingConfig::new(t).unwrap());
        TokenLaw::of_draws(Scoring::Full, words, codes).unwrap()
    };
    let code = code_targets(constraint.trie(), &[], &[0]).unwrap()[0];
    let targets = [Target::Word(7), code];
    let rollouts = [targets.map(|target| vec![CompletionToken::Scored(target)]).to_vec()];
    let completions = Completions { prompts: &batch, begun: &[0], rollouts: &rollouts };
    let hidden = model.forward(&batch, 0.0).unwrap().get(0).get(2);
    let logits = model.head().logits(&hidden.unsqueeze(0)).unwrap().get(0);
    for (words, codes) in [(0.5, 2.0), (1.0, 0.5), (3.0, 1.0)] {
        let found = completion_logp(model, constraint, &completions, law(words, codes)).unwrap();
        let ids = [7, i64::from(constraint.id(0))];
        for ((row, id), temperature) in (0..).zip(ids).zip([words, codes]) {
            let all = (&logits / temperature).log_softmax(-1, tch::Kind::Float);
            let expected = f64::try_from(all.get(id)).unwrap();
            let found = f64::try_from(found.logp.get(row)).unwrap();
            assert!((found - expected).abs() < 1e-4, "{words}, {codes}: {found} {expected}");
        }
    }
}

#[test]
fn draws_that_cannot_be_scored_are_refused_by_name() {
    let plain = SamplingConfig::default();
    let field = |words, codes| match TokenLaw::of_draws(Scoring::Full, words, codes) {
        Err(PolicyError::Unsupported { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let one = std::num::NonZeroUsize::MIN;
    assert_eq!(field(plain.with_top_k(one), plain), "top_k");
    assert_eq!(field(plain, plain.with_top_p(0.9).unwrap()), "top_p");
    assert_eq!(field(plain, SamplingConfig::greedy()), "temperature");
    // A cut that leaves everything is none.
    assert!(TokenLaw::of_draws(Scoring::Full, plain.with_top_p(1.0).unwrap(), plain).is_ok());
}

#[test]
fn items_of_one_semantic_id_are_excluded_together_or_not_at_all() {
    let sids = [[0, 1], [0, 1], [2, 3]].map(SemanticId::from).to_vec();
    let catalog = Catalog::new(SidSpec::new(vec![4, 4], 0).unwrap(), sids).unwrap();
    let shop = Shop::new(catalog, 2);
    let batch = tiny::batch(&[vec![5, 9, 2]]);
    let found = |items: &[u32]| {
        let items = items.iter().copied().map(ItemId);
        let excluded = [Excluded::new(shop.constraint.trie(), items).unwrap()];
        let conditions = Conditions { excluded: &excluded, ..Conditions::default() };
        let (model, constraint, scoring) = (&shop.model, &shop.constraint, Scoring::Full);
        let search = BeamSearch { model, constraint, beam_width: 5, scoring };
        let found = search.search_observed(&batch, &conditions, &mut |_| {}).unwrap().remove(0);
        found.iter().map(|h| sid_of(&shop.catalog, &h.tokens)).collect::<BTreeSet<_>>()
    };
    let (shared, other) = (SemanticId::from([0, 1]), SemanticId::from([2, 3]));
    assert_eq!(found(&[0]), BTreeSet::from([shared, other.clone()]));
    assert_eq!(found(&[0, 1]), BTreeSet::from([other]));
    assert_eq!(found(&[0, 1, 2]), BTreeSet::new());
}

#[test]
fn requests_that_cannot_be_sampled_are_errors() {
    let shop = Shop::new(tiny::catalog(), 2);
    let batch = tiny::batch(&[vec![5, 9, 2]]);
    let sampler = shop.sampler(SamplingConfig::default(), 1);
    let none = Conditions::default();
    assert!(matches!(sampler.sample(&batch, &none, 0), Err(PolicyError::Empty { .. })));
    assert!(matches!(sampler.sample_distinct(&batch, &none, 0), Err(PolicyError::Empty { .. })));
    let keys = Conditions { keys: &[1, 2], ..none };
    let error = sampler.sample(&batch, &keys, 1).unwrap_err();
    assert!(matches!(error, PolicyError::Size { what: "keys of prompts", found: 2, expected: 1 }));
    let error = sampler.sample(&batch, &Conditions::guided(&[&[3]]), 1).unwrap_err();
    assert!(matches!(error, PolicyError::Empty { .. }), "no item begins with <a_3>");
}
