//! Answers after chains that can fail: chains that do not close, and answers that are drawn freely.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use sidereal_data::ItemId;
use sidereal_policy::{Decoder, Target};
use sidereal_rl::{Group, Legal, Reward, Stepwise};
use sidereal_sid::SemanticId;
use sidereal_train::{
    AnswerForm, Binding, ChainConfig, Checkpoints, Histories, Mode, ReasoningConfig, Record,
    RlConfig, RolloutConfig, Sequence, Sft, SftConfig, SftData, StepReward, TrainError, Unclosed,
};

use crate::shop::{Log, Shop, constant, short};

/// Tokens of an answer, its bridge, its close and the end of the turn: what a budget must hold.
const BUDGET: usize = 8;

/// A policy that learned to write these words after the prompt, each as often as any other.
fn writer(shop: &Shop, prompt: &[u32], written: &[Vec<u32>], epochs: usize) -> Decoder {
    let learned = |ids: &Vec<u32>| {
        let targets: Vec<_> = ids.iter().map(|id| (*id, Target::Word(*id))).collect();
        Sequence::new(prompt, &targets)
    };
    let rows: Vec<Sequence> = written.iter().map(learned).collect();
    let next_item = |_: usize| -> Result<Vec<Sequence>, TrainError> { Ok(rows.clone()) };
    let config = SftConfig {
        epochs,
        batch_size: rows.len(),
        patience: epochs,
        optim: constant(1e-2),
        ..SftConfig::default()
    };
    let lessons = Histories {
        next_item: &next_item,
        alignment: Vec::new(),
        alignment_share: 0.0,
        batch_size: config.batch_size,
        epochs,
        seed: 5,
    };
    let data = SftData { lessons: &lessons, valid: rows.clone() };
    let dir = tempfile::tempdir().unwrap();
    let sft = Sft {
        stage: "sft",
        config: &config.check("sft").unwrap(),
        constraint: &shop.constraint,
        pad: shop.tokenizer.pad(),
        seed: 5,
        checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
    };
    sft.run(shop.model_of_scale(3, 1.0), &data, &mut |_: &Record| {}).unwrap()
}

/// `WORDS`, the close, the bridge, these codes and the end of the turn.
fn text(shop: &Shop, words: &str, codes: &[u16]) -> Vec<u32> {
    let spec = shop.catalog.spec();
    let mut ids = shop.tokenizer.encode(&format!("{words}e\n")).unwrap();
    let token = |(level, code): (usize, &u16)| spec.token(level, *code).unwrap() as usize;
    let codes = codes.iter().enumerate().map(token);
    ids.extend(codes.map(|token| shop.tokenizer.sid_ids()[token]));
    ids.push(shop.tokenizer.end_of_turn());
    ids
}

fn settings(answer: AnswerForm, unclosed: Unclosed) -> RlConfig {
    let chain = ChainConfig { budget: BUDGET, ..ChainConfig::default() };
    let reasoning = ReasoningConfig { chain, unclosed, answer, ..ReasoningConfig::default() };
    let rollout = RolloutConfig::default();
    RlConfig { reasoning: Some(reasoning), rollout, group_size: 32, steps: 1, ..short() }
}

/// The stepwise reward with its format term, which keeps what it saw.
struct Watched<'a> {
    shop: &'a Shop,
    seen: Mutex<Vec<(SemanticId, String, f64)>>,
}

impl Reward for Watched<'_> {
    fn score(&self, group: &Group<'_>) -> Vec<f64> {
        let legal = Legal::new(&self.shop.catalog).named("legal").weighted(0.1);
        let scores = Stepwise.named("stepwise").plus(legal).score(group);
        let rollouts = group.rollouts().iter().zip(group.texts()).zip(&scores);
        let rollouts = rollouts.map(|((sid, text), score)| (sid.clone(), text.clone(), *score));
        *self.seen.lock().unwrap() = rollouts.collect();
        scores
    }
}

/// What one step of a policy drew, and its record.
fn drawn(shop: &Shop, model: Decoder, config: &RlConfig) -> (Vec<(SemanticId, String, f64)>, Log) {
    let prompt = Shop::prompt(0, ItemId(3), Mode::Reasoning);
    let reward = Watched { shop, seen: Mutex::default() };
    let mut log = Log::default();
    shop.reinforce(model, &[prompt], config, StepReward::One(&reward), &mut log);
    (reward.seen.into_inner().unwrap(), log)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn an_answer_after_a_chain_that_did_not_close_is_none() {
    let shop = Shop::new();
    // Chains of forty tokens of a random policy: some close, most do not.
    let step = |unclosed| {
        let mut config = settings(AnswerForm::Constrained, unclosed);
        config.reasoning.as_mut().unwrap().chain.budget = 40;
        drawn(&shop, shop.model(3), &config)
    };
    let (answered, log) = step(Unclosed::Answered);
    let (seen, strict) = step(Unclosed::Wrong);
    let open = log.values("unclosed")[0];
    assert!(open > 0.0 && open < 1.0, "{open}");
    assert!((log.values("legal")[0] - 1.0).abs() < 1e-12, "every forced close has an answer");
    // The same chains and answers, but those after chains that did not close are dropped.
    for ((sid, text, score), (forced, whole, its_score)) in seen.iter().zip(&answered) {
        assert!(!shop.catalog.items(forced).is_empty() && *its_score >= 0.1, "{whole}");
        if sid.is_empty() {
            assert!(*score == 0.0 && !text.contains("e\n<a_"), "no answer stands in {text}");
        } else {
            assert!(sid == forced && text == whole && score.to_bits() == its_score.to_bits());
        }
    }
    let unanswered = seen.iter().filter(|(sid, ..)| sid.is_empty()).count();
    assert!((open - unanswered as f64 / seen.len() as f64).abs() < 1e-12);
    assert!((strict.values("unclosed")[0] - open).abs() < 1e-12);
    assert!((strict.values("legal")[0] - (1.0 - open)).abs() < 1e-12);
}

#[test]
fn only_as_many_codes_as_the_settings_say_are_levels() {
    let shop = Shop::new();
    let target = shop.catalog.sid(ItemId(3)).unwrap();
    let step = |levels: Option<usize>| {
        let config = settings(AnswerForm::Constrained, Unclosed::Answered);
        let levels = levels.map(|levels| NonZeroUsize::new(levels).unwrap());
        drawn(&shop, shop.model(3), &RlConfig { levels, ..config }).0
    };
    for (levels, credit) in
        [(None, [0.0, 0.5, 1.0]), (Some(9), [0.0, 0.5, 1.0]), (Some(1), [0.0, 1.0, 1.0])]
    {
        let seen = step(levels);
        for (sid, _, score) in &seen {
            let expected = credit[target.common_prefix(sid).min(2)] + 0.1;
            assert!((score - expected).abs() < 1e-12, "{levels:?}, {sid:?}: {score}");
        }
        assert!(seen.iter().any(|(sid, ..)| target.common_prefix(sid) > 0), "{levels:?}");
    }
}

#[test]
fn free_answers_are_what_stands_after_the_close_and_may_be_no_item() {
    let shop = Shop::new();
    let prompt = Shop::prompt(0, ItemId(3), Mode::Reasoning);
    // Every pair of codes, of which five are items without a suffix; an answer with a suffix; one that ends
    // early; a chain that is never closed.
    let pairs = (0..25u16).map(|pair| text(&shop, "r", &[pair / 5, pair % 5]));
    let mut written: Vec<Vec<u32>> = pairs.collect();
    written
        .extend([text(&shop, "r", &[1, 2, 1]), text(&shop, "r", &[1])].into_iter().cycle().take(8));
    let never = shop.tokenizer.encode(&"r".repeat(BUDGET)).unwrap();
    written.extend(std::iter::repeat_n(never, 4));
    let model = || writer(&shop, &prompt.ids, &written, 60);
    let (seen, log) = drawn(&shop, model(), &settings(AnswerForm::Free, Unclosed::Wrong));
    let target = shop.catalog.sid(ItemId(3)).unwrap();
    let spec = shop.catalog.spec();
    let (mut legal, mut open) = (0, 0);
    for (sid, text, score) in &seen {
        let after = text.split_once('e').map(|(_, after)| after);
        open += usize::from(after.is_none());
        assert_eq!(*sid, after.map(|after| spec.answered(after)).unwrap_or_default(), "{text}");
        let right = target.common_prefix(sid).min(2);
        let stepwise = [0.0, 0.5, 1.0][right];
        let exists = !shop.catalog.items(sid).is_empty();
        legal += usize::from(exists);
        assert!(
            (score - stepwise - if exists { 0.1 } else { 0.0 }).abs() < 1e-12,
            "{text}: {score}"
        );
    }
    assert!(legal > 0 && legal < seen.len(), "{legal} of {}", seen.len());
    let share = |count: usize| count as f64 / seen.len() as f64;
    assert!((log.values("legal")[0] - share(legal)).abs() < 1e-12);
    assert!((log.values("unclosed")[0] - share(open)).abs() < 1e-12);

    // The format reward alone teaches it to answer with items.
    let legal = Legal::new(&shop.catalog);
    let config = RlConfig { steps: 30, ..settings(AnswerForm::Free, Unclosed::Wrong) };
    let mut log = Log::default();
    shop.reinforce(model(), &[prompt], &config, StepReward::One(&legal), &mut log);
    let legal = log.values("legal");
    let (first, last) = (mean(&legal[..5]), mean(&legal[25..]));
    assert!(last > first + 0.2, "{first} to {last}");
}

#[test]
fn a_policy_that_writes_only_legal_text_is_rewarded_as_under_the_trie() {
    let shop = Shop::new();
    let prompt = Shop::prompt(0, ItemId(3), Mode::Reasoning);
    // The target, and an item that shares its first code.
    for (codes, reward) in [(&[1u16, 2, 1][..], 1.1), (&[1, 0], 0.6)] {
        let written = [text(&shop, "r", codes)];
        for answer in [AnswerForm::Free, AnswerForm::Constrained] {
            let model = writer(&shop, &prompt.ids, &written, 80);
            let (seen, log) = drawn(&shop, model, &settings(answer, Unclosed::Wrong));
            let wrong = seen.iter().filter(|(_, _, score)| (score - reward).abs() > 1e-12).count();
            assert!(wrong <= 1, "{answer:?}: {wrong} of {} differ: {seen:?}", seen.len());
            assert!(log.values("unclosed")[0] < 0.1);
        }
    }
}

#[test]
fn chains_learn_to_close_where_unclosed_ones_have_no_answer() {
    let shop = Shop::new();
    let prompt = Shop::prompt(0, ItemId(3), Mode::Reasoning);
    let never = shop.tokenizer.encode(&"r".repeat(BUDGET)).unwrap();
    let mut turn = shop.tokenizer.encode("r").unwrap();
    turn.push(shop.tokenizer.end_of_turn());
    let written = [text(&shop, "r", &[1, 0]), never, turn];
    let legal = Legal::new(&shop.catalog);
    for answer in [AnswerForm::Constrained, AnswerForm::Free] {
        let config = RlConfig { steps: 30, ..settings(answer, Unclosed::Wrong) };
        let mut log = Log::default();
        let model = writer(&shop, &prompt.ids, &written, 60);
        let prompts = [prompt.clone()];
        shop.reinforce(model, &prompts, &config, StepReward::One(&legal), &mut log);
        let open = log.values("unclosed");
        let (first, last) = (mean(&open[..3]), mean(&open[25..]));
        assert!(first > 0.3 && last < 0.1, "{answer:?}: {first} to {last}");
    }
}

#[test]
fn settings_that_free_answers_cannot_have_are_refused() {
    let refused = |config: RlConfig| match config.check("rl").unwrap_err() {
        TrainError::Setting { field, .. } => field,
        other => panic!("{other}"),
    };
    let config = settings(AnswerForm::Free, Unclosed::Answered);
    assert_eq!(refused(config), "stage.rl.rl.reasoning.unclosed");
    let mut config = settings(AnswerForm::Free, Unclosed::Wrong);
    config.reasoning.as_mut().unwrap().chain.codes = crate::shop::at(0.5);
    assert_eq!(refused(config), "stage.rl.rl.reasoning.chain.codes");
}
