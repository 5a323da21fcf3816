//! Conversations against transformers' `apply_chat_template` (`tests/parity/chat.py`).

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use sidereal_policy::{
    ChatMessage, ChatOptions, ChatTemplate, PolicyError, SidTokenizer, SpecialTokens,
};

use crate::{parity, tiny};

#[derive(Deserialize)]
struct Fixture {
    special: BTreeMap<String, String>,
    templates: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<ChatMessage>,
    add_generation_prompt: bool,
    variables: BTreeMap<String, serde_json::Value>,
    text: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(&fs::read_to_string(parity::fixture("chat.json")).unwrap()).unwrap()
}

#[test]
fn conversations_are_rendered_as_transformers_does() {
    let fixture = fixture();
    let special = SpecialTokens {
        bos: Some(fixture.special["bos_token"].clone()),
        end_of_turn: fixture.special["eos_token"].clone(),
        pad: fixture.special["pad_token"].clone(),
    };
    for case in &fixture.cases {
        let template = ChatTemplate::new(&fixture.templates[&case.template], &special).unwrap();
        let options = ChatOptions {
            add_generation_prompt: case.add_generation_prompt,
            variables: case.variables.clone(),
            now: None,
        };
        let text = template.render(&case.messages, &options).unwrap();
        assert_eq!(text, case.text, "{}", case.template);
    }
}

#[test]
fn a_tokenizer_keeps_its_template_wherever_it_stood() {
    let source = &fixture().templates["qwen2.5"];
    let catalog = tiny::catalog();
    let tokenizer = tiny::tokenizer(&catalog);
    assert!(matches!(tokenizer.chat_template(), Err(PolicyError::NoChatTemplate)));
    let messages = [ChatMessage::new("user", "<a_1> next")];
    let written = |template: &str, settings: &serde_json::Value| {
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        if !template.is_empty() {
            fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
        }
        fs::write(dir.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
        let loaded = SidTokenizer::load(dir.path(), catalog.spec()).unwrap();
        let again = tempfile::tempdir().unwrap();
        loaded.save(again.path()).unwrap();
        let back = SidTokenizer::load(again.path(), catalog.spec()).unwrap();
        back.chat_template().unwrap().render(&messages, &ChatOptions::default()).unwrap()
    };
    let in_settings = written("", &serde_json::json!({ "chat_template": source }));
    assert_eq!(in_settings, written(source, &serde_json::json!({})));
    // The file wins, as it does in transformers.
    assert_eq!(
        written("{{ messages[0].content }}", &serde_json::json!({ "chat_template": source })),
        "<a_1> next"
    );

    // One without a template leaves none behind in a directory that had one.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chat_template.jinja"), source).unwrap();
    tokenizer.save(dir.path()).unwrap();
    let back = SidTokenizer::load(dir.path(), catalog.spec()).unwrap();
    assert!(matches!(back.chat_template(), Err(PolicyError::NoChatTemplate)));
}
