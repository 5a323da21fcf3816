//! Quantise, train, reinforce, evaluate, report; and once more after a kill.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::data::{Dataset, HeldOut as _};
use sidereal::lab::{
    Explained, LabError, Pipeline, PolicyRecommender, Recipe, RunResult, TrainedStage, Training,
    Wanted,
};
use sidereal::metrics::SeenItems;
use sidereal::sid::{Catalog, ItemId, SemanticId};
use sidereal::train::{JsonLog, Observer, Ranking, Record};

use crate::shop::{self, Kill};

pub(crate) fn run(
    recipe: &Recipe,
    dataset: &Dataset,
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunResult, LabError> {
    let device = sidereal::policy::device("cpu").unwrap();
    Pipeline { recipe, dataset, published: None, baselines: &[], out, device }.run(observer)
}

/// A trained policy that is opened to serve answers as it did in the test.
fn recommends_what_the_test_ranked(run: &Path, dataset: &Dataset, rankings: &[Ranking]) {
    let device = sidereal::policy::device("cpu").unwrap();
    let stage = TrainedStage::open(run, Some("sdpo"), device).unwrap();
    let recommender = stage.recommender(dataset, None).unwrap();
    let split = shop::recipe().split.split(dataset, 20).unwrap();
    let histories: Vec<&[ItemId]> = split.test.samples().map(|sample| sample.history).collect();
    let wanted =
        Wanted { num_items: 10.try_into().unwrap(), beam_width: 10, seen: SeenItems::Kept };
    let served = recommender.recommend(&histories, &wanted).unwrap();
    assert_eq!(served.len(), rankings.len());
    for (served, ranking) in served.iter().zip(rankings) {
        let items = served.iter().map(|found| found.item);
        assert!(items.eq(ranking.found.iter().flatten().copied()), "{served:?} {ranking:?}");
    }
    let wanted = Wanted { seen: SeenItems::Removed, ..wanted };
    let history = histories[7];
    let Explained { items, prefixes, .. } = recommender.explain(history, &wanted).unwrap();
    assert_eq!(recommender.recommend(&[history], &wanted).unwrap()[0], items);
    assert!(items.len() == 10 && items.iter().all(|found| !history.contains(&found.item)));
    let catalog = stage.catalog();
    // Each item is led to by a prefix a code, the last of which is its whole Semantic ID.
    let codes_of = |prefix: &[u32]| -> SemanticId {
        prefix.iter().map(|token| catalog.spec().level_and_code(*token).unwrap().1).collect()
    };
    for found in &items {
        let sid = catalog.sid(found.item).unwrap();
        let led: Vec<_> =
            prefixes.iter().filter(|(prefix, _)| sid.starts_with(&codes_of(prefix))).collect();
        assert_eq!(led.len(), sid.len());
        let last = led.last().unwrap().1;
        assert!(led.is_sorted_by(|a, b| a.1 >= b.1) && last.total_cmp(&found.score).is_eq());
    }

    let sid = catalog.sid(items[0].item).unwrap().to_string();
    let title = &dataset.item(items[0].item).unwrap().title;
    assert_eq!(recommender.find(&sid).unwrap(), items[0].item);
    assert_eq!(recommender.find(title).unwrap(), items[0].item);
    stands_alone(&run.join("sdpo"), &recommender, &histories, &wanted);
    let nobody: [&[ItemId]; 1] = [&[]];
    assert!(recommender.recommend(&nobody, &wanted).is_err());
    assert!(recommender.recommend(&[[ItemId(4000)]], &wanted).is_err());
    for damaged in ["<a_1><b_", "<a_9999>"] {
        assert!(matches!(recommender.find(damaged), Err(LabError::Notation(_))), "{damaged}");
    }
}

/// The folder of a policy, copied elsewhere, answers as it does within its run.
fn stands_alone(
    folder: &Path,
    within: &PolicyRecommender<'_>,
    histories: &[&[ItemId]],
    wanted: &Wanted,
) {
    let elsewhere = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, elsewhere.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let device = sidereal::policy::device("cpu").unwrap();
    let policy = TrainedStage::open(elsewhere.path(), None, device).unwrap();
    let alone = policy.standalone().unwrap();
    let found = alone.recommend(histories, wanted).unwrap();
    assert_eq!(found, within.recommend(histories, wanted).unwrap());
    let title = &alone.dataset().item(found[0][0].item).unwrap().title;
    assert_eq!(alone.find(title).unwrap(), within.find(title).unwrap());
    assert!(TrainedStage::open(elsewhere.path(), Some("sft"), device).is_err());
    // A folder of a version that kept no items says so.
    std::fs::remove_file(elsewhere.path().join("items.json")).unwrap();
    let old = TrainedStage::open(elsewhere.path(), None, device).unwrap();
    assert!(matches!(old.standalone(), Err(LabError::NoItems { .. })));
}

#[test]
fn a_chain_closes_and_a_killed_run_repeats_the_same_curve() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = shop::dataset(dir.path());
    let recipe = shop::recipe();

    let whole = dir.path().join("whole");
    let outcome = run(&recipe, &dataset, &whole, &mut |_: &Record| {}).unwrap();
    let systems: BTreeSet<&str> =
        outcome.report.rows().iter().map(|row| row.system.as_str()).collect();
    assert!(systems.is_superset(&BTreeSet::from([
        "popularity",
        "item transitions",
        "SFT",
        "SINGER",
        "srpo",
        "gbpo",
        "sage",
        "gspo",
        "sdpo",
        "mixed"
    ])));

    // Every recommendation is an item of the catalogue, and none comes twice.
    let catalog = Catalog::load(&whole.join("catalog.json")).unwrap();
    assert_eq!((catalog.num_items(), catalog.num_sids()), (40, 40));
    let text = fs::read(whole.join("rankings/sdpo.json")).unwrap();
    let rankings: Vec<Ranking> = serde_json::from_slice(&text).unwrap();
    assert_eq!(rankings.len(), 60);
    for ranking in &rankings {
        let items: Vec<_> = ranking.found.iter().flatten().collect();
        assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), items.len());
        assert_eq!(items.len(), 10);
    }

    recommends_what_the_test_ranked(&whole, &dataset, &rankings);

    // Where accuracy alone is rewarded, a rollout that is shown hits if it is worth one.
    let shown: Vec<_> = JsonLog::read(&whole.join("metrics.jsonl"))
        .unwrap()
        .into_iter()
        .filter(|record| record.stage == "gspo")
        .filter_map(|record| record.rollouts)
        .flat_map(|group| group.rollouts)
        .collect();
    assert!(
        !shown.is_empty() && shown.iter().all(|one| one.hit == (one.reward > 0.5)),
        "{shown:?}"
    );

    // A part of the prompts of one stage asks for titles.
    let titles = outcome.records.iter().filter(|record| record.values.contains_key("reward_title"));
    let stages: BTreeSet<&str> = titles.map(|record| record.stage.as_str()).collect();
    assert_eq!(stages, BTreeSet::from(["srpo"]));

    // Killed in the middle of both trainings, the run ends with the same curve and weights.
    // How many checkpoints it keeps on its way changes nothing.
    let broken = dir.path().join("broken");
    let careful = Recipe { keep_checkpoints: 2.try_into().unwrap(), ..recipe.clone() };
    for (stage, step) in [
        ("sft", 7),
        ("singer", 4),
        ("srpo", 4),
        ("sage", 3),
        ("gspo", 2),
        ("gspo", 3),
        ("gspo", 4),
        ("sdpo", 2),
        ("sdpo", 4),
        ("mixed", 5),
    ] {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| run(&careful, &dataset, &broken, &mut kill)));
        assert!(killed.is_err());
        if stage == "sft" {
            let kept = fs::read_dir(broken.join("sft/checkpoints")).unwrap();
            assert_eq!(kept.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 2);
        }
    }
    run(&recipe, &dataset, &broken, &mut |_: &Record| {}).unwrap();
    for file in [
        "metrics.jsonl",
        "sft/model.safetensors",
        "singer/model.safetensors",
        "srpo/model.safetensors",
        "sage/model.safetensors",
        "gspo/model.safetensors",
        "sdpo/model.safetensors",
        "mixed/model.safetensors",
        "evaluation.json",
    ] {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&broken) == read(&whole), "{file} differs");
    }

    // A test that was broken off decodes what is missing, and makes the same tables of it.
    let rankings = |name: &str| whole.join("rankings").join(name);
    let made = |name: &str| fs::metadata(rankings(name)).unwrap().modified().unwrap();
    let (before, lost) = (made("sft.json"), fs::read(rankings("singer.json")).unwrap());
    for path in [rankings("singer.json"), whole.join("evaluation.json")] {
        fs::remove_file(path).unwrap();
    }
    let again = run(&recipe, &dataset, &whole, &mut |_: &Record| {}).unwrap();
    assert_eq!(again.report.rows(), outcome.report.rows());
    assert_eq!(made("sft.json"), before);
    assert!(fs::read(rankings("singer.json")).unwrap() == lost);

    // A further start does nothing again, and other settings are refused by name.
    let mut trained = false;
    run(&recipe, &dataset, &whole, &mut |_: &Record| trained = true).unwrap();
    assert!(!trained);
    let mut other = recipe.clone();
    let Training::Rl { config, .. } = &mut other.stages[1].training else { unreachable!() };
    config.steps += 1;
    let error = run(&other, &dataset, &whole, &mut |_: &Record| {}).unwrap_err();
    assert!(error.to_string().contains("`stage.singer.rl.steps`"), "{error}");
}

#[test]
fn items_with_other_categories_are_trained_and_tested_anew() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe();
    recipe.stages.truncate(1);
    let out = dir.path().join("run");
    let trains = |dataset: &Dataset| {
        let mut trained = false;
        run(&recipe, dataset, &out, &mut |_: &Record| trained = true).unwrap();
        trained
    };
    assert!(trains(&dataset) && !trains(&dataset));
    let (inter, item) = (dir.path().join("shop.inter"), dir.path().join("shop.item"));
    let table = fs::read_to_string(&item).unwrap();
    let (header, rows) = table.split_once('\n').unwrap();
    let rows = rows.lines().map(|row| format!("{row}\thome\n"));
    let header = format!("{header}\tcategories:token_seq\n");
    fs::write(&item, header + &rows.collect::<String>()).unwrap();
    let sorted = read(&inter, &item, &ReadOptions::new(1)).unwrap().dataset;
    assert!(trains(&sorted) && !trains(&sorted));
}
