//! Weights of other people's folders: heads beside a tied embedding, names with and without a prefix,
//! tensors that no model reads, other formats. That a folder is computed right under its usual names
//! is what the tests against transformers say.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sidereal_policy::{
    Decoder, LanguageModel, PolicyError, T5, TextEncoder, VocabularyExtension, extend_pretrained,
};
use sidereal_sid::SidSpec;
use tch::{Device, Kind, Tensor};

use crate::folders::{copy, edit, edit_weights, edited, json, rename, weights};
use crate::parity::fixture;
use crate::{t5, tiny};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

fn logits(model: &dyn LanguageModel) -> Tensor {
    let prompts = tiny::batch(&[vec![1, 2, 3, 4, 5], vec![9]]);
    let (hidden, _) = model.prefill(&prompts, &[0, 0]).unwrap();
    model.head().logits(&hidden).unwrap()
}

fn decoder(dir: &Path) -> Decoder {
    Decoder::load(dir, Device::Cpu).unwrap()
}

fn refused(dir: &Path) -> PolicyError {
    Decoder::load(dir, Device::Cpu).unwrap_err()
}

fn t5_of(dir: &Path) -> T5 {
    T5::load(dir, Device::Cpu).unwrap()
}

/// A head that is not the embedding.
fn other(table: &Tensor) -> Tensor {
    table.flip([0]) * 0.7 + 0.1
}

fn says_tied(dir: &Path, tied: bool) {
    edit(dir, "config.json", |config| config["tie_word_embeddings"] = json!(tied));
}

#[test]
fn a_head_of_its_own_is_used_although_the_configuration_ties_it() {
    let dir = copy("qwen3_tied");
    edit_weights(dir.path(), |all| drop(all.insert(HEAD.into(), other(&all[EMBEDDING]))));
    let found = decoder(dir.path());
    assert!(!found.config().tie_word_embeddings);
    let ours = logits(&found);
    says_tied(dir.path(), false);
    assert!(tiny::difference(&ours, &logits(&decoder(dir.path()))) == 0.0);
    assert!(tiny::difference(&ours, &logits(&decoder(&fixture("qwen3_tied")))) > 0.1);

    // What is written says so itself.
    let out = tempfile::tempdir().unwrap();
    found.save(out.path()).unwrap();
    assert_eq!(json(out.path(), "config.json")["tie_word_embeddings"], false);
    assert!(tiny::difference(&ours, &logits(&decoder(out.path()))) == 0.0);
}

#[test]
fn a_head_that_repeats_the_tied_embedding_is_the_embedding() {
    let dir = copy("qwen3_tied");
    edit_weights(dir.path(), |all| drop(all.insert(HEAD.into(), all[EMBEDDING].copy())));
    let model = decoder(dir.path());
    assert!(model.config().tie_word_embeddings && !model.weights().contains_key(HEAD));
    assert!(tiny::difference(&logits(&model), &logits(&decoder(&fixture("qwen3_tied")))) == 0.0);
}

#[test]
fn an_extended_checkpoint_keeps_a_separate_head_despite_tying() {
    let spec = SidSpec::new(vec![4, 4], 0).unwrap();
    let how = VocabularyExtension::default();
    for (base, table) in [("base_qwen", EMBEDDING), ("base_t5", "shared.weight")] {
        let dir = copy(base);
        edit_weights(dir.path(), |all| drop(all.insert(HEAD.into(), other(&all[table]))));
        // T5's default ties them too.
        if base == "base_t5" {
            edit(dir.path(), "config.json", |config| {
                let config = config.as_object_mut().unwrap();
                config.remove("tie_word_embeddings");
                config.remove("scale_decoder_outputs");
            });
        }
        let out = tempfile::tempdir().unwrap();
        let tokenizer = extend_pretrained(dir.path(), &spec, &how, out.path()).unwrap();
        assert_eq!(json(out.path(), "config.json")["tie_word_embeddings"], false, "{base}");
        let known = i64::try_from(tokenizer.vocab_size() - 8).unwrap();
        let (before, after) = if base == "base_t5" {
            (logits(&t5_of(dir.path())), logits(&t5_of(out.path())))
        } else {
            (logits(&decoder(dir.path())), logits(&decoder(out.path())))
        };
        let difference = tiny::difference(&before.narrow(1, 0, known), &after.narrow(1, 0, known));
        assert!(difference < 1e-6, "{base}: {difference}");

        // A head that only repeats the embedding is left out as before.
        edit_weights(dir.path(), |all| drop(all.insert(HEAD.into(), all[table].copy())));
        let out = tempfile::tempdir().unwrap();
        extend_pretrained(dir.path(), &spec, &how, out.path()).unwrap();
        assert!(!weights(out.path()).contains_key(HEAD), "{base}");
    }
}

#[test]
fn names_of_a_body_alone_are_read_and_extended() {
    let dir = copy("base_qwen");
    rename(dir.path(), |name| name.strip_prefix("model.").unwrap_or(name).to_owned());
    let expected = logits(&decoder(&fixture("base_qwen")));
    assert!(tiny::difference(&logits(&decoder(dir.path())), &expected) == 0.0);
    let out = tempfile::tempdir().unwrap();
    let spec = SidSpec::new(vec![4, 4], 0).unwrap();
    extend_pretrained(dir.path(), &spec, &VocabularyExtension::default(), out.path()).unwrap();
    let after = logits(&decoder(out.path())).narrow(1, 0, 303);
    assert!(tiny::difference(&after, &expected.narrow(1, 0, 303)) < 1e-6);

    // A body has no head: a configuration that asks for one is told so.
    says_tied(dir.path(), false);
    assert!(matches!(refused(dir.path()), PolicyError::MissingTensor { name, .. } if name == HEAD));
    // A prefix that is not one of ours is not guessed.
    rename(dir.path(), |name| format!("module.{name}"));
    assert!(matches!(refused(dir.path()), PolicyError::MissingTensor { .. }));
}

#[test]
fn a_t5_with_another_name_for_its_embedding_is_read() {
    let answers = [vec![3, 1], vec![5]];
    let prompts = [vec![1, 2, 3, 4, 5], vec![9]];
    let of = |dir: &Path| t5::logits(&t5_of(dir), &prompts, &answers);
    let expected = of(&fixture("t5_gated_untied"));
    let copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
    for names in [&copies[..1], &copies[1..], &copies] {
        let dir = copy("t5_gated_untied");
        edit_weights(dir.path(), |all| {
            let shared = all.remove("shared.weight").unwrap();
            for name in names {
                all.insert((*name).to_owned(), shared.copy());
            }
        });
        assert_eq!(of(dir.path()), expected, "{names:?}");
    }
    for name in copies {
        let dir = copy("t5_gated_untied");
        edit_weights(dir.path(), |all| drop(all.insert(name.into(), other(&all["shared.weight"]))));
        let error = T5::load(dir.path(), Device::Cpu).unwrap_err();
        let named = matches!(&error, PolicyError::OtherEmbedding { name: n, .. } if n == name);
        assert!(named, "{error}");
    }
}

#[test]
fn tensors_that_no_model_reads_are_refused_by_name() {
    let extra = |name: &'static str| {
        move |all: &mut sidereal_policy::Weights| {
            all.insert(name.to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
        }
    };
    for (base, name) in [
        ("llama_biased", "model.layers.0.self_attn.q_norm.weight"),
        ("qwen3_tied", "model.layers.0.self_attn.q_proj.bias"),
        ("qwen2", "model.layers.1.mlp.gate_proj.bias"),
        ("qwen3_untied", "lm_head.bias"),
    ] {
        let dir = copy(base);
        edit_weights(dir.path(), extra(name));
        let error = refused(dir.path());
        assert!(
            matches!(&error, PolicyError::UnknownTensor { name: n, .. } if n == name),
            "{error}"
        );
    }
    let dir = copy("t5_relu_tied");
    let name = "decoder.block.0.layer.0.SelfAttention.q.bias";
    edit_weights(dir.path(), extra(name));
    let error = T5::load(dir.path(), Device::Cpu).unwrap_err();
    assert!(matches!(&error, PolicyError::UnknownTensor { name: n, .. } if n == name), "{error}");
}

#[test]
fn rotary_positions_of_a_part_of_each_head_are_refused() {
    let top = edited("qwen2", "config.json", |file| file["partial_rotary_factor"] = json!(0.5));
    let nested = edited("base_llama3", "config.json", |file| {
        file["rope_parameters"]["partial_rotary_factor"] = json!(0.5);
    });
    for dir in [top, nested] {
        let error = refused(dir.path());
        assert!(error.to_string().contains("partial_rotary_factor"), "{error}");
    }
    let whole = edited("qwen2", "config.json", |file| file["partial_rotary_factor"] = json!(1.0));
    decoder(whole.path());
}

#[test]
fn a_folder_of_another_format_says_what_it_holds() {
    for (file, hidden) in [
        ("pytorch_model.bin", None),
        ("adapter_model.safetensors", Some("qwen3_tied")),
        ("consolidated.00.pth", Some("qwen3_tied")),
    ] {
        let dir = copy(hidden.unwrap_or("base_qwen"));
        fs::rename(dir.path().join("model.safetensors"), dir.path().join(file)).unwrap();
        let error = refused(dir.path());
        assert!(matches!(&error, PolicyError::NoSafetensors { found, .. } if found == file));
        assert!(error.to_string().contains("save_pretrained"), "{error}");
        if hidden.is_none() {
            let (out, how) = (tempfile::tempdir().unwrap(), VocabularyExtension::default());
            let spec = SidSpec::new(vec![4, 4], 0).unwrap();
            let error = extend_pretrained(dir.path(), &spec, &how, out.path()).unwrap_err();
            assert!(matches!(&error, PolicyError::NoSafetensors { .. }), "{error}");
        }
    }
}

/// A random BERT under its usual names, with a byte-level tokenizer.
fn bert() -> tempfile::TempDir {
    let dir = copy("base_qwen");
    let config = json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "intermediate_size": 12,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 16, "num_attention_heads": 2,
        "num_hidden_layers": 2, "type_vocab_size": 2, "vocab_size": 303,
    });
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    tch::manual_seed(3);
    edit_weights(dir.path(), |all| {
        all.clear();
        let mut add = |name: String, shape: &[i64]| {
            all.insert(name, Tensor::randn(shape, (Kind::Float, Device::Cpu)));
        };
        for (part, rows) in [("word", 303), ("position", 16), ("token_type", 2)] {
            add(format!("embeddings.{part}_embeddings.weight"), &[rows, 8]);
        }
        let mut pair = |name: String, shape: &[i64]| {
            add(format!("{name}.weight"), shape);
            add(format!("{name}.bias"), &shape[..1]);
        };
        pair("embeddings.LayerNorm".into(), &[8]);
        for layer in 0..2 {
            let at = |part: &str| format!("encoder.layer.{layer}.{part}");
            for part in ["self.query", "self.key", "self.value", "output.dense"] {
                pair(at(&format!("attention.{part}")), &[8, 8]);
            }
            pair(at("attention.output.LayerNorm"), &[8]);
            pair(at("intermediate.dense"), &[12, 8]);
            pair(at("output.dense"), &[8, 12]);
            pair(at("output.LayerNorm"), &[8]);
        }
    });
    dir
}

fn vector(dir: &Path) -> Vec<f32> {
    let encoder = TextEncoder::load(dir, Device::Cpu).unwrap();
    encoder.encode(&["a red lipstick"], 1, |_| ()).unwrap().into_raw_vec_and_offset().0
}

type Naming = fn(&str) -> String;

fn old_norms(name: &str) -> String {
    name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
}

#[test]
fn a_bert_is_read_under_each_of_its_names() {
    let expected = vector(bert().path());
    let renamings: [(&str, Naming); 5] = [
        ("prefix", |name| format!("bert.{name}")),
        ("old norms", old_norms),
        ("both", |name| format!("bert.{}", old_norms(name))),
        ("wrapped", |name| format!("0.auto_model.{name}")),
        ("wrapped with a prefix", |name| format!("0.auto_model.bert.{name}")),
    ];
    for (what, name) in renamings {
        let dir = bert();
        rename(dir.path(), name);
        assert_eq!(vector(dir.path()), expected, "{what}");
    }
}

#[test]
fn heads_over_a_bert_and_its_stored_positions_take_no_part() {
    let expected = vector(bert().path());
    let dir = bert();
    rename(dir.path(), |name| format!("bert.{name}"));
    edit_weights(dir.path(), |all| {
        let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        for name in ["cls.predictions.bias", "cls.predictions.transform.LayerNorm.gamma"] {
            all.insert(name.to_owned(), ones(&[8]));
        }
        all.insert("bert.pooler.dense.weight".to_owned(), ones(&[8, 8]));
        let positions = Tensor::arange(16, (Kind::Int64, Device::Cpu));
        all.insert("bert.embeddings.position_ids".to_owned(), positions);
    });
    assert_eq!(vector(dir.path()), expected);
    // Within the body nothing is left out.
    let name = "bert.encoder.layer.0.attention.self.distance_embedding.weight";
    edit_weights(dir.path(), |all| {
        drop(all.insert(name.into(), Tensor::zeros([2], (Kind::Float, Device::Cpu))));
    });
    let error = TextEncoder::load(dir.path(), Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("distance_embedding"), "{error}");
}

#[test]
fn a_bert_may_be_sharded() {
    let expected = vector(bert().path());
    let dir = bert();
    let (mut first, mut second) = (weights(dir.path()), weights(dir.path()));
    first.retain(|name, _| name.starts_with("embeddings."));
    second.retain(|name, _| !name.starts_with("embeddings."));
    let mut index = serde_json::Map::new();
    for (file, part) in [("model-1.safetensors", &first), ("model-2.safetensors", &second)] {
        sidereal_policy::write_safetensors(&dir.path().join(file), part).unwrap();
        index.extend(part.keys().map(|name| (name.clone(), json!(file))));
    }
    let index = json!({ "weight_map": index }).to_string();
    fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert_eq!(vector(dir.path()), expected);
}

#[test]
fn encoders_of_other_families_are_told_which_are_read() {
    for family in ["roberta", "xlm-roberta", "mpnet", "distilbert", "t5"] {
        let dir = bert();
        edit(dir.path(), "config.json", |config| config["model_type"] = json!(family));
        let error = TextEncoder::load(dir.path(), Device::Cpu).unwrap_err().to_string();
        let named = ["bert, ", "qwen2", "qwen3", "llama", family].iter().all(|n| error.contains(n));
        assert!(named, "{error}");
    }
    let refused: [(&str, Value); 2] =
        [("position_embedding_type", json!("relative_key")), ("is_decoder", json!(true))];
    for (field, value) in refused {
        let dir = bert();
        edit(dir.path(), "config.json", |config| config[field] = value);
        let error = TextEncoder::load(dir.path(), Device::Cpu).unwrap_err();
        assert!(matches!(&error, PolicyError::Unsupported { field: f, .. } if *f == field));
    }
}

#[test]
fn sentence_vectors_of_a_decoder_need_no_head() {
    let expected = vector(&fixture("qwen3_encoder"));
    let dir = copy("qwen3_encoder");
    edit_weights(dir.path(), |all| {
        let name = all.keys().find(|name| name.ends_with("embed_tokens.weight")).unwrap().clone();
        all.insert(HEAD.into(), other(&all[&name]));
    });
    // The folder's pooling stands in a folder of its own.
    fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    let pooling = fixture("qwen3_encoder").join("1_Pooling/config.json");
    fs::copy(pooling, dir.path().join("1_Pooling/config.json")).unwrap();
    assert_eq!(vector(dir.path()), expected);
}
