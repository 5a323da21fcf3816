//! Tasks in words, then reasoning before recommendations; and once more after kills.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::lab::{
    HowToReason, PretrainedConfig, ReasoningResult, Recipe, RunResult, ScalingConfig, TrainedStage,
    Training, Wanted,
};
use sidereal::metrics::{Metric, SeenItems};
use sidereal::policy::VocabularyExtension;
use sidereal::sid::ItemId;
use sidereal::train::{ChainConfig, MixtureOrder, Record, SftConfig};

use crate::shop::Kill;
use crate::worded::{Shop, base, every_stage_is_tested};

#[test]
fn sidreasoner_runs_from_tasks_in_words_to_reasoning() {
    every_stage_is_tested("sidreasoner/small", 2);
}

#[test]
fn gream_runs_in_all_its_schedules() {
    every_stage_is_tested("gream/small", 8);
}

#[test]
fn recipes_over_a_pretrained_model_run() {
    for (name, reasoned) in [
        ("singer/paper", 0),
        ("sage/paper", 0),
        ("sage/text-paper", 0),
        ("sdpo/paper", 0),
        ("sidreasoner/paper", 8),
        ("gream/paper", 11),
        ("singer/language", 0),
        ("sidreasoner/language", 6),
        ("gream/language", 5),
        ("sage/language", 0),
        ("sdpo/language", 0),
        ("zero-shot/language", 0),
    ] {
        every_stage_is_tested(name, reasoned);
    }
}

#[test]
fn a_scaling_figure_shows_activations_of_growing_size_over_their_compute() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path()).under("gream/scaling", dir.path());
    let sizes = [("reason-100", 16), ("reason-200", 32), ("reason-400", 64)];
    let recipe = &mut shop.recipe;
    recipe
        .stages
        .retain(|stage| stage.from.is_none() || sizes.iter().any(|(name, _)| stage.name == *name));
    for (name, size) in sizes {
        let stage = recipe.stages.iter_mut().find(|stage| stage.name == name).unwrap();
        let Training::Sft(SftConfig { mixture: Some(mixture), .. }) = &mut stage.training else {
            unreachable!()
        };
        let MixtureOrder::Weighted(weighted) = &mut mixture.order else { unreachable!() };
        weighted.rows = size;
    }
    let metric: Metric = "Pass@1".parse().unwrap();
    recipe.evaluate.metrics = Some(vec!["HR@1".parse().unwrap(), metric]);
    let stages = sizes.map(|(name, _)| name.to_owned()).to_vec();
    recipe.evaluate.scaling = Some(ScalingConfig { stages, metric });
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();
    let scaling = outcome.scaling().unwrap();
    assert_eq!(scaling.points.len(), 3);
    for ((name, size), (_, flops, value)) in sizes.iter().zip(&scaling.points) {
        let steps = outcome.records.iter().filter(|record| record.stage == *name);
        let sum: f64 = steps.filter_map(|record| record.values.get("flops")).sum();
        assert!((flops - sum).abs() <= 1e-9 * sum && sum > 0.0, "{name}: {flops} {sum}");
        // As many samples, of about the same length.
        let each = flops / *size as f64;
        let first = scaling.points[0].1 / sizes[0].1 as f64;
        assert!((each / first - 1.0).abs() < 0.3, "{name}: {each} {first}");
        assert!((0.0..=1.0).contains(value));
    }
    assert!(scaling.line.is_some() && scaling.curve.is_none(), "three points");
    assert_eq!(RunResult::read(&out).unwrap().scaling(), Some(scaling));
}

#[test]
fn a_figure_of_stages_that_do_not_fit_it_is_refused() {
    let whole = Recipe::preset("gream/scaling").unwrap();
    whole.check().unwrap();
    let refused = |change: &dyn Fn(&mut ScalingConfig)| {
        let mut recipe = whole.clone();
        change(recipe.evaluate.scaling.as_mut().unwrap());
        recipe.check().unwrap_err().to_string()
    };
    let metric = |name: &'static str| refused(&|scaling| scaling.metric = name.parse().unwrap());
    for (error, field) in [
        (refused(&|scaling| scaling.stages.truncate(2)), "stages"),
        (refused(&|scaling| scaling.stages[0] = "alignment".to_owned()), "stages"),
        (refused(&|scaling| scaling.stages[0] = "nobody".to_owned()), "stages"),
        (refused(&|scaling| scaling.stages[0] = scaling.stages[1].clone()), "stages"),
        (metric("HR@10"), "metric"),
        (metric("Pass@2"), "metric"),
    ] {
        assert!(error.contains(&format!("evaluate.scaling.{field}")), "{error}");
    }
}

#[test]
fn a_pretrained_model_is_asked_in_its_own_chat_template() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path());
    let base = base(dir.path(), shop.catalog.spec());
    let vocabulary = VocabularyExtension::default();
    shop.recipe.pretrained = Some(PretrainedConfig { base, vocabulary });
    assert!(shop.recipe.check().is_err(), "two models");
    (shop.recipe.model, shop.recipe.tokenizer) = (None, None);
    shop.recipe.stages.retain(|stage| stage.name != "srpo");
    let Training::Sft(sft) = &mut shop.recipe.stages[0].training else { unreachable!() };
    sft.epochs = 1;
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();
    let shown = outcome.records.iter().find_map(|record| record.rollouts.as_ref()).unwrap();
    assert!(shown.prompt.starts_with("[system] "), "{}", shown.prompt);
    assert!(shown.prompt.ends_with("[assistant] <think>\n"), "{}", shown.prompt);
    assert!(out.join("grpo/chat_template.jinja").exists());

    // Its folder alone is asked in reasoning mode.
    let device = sidereal::policy::device("cpu").unwrap();
    let policy = TrainedStage::open(&out.join("grpo"), None, device).unwrap();
    let recommender = policy.standalone().unwrap();
    let wanted =
        Wanted { num_items: 5.try_into().unwrap(), beam_width: 8, seen: SeenItems::Removed };
    let chain = ChainConfig { budget: 6, ..ChainConfig::default() };
    let how = HowToReason { chain, num_chains: 3, seed: 1 };
    let history = [ItemId(0), ItemId(3)];
    let found = recommender.reason(&history, &wanted, &how).unwrap();
    assert_eq!((found.chains.len(), found.items.len()), (3, 5));
    assert!(found.items.is_sorted_by(|a, b| a.score >= b.score));
    assert!(found.items.iter().all(|found| !history.contains(&found.item)));
    assert_eq!(recommender.reason(&history, &wanted, &how).unwrap(), found);
}

#[test]
fn killed_runs_with_reasoning_repeat_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::new(dir.path());
    let whole = dir.path().join("whole");
    let outcome = shop.run(&whole, &mut |_: &Record| {}).unwrap();
    let of = |stage: &'static str| outcome.records.iter().filter(move |r| r.stage == stage);
    // Chains keep to the budget, and what was written is shown with what it was worth.
    for (stage, budget) in [("srpo", 24.0), ("grpo", 16.0)] {
        let mut lens = of(stage).filter_map(|record| record.values.get("chain_len")).peekable();
        assert!(lens.peek().is_some() && lens.all(|len| (1.0..=budget).contains(len)));
        let shown = of(stage).next_back().and_then(|record| record.rollouts.clone()).unwrap();
        assert_eq!(shown.rollouts.len(), 4);
        // Answers that `srpo` draws after a forced close are answers, and those of `grpo` are free.
        let answers = shown.rollouts.iter().all(|rollout| rollout.text.contains("<a_"));
        assert!(answers || stage == "grpo");
    }

    // Stages that reason are tested with it too, and drawn from in both modes.
    let rows = |system: &str| {
        let named = outcome.report.rows().iter().filter(|row| row.system == system);
        named.map(|row| row.protocol.decoding()).collect::<Vec<_>>()
    };
    let chains = "3 chains of at most 20 tokens";
    assert_eq!(
        rows("GRPO, reasoning"),
        [format!("{chains}, beam 4, renormalised"), format!("{chains}, draws: 3")]
    );
    assert!(rows("GRPO").contains(&"draws: 3".to_owned()));
    let text = fs::read(whole.join("reasoning/grpo.json")).unwrap();
    let results: Vec<ReasoningResult> = serde_json::from_slice(&text).unwrap();
    assert_eq!(results.len(), 24);
    assert!(results.iter().all(|result| result.chain_lens.iter().all(|len| *len <= 20)));

    let broken = dir.path().join("broken");
    for (stage, step) in [("sft", 9), ("srpo", 2), ("srpo", 4), ("grpo", 3)] {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| shop.run(&broken, &mut kill)));
        assert!(killed.is_err(), "{stage} ends before step {step}");
    }
    shop.run(&broken, &mut |_: &Record| {}).unwrap();
    for file in [
        "metrics.jsonl",
        "sft/model.safetensors",
        "srpo/model.safetensors",
        "grpo/model.safetensors",
        "evaluation.json",
    ] {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&broken) == read(&whole), "{file} differs");
    }
}
