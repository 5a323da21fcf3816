//! Policies whose kind only their folder tells.

use std::fs;

use sidereal_policy::{
    AnyPolicy, Decoder, LanguageModel, Lora, LoraConfig, Policy, PolicyError, PolicyKind, T5,
    Trainable,
};
use tch::Device;

use crate::parity::fixture;
use crate::tiny;

#[test]
fn a_folder_is_read_as_the_kind_that_it_holds() {
    let kinds = [
        ("qwen2", PolicyKind::Decoder),
        ("qwen3_tied", PolicyKind::Decoder),
        ("llama3_sharded", PolicyKind::Decoder),
        ("t5_relu_tied", PolicyKind::T5),
        ("t5_gated_untied", PolicyKind::T5),
    ];
    for (name, kind) in kinds {
        assert_eq!(PolicyKind::of(&fixture(name)).unwrap(), kind, "{name}");
        let policy = AnyPolicy::load(&fixture(name), Device::Cpu).unwrap();
        assert_eq!(policy.kind(), kind, "{name}");
        let matches = match &policy {
            AnyPolicy::Decoder(_) => kind == PolicyKind::Decoder,
            AnyPolicy::T5(_) => kind == PolicyKind::T5,
            _ => false,
        };
        assert!(matches, "{name}");
    }
    for kind in PolicyKind::ALL {
        let json = serde_json::json!(kind.name());
        assert_eq!(serde_json::to_value(kind).unwrap(), json);
        assert_eq!(serde_json::from_value::<PolicyKind>(json).unwrap(), kind);
    }
}

#[test]
fn a_folder_of_another_kind_is_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (config, found) in
        [(r#"{"model_type": "gpt2"}"#, "\"gpt2\""), (r#"{"n_layer": 2}"#, "`model_type` is null")]
    {
        fs::write(dir.path().join("config.json"), config).unwrap();
        let error = AnyPolicy::load(dir.path(), Device::Cpu).unwrap_err();
        assert!(matches!(error, PolicyError::UnknownKind { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(found) && text.contains("qwen2, qwen3, llama, t5"), "{text}");
    }
    fs::remove_file(dir.path().join("config.json")).unwrap();
    let error = AnyPolicy::load(dir.path(), Device::Cpu).unwrap_err();
    assert!(matches!(error, PolicyError::Io { .. }), "{error}");
}

#[test]
fn a_policy_of_any_kind_does_what_the_one_within_does() {
    let prompts = [vec![5, 9, 2], vec![7, 1, 1, 3]];
    for name in ["qwen3_tied", "t5_relu_tied"] {
        let dir = fixture(name);
        let any = AnyPolicy::load(&dir, Device::Cpu).unwrap();
        let first =
            |model: &dyn LanguageModel| model.prefill(&tiny::batch(&prompts), &[0, 1]).unwrap().0;
        let (alone, room) = if name == "qwen3_tied" {
            let model = Decoder::load(&dir, Device::Cpu).unwrap();
            (first(&model), model.longest_prompt(3))
        } else {
            let model = T5::load(&dir, Device::Cpu).unwrap();
            (first(&model), model.longest_prompt(3))
        };
        assert!(tiny::difference(&first(any.language_model().unwrap()), &alone) == 0.0, "{name}");
        assert_eq!(any.longest_prompt(3), room, "{name}");

        let out = tempfile::tempdir().unwrap();
        any.save(out.path()).unwrap();
        let back = <AnyPolicy as Trainable>::load(out.path(), Device::Cpu).unwrap();
        assert_eq!((back.kind(), back.num_parameters()), (any.kind(), any.num_parameters()));
        let copy = back.frozen_copy().unwrap();
        assert!(tiny::difference(&first(copy.language_model().unwrap()), &alone) == 0.0, "{name}");

        let lora = Lora::try_from(LoraConfig { rank: 2, ..LoraConfig::default() }).unwrap();
        let adapted = back.with_lora(&lora, 1);
        assert_eq!(adapted.is_ok(), any.kind().has_adapters(), "{name}");
    }
}

#[test]
fn a_tokenizer_with_more_tokens_than_rows_is_refused() {
    let (_, tokenizer) = tiny::constraint(&tiny::catalog());
    for name in ["qwen3_tied", "t5_relu_tied"] {
        let policy = AnyPolicy::load(&fixture(name), Device::Cpu).unwrap();
        let rows = policy.weights()[policy.embedding_names()[0]].size()[0];
        let fits = i64::try_from(tokenizer.vocab_size()).unwrap() <= rows;
        assert_eq!(policy.check_vocabulary(&tokenizer).is_ok(), fits, "{name}");
        assert!(!fits, "{name}: the fixture has few rows");
    }
}
