//! Free text and reasoning before the answer, against reading everything again from the start.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use sidereal_policy::{
    BeamSearch, Chain, ChainEnd, Completions, Conditions, Constraint, Decoder, Head, Hypothesis,
    KvCache, LanguageModel, PolicyError, Reasoner, ReasoningMarkers, Sampler, SamplingConfig,
    Scoring, SidTokenizer, Text, TextEnd, TextSampler, TokenBatch, WrittenToken, completion_logp,
    merge_chains,
};
use tch::{Kind, Tensor};

use crate::tiny;

struct Setup {
    constraint: Constraint,
    tokenizer: SidTokenizer,
    model: Decoder,
    /// A letter that texts often hold, to close chains with.
    letter: String,
}

/// Nearly uniform draws among a few tokens, so that texts end in every way.
fn lively() -> SamplingConfig {
    SamplingConfig::new(100.0).unwrap().with_top_k(NonZeroUsize::new(6).unwrap())
}

/// A model that ends its turn as often as it writes the letter.
fn setup() -> Setup {
    let (constraint, tokenizer) = tiny::constraint(&tiny::catalog());
    let model = tiny::model(tiny::config(tokenizer.vocab_size() + 7, 2, false), 3);
    let mut setup = Setup { constraint, tokenizer, model, letter: String::new() };
    let texts = setup.text(&[], 12).write(&tiny::batch(&prompts()), &[], 8).unwrap();
    let mut counts = BTreeMap::<String, usize>::new();
    for token in texts.iter().flatten().flat_map(|text| &text.tokens[2..]) {
        let letter = setup.tokenizer.decode(&[token.id]).unwrap();
        let whole = setup.tokenizer.encode(&letter).unwrap() == [token.id];
        if whole && letter.is_ascii() && !letter.is_empty() {
            *counts.entry(letter).or_default() += 1;
        }
    }
    setup.letter = counts.into_iter().max_by_key(|(_, count)| *count).unwrap().0;
    let letter = setup.tokenizer.encode(&setup.letter).unwrap()[0];
    let _guard = tch::no_grad_guard();
    let head = &setup.model.weights()["lm_head.weight"];
    head.get(setup.tokenizer.end_of_turn().into()).copy_(&head.get(letter.into()));
    setup
}

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![5, 9, 2, 44, 17], vec![7], vec![80, 81, 82]]
}

impl Setup {
    fn text<'a>(&'a self, stops: &'a [Vec<u32>], budget: usize) -> TextSampler<'a> {
        TextSampler {
            model: &self.model,
            num_ids: self.tokenizer.vocab_size(),
            sampling: lively(),
            budget,
            stops,
            seed: 9,
        }
    }

    /// Log-probability over the vocabulary of each drawn token, by reading the text once.
    fn check_words(&self, prompt: &[u32], tokens: &[WrittenToken]) {
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let whole = [prompt, &ids].concat();
        let hidden = self.model.forward(&tiny::batch(&[whole]), 0.0).unwrap().get(0);
        let logp = self.model.head().logits(&hidden).unwrap().log_softmax(-1, Kind::Float);
        for (at, token) in tokens.iter().enumerate() {
            let Some(drawn) = token.drawn else { continue };
            let row = i64::try_from(prompt.len() + at).unwrap() - 1;
            let expected = f32::try_from(logp.get(row).get(token.id.into())).unwrap();
            assert!((drawn.logp - expected).abs() < 1e-4, "{} {expected}", drawn.logp);
            assert!(drawn.draw_logp <= 0.0);
        }
    }
}

#[test]
fn texts_end_at_their_stops_with_the_log_probabilities_of_one_reading() {
    let setup = setup();
    let stop = setup.tokenizer.encode(&setup.letter).unwrap();
    let stops = [stop, vec![setup.tokenizer.end_of_turn()]];
    let sampler = setup.text(&stops, 12);
    let (batch, keys) = (tiny::batch(&prompts()), [100, 101, 102]);
    let texts = sampler.write(&batch, &keys, 6).unwrap();
    let mut lens = BTreeSet::new();
    for (prompt, texts) in prompts().iter().zip(&texts) {
        assert_eq!(texts.len(), 6);
        for text in texts {
            lens.insert(text.tokens.len());
            let ids: Vec<u32> = text.tokens.iter().map(|token| token.id).collect();
            let stopped =
                (1..=ids.len()).position(|len| stops.iter().any(|stop| ids[..len].ends_with(stop)));
            match text.end {
                TextEnd::Stop(stop) => {
                    assert!(ids.ends_with(&stops[stop]));
                    assert_eq!(stopped, Some(ids.len() - 1), "the first stop ends a text");
                }
                _ => assert_eq!((ids.len(), stopped), (12, None)),
            }
            let vocabulary = setup.tokenizer.vocab_size();
            assert!(ids.iter().all(|id| (*id as usize) < vocabulary));
            setup.check_words(prompt, &text.tokens);
        }
    }
    assert!(lens.len() > 2, "texts of many lengths: {lens:?}");
    // Alone, each prompt's texts are the same.
    for ((prompt, key), together) in prompts().iter().zip(keys).zip(&texts) {
        let batch = tiny::batch(std::slice::from_ref(prompt));
        let alone = sampler.write(&batch, &[key], 6).unwrap().remove(0);
        let ids = |text: &Text| -> Vec<u32> { text.tokens.iter().map(|token| token.id).collect() };
        assert!(alone.iter().map(ids).eq(together.iter().map(ids)));
    }
}

#[test]
fn texts_keep_what_they_have_read_when_those_of_several_prompts_move() {
    let setup = setup();
    // Smaller weights, so that a state depends on every token before it.
    {
        let _guard = tch::no_grad_guard();
        for weight in setup.model.weights().values().filter(|weight| weight.dim() > 1) {
            let mut weight = weight.shallow_clone();
            weight *= 0.3;
        }
    }
    // Nearly even draws, of which a third end a text.
    let stops: Vec<Vec<u32>> = (0..90).map(|id| vec![id]).collect();
    let sampling = SamplingConfig::new(1000.0).unwrap();
    let sampler = TextSampler { sampling, ..setup.text(&stops, 8) };
    let texts = sampler.write(&tiny::batch(&prompts()), &[], 6).unwrap();
    for (prompt, texts) in prompts().iter().zip(&texts) {
        for text in texts {
            setup.check_words(prompt, &text.tokens);
        }
    }
}

/// A model that notes how many tokens it reads at each step.
#[derive(Debug)]
struct Counting<'a> {
    inner: &'a Decoder,
    /// Prompts and branches of each.
    steps: RefCell<Vec<[i64; 2]>>,
}

impl LanguageModel for Counting<'_> {
    fn prefill(
        &self,
        prompts: &TokenBatch,
        begun: &[usize],
    ) -> Result<(Tensor, KvCache), PolicyError> {
        self.inner.prefill(prompts, begun)
    }

    fn extend(&self, tokens: &Tensor, cache: &mut KvCache) -> Result<Tensor, PolicyError> {
        let (prompts, branches, _) = tokens.size3().unwrap();
        self.steps.borrow_mut().push([prompts, branches]);
        self.inner.extend(tokens, cache)
    }

    fn head(&self) -> &Head {
        self.inner.head()
    }

    fn positions(&self) -> Option<usize> {
        self.inner.positions()
    }
}

#[test]
fn texts_that_have_ended_cost_nothing_more() {
    let setup = setup();
    let stops = [setup.tokenizer.encode(&setup.letter).unwrap()];
    let model = Counting { inner: &setup.model, steps: RefCell::default() };
    let sampler = TextSampler { model: &model, ..setup.text(&stops, 12) };
    let texts = sampler.write(&tiny::batch(&prompts()), &[], 6).unwrap();
    let longest = texts.iter().flatten().map(|text| text.tokens.len()).max().unwrap();
    // Behind its token `step` a text is read on where it has another.
    let expected: Vec<[i64; 2]> = (1..longest)
        .map(|step| {
            let open = |texts: &Vec<Text>| texts.iter().filter(|t| t.tokens.len() > step).count();
            let open: Vec<usize> = texts.iter().map(open).filter(|count| *count > 0).collect();
            [open.len(), open.iter().copied().max().unwrap()].map(|n| i64::try_from(n).unwrap())
        })
        .collect();
    assert!(expected[0] != expected[expected.len() - 1], "some end early: {expected:?}");
    assert_eq!(model.steps.take(), expected);
}

#[test]
fn frequencies_of_first_words_are_their_probabilities() {
    const DRAWS: usize = 3000;
    let setup = setup();
    let prompt = vec![5, 9, 2];
    let batch = tiny::batch(std::slice::from_ref(&prompt));
    let sampling = SamplingConfig::new(1.2).unwrap();
    let sampler = TextSampler { sampling, ..setup.text(&[], 1) };
    let texts = sampler.write(&batch, &[], DRAWS).unwrap().remove(0);
    let hidden = setup.model.forward(&batch, 0.0).unwrap().get(0).get(2);
    let logits = setup.model.head().logits(&hidden.unsqueeze(0)).unwrap().get(0);
    let real = i64::try_from(setup.tokenizer.vocab_size()).unwrap();
    let exact: Vec<f64> =
        Vec::try_from((logits.narrow(0, 0, real) / 1.2).softmax(-1, Kind::Double)).unwrap();
    let mut counts = vec![0usize; exact.len()];
    for text in &texts {
        counts[text.tokens[0].id as usize] += 1;
    }
    for (id, p) in exact.iter().enumerate() {
        let found = counts[id] as f64 / DRAWS as f64;
        let bound = 5.0 * (p * (1.0 - p) / DRAWS as f64).sqrt() + 2e-3;
        assert!((found - p).abs() < bound, "{id}: {found} {p}");
    }
}

fn reasoner<'a>(setup: &'a Setup, markers: &'a ReasoningMarkers) -> Reasoner<'a> {
    Reasoner {
        model: &setup.model,
        markers,
        sampling: lively(),
        budget: 9,
        answer_len: setup.constraint.max_len(),
        seed: 5,
    }
}

#[test]
fn a_chain_is_closed_by_the_first_of_its_markers() {
    let setup = setup();
    let markers = ReasoningMarkers::new(&setup.tokenizer, "!?", "\n").unwrap();
    let ids = |text: &str| setup.tokenizer.encode(text).unwrap();
    assert_eq!(markers.closed(&ids("so!?be it!?")), Some(ids("so!?").len()));
    assert_eq!(markers.closed(&ids("!?")), Some(2));
    for open in ["", "!", "so be it", "so! be? it"] {
        assert_eq!(markers.closed(&ids(open)), None, "{open}");
    }
}

fn check_chain(setup: &Setup, close: &[u32], bridge: &[u32], chain: &Chain) {
    let ids: Vec<u32> = chain.ids().collect();
    assert!(ids.ends_with(&[close, bridge].concat()));
    let drawn = chain.tokens.iter().take_while(|token| token.drawn.is_some()).count();
    let forced = chain.tokens.len() - drawn;
    assert!(chain.tokens[drawn..].iter().all(|token| token.drawn.is_none()));
    assert!(!ids[..drawn].contains(&setup.tokenizer.end_of_turn()));
    assert_eq!(chain.is_forced(), forced > bridge.len());
    match chain.end {
        ChainEnd::Closed => assert!(drawn <= 9 && forced == bridge.len()),
        ChainEnd::Budget => assert_eq!(drawn, 9),
        _ => assert!(drawn < 9),
    }
}

/// The same Semantic IDs with the same scores, up to rounding.
fn assert_same(found: &[Vec<Hypothesis>], again: &[Vec<Hypothesis>]) {
    assert_eq!(found.len(), again.len());
    for (found, again) in found.iter().flatten().zip(again.iter().flatten()) {
        assert!((found.score - again.score).abs() < 1e-4, "{found:?} {again:?}");
    }
}

#[test]
fn answers_after_chains_equal_those_of_reading_everything_again() {
    let setup = setup();
    let (letter, bridge) = (&setup.letter, "\n\n");
    let mut ends = BTreeSet::new();
    // A close of one token, and one of two, which is hardly ever written whole.
    for close in [letter.clone(), format!("{letter}{letter}")] {
        let markers = ReasoningMarkers::new(&setup.tokenizer, &close, bridge).unwrap();
        let close = setup.tokenizer.encode(&close).unwrap();
        let bridge = setup.tokenizer.encode(bridge).unwrap();
        let reasoner = reasoner(&setup, &markers);
        let (batch, keys) = (tiny::batch(&prompts()), [100, 101, 102]);
        let in_chains = reasoner.reason(&batch, &keys, 5).unwrap();
        assert_eq!(in_chains.keys.iter().collect::<BTreeSet<_>>().len(), 15);
        let (model, constraint) = (&setup.model, &setup.constraint);
        let scoring = Scoring::Renormalised;
        let search = BeamSearch { model, constraint, beam_width: 6, scoring };
        let chains = in_chains.chains.clone();
        let counts: Vec<usize> = chains.iter().map(Vec::len).collect();
        assert_eq!(counts, [5; 3]);
        let conditions = Conditions::default();
        let second = in_chains.start.again().unwrap();
        let found = search
            .search_from(
                in_chains.start.branches(search.model.language_model().unwrap()),
                &conditions,
                &mut |_| {},
            )
            .unwrap();
        let second = search
            .search_from(
                second.branches(search.model.language_model().unwrap()),
                &conditions,
                &mut |_| {},
            )
            .unwrap();
        assert_same(&found, &second);
        let mut found = found.into_iter();
        for (prompt, chains) in prompts().iter().zip(&chains) {
            let mut of_prompt = Vec::new();
            for chain in chains {
                ends.insert(format!("{:?}", chain.end));
                check_chain(&setup, &close, &bridge, chain);
                setup.check_words(prompt, &chain.tokens);
                let whole: Vec<u32> = prompt.iter().copied().chain(chain.ids()).collect();
                let again = search.search(&tiny::batch(&[whole]), &[&[]]).unwrap().remove(0);
                let here = found.next().unwrap();
                assert_eq!(here.len(), again.len());
                for (a, b) in here.iter().zip(&again) {
                    assert!((a.score - b.score).abs() < 1e-4, "{} {}", a.score, b.score);
                }
                of_prompt.push(again);
            }
            let merged = merge_chains(&of_prompt);
            let total: f32 = merged.iter().map(|hypothesis| hypothesis.score.exp()).sum();
            assert!(total <= 1.0 + 1e-4, "{total}");
        }
    }
    assert_eq!(ends.len(), 3, "every kind of end was met: {ends:?}");
}

#[test]
fn sampled_answers_and_chains_do_not_depend_on_their_neighbours() {
    let setup = setup();
    let markers = ReasoningMarkers::new(&setup.tokenizer, &setup.letter, "").unwrap();
    let reasoner = reasoner(&setup, &markers);
    let sampler = Sampler {
        model: &setup.model,
        constraint: &setup.constraint,
        sampling: SamplingConfig::default(),
        scoring: Scoring::Full,
        seed: 2,
    };
    let run = |prompts: &[Vec<u32>], keys: &[u64]| {
        let in_chains = reasoner.reason(&tiny::batch(prompts), keys, 3).unwrap();
        let ids: Vec<Vec<Vec<u32>>> = in_chains
            .chains
            .iter()
            .map(|chains| chains.iter().map(|chain| chain.ids().collect()).collect())
            .collect();
        let conditions = Conditions { keys: &in_chains.keys, ..Conditions::default() };
        let answers = sampler
            .sample_from(
                in_chains.start.branches(sampler.model.language_model().unwrap()),
                &conditions,
                2,
            )
            .unwrap();
        let mut answers = answers.into_iter();
        let by_prompt: Vec<Vec<_>> =
            (0..prompts.len()).map(|_| answers.by_ref().take(3).collect()).collect();
        (ids, in_chains.chains, by_prompt)
    };
    let keys = [100, 101, 102];
    let (ids, chains, answers) = run(&prompts(), &keys);
    for (index, prompt) in prompts().into_iter().enumerate() {
        let (own_ids, _, own) = run(std::slice::from_ref(&prompt), &keys[index..=index]);
        assert_eq!(own_ids[0], ids[index]);
        for (own, together) in own[0].iter().flatten().zip(answers[index].iter().flatten()) {
            assert_eq!(own.tokens, together.tokens);
        }

        // Chain and answer as training scores them: forced tokens are read, not scored.
        let rollouts: Vec<_> = chains[index]
            .iter()
            .zip(&answers[index])
            .map(|(chain, answers)| {
                let words = chain.tokens.iter().map(WrittenToken::completion);
                words.chain(answers[0].completion(&setup.constraint)).collect()
            })
            .collect();
        let ours: Vec<f32> = chains[index]
            .iter()
            .zip(&answers[index])
            .flat_map(|(chain, answers)| {
                let words = chain.tokens.iter().filter_map(|token| Some(token.drawn?.logp));
                words.chain(answers[0].logp.iter().copied()).collect::<Vec<f32>>()
            })
            .collect();
        let batch = tiny::batch(&[prompt]);
        let completions = Completions { prompts: &batch, begun: &[0], rollouts: &[rollouts] };
        let (model, constraint) = (&setup.model, &setup.constraint);
        let theirs = completion_logp(model, constraint, &completions, Scoring::Full).unwrap();
        let theirs = Vec::<f32>::try_from(theirs.logp).unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn requests_that_leave_no_room_are_errors_by_name() {
    let setup = setup();
    let tokenizer = &setup.tokenizer;
    let empty = ReasoningMarkers::new(tokenizer, "", "\n").unwrap_err();
    assert!(matches!(empty, PolicyError::Empty { what: "the close marker of reasoning" }));
    // Composed characters are all that this tokenizer writes.
    let error = ReasoningMarkers::new(tokenizer, "e\u{301}", "").unwrap_err();
    assert!(
        matches!(&error, PolicyError::MissingToken { token } if token == "e\u{301}"),
        "{error}"
    );

    let markers = ReasoningMarkers::new(tokenizer, "!", "\n").unwrap();
    let reasoner = reasoner(&setup, &markers);
    let batch = tiny::batch(&prompts());
    let error = Reasoner { budget: 0, ..reasoner }.reason(&batch, &[], 2).unwrap_err();
    assert!(matches!(error, PolicyError::Empty { what: "a budget of tokens" }), "{error}");
    assert!(matches!(reasoner.reason(&batch, &[], 0), Err(PolicyError::Empty { .. })));
    let error = reasoner.reason(&batch, &[1], 2).unwrap_err();
    assert!(matches!(error, PolicyError::Size { what: "keys of prompts", found: 1, expected: 3 }));
    // 64 positions: the first prompt's 5, 2 markers and 3 codes leave 54.
    assert!(Reasoner { budget: 54, ..reasoner }.reason(&batch, &[], 1).is_ok());
    let error = Reasoner { budget: 55, ..reasoner }.reason(&batch, &[], 1).unwrap_err();
    let named = matches!(error, PolicyError::PromptLength { row: 0, found: 5, limit: 4 });
    assert!(named, "{error}");
    let error = setup.text(&[vec![]], 3).write(&batch, &[], 1).unwrap_err();
    assert!(matches!(error, PolicyError::Empty { what: "a stop" }), "{error}");
}
