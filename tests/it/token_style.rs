//! Runs whose codes are written as `OpenOneRec` writes them: trained, tested, refused in another style, and asked.

use std::fs;

use sidereal::data::HeldOut as _;
use sidereal::lab::{
    HowToReason, LabError, TokenStyleConfig, TrainedPolicy, TrainedStage, Training, Wanted,
};
use sidereal::metrics::SeenItems;
use sidereal::sid::{Catalog, ItemId, TokenStyle};
use sidereal::train::{AnswerForm, ChainConfig, Ranking, Record, Unclosed};

use crate::pipeline::run;
use crate::shop;
use crate::worded::Shop;

const MARKS: [&str; 2] = ["<|sid_begin|>", "<|sid_end|>"];

#[test]
fn a_run_in_the_style_of_openonerec_is_tested_asked_and_keeps_its_style() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe();
    recipe.stages.truncate(2);
    for stage in &mut recipe.stages {
        match &mut stage.training {
            Training::Sft(config) => config.epochs = 1,
            Training::Rl { config, .. } => config.steps = 2,
            other => unreachable!("{other:?}"),
        }
    }
    recipe.token_style = Some(TokenStyleConfig::OpenOneRec);
    let out = dir.path().join("run");
    let outcome = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    let spec = outcome.catalog.spec().clone();
    assert_eq!(*spec.style(), TokenStyle::open_one_rec());

    // The policy reads the mark before an answer, writes codes, and the mark after them is added.
    let shown = outcome.records.iter().find_map(|record| record.rollouts.as_ref()).unwrap();
    // A hard sample is given the first codes after it.
    let (_, given) = shown.prompt.rsplit_once(MARKS[0]).unwrap();
    assert!(!given.contains(MARKS[1]), "{}", shown.prompt);
    assert!(spec.parse(&shown.target).is_ok(), "{}", shown.target);
    for rollout in &shown.rollouts {
        let whole = format!("{}{given}{}", MARKS[0], rollout.text);
        assert!(spec.parse(&whole).is_ok(), "{whole}");
    }

    // The folder of the policy remembers the style, and answers the users of the test as the test did.
    let device = sidereal::policy::device("cpu").unwrap();
    let folder = out.join("singer");
    let stage = TrainedStage::open(&folder, None, device).unwrap();
    assert_eq!(*stage.catalog().spec().style(), TokenStyle::open_one_rec());
    let recommender = stage.standalone().unwrap();
    let split = recipe.split.split(&dataset, recipe.max_history).unwrap();
    let histories: Vec<&[ItemId]> = split.test.samples().map(|sample| sample.history).collect();
    let wanted =
        Wanted { num_items: 10.try_into().unwrap(), beam_width: 10, seen: SeenItems::Kept };
    let text = fs::read(out.join("rankings/singer.json")).unwrap();
    let rankings: Vec<Ranking> = serde_json::from_slice(&text).unwrap();
    let served = recommender.recommend(&histories, &wanted).unwrap();
    assert_eq!(served.len(), rankings.len());
    for (served, ranking) in served.iter().zip(&rankings) {
        let items = served.iter().map(|found| found.item);
        assert!(items.eq(ranking.found.iter().flatten().copied()), "{served:?} {ranking:?}");
    }
    let first = stage.catalog().sid(ItemId(0)).unwrap();
    let text = spec.text(first);
    assert!(text.starts_with(MARKS[0]) && text.contains("<s_a_") && text.ends_with(MARKS[1]));
    let found = recommender.find(&text).unwrap();
    assert_eq!(stage.catalog().sid(found), Some(first));
    assert!(matches!(recommender.find(&first.to_string()), Err(LabError::Notation(_))));

    // Another start of the run in another style is refused by the name of the setting.
    let mut other = recipe.clone();
    other.token_style = None;
    let error = run(&other, &dataset, &out, &mut |_: &Record| {}).unwrap_err();
    assert!(
        matches!(&error, LabError::OtherSetting { part, .. } if part == "token_style"),
        "{error}"
    );
    // So is a catalogue in another style beside the model.
    let path = folder.join("catalog.json");
    let own = Catalog::load(&path).unwrap();
    own.clone().with_style(TokenStyle::default()).save(&path).unwrap();
    let error = TrainedPolicy::open(&folder, device).unwrap_err().to_string();
    assert!(error.contains("`<s_a_0>`") && error.contains("`<{level}_{code}>`"), "{error}");
    own.save(&path).unwrap();

    // The style changes how the codes are written, and not which items have which codes.
    other.stages.truncate(1);
    let plain = run(&other, &dataset, &dir.path().join("plain"), &mut |_: &Record| {}).unwrap();
    assert_eq!(plain.catalog.sids(), outcome.catalog.sids());
    assert_eq!(*plain.catalog.spec().style(), TokenStyle::default());
}

#[test]
fn published_semantic_ids_are_reasoned_about_in_their_own_style_or_that_of_the_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path());
    shop.catalog = shop.catalog.with_style(TokenStyle::open_one_rec());
    shop.recipe.stages.retain(|stage| stage.name != "srpo");
    for stage in &mut shop.recipe.stages {
        match &mut stage.training {
            Training::Sft(config) => config.epochs = 1,
            Training::Rl { config, .. } => {
                config.steps = 1;
                // Chains of a policy that has learned one epoch seldom close by themselves.
                let reasoning = config.reasoning.as_mut().unwrap();
                reasoning.answer = AnswerForm::Constrained;
                reasoning.unclosed = Unclosed::Answered;
            }
            other => unreachable!("{other:?}"),
        }
    }
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();
    let spec = outcome.catalog.spec();
    assert_eq!(*spec.style(), TokenStyle::open_one_rec());
    // The teacher's texts name items in the style.
    let texts = fs::read_to_string(out.join("enriched.jsonl")).unwrap();
    assert!(texts.contains(MARKS[0]) && !texts.contains("<a_"), "{texts}");
    // A chain of thought and its answer, whose codes stand between the marks.
    let shown = outcome.records.iter().find_map(|record| record.rollouts.as_ref()).unwrap();
    for rollout in &shown.rollouts {
        let text = &rollout.text;
        let (_, answer) = text.rsplit_once("<answer>").unwrap();
        assert!(spec.parse(answer).is_ok(), "{text}");
        assert_eq!(spec.find_last(text), spec.parse(answer).ok());
    }
    let device = sidereal::policy::device("cpu").unwrap();
    let policy = TrainedStage::open(&out.join("grpo"), None, device).unwrap();
    let wanted =
        Wanted { num_items: 5.try_into().unwrap(), beam_width: 8, seen: SeenItems::Removed };
    let chain = ChainConfig { budget: 6, ..ChainConfig::default() };
    let how = HowToReason { chain, num_chains: 3, seed: 1 };
    let recommender = policy.standalone().unwrap();
    let found = recommender.reason(&[ItemId(0), ItemId(3)], &wanted, &how).unwrap();
    assert_eq!((found.chains.len(), found.items.len()), (3, 5));

    shop.recipe.token_style = Some(TokenStyleConfig::MiniOneRec);
    shop.recipe.stages.truncate(1);
    shop.recipe.evaluate.reasoning = None;
    let outcome = shop.run(&dir.path().join("plain"), &mut |_: &Record| {}).unwrap();
    assert_eq!(*outcome.catalog.spec().style(), TokenStyle::default());
}
