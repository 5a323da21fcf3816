//! Damaged and unfitting input: each error names what is wrong.

use std::fs;
use std::path::Path;

use sidereal_policy::{
    Constraint, Decoder, LanguageModel, PolicyError, SidTokenizer, TextEncoder, TokenBatch,
    Weights, read_safetensors, write_safetensors,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use tch::{Device, Kind, Tensor};

use crate::tiny;

/// A fresh checkpoint directory.
fn saved() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tiny::model(tiny::config(64, 2, false), 1).save(dir.path()).unwrap();
    dir
}

fn load(dir: &Path) -> PolicyError {
    Decoder::load(dir, Device::Cpu).unwrap_err()
}

fn with_weights(change: impl FnOnce(&mut Weights)) -> PolicyError {
    let dir = saved();
    let path = dir.path().join("model.safetensors");
    let mut weights = read_safetensors(&path).unwrap();
    change(&mut weights);
    write_safetensors(&path, &weights).unwrap();
    load(dir.path())
}

fn with_config(field: &str, value: serde_json::Value) -> PolicyError {
    let dir = saved();
    let path = dir.path().join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(&path, config.to_string()).unwrap();
    load(dir.path())
}

#[test]
fn weights_that_cannot_be_written_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("model.safetensors");
    fs::create_dir(&taken).unwrap();
    let weights = Weights::from([("w".into(), Tensor::ones([2], (Kind::Float, Device::Cpu)))]);
    let refused = write_safetensors(&taken, &weights);
    assert!(matches!(refused, Err(PolicyError::Io { path, .. }) if path == taken));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_tensor_is_named() {
    const NAME: &str = "model.layers.1.self_attn.q_norm.weight";
    let error = with_weights(|w| drop(w.remove(NAME)));
    assert!(matches!(&error, PolicyError::MissingTensor { name, .. } if name == NAME), "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    const NAME: &str = "model.layers.0.mlp.up_proj.weight";
    let error = with_weights(|w| drop(w.insert(NAME.into(), w[NAME].tr())));
    let text = error.to_string();
    assert!(
        text.contains(NAME) && text.contains("[16, 24]") && text.contains("[24, 16]"),
        "{text}"
    );
}

#[test]
fn an_unknown_tensor_is_named() {
    let extra = Tensor::zeros([2], (Kind::Float, Device::Cpu));
    let error =
        with_weights(|w| drop(w.insert("model.layers.0.self_attn.q_proj.bias".into(), extra)));
    assert!(error.to_string().contains("q_proj.bias"), "{error}");
}

#[test]
fn truncated_and_absent_files_are_named() {
    let dir = saved();
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for len in [0, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = load(dir.path());
        assert!(matches!(error, PolicyError::TensorFile { .. }), "{len}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(load(dir.path()), PolicyError::Io { path: p, .. } if p == path));
    let config = dir.path().join("config.json");
    fs::write(&config, "{\"model_type\": ").unwrap();
    assert!(matches!(load(dir.path()), PolicyError::Json { path, .. } if path == config));
    fs::write(&config, "[]").unwrap();
    assert!(load(dir.path()).to_string().contains("model_type"));
    fs::remove_file(&config).unwrap();
    assert!(matches!(load(dir.path()), PolicyError::Io { path, .. } if path == config));
}

#[test]
fn damaged_and_incomplete_shards_are_named() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/llama3_sharded");
    let copy = || {
        let dir = tempfile::tempdir().unwrap();
        for file in fs::read_dir(&fixture).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
        }
        dir
    };
    let second = "model-00002-of-00003.safetensors";

    let dir = copy();
    let bytes = fs::read(dir.path().join(second)).unwrap();
    fs::write(dir.path().join(second), &bytes[..bytes.len() / 2]).unwrap();
    let error = load(dir.path());
    assert!(matches!(&error, PolicyError::TensorFile { .. }), "{error}");
    assert!(error.to_string().contains(second), "{error}");

    fs::remove_file(dir.path().join(second)).unwrap();
    assert!(load(dir.path()).to_string().contains(second));

    let dir = copy();
    let path = dir.path().join(second);
    let mut shard = read_safetensors(&path).unwrap();
    let lost = shard.keys().next().unwrap().clone();
    shard.remove(&lost);
    write_safetensors(&path, &shard).unwrap();
    let error = load(dir.path());
    assert!(
        matches!(&error, PolicyError::MissingTensor { path: p, name } if *name == lost && *p == path)
    );

    let dir = copy();
    let index = dir.path().join("model.safetensors.index.json");
    fs::write(&index, "{\"weight_map\": 3}").unwrap();
    assert!(matches!(load(dir.path()), PolicyError::Json { path, .. } if path == index));
}

#[test]
fn unsupported_settings_are_refused_by_name() {
    use serde_json::json;
    for (setting, value) in [
        ("model_type", json!("mistral")),
        ("hidden_act", json!("gelu")),
        ("mlp_bias", json!(true)),
        ("use_sliding_window", json!(true)),
        ("rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 })),
        ("layer_types", json!(["full_attention", "sliding_attention"])),
        ("quantization_config", json!({ "bits": 4 })),
        ("rope_parameters", json!({ "rope_type": "yarn", "rope_theta": 1e6 })),
        ("head_dim", json!(7)),
        ("num_key_value_heads", json!(3)),
        ("num_attention_heads", json!(0)),
        ("vocab_size", json!(u64::MAX)),
        ("num_hidden_layers", json!(1u64 << 40)),
        ("rms_norm_eps", json!(-1.0)),
        ("rope_theta", json!(0.0)),
    ] {
        let error = with_config(setting, value);
        let named =
            matches!(&error, PolicyError::Unsupported { field, .. } if field.starts_with(setting));
        assert!(named, "{setting}: {error}");
    }
    let error = with_config("hidden_size", json!("wide"));
    assert!(matches!(error, PolicyError::Json { .. }), "{error}");
    // More layers than the file has.
    let error = with_config("num_hidden_layers", json!(3));
    assert!(error.to_string().contains("model.layers.2."), "{error}");
}

#[test]
fn a_prompt_over_the_limit_is_named_by_row() {
    let rows = [vec![1, 2], vec![1, 2, 3, 4]];
    let error = TokenBatch::new(&rows, 0, 3, Device::Cpu).unwrap_err();
    let expected = matches!(error, PolicyError::PromptLength { row: 1, found: 4, limit: 3 });
    assert!(expected, "{error}");
    let none: [Vec<u32>; 0] = [];
    for rows in [&none[..], &[vec![], vec![]], &[vec![1], vec![]]] {
        let error = TokenBatch::new(rows, 0, 3, Device::Cpu).unwrap_err();
        assert!(matches!(error, PolicyError::Empty { .. }), "{error}");
    }
}

#[test]
fn malformed_batches_and_unknown_ids_are_errors() {
    let model = tiny::model(tiny::config(64, 2, true), 1);
    let int = (Kind::Int64, Device::Cpu);
    for (ids, lens) in [([4].as_slice(), 4), (&[2, 3], 3), (&[2, 3, 1], 2)] {
        let batch = TokenBatch { ids: Tensor::ones(ids, int), lens: Tensor::ones([lens], int) };
        assert!(matches!(model.forward(&batch, 0.0), Err(PolicyError::Size { .. })), "{ids:?}");
        assert!(matches!(model.prefill(&batch, &[0; 2]), Err(PolicyError::Size { .. })), "{ids:?}");
    }
    let uneven = model.prefill(&tiny::batch(&[vec![1], vec![2]]), &[0]);
    assert!(matches!(uneven, Err(PolicyError::Size { found: 1, expected: 2, .. })));
    assert!(model.forward(&tiny::batch(&[vec![64]]), 0.0).is_err(), "ids end at 63");
}

#[test]
fn a_tokenizer_without_codes_names_the_first_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    let small = SidSpec::new(vec![2, 2], 0).unwrap();
    SidTokenizer::train(["a b"].iter(), 260, &small).unwrap().save(dir.path()).unwrap();
    let deeper = SidSpec::new(vec![2, 2, 2], 0).unwrap();
    let error = SidTokenizer::load(dir.path(), &deeper).unwrap_err();
    assert!(matches!(&error, PolicyError::MissingToken { token } if token == "<c_0>"), "{error}");
    fs::write(dir.path().join("tokenizer.json"), "{\"version\": ").unwrap();
    let error = SidTokenizer::load(dir.path(), &small).unwrap_err();
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_catalogue_of_another_spec_and_a_small_vocabulary_are_refused() {
    let tokenizer = tiny::tokenizer(&tiny::catalog());
    let spec = SidSpec::new(vec![5, 5], 0).unwrap();
    let other = Catalog::new(spec, vec![SemanticId::from([0, 1])]).unwrap();
    let error = Constraint::new(&other, &tokenizer, Device::Cpu).unwrap_err();
    assert!(matches!(error, PolicyError::Size { found: 10, expected: 14, .. }), "{error}");

    let size = tokenizer.vocab_size();
    let fits = |rows| tiny::model(tiny::config(rows, 2, true), 1).check_vocabulary(&tokenizer);
    assert!(fits(size).is_ok() && fits(size + 5).is_ok());
    let error = fits(size - 1).unwrap_err();
    assert!(matches!(error, PolicyError::Vocabulary { tokenizer, .. } if tokenizer == size));
}

#[test]
fn a_folder_without_an_encoder_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = TextEncoder::load(dir.path(), Device::Cpu).unwrap_err();
    assert!(matches!(error, PolicyError::Io { .. }), "{error}");
    let config = serde_json::json!({
        "model_type": "roberta", "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 8,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 8, "num_attention_heads": 2,
        "num_hidden_layers": 1, "type_vocab_size": 2, "vocab_size": 10
    });
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let error = TextEncoder::load(dir.path(), Device::Cpu).unwrap_err();
    assert!(matches!(error, PolicyError::Unsupported { field: "model_type", .. }), "{error}");
}
