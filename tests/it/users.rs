//! Stages that learn from a share of the users.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use sidereal::data::{HeldOut as _, SampleId, UserId};
use sidereal::lab::{
    EvaluateDescriptions, EvaluateExercises, Recipe, RunResult, Training, UserShare,
};
use sidereal::prompts::AbilityKind;
use sidereal::train::{Record, RlConfig};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop;
use crate::worded::Shop;

/// The users of a stage, by the samples that the error of its second step names: with such a rate
/// nothing is finite any more, and a step is as large as the shop.
fn users(mut recipe: Recipe, stage: usize, share: Option<UserShare>) -> BTreeSet<UserId> {
    let dir = TempDir::new().unwrap();
    let dataset = shop::dataset(dir.path());
    recipe.stages.truncate(stage + 1);
    let asked = &mut recipe.stages[stage];
    asked.users = share;
    match &mut asked.training {
        Training::Sft(config) => {
            (config.batch_size, config.alignment_share) = (500, 0.0);
            (config.optim.lr, config.optim.warmup) = (1e30, 0.0);
        }
        Training::Rl { config: RlConfig { prompts_per_step, optim, max_kl, .. }, .. } => {
            (*prompts_per_step, *max_kl, optim.warmup) = (500, 1e-12, 0.0);
        }
        other => unreachable!("{other:?}"),
    }
    let out = dir.path().join("run");
    let error = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err().to_string();
    let (_, samples) = error.split_once("samples ").unwrap();
    let user = |id: &str| match id.parse().unwrap() {
        SampleId::Event { user, .. } => user,
        other => unreachable!("{other}"),
    };
    samples.split(' ').map(user).collect()
}

#[test]
fn shares_of_the_users_are_apart_and_together_all_of_them() {
    let share = |from, to| Some(UserShare { from, to });
    for stage in [0, 1] {
        let all = users(shop::recipe(), stage, None);
        assert_eq!(all.len(), 60, "stage {stage}");
        let (first, rest) = (
            users(shop::recipe(), stage, share(0.0, 0.3)),
            users(shop::recipe(), stage, share(0.3, 1.0)),
        );
        assert_eq!((first.len(), rest.len()), (18, 42), "stage {stage}");
        assert!(first.is_disjoint(&rest), "stage {stage}");
        assert_eq!(users(shop::recipe(), stage, share(0.0, 1.0)), all);
    }
}

#[test]
fn shares_that_are_none_are_refused() {
    for (from, to) in [(0.5, 0.5), (0.6, 0.2), (-0.1, 1.0), (0.0, 1.1), (0.0, f64::NAN)] {
        let mut recipe = shop::recipe();
        recipe.stages[1].users = Some(UserShare { from, to });
        let error = recipe.check().unwrap_err().to_string();
        assert!(error.contains("stage.singer.users"), "{error}");
    }
}

#[test]
fn some_users_are_tested_by_models_with_and_without_what_they_knew() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path()).under("singer/language", dir.path());
    let kept = ["untrained", "sft", "sft-scratch"];
    shop.recipe.stages.retain(|stage| kept.contains(&stage.name.as_str()));
    let evaluate = &mut shop.recipe.evaluate;
    evaluate.compare_with = Vec::new();
    evaluate.users = NonZeroUsize::new(7);
    evaluate.descriptions = Some(EvaluateDescriptions { users: 3, budget: 6 });
    let kinds = vec![AbilityKind::Arithmetic, AbilityKind::Instructions];
    evaluate.exercises = Some(EvaluateExercises { count: 2, budget: 4, kinds });
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();
    let all = shop.split.test.samples().count();
    let asked = |outcome: &RunResult| outcome.tested.map(|tested| (tested.asked, tested.all));
    assert_eq!(asked(&outcome), Some((7, all)));
    assert!(outcome.report.rows().iter().all(|row| row.protocol.num_users == 7));
    let learned = outcome.shares().iter().any(|text| text.contains("SFT learned"));
    assert!(learned, "{:?}", outcome.shares());
    // Every stage answered the same exercises.
    let before: Vec<(Option<AbilityKind>, Option<&str>)> = outcome
        .exercises
        .iter()
        .map(|row| (row.kind, row.before.as_ref().map(|(label, _)| label.as_str())))
        .collect();
    let kinds = [Some(AbilityKind::Arithmetic), Some(AbilityKind::Instructions), None];
    let expected: Vec<_> = [None, Some("untrained"), None]
        .into_iter()
        .flat_map(|before| kinds.map(|kind| (kind, before)))
        .collect();
    assert_eq!(before, expected, "what begins at random has no start");
    // Another share of the test trains nothing again.
    shop.recipe.evaluate.users = NonZeroUsize::new(9);
    let mut trained = 0;
    shop.run(&out, &mut |_: &Record| trained += 1).unwrap();
    assert_eq!(trained, 0);
    assert_eq!(asked(&RunResult::read(&out).unwrap()), Some((9, all)));
}
