//! The columns that a recipe names, stages that train nothing, and general ability.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sidereal::lab::{
    EvaluateExercises, ExerciseAnswer, FinishedRun, LabError, ReasoningResult, RunComparison,
    RunResult, Stage, Training, UntrainedConfig,
};
use sidereal::metrics::{Bootstrap, BootstrapConfig, Level, Metric, MetricSource, Row, SeenItems};
use sidereal::page::Block;
use sidereal::policy::Scoring;
use sidereal::prompts::{AbilityKind, Task};
use sidereal::train::{MixtureOrder, Ranking, Record};

use crate::worded::Shop;

fn metric(name: &str) -> Metric {
    name.parse().unwrap()
}

fn names(row: &Row) -> Vec<String> {
    row.values.iter().map(|entry| entry.metric.to_string()).collect()
}

/// A stage that trains nothing, after the stage `from`.
fn untrained(name: &str, from: Option<&str>, like: &Stage) -> Stage {
    Stage {
        name: name.to_owned(),
        label: name.to_owned(),
        from: from.map(str::to_owned),
        training: Training::Untrained(UntrainedConfig {
            scoring: Scoring::Renormalised,
            ..UntrainedConfig::default()
        }),
        ..like.clone()
    }
}

/// Every stage answered the same exercises, and its row is compared with its start.
fn exercised(outcome: &RunResult, out: &Path) {
    let answers = |stage: &str| -> Vec<ExerciseAnswer> {
        let text = fs::read(out.join(format!("exercises/{stage}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let questions = |stage| answers(stage).into_iter().map(|it| it.question).collect::<Vec<_>>();
    assert_eq!(questions("raw").len(), 5);
    assert_eq!(questions("raw"), questions("sft"));
    assert_eq!(answers("again"), answers("sft"));
    let before: Vec<Option<&str>> = outcome
        .exercises
        .iter()
        .map(|row| row.before.as_ref().map(|(label, _)| label.as_str()))
        .collect();
    assert_eq!(before, [None, Some("raw"), Some("SFT")]);
    let read = RunResult::read(out).unwrap();
    assert_eq!(read.exercises, outcome.exercises);
}

/// With seen items removed there are rankings, and no drawn answers or metrics of lists.
fn rankings_alone_without_seen_items(outcome: &RunResult, out: &Path, asked: &[&str]) {
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
    let runs = [FinishedRun::read(out, SeenItems::Removed).unwrap()];
    let mut checked = 0;
    for name in asked.iter().copied() {
        let found = RunComparison::new(&runs, metric(name), None, &bootstrap);
        if metric(name).source() != MetricSource::Ranks {
            assert!(matches!(found, Err(LabError::NoColumn { .. })), "{name}");
            continue;
        }
        for system in found.unwrap().systems.iter().filter(|system| !system.is_part) {
            let mut rows = outcome.report.rows().iter();
            let row = rows.find(|row| {
                row.system == system.label && row.protocol.seen_items == SeenItems::Removed
            });
            let mut values = row.unwrap().values.iter();
            let value = values.find(|entry| entry.metric == metric(name)).unwrap().value;
            assert!((system.mean - value).abs() < 1e-12, "{} {name}", system.label);
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked} values were compared");
}

#[test]
fn a_report_has_the_columns_that_its_recipe_names_and_compare_agrees_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path());
    let evaluate = &mut shop.recipe.evaluate;
    let asked = ["HR@3", "NDCG@2", "Avg(HR@1/3+NDCG@2)", "Coverage@4", "Pass@2", "Avg(Pass@1/3)"];
    evaluate.metrics = Some(asked.iter().map(|name| metric(name)).collect());
    evaluate.exercises =
        Some(EvaluateExercises { count: 5, budget: 12, kinds: vec![AbilityKind::Exercises] });
    let stages = &mut shop.recipe.stages;
    stages.truncate(1);
    let sft = stages[0].clone();
    stages.insert(0, untrained("raw", None, &sft));
    stages.push(untrained("again", Some("sft"), &sft));
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();

    // Ranks everywhere; lists of policies with seen items kept; draws after chains and directly.
    for row in outcome.report.rows() {
        let expected = if row.protocol.decoding().contains("draws") {
            &asked[4..]
        } else if row.values.len() == 4 {
            &asked[..4]
        } else {
            &asked[..3]
        };
        assert_eq!(names(row), expected, "{}", row.system);
    }
    let with_lists = outcome.report.rows().iter().filter(|row| row.values.len() == 4);
    assert_eq!(
        with_lists.map(|row| row.system.as_str()).collect::<Vec<_>>(),
        ["raw", "SFT", "again"]
    );

    // A stage that trains nothing answers as its start does, in every row.
    let rows = |system: &'static str| {
        let rows = outcome.report.rows().iter().filter(move |row| row.system == system);
        rows.map(|row| (row.protocol.clone(), row.values.clone())).collect::<Vec<_>>()
    };
    assert_eq!(rows("again"), rows("SFT"));
    assert_eq!(rows("again, reasoning"), rows("SFT, reasoning"));
    assert_eq!(rows("again, best chain"), rows("SFT, best chain"));
    assert_ne!(rows("raw"), rows("SFT"));
    assert!(rows("raw, reasoning").is_empty());
    let marked = outcome.report.notes().iter().filter(|note| note.mark == "untrained");
    let marked: Vec<&str> = marked.map(|note| note.system.as_str()).collect();
    assert_eq!(marked, ["raw", "again", "again, reasoning"]);
    let weights = |stage: &str| fs::read(out.join(stage).join("model.safetensors")).unwrap();
    assert!(weights("again") == weights("sft") && weights("raw") != weights("sft"));

    // The columns of `compare` are those of the report.
    let run = FinishedRun::read(&out, SeenItems::Kept).unwrap();
    assert_eq!(run.metrics.as_ref().unwrap().len(), asked.len());
    let bootstrap = Bootstrap::try_from(BootstrapConfig::new(1)).unwrap();
    let runs = [run];
    let compared = |name: &str, system: &str| {
        let found = RunComparison::new(&runs, metric(name), None, &bootstrap).unwrap();
        let system = found.systems.iter().find(|compared| compared.label == system);
        system.and_then(|system| system.runs[0])
    };
    let all = outcome.report.rows().iter().map(|row| row.protocol.num_users).max().unwrap();
    let mut checked = 0;
    for row in outcome.report.rows() {
        let protocol = &row.protocol;
        let of_ranks = protocol.level == Level::Item && protocol.seen_items == SeenItems::Kept;
        let of_draws = protocol.decoding().contains("draws");
        let of_all = protocol.chains.is_some() || protocol.num_users == all || of_draws;
        if !(of_ranks && of_all || of_draws) {
            continue;
        }
        for entry in &row.values {
            let Some(value) = compared(&entry.metric.to_string(), &row.system) else { continue };
            assert!((value - entry.value).abs() < 1e-12, "{} {}", row.system, entry.metric);
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked} values were compared");
    let other = RunComparison::new(&runs, metric("Coverage@5"), None, &bootstrap);
    assert!(matches!(other, Err(LabError::NoColumn { .. })));

    rankings_alone_without_seen_items(&outcome, &out, &asked);

    best_of_n(&outcome, &fs::read(out.join("reasoning/sft.json")).unwrap());

    exercised(&outcome, &out);
    changed_by_chains(&outcome, &out);
}

/// Counts and cases of answers that reasoning changed, by brute force over the files.
fn changed_by_chains(outcome: &RunResult, out: &Path) {
    let read = |file: &str| fs::read(out.join(file)).unwrap();
    let directly: Vec<Ranking> = serde_json::from_slice(&read("rankings/sft.json")).unwrap();
    let after: Vec<ReasoningResult> = serde_json::from_slice(&read("reasoning/sft.json")).unwrap();
    let hits = |ranking: &Ranking| {
        ranking.found.iter().take(4).any(|items| items.contains(&ranking.target))
    };
    let (mut gained, mut lost) = (0, 0);
    for result in &after {
        assert_eq!(result.chains.len(), 3);
        let same = directly.iter().find(|other| other.id == result.ranking.id).unwrap();
        gained += usize::from(!hits(same) && hits(&result.ranking));
        lost += usize::from(hits(same) && !hits(&result.ranking));
    }
    let row = outcome.changed.iter().find(|row| row.system == "SFT").unwrap();
    assert_eq!((row.users, row.listed, row.gained, row.lost), (after.len(), 4, gained, lost));
    assert_eq!(row.cases.iter().filter(|case| case.gained).count(), gained.min(4));
    assert_eq!(row.cases.iter().filter(|case| !case.gained).count(), lost.min(4));
    assert_eq!(RunResult::read(out).unwrap().changed, outcome.changed);
}

#[test]
fn a_policy_that_always_says_one_word_solves_the_exercises_with_this_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path());
    shop.recipe.evaluate.reasoning = None;
    shop.recipe.evaluate.exercises =
        Some(EvaluateExercises { count: 6, budget: 24, kinds: vec![AbilityKind::Exercises] });
    let stages = &mut shop.recipe.stages;
    stages.truncate(1);
    let first = stages[0].clone();
    stages[0] = untrained("raw", None, &first);
    let answers = |out: &Path, stage: &str| -> Vec<ExerciseAnswer> {
        let text = fs::read(out.join(format!("exercises/{stage}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let (asks, taught) = (dir.path().join("asks"), dir.path().join("taught"));
    let chat = shop.recipe.texts.chat.take();
    shop.recipe.texts.teacher = None;
    shop.run(&asks, &mut |_: &Record| {}).unwrap();
    let word = answers(&asks, "raw")[0].answer.clone();

    // Conversations that all end with this word, whatever is asked.
    let mut talk = String::new();
    for n in 2..40 {
        let asked = format!("{{\"role\": \"user\", \"content\": \"{n} or {n}?\"}}");
        let said = format!("{{\"role\": \"assistant\", \"content\": \"{word}\"}}");
        writeln!(talk, "{{\"messages\": [{asked}, {said}]}}").unwrap();
    }
    fs::write(chat.as_ref().unwrap(), talk).unwrap();
    shop.recipe.texts.chat = chat;
    shop.recipe.stages.push(first);
    let Training::Sft(sft) = &mut shop.recipe.stages[1].training else { unreachable!() };
    sft.epochs = 8;
    sft.optim.lr = 1e-2;
    let mixture = sft.mixture.as_mut().unwrap();
    mixture.tasks = vec![Task::NextItem];
    mixture.order = MixtureOrder::Uniform;
    mixture.chat = 2.0;
    let outcome = shop.run(&taught, &mut |_: &Record| {}).unwrap();
    let said = answers(&taught, "sft");
    assert!(said[0].right, "{said:?}");
    for ExerciseAnswer { answer, right, written, .. } in &said {
        assert_eq!(*right, *answer == word, "{written}");
    }
    let right = said.iter().filter(|answer| answer.right).count() as f64 / 6.0;
    assert!((outcome.exercises[1].solved - right).abs() < 1e-12);
    let (label, test) = outcome.exercises[1].before.as_ref().unwrap();
    assert!(label == "raw" && (test.difference - right).abs() < 1e-12, "{test:?}");
}

/// Hits after the best chain, by brute force over the chains of each user, and both plots under their names.
fn best_of_n(outcome: &RunResult, results: &[u8]) {
    let results: Vec<ReasoningResult> = serde_json::from_slice(results).unwrap();
    let row = outcome.report.rows().iter().find(|row| row.system == "SFT, best chain").unwrap();
    // Three chains of four answers each; the better of two of them.
    let pairs = [[0, 1], [0, 2], [1, 2]];
    let of_user = |result: &ReasoningResult| {
        assert_eq!(result.places.len(), 3);
        assert!(result.places.iter().flatten().all(|place| *place < 4));
        let hits =
            pairs.iter().filter(|pair| pair.iter().any(|chain| result.places[*chain].is_some()));
        hits.count() as f64 / 3.0
    };
    let expected = results.iter().map(of_user).sum::<f64>() / results.len() as f64;
    assert!((row.get(metric("Pass@2")).unwrap().value - expected).abs() < 1e-12);
    let plots = outcome.page("run").blocks.into_iter().filter_map(|block| match block {
        Block::Lines(plot) => Some((plot.caption, plot.series.len())),
        _ => None,
    });
    let plots: Vec<(String, usize)> = plots.collect();
    assert!(plots.contains(&("Pass@k".to_owned(), 4)), "{plots:?}");
    assert!(plots.contains(&("Best of N: hits after the best chain".to_owned(), 2)), "{plots:?}");
}
