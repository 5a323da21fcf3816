//! Slates of Semantic IDs out of a pool; and once more after kills.

use std::collections::BTreeSet;

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
