//! Slates of Semantic IDs out of a pool, and once more after kills; and out of the whole catalogue.

use std::collections::BTreeSet;
use std::path::Path;

use sidereal::data::ItemId;
use sidereal::lab::{Recipe, TrainedStage};
use sidereal::metrics::{Candidates, Metric};
use sidereal::prompts::Task;
use sidereal::sid::Catalog;
use sidereal::train::{Ranking, Record};

use crate::shop;
use crate::titles::{self, assert_survives_kills, pools, read, rows};

#[test]
fn slates_hold_semantic_ids_of_their_pool_once_and_a_killed_run_repeats_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, dataset) = (shop::recipe_in("sid-slates.toml"), titles::dataset(dir.path()));
    let whole = dir.path().join("whole");
    let outcome = titles::run((&recipe, &dataset), &whole, &mut |_: &Record| {}).unwrap();

    // Items without a title are asked for like others, and no slate has a Semantic ID twice.
    let pools = pools(Task::SidSlate, (&recipe, &dataset), &whole);
    let catalog = Catalog::load(&whole.join("catalog.json")).unwrap();
    for stage in ["sft", "sage", "gbpo", "grpo"] {
        let file = whole.join(format!("rankings/{stage}.json"));
        let slates: Vec<Ranking> = serde_json::from_slice(&read(&file)).unwrap();
        assert_eq!(slates.len(), 30);
        for slate in &slates {
            let items: BTreeSet<ItemId> = slate.found.iter().flatten().copied().collect();
            let sids: BTreeSet<_> = items.iter().map(|item| catalog.sid(*item).unwrap()).collect();
            assert_eq!((slate.found.len(), items.len(), sids.len()), (4, 4, 4));
            let shown = |(target, pool): &(ItemId, BTreeSet<ItemId>)| {
                *target == slate.target && items.is_subset(pool)
            };
            assert!(pools.iter().any(shown), "{slate:?}");
            assert!(slate.scores.iter().all(|score| *score <= 0.0));
        }
    }
    for system in ["SFT", "SAGE", "GBPO"] {
        let [row] = rows(&outcome, system)[..] else { panic!("{system}") };
        let protocol = (row.protocol.candidates, row.protocol.decoding());
        assert_eq!(protocol, (Candidates::Pool(6), "greedy slate".to_owned()));
        assert!(row.values.iter().any(|value| matches!(value.metric, Metric::Entropy(_))));
    }
    // One item of the whole catalogue, by the same policy, stands apart.
    assert!(
        rows(&outcome, "next item")
            .iter()
            .all(|row| { row.protocol.candidates == Candidates::All })
    );

    let ln_4 = 4f64.ln();
    let of_sage = || outcome.records.iter().filter(|record| record.stage == "sage");
    for record in of_sage().filter(|record| record.step > 0) {
        let part = |name: &str| record.values[name];
        assert!((0.0..=1.0).contains(&part("reward_ndcg")), "{record:?}");
        assert!((0.0..=ln_4).contains(&part("reward_entropy")), "{record:?}");
    }
    // Rollouts are lines of the prompt, each once.
    let shown = of_sage().next_back().and_then(|record| record.rollouts.clone()).unwrap();
    for rollout in &shown.rollouts {
        let lines: Vec<&str> = rollout.text.trim_end_matches("<|im_end|>").lines().collect();
        let distinct: BTreeSet<&str> = lines.iter().copied().collect();
        assert_eq!((lines.len(), distinct.len()), (4, 4), "{}", rollout.text);
        assert!(lines.iter().all(|line| shown.prompt.lines().any(|other| other == *line)));
    }
    assert!(shown.prompt.lines().any(|line| line == shown.target), "{}", shown.target);

    let device = sidereal::policy::device("cpu").unwrap();
    let error = TrainedStage::open(&whole, Some("sage"), device).unwrap_err();
    assert!(error.to_string().contains("`stage.sage.task` is sid-slate"), "{error}");

    let files = ["metrics.jsonl", "sage/model.safetensors", "gbpo/model.safetensors"];
    let kills = [("sft", 4), ("sage", 3), ("gbpo", 2)];
    assert_survives_kills((&recipe, &dataset), &whole, &kills, &files);
}

#[test]
fn titles_and_semantic_ids_are_not_compared_over_pools() {
    let text = toml::to_string(&shop::recipe_in("sid-slates.toml")).unwrap();
    let at = text.find("[[stage]]").unwrap();
    let other = "[[stage]]\nname = 'titles'\ntask = 'title-slate'\n\
                 sft = { mixture = { tasks = ['title-slate'] } }\n\n";
    let text = format!("{}{other}{}", &text[..at], &text[at..]);
    let refused = Recipe::parse(&text, "mixed.toml".as_ref()).unwrap_err().to_string();
    assert!(refused.contains("`stage.sft.task` is `sid-slate`"), "{refused}");
}

/// The recipe with slates of four items of the whole catalogue, in its first stages.
fn of_the_catalogue() -> toml::Table {
    let text = toml::to_string(&shop::recipe_in("sid-slates.toml")).unwrap();
    let mut table: toml::Table = text.replace("sid-slate", "catalogue-slate").parse().unwrap();
    table.remove("pool").unwrap();
    let added: toml::Table =
        "slate.size = 4\nmetrics = ['HR@1', 'HR@4', 'NDCG@4', 'Entropy@4']".parse().unwrap();
    table.insert("slate".to_owned(), added["slate"].clone());
    let evaluate = table.get_mut("evaluate").unwrap().as_table_mut().unwrap();
    evaluate.insert("metrics".to_owned(), added["metrics"].clone());
    table.get_mut("stage").unwrap().as_array_mut().unwrap().truncate(3);
    table
}

fn parsed(table: &toml::Table) -> Result<Recipe, String> {
    let text = toml::to_string(table).unwrap();
    Recipe::parse(&text, Path::new("catalogue.toml")).map_err(|error| error.to_string())
}

#[test]
fn slates_of_the_whole_catalogue_have_every_test_user_and_no_semantic_id_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (recipe, dataset) = (parsed(&of_the_catalogue()).unwrap(), titles::dataset(dir.path()));
    let whole = dir.path().join("whole");
    let outcome = titles::run((&recipe, &dataset), &whole, &mut |_: &Record| {}).unwrap();
    let catalog = Catalog::load(&whole.join("catalog.json")).unwrap();
    for stage in ["sft", "sage"] {
        let file = whole.join(format!("rankings/{stage}.json"));
        let slates: Vec<Ranking> = serde_json::from_slice(&read(&file)).unwrap();
        assert_eq!(slates.len(), dataset.num_users());
        for slate in &slates {
            let sids: BTreeSet<_> =
                slate.found.iter().map(|items| catalog.sid(items[0]).unwrap()).collect();
            assert_eq!((slate.found.len(), sids.len()), (4, 4));
        }
    }
    // Beside the policy that answers with one item, and popularity, over the same items.
    for system in ["popularity", "SFT", "SAGE", "next item"] {
        let rows = rows(&outcome, system);
        assert!(rows.iter().all(|row| row.protocol.candidates == Candidates::All), "{system}");
        let greedy = rows.iter().any(|row| row.protocol.decoding() == "greedy slate");
        assert_eq!(greedy, ["SFT", "SAGE"].contains(&system), "{system}");
    }
    // Rollouts are Semantic IDs, one a line, each once, and the prompt shows no candidates.
    let of_sage = outcome.records.iter().filter(|record| record.stage == "sage");
    let shown = of_sage.filter_map(|record| record.rollouts.clone()).next_back().unwrap();
    let known: BTreeSet<String> =
        catalog.sids().iter().map(|sid| catalog.spec().text(sid)).collect();
    for rollout in &shown.rollouts {
        let lines: Vec<&str> = rollout.text.trim_end_matches("<|im_end|>").lines().collect();
        let distinct: BTreeSet<&str> = lines.iter().copied().collect();
        assert_eq!((lines.len(), distinct.len()), (4, 4), "{}", rollout.text);
        assert!(lines.iter().all(|line| known.contains(*line)), "{}", rollout.text);
    }
    assert!(shown.prompt.lines().count() <= 2, "{}", shown.prompt);
}

#[test]
fn a_slate_is_as_long_as_the_columns_and_has_one_size() {
    let mut short = of_the_catalogue();
    short["evaluate"]["metrics"] = toml::Value::from(vec!["HR@5"]);
    short["evaluate"]["beam_width"] = toml::Value::from(5);
    assert!(parsed(&short).unwrap_err().contains("`slate.size` is 4"));
    let mut none = of_the_catalogue();
    none.remove("slate").unwrap();
    assert!(parsed(&none).unwrap_err().contains("`slate` is missing"));
    let mut both = of_the_catalogue();
    let pool: toml::Table = "size = 6\nslate_size = 4\nusers = 3".parse().unwrap();
    both.insert("pool".to_owned(), toml::Value::Table(pool));
    assert!(parsed(&both).is_err());
}
