//! Alignment tasks in reinforcement.

use sidereal::lab::{Recipe, Training};
use sidereal::prompts::Task;
use sidereal::train::{AlignmentShare, Record};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop;
use crate::worded::every_stage_is_tested;

#[test]
fn singer_is_aligned_in_both_stages_in_all_its_variants() {
    every_stage_is_tested("singer/small", 0);
}

/// One stage of reinforcement, half of it by a task.
fn aligned_by(task: Task) -> Recipe {
    let mut recipe = shop::recipe();
    recipe.stages.retain(|stage| ["sft", "srpo"].contains(&stage.name.as_str()));
    let Training::Rl { config, .. } = &mut recipe.stages[1].training else { unreachable!() };
    config.alignment = vec![AlignmentShare { task, share: 0.5 }];
    recipe
}

#[test]
fn a_task_that_cannot_be_asked_is_named() {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    let refused = |name: &str, recipe: &Recipe| {
        let mut trained = false;
        let error = run(recipe, &dataset, &dir.path().join(name), &mut |_: &Record| trained = true);
        (error.unwrap_err().to_string(), trained)
    };
    // The items have no descriptions.
    let (error, _) = refused("texts", &aligned_by(Task::DescriptionToSid));
    assert!(error.contains("`stage.srpo.rl.alignment` is `description-to-sid`"), "{error}");
    assert!(error.contains("40 lack a text"), "{error}");
    // The set has no words for it, which is known before anything is trained.
    let mut recipe = aligned_by(Task::SidHistoryToTitle);
    "terse".clone_into(&mut recipe.prompts);
    let (error, trained) = refused("words", &recipe);
    assert!(error.contains("sid-history-to-title") && !trained, "{error}");
}
