//! Stages that learn from a share of the users.

use std::collections::BTreeSet;

use sidereal::data::{SampleId, UserId};
use sidereal::lab::{Recipe, Training, UserShare};
use sidereal::train::{Record, RlConfig};
use tempfile::TempDir;

use crate::pipeline::run;
use crate::shop;

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
