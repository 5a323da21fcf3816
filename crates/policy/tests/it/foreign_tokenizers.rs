//! Tokenizers of other people's folders: settings that change ids, the frame of a prompt, codes that
//! are there already. Expected ids are those of transformers in `tests/parity/base_*/expected.json`
//! (`tests/parity/vocabulary.py`).

use std::path::Path;

use serde_json::{Value, json};
use sidereal_policy::{PolicyError, SidTokenizer, VocabularyExtension, extend_pretrained};
use sidereal_sid::{SidSpec, TokenStyle};

use crate::folders::{copy, edit, edited, json, weights};
use crate::parity::fixture;
use crate::tiny;

const BASES: [&str; 3] = ["base_qwen", "base_llama3", "base_t5"];

fn spec() -> SidSpec {
    SidSpec::new(vec![4, 4], 0).unwrap()
}

/// Texts of a fixture with the ids that transformers gives them, alone and framed.
fn expected(base: &str) -> Vec<(String, Vec<u32>, Vec<u32>)> {
    let file = json(&fixture(base), "expected.json");
    let ids = |row: &Value, key: &str| serde_json::from_value(row[key].clone()).unwrap();
    let rows = file["texts"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["text"].as_str().unwrap().to_owned(), ids(row, "ids"), ids(row, "framed")))
        .collect()
}

fn extended(base: &Path) -> SidTokenizer {
    SidTokenizer::extend(base, &spec(), None).unwrap()
}

fn special(text: &str, id: u32) -> Value {
    json!({
        "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    })
}

#[test]
fn truncation_and_padding_that_a_script_left_are_neither_followed_nor_saved() {
    let truncation = json!({
        "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0
    });
    let padding = json!({
        "strategy": { "Fixed": 32 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "<pad>"
    });
    for base in BASES {
        for (key, setting) in [("truncation", &truncation), ("padding", &padding)] {
            let leave = |file: &mut Value| file[key] = setting.clone();
            let dir = edited(base, "tokenizer.json", leave);
            let out = tempfile::tempdir().unwrap();
            let how = VocabularyExtension::default();
            extend_pretrained(dir.path(), &spec(), &how, out.path()).unwrap();
            assert_eq!(json(out.path(), "tokenizer.json")[key], Value::Null, "{base}: saved");
            // A script that trained the extended checkpoint may leave them too.
            edit(out.path(), "tokenizer.json", leave);
            let loaded = SidTokenizer::load(out.path(), &spec()).unwrap();
            for (text, ids, framed) in expected(base) {
                for tokenizer in [&extended(dir.path()), &loaded] {
                    assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{base}, {key}: {text:?}");
                    assert_eq!(tokenizer.encode_framed(&text).unwrap(), framed, "{base}, {key}");
                }
            }
        }
    }
}

#[test]
fn random_merges_that_a_base_was_trained_with_are_neither_followed_nor_saved() {
    let dir = edited("base_qwen", "tokenizer.json", |file| file["model"]["dropout"] = json!(0.9));
    let tokenizer = extended(dir.path());
    for (text, ids, _) in expected("base_qwen") {
        assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
    }
    let saved: Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    assert_eq!(saved["model"]["dropout"], Value::Null);
}

#[test]
fn a_setting_that_splits_special_tokens_is_neither_followed_nor_saved() {
    let leave = |file: &mut Value| file["split_special_tokens"] = json!(true);
    let dir = edited("base_qwen", "tokenizer_config.json", leave);
    let out = tempfile::tempdir().unwrap();
    let how = VocabularyExtension::default();
    let tokenizer = extend_pretrained(dir.path(), &spec(), &how, out.path()).unwrap();
    assert_eq!(tokenizer.encode("<|im_end|>").unwrap(), [tokenizer.end_of_turn()]);
    let saved = json(out.path(), "tokenizer_config.json");
    assert!(saved.get("split_special_tokens").is_none());
}

#[test]
fn a_prompt_is_framed_as_transformers_frames_a_text_of_its_base() {
    for base in BASES {
        let tokenizer = extended(&fixture(base));
        let out = tempfile::tempdir().unwrap();
        let how = VocabularyExtension::default();
        extend_pretrained(&fixture(base), &spec(), &how, out.path()).unwrap();
        let loaded = SidTokenizer::load(out.path(), &spec()).unwrap();
        for (text, _, framed) in expected(base) {
            assert_eq!(tokenizer.encode_prompt(&text).unwrap(), framed, "{base}: {text:?}");
            assert_eq!(loaded.encode_prompt(&text).unwrap(), framed, "{base}: {text:?}");
        }
        assert_eq!(tokenizer.ends_prompts(), base == "base_t5");
    }
}

#[test]
fn the_beginning_token_is_not_added_twice() {
    let tokenizer = extended(&fixture("base_llama3"));
    let text = "<|begin_of_text|>the next item:<a_1>";
    assert_eq!(tokenizer.encode_prompt(text).unwrap(), tokenizer.encode(text).unwrap());
}

#[test]
fn a_decoder_continues_its_prompt_whatever_its_tokenizer_puts_after_a_text() {
    let ends = |file: &mut Value| {
        file["post_processor"]["single"] = json!([
            { "SpecialToken": { "id": "<|begin_of_text|>", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } },
            { "SpecialToken": { "id": "<|eot_id|>", "type_id": 0 } },
        ]);
        file["post_processor"]["special_tokens"]["<|eot_id|>"] =
            json!({ "id": "<|eot_id|>", "ids": [301], "tokens": ["<|eot_id|>"] });
    };
    let dir = edited("base_llama3", "tokenizer.json", ends);
    let tokenizer = extended(dir.path());
    for (text, ids, framed) in expected("base_llama3") {
        assert_eq!(tokenizer.encode_prompt(&text).unwrap(), framed, "{text:?}");
        assert_eq!(tokenizer.encode_framed(&text).unwrap(), [framed, vec![301]].concat());
        assert_eq!(tokenizer.encode(&text).unwrap(), ids);
    }
    assert!(!tokenizer.ends_prompts());
}

#[test]
fn the_post_processor_alone_frames_as_in_transformers() {
    // transformers 5.24 gives the same ids with either value of both settings.
    for value in [true, false] {
        for base in BASES {
            let dir = edited(base, "tokenizer_config.json", |file| {
                file["add_bos_token"] = json!(value);
                file["add_eos_token"] = json!(value);
            });
            for (text, _, framed) in expected(base) {
                assert_eq!(extended(dir.path()).encode_prompt(&text).unwrap(), framed, "{base}");
            }
        }
    }
}

#[test]
fn special_tokens_are_found_in_the_map_that_older_versions_write() {
    let dir = edited("base_t5", "special_tokens_map.json", |file| {
        *file = json!({ "eos_token": { "content": "</s>" }, "pad_token": "<pad>" });
    });
    edit(dir.path(), "tokenizer_config.json", |file| *file = json!({}));
    let tokenizer = extended(dir.path());
    assert_eq!((tokenizer.end_of_turn(), tokenizer.pad()), (1, 0));
}

#[test]
fn added_tokens_are_those_that_the_settings_state() {
    let stated = |id: u32, content: &str, strips: bool| {
        let mut token = special(content, id);
        (token["lstrip"], token["rstrip"]) = (json!(strips), json!(strips));
        edited("base_qwen", "tokenizer_config.json", |file| {
            file["added_tokens_decoder"] = json!({ id.to_string(): token });
        })
    };
    let plain = extended(&fixture("base_qwen"));
    let (the, end) = (plain.encode("the").unwrap(), plain.end_of_turn());
    // transformers 5.24: with and without the spaces around it.
    let strips = extended(stated(302, "<|im_end|>", true).path());
    let expected = [the.as_slice(), &[end], &the].concat();
    assert_eq!(strips.encode("the <|im_end|> the").unwrap(), expected);
    assert_ne!(plain.encode("the <|im_end|> the").unwrap(), expected);
    // One that `tokenizer.json` lacks takes the next id, and the codes come after it.
    let new = extended(stated(303, "<new>", false).path());
    assert_eq!(new.encode("<new><a_0>").unwrap(), [303, 304]);
    let far = stated(400, "<new>", false);
    let error = SidTokenizer::extend(far.path(), &spec(), None).unwrap_err();
    assert!(error.to_string().contains("`<new>` with the id 400"), "{error}");
}

#[test]
fn a_base_that_has_the_codes_keeps_their_ids_and_rows() {
    for base in BASES {
        let (once, twice) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let how = VocabularyExtension { seed: 4, ..Default::default() };
        let first = extend_pretrained(&fixture(base), &spec(), &how, once.path()).unwrap();
        let how = VocabularyExtension { seed: 5, ..Default::default() };
        let second = extend_pretrained(once.path(), &spec(), &how, twice.path()).unwrap();
        assert_eq!(first.to_json().unwrap(), second.to_json().unwrap(), "{base}");
        let (before, after) = (weights(once.path()), weights(twice.path()));
        assert_eq!(before.len(), after.len());
        for (name, weight) in &before {
            assert!(tiny::difference(weight, &after[name]) == 0.0, "{base}: {name}");
        }
        SidTokenizer::load(twice.path(), &spec()).unwrap();
    }
}

#[test]
fn missing_codes_are_added_beside_existing_ones() {
    for base in BASES {
        let (once, twice) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let how = VocabularyExtension::default();
        let first = extend_pretrained(&fixture(base), &spec(), &how, once.path()).unwrap();
        let wide = SidSpec::new(vec![6, 4, 2], 0).unwrap();
        let second = extend_pretrained(once.path(), &wide, &how, twice.path()).unwrap();
        let codes = |tokenizer: &SidTokenizer, text: &str| tokenizer.encode(text).unwrap();
        let known = "<a_0><a_1><a_2><a_3><b_0><b_1><b_2><b_3>";
        assert_eq!(codes(&first, known), codes(&second, known), "{base}");
        let end = u32::try_from(first.vocab_size()).unwrap();
        let new: Vec<u32> = (end..end + 4).collect();
        assert_eq!(codes(&second, "<a_4><a_5><c_0><c_1>"), new, "{base}");
        let (before, after) = (weights(once.path()), weights(twice.path()));
        for name in ["model.embed_tokens.weight", "shared.weight", "lm_head.weight"] {
            let Some(old) = before.get(name) else { continue };
            let known = after[name].narrow(0, 0, i64::from(end));
            assert!(tiny::difference(&old.narrow(0, 0, i64::from(end)), &known) == 0.0, "{name}");
        }
    }
}

#[test]
fn codes_that_a_base_calls_special_are_decoded_all_the_same() {
    let dir = edited("base_qwen", "tokenizer.json", |file| {
        let added = file["added_tokens"].as_array_mut().unwrap();
        added.extend((0..).zip(spec().vocabulary()).map(|(i, code)| special(&code, 303 + i)));
    });
    let tokenizer = SidTokenizer::load(dir.path(), &spec()).unwrap();
    let ids = tokenizer.encode("next:<a_1><b_2><|im_end|>").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "next:<a_1><b_2>");
}

#[test]
fn a_pretrained_model_with_another_notation_is_an_error() {
    let dir = edited("base_qwen", "tokenizer.json", |file| {
        let added = file["added_tokens"].as_array_mut().unwrap();
        for (id, text) in (303..).zip(["<|sid_begin|>", "<|sid_end|>", "<s_a_0>", "<s_b_0>"]) {
            added.push(special(text, id));
        }
    });
    let error = SidTokenizer::extend(dir.path(), &spec(), None).unwrap_err();
    assert!(matches!(&error, PolicyError::OtherNotation { token, .. } if token == "<s_a_0>"));
    let said = error.to_string();
    assert!(said.contains("<s_a_0>") && said.contains("<{level}_{code}>"), "{said}");
    // With its own style, the model keeps the ids that it has.
    let spec = spec().with_style(TokenStyle::open_one_rec());
    let tokenizer = SidTokenizer::extend(dir.path(), &spec, None).unwrap();
    assert_eq!(tokenizer.marks(), Some([303, 304]));
    let kept = ["<s_a_0>", "<s_b_0>"].map(|code| tokenizer.id(code).unwrap());
    assert_eq!(kept, [305, 306]);
    // And a model with codes of the default style is none for the other.
    let dir = edited("base_qwen", "tokenizer.json", |file| {
        file["added_tokens"].as_array_mut().unwrap().push(special("<a_0>", 303));
    });
    let error = SidTokenizer::extend(dir.path(), &spec, None).unwrap_err();
    assert!(matches!(&error, PolicyError::OtherNotation { token, .. } if token == "<a_0>"));
}

#[test]
fn a_vocabulary_with_gaps_is_refused_before_a_code_takes_an_old_id() {
    let dir = edited("base_qwen", "tokenizer.json", |file| {
        file["model"]["vocab"]["Ġgap"] = json!(305);
    });
    let error = SidTokenizer::extend(dir.path(), &spec(), None).unwrap_err();
    assert!(error.to_string().contains("gaps"), "{error}");
}

#[test]
fn named_templates_without_a_default_are_an_error() {
    let dir = copy("base_qwen");
    edit(dir.path(), "tokenizer_config.json", |file| {
        file["chat_template"] = json!([{ "name": "rag", "template": "x" }]);
    });
    let error = SidTokenizer::extend(dir.path(), &spec(), None).unwrap_err();
    assert!(error.to_string().contains("rag"), "{error}");
}

#[test]
fn control_tokens_are_the_special_ones_and_markers_but_no_ordinary_text_and_no_codes() {
    let plain = |text: &str, id: u32| {
        let mut token = special(text, id);
        token["special"] = json!(false);
        token
    };
    let dir = edited("base_qwen", "tokenizer.json", |file| {
        let added = file["added_tokens"].as_array_mut().unwrap();
        let ordinary = ["  ", "\n\n", "\u{2581}\u{2581}", "shampoo", "õ", "<b>", "</table>"];
        let markers = ["<tool_call>", "[INST]", "<start_of_turn>"];
        added.extend((303..).zip(ordinary.iter().chain(&markers)).map(|(id, t)| plain(t, id)));
        added.extend((313..).zip(["<s>", "</s>", "\t"]).map(|(id, t)| special(t, id)));
    });
    let expected = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<tool_call>",
        "[INST]",
        "<start_of_turn>",
        "<s>",
        "</s>",
    ];
    assert_eq!(extended(dir.path()).control_tokens(), expected);
    let of_t5 = extended(&fixture("base_t5")).control_tokens();
    let expected = ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>", "<extra_id_2>"];
    assert_eq!(of_t5, expected);
    let own = SidTokenizer::train(["a b"].iter(), 260, &spec()).unwrap();
    assert_eq!(own.control_tokens(), ["<|endoftext|>", "<|im_end|>"]);
}
