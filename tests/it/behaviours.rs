//! Behaviours of events as objectives.

use std::path::Path;

use sidereal::data::{Dataset, Labels, User};
use sidereal::lab::{Recipe, Training};
use sidereal::train::{NamedReward, Record, RewardConfig};

use crate::shop;
use crate::titles::{self, read};

/// The shop, in which training events of an even position are liked; of the two held-out events of each user
/// those for which `held_out` holds.
fn dataset(dir: &Path, held_out: bool) -> Dataset {
    let shop = titles::dataset(dir);
    let users = shop.users().iter().map(|user| {
        let trained = user.events.len() - 2;
        let liked = |at: usize| if at < trained { at.is_multiple_of(2) } else { held_out };
        let labels = (0..user.events.len())
            .map(|at| if liked(at) { Labels::default().with(1) } else { Labels::default() });
        User::new(&user.key, user.events.clone())
            .with_times(user.times.clone())
            .with_labels(labels.collect())
    });
    let (items, names) = (shop.items().to_vec(), ["comment", "like"].map(str::to_owned));
    Dataset::with_behaviours(items, users.collect(), names.to_vec()).unwrap()
}

/// The stage `sage` after its supervised start, with a behaviour among the objectives.
fn recipe(behaviour: &str) -> Recipe {
    let mut recipe = shop::recipe_in("sid-slates.toml");
    recipe.stages.retain(|stage| ["sft", "sage"].contains(&stage.name.as_str()));
    let Training::Rl { reward, .. } = &mut recipe.stages[1].training else { panic!("no rl") };
    let RewardConfig::Objectives(objectives) = reward else { panic!("one reward") };
    let reward = RewardConfig::Behaviour(behaviour.to_owned());
    objectives[1] = NamedReward { name: "like".to_owned(), weight: 1.0, reward };
    recipe
}

#[test]
fn a_behaviour_is_rewarded_and_nothing_of_validation_and_test_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe("like");
    let mut curves = Vec::new();
    for held_out in [false, true] {
        let dataset = dataset(dir.path(), held_out);
        let out = dir.path().join(format!("liked-{held_out}"));
        let outcome = titles::run((&recipe, &dataset), &out, &mut |_: &Record| {}).unwrap();
        let liked: Vec<f64> = outcome
            .records
            .iter()
            .filter_map(|record| record.values.get("reward_like").copied())
            .collect();
        assert!(liked.len() == 4 && liked.iter().all(|share| (0.0..=1.0).contains(share)));
        assert!(liked.iter().any(|share| *share > 0.0), "{liked:?}");
        curves.push(read(&out.join("sage/model.safetensors")));
    }
    assert!(curves[0] == curves[1], "the labels of held-out events changed the training");
}

#[test]
fn a_behaviour_that_the_data_do_not_have_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, out) = (dataset(dir.path(), true), dir.path().join("run"));
    let refused = titles::run((&recipe("share"), &dataset), &out, &mut |_: &Record| {});
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("`stage.sage.reward.behaviour`"), "{error}");
    assert!(error.contains("comment, like") && !out.join("sft").exists(), "{error}");
}
