//! A policy that writes words, with priors that guide its beams.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sidereal::data::{HeldOut as _, Sample};
use sidereal::lab::{BlendConfig, BlendWeights, Recipe, ServedBlend};
use sidereal::metrics::{Report, SeenItems};
use sidereal::sid::ItemId;
use sidereal::train::{Ranking, Record};
use tempfile::TempDir;

use crate::items::{Rankings, answers_as_the_test};
use crate::pipeline::run;
use crate::shop;

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blend(policies: &[&str]) -> BlendConfig {
    let text = format!(
        "name = \"priors\"\nlabel = \"SFT + priors\"\npolicies = {policies:?}\n\
         priors = [\"transitions\", \"text\", \"popularity\", \"repeats\"]\ntext_dimensions = 4"
    );
    toml::from_str(&text).unwrap()
}

/// The first stage of the recipe of the pipeline, and a blend of it.
fn recipe() -> Recipe {
    let mut recipe = shop::recipe_in("recipe.toml");
    recipe.stages.truncate(1);
    recipe.evaluate.compare_with = Vec::new();
    // As wide as the catalogue, so that the beams of the blend and of the policy alone find every item.
    recipe.evaluate.beam_width = 40;
    recipe.blends = vec![blend(&["sft"])];
    recipe.check().unwrap();
    recipe
}

#[test]
fn a_policy_that_writes_words_is_blended_with_priors_and_asked() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let recipe = recipe();
    let whole = dir.path().join("whole");
    run(&recipe, &dataset, &whole, &mut |_: &Record| {}).unwrap();

    let report: Report = read(&whole.join("evaluation.json"));
    for system in ["SFT", "SFT + priors"] {
        assert!(report.rows().iter().any(|row| row.system == system), "{system}");
    }
    let weights: BlendWeights = read(&whole.join("blends/priors/weights.json"));
    for fit in [&weights.kept, &weights.removed] {
        assert!(fit.value >= fit.policy_value && fit.num_cases > 0, "{fit}");
        // Users of the shop follow the colours of a kind, which a policy of three epochs has hardly learned.
        assert!(fit.value > fit.policy_value, "{fit}");
    }

    // The policy gives every item what it gives it alone: the prior only adds to that.
    let device = sidereal::policy::device("cpu").unwrap();
    let split = recipe.split.split(&dataset, recipe.max_history).unwrap();
    let asked: Vec<Sample<'_>> = split.test.samples().collect();
    let blend = ServedBlend::open(&whole, "priors", device).unwrap();
    let alone: Vec<Ranking> = read(&whole.join("rankings/sft.json"));
    for (sample, alone) in asked.iter().zip(&alone) {
        let scores = alone.found.iter().zip(&alone.scores);
        let of_item: BTreeMap<ItemId, f32> = scores
            .flat_map(|(items, score)| items.iter().map(move |item| (*item, *score)))
            .collect();
        let all = dataset.num_items().try_into().unwrap();
        let explained = blend.explain(sample.seen, all, SeenItems::Kept).unwrap();
        assert_eq!(explained.len(), dataset.num_items());
        for why in explained {
            assert!((why.mean_log_prob - of_item[&why.item]).abs() < 1e-3, "{why:?}");
        }
    }
    let rankings: Rankings = read(&whole.join("blends/priors/rankings.json"));
    for (rule, rankings) in
        [(SeenItems::Kept, rankings.kept), (SeenItems::Removed, rankings.removed)]
    {
        answers_as_the_test(&blend, rule, &asked, &rankings);
    }
}

#[test]
fn policies_that_write_words_are_not_averaged() {
    let mut recipe = shop::recipe_in("recipe.toml");
    recipe.blends = vec![blend(&["sft", "singer"])];
    let told = recipe.check().unwrap_err().to_string();
    assert!(told.contains("`blend.priors.policies`") && told.contains("one stage"), "{told}");
}
