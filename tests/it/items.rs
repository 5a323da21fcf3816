//! A recipe of policies that read items: trees, reinforcement, preferences and blends, killed, resumed and asked.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::{HeldOut as _, Sample};
use sidereal::lab::{
    BlendWeights, FinishedRun, LabError, Recipe, RunComparison, ServedBlend, TrainedPolicy,
    TrainedStage, Wanted,
};
use sidereal::metrics::{BootstrapConfig, Metric, Report, SeenItems};
use sidereal::page::Block;
use sidereal::policy::{AnyPolicy, PolicyKind};
use sidereal::sid::{Catalog, ItemId};
use sidereal::train::{JsonLog, Ranking, Record};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop::{self, Kill};

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The weights of a blend name its priors and its groups, and are no worse than none.
fn chosen_weights(run: &Path) {
    let weights: BlendWeights = read(&run.join("blends/priors/weights.json"));
    let names: Vec<&str> = weights.kept.weights.terms.iter().map(|t| t.name.as_str()).collect();
    // The shop has no categories.
    assert_eq!(names, ["transitions", "text", "popularity", "repeats"]);
    // The groups of histories are in the file and in the note.
    let groups: Vec<usize> = weights.kept.groups.iter().map(|group| group.num_cases).collect();
    assert_eq!(groups, [60, 0]);
    let told = weights.to_string();
    assert!(told.contains("after histories of 1 to 3 items (60 users)"), "{told}");
    assert!(told.contains("chosen by HR@10 of 60 validation users"), "{told}");
    // No weight is worse on the users on whom it was chosen than none.
    assert!(weights.kept.value >= weights.kept.policy_value);
    assert!(weights.removed.value >= weights.removed.policy_value);
}

/// Every system stands beside those of other runs, blends too, with the numbers of its own test.
fn compared_as_tested(run: &Path, report: &Report) {
    let bootstrap = BootstrapConfig::new(1).try_into().unwrap();
    let metric: Metric = "NDCG@10".parse().unwrap();
    for rule in [SeenItems::Kept, SeenItems::Removed] {
        let finished = [FinishedRun::read(run, rule).unwrap()];
        let found = RunComparison::new(&finished, metric, Some("trees"), &bootstrap).unwrap();
        let labels: Vec<&str> = found.systems.iter().map(|system| system.label.as_str()).collect();
        assert!(labels.ends_with(&["policy + priors", "trees"]), "{labels:?}");
        for system in &found.systems {
            let row = report
                .rows()
                .iter()
                .find(|row| row.system == system.label && row.protocol.seen_items == rule);
            let tested = row.unwrap().get(metric).unwrap().value;
            assert!((system.mean - tested).abs() < 1e-12, "{}: {tested}", system.label);
        }
    }
}

#[test]
fn policies_that_read_items_are_trained_blended_opened_and_asked() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let recipe = shop::recipe_in("items.toml");
    let whole = dir.path().join("whole");
    let outcome = run(&recipe, &dataset, &whole, &mut |_: &Record| {}).unwrap();

    // Each tree is another catalogue of the same items, each item with a Semantic ID of its own.
    let trees: Vec<Catalog> = ["catalog.json", "trees/2/catalog.json"]
        .iter()
        .map(|file| Catalog::load(&whole.join(file)).unwrap())
        .collect();
    assert_ne!(trees[0].hash(), trees[1].hash());
    for tree in &trees {
        assert_eq!((tree.num_items(), tree.num_sids()), (dataset.num_items(), dataset.num_items()));
    }

    // Draws and exact gradients log the same expectations, and one plot compares their validation.
    let records = JsonLog::read(&whole.join("metrics.jsonl")).unwrap();
    for stage in ["reinforced", "exact"] {
        let of_stage = records.iter().filter(|record| record.stage == stage && record.step > 0);
        let logged: Vec<&Record> = of_stage.collect();
        assert_eq!(logged.len(), 4, "{stage}");
        for (name, least, most) in [
            ("exact_reward", 0.0, 1.0),
            ("exact_entropy", 0.0, (dataset.num_items() as f64).ln()),
            ("exact_kl", -1e-6, 1.0),
        ] {
            let within = |record: &&Record| (least..=most).contains(&record.values[name]);
            assert!(logged.iter().all(within), "{stage}, {name}");
        }
    }
    let page = outcome.page("items");
    let compared = page.blocks.iter().find_map(|block| match block {
        Block::Lines(plot) if plot.caption == "Reinforcement: validation" => Some(plot),
        _ => None,
    });
    for (series, name) in compared.unwrap().series.iter().zip(["reinforced", "exact"]) {
        let steps: Vec<f64> = series.points.iter().map(|point| point.0).collect();
        assert_eq!((series.name.as_str(), steps.as_slice()), (name, [0.0, 2.0, 4.0].as_slice()));
    }

    // Every system has its rows, and the blends say what they are made of.
    let report: Report = read(&whole.join("evaluation.json"));
    for system in
        ["policy", "second", "reinforced", "exact", "preferred", "policy + priors", "trees"]
    {
        assert!(report.rows().iter().any(|row| row.system == system), "{system}");
    }
    let notes: Vec<&str> = report.notes().iter().map(|note| note.text.as_str()).collect();
    assert!(notes.iter().any(|text| text.contains("policy, second")), "{notes:?}");
    chosen_weights(&whole);

    compared_as_tested(&whole, &report);

    // The folder of a policy alone answers the users of the test as the test did: by beams there, by exact
    // scores here, which a beam as wide as the catalogue finds, too.
    let device = sidereal::policy::device("cpu").unwrap();
    let split = recipe.split.split(&dataset, recipe.max_history).unwrap();
    let histories: Vec<&[ItemId]> = split.test.samples().map(|sample| sample.history).collect();
    let wanted =
        Wanted { num_items: 10.try_into().unwrap(), beam_width: 100, seen: SeenItems::Kept };
    for stage in ["policy", "second", "reinforced", "exact"] {
        let policy = TrainedPolicy::open(&whole.join(stage), device).unwrap();
        assert_eq!(policy.model.kind(), PolicyKind::Item);
        assert!(matches!(policy.model, AnyPolicy::Item(_)) && policy.tokenizer.is_none());
        let opened = TrainedStage::open(&whole.join(stage), None, device).unwrap();
        let served = opened.standalone().unwrap().recommend(&histories, &wanted).unwrap();
        let rankings: Vec<Ranking> = read(&whole.join(format!("rankings/{stage}.json")));
        assert_eq!((served.len(), rankings.len()), (60, 60));
        for (served, ranking) in served.iter().zip(&rankings) {
            for (found, score) in served.iter().zip(&ranking.scores) {
                assert!((found.score - score).abs() < 1e-4, "{served:?} {ranking:?}");
            }
        }
    }

    // A blend in the run's folder answers the users of the test as the test did, and says why.
    let asked: Vec<Sample<'_>> = split.test.samples().collect();
    let serve = |name| ServedBlend::open(&whole, name, device);
    for name in ["priors", "trees"] {
        let blend = serve(name).unwrap();
        let rankings: Rankings = read(&whole.join(format!("blends/{name}/rankings.json")));
        for (rule, rankings) in
            [(SeenItems::Kept, rankings.kept), (SeenItems::Removed, rankings.removed)]
        {
            answers_as_the_test(&blend, rule, &asked, &rankings);
        }
    }
    let told = serve("policy").unwrap_err().to_string();
    assert!(told.contains("its blends are `priors`, `trees`"), "{told}");
    let told = ServedBlend::open(&whole.join("policy"), "priors", device).unwrap_err().to_string();
    assert!(told.contains("give the folder of its run"), "{told}");

    // Killed in each training, the run ends with the same weights and tables.
    let broken = dir.path().join("broken");
    for (stage, step) in
        [("policy", 5), ("second", 3), ("reinforced", 2), ("exact", 3), ("preferred", 1)]
    {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| run(&recipe, &dataset, &broken, &mut kill)));
        assert!(killed.is_err(), "{stage}");
    }
    run(&recipe, &dataset, &broken, &mut |_: &Record| {}).unwrap();
    let files = ["policy", "reinforced", "exact"].map(|stage| format!("{stage}/model.safetensors"));
    for file in files.iter().map(String::as_str).chain(["evaluation.json"]) {
        let bytes = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(bytes(&broken) == bytes(&whole), "{file} differs");
    }
}

/// The file of a blend's rankings.
#[derive(serde::Deserialize)]
pub(crate) struct Rankings {
    pub(crate) kept: Vec<Ranking>,
    pub(crate) removed: Vec<Ranking>,
}

/// Compares what a blend serves with what it answered in the test, and every score with its parts.
pub(crate) fn answers_as_the_test(
    blend: &ServedBlend,
    rule: SeenItems,
    asked: &[Sample<'_>],
    rankings: &[Ranking],
) {
    let k = 10.try_into().unwrap();
    let histories: Vec<&[ItemId]> = asked.iter().map(|sample| sample.seen).collect();
    let served = blend.recommend(&histories, k, rule).unwrap();
    assert_eq!((served.len(), rankings.len()), (asked.len(), asked.len()));
    for ((served, ranking), sample) in served.iter().zip(rankings).zip(asked) {
        assert_eq!(ranking.id, sample.id);
        let removes = |item: &ItemId| rule == SeenItems::Removed && sample.seen.contains(item);
        // The test ranks a target that was seen before; nobody who serves knows the target.
        let of_test = ranking.found.iter().zip(&ranking.scores).flat_map(|(items, score)| {
            items.iter().filter(|item| !removes(item)).map(move |item| (*item, *score))
        });
        let scores: BTreeMap<ItemId, f32> = of_test.clone().collect();
        assert_eq!(served.len(), 10);
        for (found, (_, score)) in served.iter().zip(of_test) {
            assert!((found.score - score).abs() < 1e-4, "{served:?} {ranking:?}");
            assert!((found.score - scores[&found.item]).abs() < 1e-4 && !removes(&found.item));
        }

        let explained = blend.explain(sample.seen, k, rule).unwrap();
        for (why, found) in explained.iter().zip(served) {
            assert!((why.score - found.score).abs() < 1e-4);
            let of_policies: f32 = why.policies.iter().map(|(_, log_prob)| log_prob).sum();
            let of_terms: f32 = why.terms.iter().map(|term| term.contribution).sum();
            let mean = of_policies / why.policies.len() as f32;
            assert!((why.mean_log_prob - mean).abs() < 1e-4 && why.mean_log_prob < 0.0);
            assert!((mean + of_terms - why.score).abs() < 1e-4, "{why:?}");
            for term in &why.terms {
                let product = term.value.map_or(0.0, |value| term.weight * value);
                assert!((term.contribution - product).abs() < 1e-5, "{term:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_policies_that_read_items_is_refused_by_its_key() {
    let text = include_str!("items.toml").replace("encoder = \"\"", "encoder = \"x\"");
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let error = Recipe::parse(&text.replacen(from, to, 1), Path::new("text")).unwrap_err();
        let mut told = error.to_string();
        if let LabError::TomlKey { source, .. } = &error {
            told.push_str(&source.to_string());
        }
        told
    };
    Recipe::parse(&text, Path::new("text")).unwrap();
    for (from, to, named) in [
        ("[stage.next_item]", "[stage.sft]", "`stage.policy.sft`"),
        ("seed = 7", "seed = 7\ncompute = 'bf16'", "`compute`"),
        ("seed = 7", "seed = 7\ntokenizer = { pieces = 300 }", "`model`"),
        (
            "group_size = 4",
            "group_size = 4\nalignment = [{ task = 'title-to-sid', share = 0.5 }]",
            "rl.alignment",
        ),
        ("from = \"policy\"\nevents", "from = \"second\"\nevents", "`stage.reinforced.from`"),
        ("name = \"policy\"", "name = \"policy\"\nevents = \"latest\"", "`stage.policy.events`"),
        ("policies = [\"policy\"]", "policies = [\"nobody\"]", "`blend.priors.policies`"),
        ("policies = [\"policy\", \"second\"]", "policies = [\"second\"]", "`blend.trees.priors`"),
        ("floor = 0.1", "floor = 0.0", "`blend.priors.floor`"),
        ("text_dimensions = 4\n", "text_dimensions = 0\n", "`blend.priors.text_dimensions`"),
        ("choose_by = \"hr@10\"", "choose_by = \"mrr\"", "choose_by"),
        ("by_history = [4]", "by_history = [4, 3]", "`blend.priors.by_history`"),
        ("by_history = [4]", "by_history = [1]", "`blend.priors.by_history`"),
        ("by_history = [4]", "by_history = [4]\nby_user = true", "`blend.priors.by_history`"),
        ("group_users = 20", "group_users = 1", "`blend.priors.group_users`"),
        ("codebook_sizes = [4, 2]", "codebook_sizes = [4]", "`sids.hierarchical.capacities`"),
        ("text_dimensions = 8\n\n[model]", "text_dimensions = 0\n\n[model]", "text_dimensions"),
        ("kind = \"item\"", "kind = \"item\"\npositions = 3", "positions"),
    ] {
        let found = refused(from, to);
        assert!(found.contains(named), "{to}: {found}");
    }
}
