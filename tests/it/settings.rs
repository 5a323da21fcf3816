//! Settings that cannot work, or would do nothing, are refused by name before a run writes anything.

use sidereal::lab::{EvaluateReasoning, RankedAfter, Recipe, TeacherConfig, Training};
use sidereal::rl::{Grpo, Surrogate, ZScore};
use sidereal::train::{
    AdvantageConfig, AnswerForm, ChainConfig, NamedReward, OptimConfig, Record, RewardConfig,
    RlConfig, SftConfig,
};

use crate::pipeline::run;
use crate::shop;

fn refused(change: impl FnOnce(&mut Recipe)) -> String {
    let mut recipe = shop::recipe();
    change(&mut recipe);
    recipe.check().unwrap_err().to_string()
}

fn sft(change: impl FnOnce(&mut SftConfig)) -> String {
    refused(|recipe| {
        let Training::Sft(config) = &mut recipe.stages[0].training else { unreachable!() };
        change(config);
    })
}

fn rl(change: impl FnOnce(&mut RlConfig, &mut RewardConfig)) -> String {
    refused(|recipe| {
        let Training::Rl { config, reward } = &mut recipe.stages[1].training else {
            unreachable!()
        };
        change(config, reward);
    })
}

#[test]
fn an_optimiser_outside_its_ranges_is_refused_by_field() {
    let optim = |change: fn(&mut OptimConfig)| sft(|config| change(&mut config.optim));
    for (error, field) in [
        (optim(|optim| optim.betas.0 = 1.0), "betas"),
        (optim(|optim| optim.betas.1 = -0.1), "betas"),
        (optim(|optim| optim.eps = 0.0), "eps"),
        (optim(|optim| optim.final_lr = -1.0), "final_lr"),
        (optim(|optim| optim.weight_decay = f64::NAN), "weight_decay"),
    ] {
        assert!(error.contains(&format!("stage.sft.sft.optim.{field}")), "{error}");
    }
    assert!(sft(|config| config.patience = 0).contains("sft.patience"));
    assert!(sft(|config| config.alignment_share = -0.5).contains("sft.alignment_share"));
}

#[test]
fn reinforcement_settings_without_effect_are_errors() {
    let one = NamedReward {
        name: "one".to_owned(),
        weight: f64::INFINITY,
        reward: RewardConfig::Accuracy,
    };
    for (error, field) in [
        (rl(|config, _| config.mini_batches = 9), "rl.mini_batches"),
        (
            rl(|config, _| {
                config.objective = Surrogate::Grpo(Grpo { kl: None, ..Grpo::default() });
                config.sync_reference_every = 5;
            }),
            "rl.sync_reference_every",
        ),
        (
            rl(|config, _| config.advantage = AdvantageConfig::Decoupled(ZScore::POPULATION)),
            "rl.advantage",
        ),
        (rl(|_, reward| *reward = RewardConfig::Objectives(Vec::new())), "reward.objectives"),
        (rl(|_, reward| *reward = RewardConfig::Objectives(vec![one])), "reward.objectives.weight"),
    ] {
        assert!(error.contains(&format!("stage.singer.{field}")), "{error}");
    }
}

#[test]
fn an_unused_teacher_and_a_reasoning_test_without_a_reasoning_stage_are_refused() {
    let error = refused(|recipe| recipe.texts.teacher = Some(TeacherConfig::Metadata));
    assert!(error.contains("texts.teacher"), "{error}");
    let reasoning = EvaluateReasoning {
        users: 2,
        chains: 2,
        beam_width: 2,
        chain: ChainConfig::default(),
        answer: AnswerForm::Constrained,
        ranking: RankedAfter::Merged,
    };
    let error = refused(|recipe| recipe.evaluate.reasoning = Some(reasoning));
    assert!(error.contains("evaluate.reasoning"), "{error}");
}

#[test]
fn an_unknown_system_in_compare_with_is_an_error_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = shop::dataset(dir.path());
    let mut recipe = shop::recipe();
    recipe.evaluate.compare_with = vec!["popularity".to_owned(), "SINGR".to_owned()];
    let out = dir.path().join("run");
    let error = run(&recipe, &dataset, &out, &mut |_: &Record| {}).unwrap_err().to_string();
    assert!(error.contains("evaluate.compare_with") && error.contains("SINGR"), "{error}");
    assert!(!out.exists());
}
