//! Low-rank adapters against the formula, merged weights and files.

use sidereal_policy::{Decoder, Lora, LoraConfig, PolicyError, read_safetensors};
use tch::{Device, Kind, Tensor};

use crate::naive::gradients;
use crate::parity::{Expected, fixture, largest_difference, logits_of_last};
use crate::tiny;

fn lora(modules: &[&str]) -> Lora {
    let target_modules = modules.iter().map(|name| (*name).to_owned()).collect();
    LoraConfig { rank: 3, alpha: 6.0, dropout: 0.0, target_modules }.try_into().unwrap()
}

/// A model with adapters that do something.
fn adapted(modules: &[&str]) -> Decoder {
    let model = tiny::model(tiny::config(300, 2, true), 4);
    let model = model.with_lora(&lora(modules), 9).unwrap();
    let _guard = tch::no_grad_guard();
    for (name, weight) in model.adapters() {
        if name.ends_with("lora_B.weight") {
            let _ = weight.shallow_clone().f_normal_(0.0, 0.4).unwrap();
        }
    }
    model
}

fn states(model: &Decoder) -> Tensor {
    let rows = [vec![7, 8, 9, 10], vec![70, 80, 90]];
    model.forward(&tiny::batch(&rows), 0.0).unwrap().get(0)
}

/// `tests/parity/lora.py`; leaves adapters and logits for its `--check`.
#[test]
fn adapters_of_peft_give_its_logits() {
    let base = || Decoder::load(&fixture("qwen3_tied"), Device::Cpu).unwrap();
    let dir = fixture("lora");
    let text = std::fs::read_to_string(dir.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let plain = logits_of_last(&base(), &expected.prompts, 3);
    assert!(largest_difference(&plain, &expected.logits_of_last) > 0.5, "adapters that matter");
    let model = base().with_adapters_of(&dir).unwrap();
    let _guard = tch::no_grad_guard();
    let ours = logits_of_last(&model, &expected.prompts, 3);
    let worst = largest_difference(&ours, &expected.logits_of_last);
    assert!(worst < 1e-4, "{worst}");

    let saved = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("saved_lora");
    model.save_adapters(&saved).unwrap();
    let text = serde_json::json!({ "prompts": expected.prompts, "logits_of_last": ours });
    std::fs::write(saved.join("expected.json"), text.to_string()).unwrap();
}

#[test]
fn a_fresh_adapter_changes_nothing_and_is_all_that_is_trained() {
    let plain = tiny::model(tiny::config(300, 2, true), 4);
    let before = states(&plain);
    let model = plain.with_lora(&Lora::try_from(LoraConfig::default()).unwrap(), 9).unwrap();
    assert!(tiny::difference(&states(&model), &before) < 1e-6);
    // Seven matrices in each of two layers, with two adapter matrices each.
    assert_eq!((model.adapters().len(), model.trained().len()), (28, 28));
    let again = tiny::model(tiny::config(300, 2, true), 4)
        .with_lora(&Lora::try_from(LoraConfig::default()).unwrap(), 9)
        .unwrap();
    for (name, matrix) in model.adapters() {
        assert!(tiny::difference(matrix, &again.adapters()[name]) == 0.0, "{name}");
    }
}

#[test]
fn merged_weights_compute_what_the_adapters_do() {
    let model = adapted(&["q_proj", "v_proj", "down_proj"]);
    let before = states(&model);
    assert_eq!(model.adapters().len(), 12);
    let frozen = model.frozen_copy().unwrap();
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let loaded = Decoder::load(dir.path(), Device::Cpu).unwrap();
    for merged in [frozen, loaded, model.merged().unwrap()] {
        assert!(merged.adapters().is_empty());
        assert!(tiny::difference(&states(&merged), &before) < 2e-5);
    }
}

#[test]
fn gradients_are_those_of_the_update_by_its_factors() {
    // dL/dB = scale · dL/dW · Aᵀ and dL/dA = scale · Bᵀ · dL/dW, with dL/dW of the merged model.
    let model = adapted(&["k_proj", "o_proj", "up_proj"]);
    let loss = |model: &Decoder| (states(model) * 1.3).sin().sum(Kind::Float);
    loss(&model).backward();
    assert!(model.weights().values().all(|weight| !weight.grad().defined()));
    let ours: Vec<(String, Tensor)> =
        model.adapters().iter().map(|(name, w)| (name.clone(), w.grad().copy())).collect();
    let merged = model.frozen_copy().unwrap().require_grad(true);
    let of_weights = gradients(&merged, &loss(&merged));
    for (name, found) in ours {
        let (module, which) = name.split_once(".lora_").unwrap();
        let weight = format!("{module}.weight");
        let d_weight = &of_weights.iter().find(|(name, _)| *name == weight).unwrap().1;
        let of = |which| &model.adapters()[&format!("{module}.lora_{which}.weight")];
        let expected = if which.starts_with('A') {
            of("B").detach().transpose(0, 1).matmul(d_weight)
        } else {
            d_weight.matmul(&of("A").detach().transpose(0, 1))
        } * 2.0;
        let size = f64::try_from(expected.abs().max()).unwrap();
        assert!(size > 1e-3, "{name}: a gradient that is there");
        assert!(tiny::difference(&found, &expected) < 1e-4 * (1.0 + size), "{name}");
    }
}

#[test]
fn adapters_come_back_from_their_files_and_others_are_refused_by_name() {
    let model = adapted(&["q_proj", "gate_proj"]);
    let dir = tempfile::tempdir().unwrap();
    model.save_adapters(dir.path()).unwrap();
    let names = read_safetensors(&dir.path().join("adapter_model.safetensors")).unwrap();
    assert!(names.contains_key("base_model.model.model.layers.1.mlp.gate_proj.lora_B.weight"));
    let plain = || tiny::model(tiny::config(300, 2, true), 4);
    let back = plain().with_adapters_of(dir.path()).unwrap();
    assert!(tiny::difference(&states(&back), &states(&model)) == 0.0);

    let other = tiny::model(tiny::config(300, 1, true), 4);
    let wide = tiny::model(
        sidereal_policy::DecoderConfig { intermediate_size: 20, ..other.config().clone() },
        4,
    );
    let error = wide.with_adapters_of(dir.path()).unwrap_err();
    assert!(matches!(&error, PolicyError::TensorShape { name, .. } if name.contains("gate_proj")));
    let path = dir.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, field) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora"),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias"),
        ("\"LORA\"", "\"IA3\"", "peft_type"),
    ] {
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let error = plain().with_adapters_of(dir.path()).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
    assert!(plain().save_adapters(dir.path()).is_err());
    assert!(model.require_grad(true).save_adapters(dir.path()).is_err());
}

#[test]
fn adapter_dropout_acts_where_gradients_are_recorded() {
    let settings = LoraConfig { dropout: 0.5, ..lora(&["q_proj"]).into() };
    let model = tiny::model(tiny::config(300, 2, true), 4);
    let model = model.with_lora(&settings.try_into().unwrap(), 9).unwrap();
    let adapters: Vec<Tensor> = model.adapters().values().map(Tensor::detach).collect();
    for mut matrix in adapters {
        let _ = matrix.f_normal_(0.0, 0.4).unwrap();
    }
    assert!(tiny::difference(&states(&model), &states(&model)) > 1e-3);
    let _guard = tch::no_grad_guard();
    assert!(tiny::difference(&states(&model), &states(&model)) == 0.0);
}
