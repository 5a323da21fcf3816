//! Checks that trainings fit the kind of policy.

use std::num::NonZeroUsize;

use sidereal_policy::PolicyKind;
use sidereal_prompts::Task;
use sidereal_train::{Embeddings, Layers, RlConfig, RolloutConfig, SftConfig, TrainableConfig};

use crate::error::LabError;
use crate::pool_task::is_by_head;
use crate::recipe::compute::Compute;
use crate::recipe::learned::tasks_of;
use crate::recipe::stage::{Stage, Training};
use crate::setting::of_stage;

/// Accepts stages that train what a policy of this kind can learn.
pub(crate) fn check(kind: PolicyKind, stages: &[Stage], compute: Compute) -> Result<(), LabError> {
    if compute != Compute::F32 && !kind.has_compute_kinds() {
        let (field, found) = ("compute".to_owned(), format!("{compute:?}"));
        let needed = "`f32`: a model of the kind `item` computes in the type of its weights";
        return Err(LabError::Setting { field, found, needed });
    }
    stages.iter().try_for_each(|stage| of_stage(&stage.name, check_stage(kind, stage)))
}

/// A setting that does not fit: its field, its value, and what is needed.
type Unfit = (&'static str, String, &'static str);

fn check_stage(kind: PolicyKind, stage: &Stage) -> Result<(), LabError> {
    let table = stage.training.table();
    if let Some((field, found, needed)) = in_kind(kind, stage) {
        return Err(LabError::Setting { field: field.to_owned(), found, needed });
    }
    let unfit = match &stage.training {
        Training::Sft(config) => in_sft(kind, config),
        Training::Rl { config, .. } => in_rl(kind, config),
        Training::NextItem(_)
        | Training::Preference(_)
        | Training::ItemHead(_)
        | Training::Untrained(_) => None,
    };
    let unfit = unfit.or_else(|| trainable(&stage.training).and_then(|it| in_trainable(kind, it)));
    if let Some((field, found, needed)) = unfit {
        return Err(LabError::Setting { field: format!("{table}.{field}"), found, needed });
    }
    if !kind.reasons() && tasks_of(stage).any(|task| task == Task::Reasoning) {
        let (field, found) = (format!("{table}.mixture.tasks"), "with `reasoning`".to_owned());
        return Err(LabError::Setting { field, found, needed: ANSWERS_AT_ONCE });
    }
    Ok(())
}

const ANSWERS_AT_ONCE: &str = "nothing of the kind: this model does not reason, it answers at once";

/// What a policy that reads items cannot do, and what only it can do.
fn in_kind(kind: PolicyKind, stage: &Stage) -> Option<Unfit> {
    let first = stage.tree == NonZeroUsize::MIN;
    match (kind.reads_items(), &stage.training) {
        (true, Training::Sft(_)) => Some((
            "sft",
            "a table".to_owned(),
            "`next_item`: a model of the kind `item` reads no words and learns next items alone",
        )),
        (false, Training::NextItem(_)) => {
            Some(("next_item", "a table".to_owned(), "`sft`: this kind of model reads words"))
        }
        (true, _) if stage.task != Task::NextItem => {
            let needed = "`next-item`: a model of the kind `item` writes no titles and no slates";
            Some(("task", format!("`{}`", stage.task), needed))
        }
        (false, _) if is_by_head(stage.task) && !kind.reasons() => {
            let needed = "another task: a recommendation head reads the states of a decoder";
            Some(("task", format!("`{}`", stage.task), needed))
        }
        (false, _) if !first => {
            let needed = "1: a model that reads words has one tokenizer, of one tree";
            Some(("tree", stage.tree.to_string(), needed))
        }
        _ => None,
    }
}

fn in_rl(kind: PolicyKind, config: &RlConfig) -> Option<Unfit> {
    if config.reasoning.is_some() && !kind.reasons() {
        return Some(("reasoning", "a table".to_owned(), ANSWERS_AT_ONCE));
    }
    if kind.reads_items() && !config.alignment.is_empty() {
        let needed = "no value: a model of the kind `item` reads no texts";
        return Some(("alignment", "a list".to_owned(), needed));
    }
    if !kind.knows_all_answers() {
        if config.rollout == RolloutConfig::Exact {
            let needed =
                "rollouts: only a model of the kind `item` gives the probabilities of all items";
            return Some(("rollout", "`exact`".to_owned(), needed));
        }
        if config.exact_log {
            let needed =
                "`false`: only a model of the kind `item` gives the probabilities of all items";
            return Some(("exact_log", "true".to_owned(), needed));
        }
    }
    None
}

const fn trainable(training: &Training) -> Option<&TrainableConfig> {
    match training {
        Training::NextItem(_) | Training::Untrained(_) => None,
        Training::Sft(config) => Some(&config.trainable),
        Training::Rl { config, .. } => Some(&config.trainable),
        Training::Preference(config) => Some(&config.trainable),
        Training::ItemHead(config) => Some(&config.trainable),
    }
}

fn in_trainable(kind: PolicyKind, config: &TrainableConfig) -> Option<Unfit> {
    match (&config.layers, config.embeddings) {
        (Layers::Lora(_), _) if !kind.has_adapters() => {
            let needed = "`all` or `frozen`: this kind of model has no low-rank adapters";
            Some(("trainable.layers", "`lora`".to_owned(), needed))
        }
        (Layers::Upper(_), _) if !kind.trains_in_part() => {
            let needed = "`all` or `frozen`: this kind of model is trained in all its layers";
            Some(("trainable.layers", "`upper`".to_owned(), needed))
        }
        (_, Embeddings::CodeOutputs) if !kind.trains_in_part() => {
            let needed =
                "`all`, `codes` or `frozen`: this kind of model trains no rows of its head alone";
            Some(("trainable.embeddings", "`code_outputs`".to_owned(), needed))
        }
        (Layers::Upper(0), _) => {
            Some(("trainable.layers", "`upper = 0`".to_owned(), "at least one layer"))
        }
        _ => None,
    }
}

fn in_sft(kind: PolicyKind, config: &SftConfig) -> Option<Unfit> {
    if config.recompute && !kind.recomputes() {
        let needed = "`false`: this kind of model computes no layer again";
        return Some(("recompute", "true".to_owned(), needed));
    }
    if !config.augment.is_off() && !kind.folds_samples() {
        let needed = "left out: histories are varied whole, and this kind of model learns their items \
                      one by one";
        return Some(("augment", format!("{:?}", config.augment), needed));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Recipe;

    const HEAD: &str = "seed = 1\nmax_history = 5\ntokenizer = { pieces = 300 }\n\
        evaluate = { beam_width = 1, batch_size = 1, valid_users = 1, resamples = 1 }\n";
    const T5: &str = "[model]\nkind = 't5'\nhidden_size = 16\nintermediate_size = 32\n\
        encoder_layers = 1\ndecoder_layers = 1\nheads = 2\nhead_dim = 8\n";
    const DECODER: &str = "[model]\nhidden_size = 16\nintermediate_size = 32\nlayers = 1\nheads = 2\n\
        key_value_heads = 1\nhead_dim = 8\npositions = 64\n";
    const SFT: &str = "[[stage]]\nname = 'sft'\nsft = { dropout = 0.1 }\n";

    fn read(model: &str, stages: &str) -> Result<Recipe, String> {
        let told = |error: LabError| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            text
        };
        Recipe::parse(&format!("{HEAD}{model}{stages}"), Path::new("text")).map_err(told)
    }

    #[test]
    fn a_model_without_a_kind_is_a_decoder_and_is_written_as_before() {
        let kinds = [(DECODER, PolicyKind::Decoder), (T5, PolicyKind::T5)];
        for (model, kind) in kinds {
            let recipe = read(model, SFT).unwrap();
            assert_eq!(recipe.model.as_ref().unwrap().kind(), kind);
            let written = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::parse(&written, Path::new("text")).unwrap(), recipe, "{written}");
        }
        let json = r#"{"hidden_size":16,"intermediate_size":32,"layers":1,"heads":2,"key_value_heads":1,"head_dim":8,"positions":64}"#;
        let decoder = read(DECODER, SFT).unwrap().model.unwrap();
        // What stands for a model among the inputs of a part is a hash of this.
        assert_eq!(serde_json::to_string(&decoder).unwrap(), json);
        let named = read(&DECODER.replace("[model]", "[model]\nkind = 'decoder'"), SFT).unwrap();
        assert_eq!(named.model.unwrap(), decoder);
    }

    #[test]
    fn a_key_of_another_kind_is_named() {
        for (model, from, to, named) in [
            (T5, "head_dim", "positions = 64\nhead_dim", "unknown field `positions`"),
            (T5, "encoder_layers", "layers", "unknown field `layers`"),
            (DECODER, "positions", "max_distance = 9\npositions", "unknown field `max_distance`"),
            (DECODER, "positions = 64\n", "", "missing field `positions`"),
            (
                T5,
                "'t5'",
                "'gru'",
                "`kind`: unknown variant `gru`, expected one of `decoder`, `t5`, `item`",
            ),
            (T5, "heads = 2", "heads = 'two'", "`heads`: invalid type"),
            (T5, "heads = 2", "heads = 0", "`model.heads` is 0"),
            (T5, "heads = 2", "heads = 2\ndistance_buckets = 5", "`model.distance_buckets` is 5"),
            (T5, "heads = 2", "heads = 2\nmax_distance = 16", "`model.max_distance` is 16"),
            (DECODER, "layers = 1", "layers = 0", "`model.layers` is 0"),
        ] {
            let error = read(&model.replace(from, to), SFT).unwrap_err();
            assert!(error.contains(named) && error.contains("model"), "{to}: {error}");
        }
    }

    #[test]
    fn what_a_kind_cannot_do_is_refused_before_a_run_begins() {
        let sft = |settings: &str| SFT.replace("dropout = 0.1", settings);
        let stage =
            |settings: &str| format!("{SFT}[[stage]]\nname = 'next'\nfrom = 'sft'\n{settings}");
        let rl = |settings: &str| stage(&format!("reward = 'accuracy'\nrl = {{ {settings} }}\n"));
        let lora = "trainable.layers.lora = { rank = 2, alpha = 4.0 }";
        let upper = "trainable = { layers.upper = 1, embeddings = 'frozen' }";
        let outputs = "trainable = { layers = 'frozen', embeddings = 'code_outputs' }";
        for (stages, named) in [
            (sft("recompute = true"), "`stage.sft.sft.recompute` is true"),
            (sft("augment = { drop = 0.1 }"), "`stage.sft.sft.augment`"),
            (sft(lora), "`stage.sft.sft.trainable.layers` is `lora`"),
            (rl(lora), "`stage.next.rl.trainable.layers` is `lora`"),
            (
                stage(&format!("preference = {{ {lora} }}\n")),
                "`stage.next.preference.trainable.layers` is `lora`",
            ),
            (sft(upper), "`stage.sft.sft.trainable.layers` is `upper`"),
            (rl(outputs), "`stage.next.rl.trainable.embeddings` is `code_outputs`"),
            (rl("reasoning = { share = 0.5 }"), "`stage.next.rl.reasoning` is a table"),
            (
                sft("mixture = { tasks = ['next-item', 'reasoning'] }"),
                "`stage.sft.sft.mixture.tasks` is with `reasoning`",
            ),
        ] {
            let error = read(T5, &stages).unwrap_err();
            assert!(error.contains(named), "{stages}: {error}");
            read(DECODER, &stages).unwrap_or_else(|error| panic!("{stages}: {error}"));
        }
        for stages in [sft("dropout = 0.3"), rl(""), stage("preference = {}\n")] {
            read(T5, &stages).unwrap_or_else(|error| panic!("{stages}: {error}"));
        }
    }

    #[test]
    fn exact_expectations_are_refused_for_models_that_score_only_what_they_are_asked_for() {
        let stage = |settings: &str| {
            format!(
                "{SFT}[[stage]]\nname = 'next'\nfrom = 'sft'\nreward = 'accuracy'\n\
                 rl = {{ {settings} }}\n"
            )
        };
        for model in [T5, DECODER] {
            let error = read(model, &stage("rollout = 'exact'")).unwrap_err();
            assert!(error.contains("`stage.next.rl.rollout` is `exact`"), "{error}");
            let error = read(model, &stage("exact_log = true")).unwrap_err();
            assert!(error.contains("`stage.next.rl.exact_log` is true"), "{error}");
            assert!(read(model, &stage("exact_log = false")).is_ok());
        }
    }
}
