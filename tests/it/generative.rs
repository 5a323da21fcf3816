//! The generative systems of the papers' tables: their presets, cut down to the shop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use sidereal::data::{Dataset, HeldOut as _, ItemId};
use sidereal::lab::{Answering, ModelConfig, Recipe, RunResult, SidMethod, TrainedStage, Training};
use sidereal::sid::Catalog;
use sidereal::train::{Ranking, Record};

use crate::pipeline::run;
use crate::shop;
use crate::titles;
use crate::worded::Shop;

/// A preset over the shop whose Semantic IDs it makes itself.
fn over_the_shop(name: &str, dir: &Path) -> (Recipe, Dataset) {
    let shop = Shop::new(dir).under(name, dir);
    let mut recipe = shop.recipe;
    let preset = Recipe::preset(name).unwrap();
    if matches!(preset.model, Some(ModelConfig::T5(_))) {
        recipe.model = shop::recipe_in("tiger.toml").model;
    }
    let sids = recipe.sids.as_mut().unwrap();
    let text = match &sids.method {
        SidMethod::RqVae(_) => {
            "codebook_sizes = [4, 4, 16]\nmethod = 'rq-vae'\n[rq-vae]\nhidden = [24]\nlatent = 8\n\
             batch_size = 16\nsteps = 40\nevaluate_every = 20\nsinkhorn_epsilons = [0.0, 0.0, 0.003]"
        }
        SidMethod::Letter(_) => {
            "codebook_sizes = [4, 4, 4]\nmethod = 'letter'\n[letter]\nhidden = [24]\nlatent = 8\n\
             batch_size = 16\nsteps = 40\nevaluate_every = 20\ndiversity_clusters = 2"
        }
        SidMethod::Spectral(_) => {
            "codebook_sizes = [3, 3]\nmethod = 'spectral'\nspectral = { largest = 8 }"
        }
        SidMethod::TwoStreams(_) => {
            "codebook_sizes = [5]\nmethod = 'two-streams'\n\
             two-streams = { capacity = 2.0, behaviour_dimensions = 8 }"
        }
        _ => "codebook_sizes = [4, 4, 4]\niterations = 20",
    };
    let made: sidereal::lab::SidConfig = toml::from_str(text).unwrap();
    (sids.codebook_sizes, sids.method) = (made.codebook_sizes, made.method);
    (recipe, shop.dataset)
}

fn every_stage_has_a_row(outcome: &RunResult) {
    for stage in &outcome.stages {
        let of_stage = |label: &str| label == stage.label || label.starts_with(&stage.label);
        assert!(outcome.report.rows().iter().any(|row| of_stage(&row.system)), "{}", stage.label);
    }
}

#[test]
fn every_preset_runs_over_the_shop() {
    for name in [
        "tiger/small",
        "letter/small",
        "p5-cid/small",
        "lc-rec/small",
        "lc-rec/paper",
        "eager-llm/small",
        "eager-llm/paper",
        "onerec/small",
        "onerec/paper",
        "bigrec/small",
        "r2ec/small",
        "r2ec/paper",
        "zero-shot/small",
        "zero-shot/paper",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (recipe, dataset) = over_the_shop(name, dir.path());
        let out = dir.path().join("run");
        let outcome = run(&recipe, &dataset, &out, &mut |_: &Record| {})
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        every_stage_has_a_row(&outcome);
        outcome.write_page(name, &dir.path().join("report.html")).unwrap();
    }
}

#[test]
fn collaborative_semantic_ids_put_the_items_of_a_user_together() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, dataset) = over_the_shop("p5-cid/small", dir.path());
    let out = dir.path().join("run");
    run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    // Users of the shop choose within one kind, so a kind is what the first codes tell apart.
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    let mut kinds: BTreeMap<Vec<u16>, BTreeSet<&str>> = BTreeMap::new();
    for (item, sid) in dataset.items().iter().zip(catalog.sids()) {
        let (_, kind) = item.title.split_once(' ').unwrap();
        let codes = sid.codes();
        kinds.entry(codes[..codes.len() - 1].to_vec()).or_default().insert(kind);
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert!(kinds.values().all(|kinds| kinds.len() == 1), "{kinds:?}");
}

#[test]
fn one_of_two_streams_says_who_chooses_an_item() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recipe, dataset) = over_the_shop("eager-llm/small", dir.path());
    recipe.stages.truncate(1);
    let out = dir.path().join("run");
    run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    let catalog = Catalog::load(&out.join("catalog.json")).unwrap();
    assert_eq!(catalog.spec().num_levels(), 4);
    assert_eq!(catalog.num_sids(), dataset.num_items());
    // Users of the shop choose within one kind, which the third code tells apart.
    let mut kinds: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for (item, sid) in dataset.items().iter().zip(catalog.sids()) {
        let (_, kind) = item.title.split_once(' ').unwrap();
        kinds.entry(sid.codes()[2]).or_default().insert(kind);
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert!(kinds.values().all(|kinds| kinds.len() == 1), "{kinds:?}");
}

fn rankings(run: &Path, stage: &str) -> Vec<Ranking> {
    let text = fs::read(run.join(format!("rankings/{stage}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The stage with another weight of its policy.
fn with_alpha(recipe: &mut Recipe, name: &str, weight: f64) {
    let stage = recipe.stages.iter_mut().find(|stage| stage.name == name).unwrap();
    let Training::Untrained(config) = &mut stage.training else { panic!("{name}") };
    let Answering::Assisted(assisted) = &mut config.answering else { panic!("{name}") };
    assisted.alpha = weight;
}

#[test]
fn titles_of_the_whole_catalogue_are_ranked_searched_assisted_and_grounded() {
    let dir = tempfile::tempdir().unwrap();
    // One item has no title, and two share one.
    let dataset = titles::dataset(dir.path());
    let untitled = ItemId(3);
    let (mut recipe, _) = {
        let other = tempfile::tempdir().unwrap();
        over_the_shop("bigrec/small", other.path())
    };
    recipe.evaluate.beam_width = 40;
    // So that little training is enough to see the assistant.
    with_alpha(&mut recipe, "d3", 0.2);
    let out = dir.path().join("run");
    let outcome = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap();
    let users = recipe.split.split(&dataset, recipe.max_history).unwrap().test.samples().count();
    for stage in ["sft", "bigrec", "bigrec-popularity", "d3"] {
        let rankings = rankings(&out, stage);
        assert_eq!(rankings.len(), users, "{stage}");
        for ranking in &rankings {
            let items: Vec<ItemId> = ranking.found.iter().flatten().copied().collect();
            let distinct: BTreeSet<ItemId> = items.iter().copied().collect();
            assert_eq!((items.len(), distinct.len()), (39, 39), "{stage}");
            assert!(!distinct.contains(&untitled), "{stage}");
            assert!(ranking.scores.is_sorted_by(|a, b| a >= b), "{stage}");
        }
    }
    // The assistant and the popularity change what comes first.
    let first = |stage: &str| -> Vec<Vec<ItemId>> {
        rankings(&out, stage).into_iter().map(|ranking| ranking.found.concat()).collect()
    };
    assert_ne!(first("sft"), first("d3"));
    assert_ne!(first("bigrec"), first("bigrec-popularity"));
    // Item transitions know the shop, and the policy has seen a few batches: the more the assistant weighs, the better.
    let ndcg = |stage: &str| {
        let places = rankings(&out, stage);
        let gain = |ranking: &Ranking| {
            let at = ranking.found.iter().position(|items| items.contains(&ranking.target));
            at.map_or(0.0, |at| 1.0 / (at as f64 + 2.0).log2())
        };
        places.iter().map(gain).sum::<f64>() / places.len() as f64
    };
    assert!(ndcg("d3") > ndcg("sft"), "{} {}", ndcg("d3"), ndcg("sft"));
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("evaluation.json")).unwrap()).unwrap();
    let text = report.to_string();
    for mark in ["assisted", "grounded"] {
        assert!(text.contains(mark), "{mark}");
    }
    assert!(outcome.report.rows().iter().all(|row| row.protocol.num_users == users));

    // What answers with titles is not served as if it answered with Semantic IDs.
    let device = sidereal::policy::device("cpu").unwrap();
    let error = TrainedStage::open(&out, Some("d3"), device).unwrap_err().to_string();
    assert!(error.contains("title-history-to-title"), "{error}");

    // No assistant at all is the search itself.
    let mut alone = recipe.clone();
    with_alpha(&mut alone, "d3", 1.0);
    let stage = alone.stages.iter_mut().find(|stage| stage.name == "d3").unwrap();
    (stage.name, stage.label) = ("alone".to_owned(), "alone".to_owned());
    run(&alone, &dataset, &out, &mut |_: &Record| {}).unwrap();
    assert_eq!(rankings(&out, "alone"), rankings(&out, "sft"));
}

#[test]
fn answers_in_another_way_need_titles_and_settings_in_their_range() {
    let base = "seed = 1\nmax_history = 5\nprompts = 'bigrec'\n[pretrained]\nbase = 'base'\n\
        [evaluate]\nbeam_width = 4\nbatch_size = 2\nvalid_users = 3\nresamples = 5\n";
    let read = |task: &str, answering: &str| {
        let text =
            format!("{base}[[stage]]\nname = 'raw'\n{task}\nuntrained.answering = {answering}\n");
        Recipe::parse(&text, Path::new("text")).map_err(|error| error.to_string())
    };
    let titles = "task = 'title-history-to-title'";
    for fits in ["{ assisted = {} }", "{ grounded = { popularity = 0.5 } }", "'search'"] {
        let recipe = read(titles, fits).unwrap();
        let written = toml::to_string(&recipe).unwrap();
        assert_eq!(Recipe::parse(&written, Path::new("text")).unwrap(), recipe, "{written}");
    }
    for (answering, named) in [
        ("{ assisted = { alpha = 0.0 } }", "`stage.raw.untrained.answering.assisted.alpha` is 0"),
        ("{ assisted = { floor = 1.0 } }", "`stage.raw.untrained.answering.assisted.floor` is 1"),
        ("{ grounded = { budget = 0 } }", "`stage.raw.untrained.answering.grounded.budget` is 0"),
        (
            "{ grounded = { popularity = -1.0 } }",
            "`stage.raw.untrained.answering.grounded.popularity` is -1",
        ),
    ] {
        let error = read(titles, answering).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    let error = read("", "{ assisted = {} }").unwrap_err();
    assert!(error.contains("`stage.raw.untrained.answering` is Assisted"), "{error}");
    let trained = format!(
        "{base}[[stage]]\nname = 'rl'\n{titles}\nreward = 'accuracy'\nrl = {{ scoring = 'full' }}\n"
    );
    let error = Recipe::parse(&trained, Path::new("text")).unwrap_err().to_string();
    assert!(error.contains("`stage.rl.task` is `title-history-to-title`"), "{error}");
}
