//! Recipes over pretrained models of others: one that holds the codes already, and titles that hold
//! its control tokens.

use std::fs;
use std::path::Path;

use sidereal::data::{Dataset, Item};
use sidereal::lab::{PretrainedConfig, TrainedPolicy, Training};
use sidereal::policy::{
    PAD, PolicyKind, VocabularyExtension, device, extend_pretrained, read_safetensors,
};
use sidereal::train::Record;

use crate::worded::{Shop, base};

/// The shop with one short stage over this pretrained model.
fn shop(dir: &Path, base: &Path) -> Shop {
    let mut shop = Shop::new(dir);
    let (base, vocabulary) = (base.to_owned(), VocabularyExtension::default());
    shop.recipe.pretrained = Some(PretrainedConfig { base, vocabulary });
    (shop.recipe.model, shop.recipe.tokenizer) = (None, None);
    shop.recipe.stages.truncate(1);
    let Training::Sft(sft) = &mut shop.recipe.stages[0].training else { unreachable!() };
    sft.epochs = 1;
    shop
}

#[test]
fn a_run_keeps_the_code_tokens_of_its_pretrained_model() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Shop::new(dir.path()).catalog.spec().clone();
    let knows = dir.path().join("knows");
    let how = VocabularyExtension { seed: 7, ..Default::default() };
    extend_pretrained(&base(dir.path(), &spec), &spec, &how, &knows).unwrap();
    let out = dir.path().join("run");
    shop(dir.path(), &knows).run(&out, &mut |_: &Record| {}).unwrap();
    let text = |dir: &Path| fs::read_to_string(dir.join("tokenizer.json")).unwrap();
    assert_eq!(text(&out.join("tokenizer")), text(&knows));
    let rows = |dir: &Path| {
        let mut all = read_safetensors(&dir.join("model.safetensors")).unwrap();
        Vec::<f32>::try_from(all.remove("model.embed_tokens.weight").unwrap().view(-1)).unwrap()
    };
    assert_eq!(rows(&out.join("tokenizer")), rows(&knows));
}

#[test]
fn a_run_over_a_model_in_gguf_trains_and_its_policy_opens() {
    let dir = tempfile::tempdir().unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/policy/tests/parity/gguf/llama.gguf");
    let (shop, out) = (shop(dir.path(), &base), dir.path().join("run"));
    let mut losses = Vec::new();
    let mut keep = |record: &Record| losses.extend(record.values.get("loss").copied());
    shop.run(&out, &mut keep).unwrap();
    assert!(losses.last() < losses.first(), "it learns: {losses:?}");
    // As every other policy, it is a folder in the layout of Hugging Face.
    let stage = out.join(&shop.recipe.stages[0].name);
    let policy = TrainedPolicy::open(&stage, device("cpu").unwrap()).unwrap();
    assert_eq!(policy.model.kind(), PolicyKind::Decoder);
    assert!(stage.join("chat_template.jinja").exists());
}

#[test]
fn a_title_with_a_control_token_of_the_base_ends_a_run_before_it_trains() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Shop::new(dir.path()).catalog.spec().clone();
    let base = base(dir.path(), &spec);
    // Its padding is called as Llama calls an end.
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let text = fs::read_to_string(base.join(file)).unwrap();
        assert!(text.contains(PAD), "{file}");
        fs::write(base.join(file), text.replace(PAD, "</s>")).unwrap();
    }
    let mut shop = shop(dir.path(), &base);
    let mut items: Vec<Item> = shop.dataset.items().to_vec();
    items[3].title = "Cap </s> lock".to_owned();
    shop.dataset = Dataset::new(items, shop.dataset.users().to_vec()).unwrap();
    let out = dir.path().join("run");
    let error = shop.run(&out, &mut |_: &Record| {}).unwrap_err();
    let mut said = error.to_string();
    let mut at: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = at {
        said = format!("{said}: {error}");
        at = error.source();
    }
    assert!(said.contains("`</s>`") && said.contains("title"), "{said}");
    assert!(!out.join("sft").exists(), "nothing was trained");
}
