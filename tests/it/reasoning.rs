//! Tasks in words, then thoughts before recommendations; and once more after kills.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sidereal::corpus::{Amount, Dataset, Item, Split, leave_one_out};
use sidereal::policy::{Decoder, SidTokenizer, VocabularyExtension};
use sidereal::sid::{Catalog, SemanticId, SidSpec};
use sidereal::train::{
    MixtureOrder, ModelConfig, Observer, Outcome, Pipeline, PretrainedConfig, Published, Recipe,
    Record, Stage, TextsConfig, ThoughtResult, TrainError, Training,
};

use crate::shop::{self, Kill};

/// The shop with descriptions, Semantic IDs of kind and colour, and a split, as if published so.
struct Shop {
    dataset: Dataset,
    catalog: Catalog,
    split: Split,
    recipe: Recipe,
}

impl Shop {
    fn new(dir: &Path) -> Self {
        let bare = shop::dataset(dir);
        let items: Vec<Item> = bare
            .items()
            .iter()
            .map(|item| {
                let (colour, kind) = item.title.split_once(' ').unwrap();
                let text = format!("For those who want a {kind} and like {colour} best of all.");
                item.clone().with_description(text)
            })
            .collect();
        let place = |names: &mut Vec<String>, name: &str| {
            let found = names.iter().position(|other| other == name);
            u16::try_from(found.unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            }))
            .unwrap()
        };
        let (mut kinds, mut colours) = (Vec::new(), Vec::new());
        let sids: Vec<SemanticId> = items
            .iter()
            .map(|item| {
                let (colour, kind) = item.title.split_once(' ').unwrap();
                SemanticId::from([place(&mut kinds, kind), place(&mut colours, colour)])
            })
            .collect();
        let dataset = Dataset::new(items, bare.users().to_vec()).unwrap();
        let split = leave_one_out(&dataset, NonZeroUsize::new(20).unwrap()).unwrap();
        let spec = SidSpec::new(vec![5, 8], 0).unwrap();
        let catalog = Catalog::new(spec, sids).unwrap();
        let chat = dir.join("chat.jsonl");
        let mut talk = String::new();
        for n in 2..12 {
            let asked = format!("{{\"role\": \"user\", \"content\": \"{n} + {n}?\"}}");
            let said = format!("<think>twice {n}</think>{}", 2 * n);
            let said = format!("{{\"role\": \"assistant\", \"content\": \"{said}\"}}");
            writeln!(talk, "{{\"messages\": [{asked}, {said}]}}").unwrap();
        }
        fs::write(&chat, talk).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/reasoning.toml");
        let mut recipe = Recipe::load(&path).unwrap();
        recipe.texts.chat = Some(chat);
        Self { dataset, catalog, split, recipe }
    }

    /// The shop under a recipe of an example, cut down to seconds.
    fn under(mut self, name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../examples/recipes/{name}/small.toml"));
        let small = Recipe::load(&path).unwrap();
        let chat = small.texts.chat.is_some().then(|| self.recipe.texts.chat.clone()).flatten();
        let texts = TextsConfig { chat, ..small.texts };
        let Recipe { tokenizer, model, mut evaluate, .. } = self.recipe;
        evaluate.compare_with = small.evaluate.compare_with;
        let stages = small.stages.into_iter().map(cut_down).collect();
        self.recipe = Recipe { texts, tokenizer, model, evaluate, stages, ..small };
        self
    }

    fn run(&self, out: &Path, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let Self { dataset, catalog, split, recipe } = self;
        let published = Some(Published { catalog, split });
        let device = sidereal::policy::device("cpu")?;
        Pipeline { recipe, dataset, published, references: &[], out, device }.run(observer)
    }
}

/// A stage of a few steps.
fn cut_down(mut stage: Stage) -> Stage {
    match &mut stage.training {
        Training::Sft(config) => {
            (config.epochs, config.batch_size, config.micro_batch) = (1, 16, 8);
            let mixture = config.mixture.as_mut().unwrap();
            mixture.max_tokens = 96;
            match &mut mixture.order {
                MixtureOrder::Weighted(weighted) => weighted.rows = 48,
                MixtureOrder::Staged(stages) => {
                    let amounts = stages.iter_mut().flat_map(|stage| stage.amounts.values_mut());
                    amounts.for_each(|amount| *amount = Amount::Rows(16));
                }
                other => unreachable!("{other:?}"),
            }
        }
        Training::Rl { config, .. } => {
            (config.steps, config.prompts_per_step, config.group_size) = (2, 4, 3);
            if let Some(reasoning) = &mut config.reasoning {
                reasoning.thinking.budget = 12;
            }
        }
        other => unreachable!("{other:?}"),
    }
    stage
}

fn every_stage_is_tested(name: &str, thinking: usize) {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::new(dir.path()).under(name);
    let outcome = shop.run(&dir.path().join("run"), &mut |_: &Record| {}).unwrap();
    let rows = outcome.report.rows();
    for stage in &outcome.stages {
        assert!(rows.iter().any(|row| row.system == stage.label), "{}", stage.label);
    }
    let merged = rows
        .iter()
        .filter(|row| row.system.ends_with(", thinking") && row.protocol.beam_width.is_some());
    assert_eq!(merged.count(), thinking);
    outcome.write_page(name, &dir.path().join("report.html")).unwrap();
}

#[test]
fn sidreasoner_runs_from_tasks_in_words_to_thoughts() {
    every_stage_is_tested("sidreasoner", 2);
}

#[test]
fn gream_runs_in_all_its_schedules() {
    every_stage_is_tested("gream", 8);
}

/// A small model in HF form that knows no Semantic IDs and has a chat template of its own.
fn base(dir: &Path, spec: &SidSpec) -> PathBuf {
    let out = dir.join("base");
    fs::create_dir(&out).unwrap();
    let words = ["A user wants <think> what? </think> <answer> Tea, or a lamp. </answer>"];
    SidTokenizer::train(words.iter(), 400, spec).unwrap().save(&out).unwrap();
    let path = out.join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.retain(|token| token["special"].as_bool().unwrap());
    fs::write(&path, tokenizer.to_string()).unwrap();
    let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}\n{% endfor \
                    %}{% if add_generation_prompt %}[assistant] {% endif %}";
    fs::write(out.join("chat_template.jinja"), template).unwrap();
    let shape = ModelConfig {
        hidden_size: 16,
        intermediate_size: 32,
        layers: 1,
        heads: 2,
        key_value_heads: 1,
        head_dim: 8,
        positions: 640,
    };
    let known = SidTokenizer::extend(&out, spec, None).unwrap().vocab_size() - spec.num_tokens();
    let device = sidereal::policy::device("cpu").unwrap();
    Decoder::random(shape.qwen3(known), 1, device).unwrap().save(&out).unwrap();
    out
}

#[test]
fn a_pretrained_model_is_asked_in_its_own_chat_template() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(dir.path());
    let base = base(dir.path(), shop.catalog.spec());
    let vocabulary = VocabularyExtension::default();
    shop.recipe.pretrained = Some(PretrainedConfig { base, vocabulary });
    assert!(shop.recipe.check().is_err(), "two models");
    (shop.recipe.model, shop.recipe.tokenizer) = (None, None);
    shop.recipe.stages.retain(|stage| stage.name != "srpo");
    let Training::Sft(sft) = &mut shop.recipe.stages[0].training else { unreachable!() };
    sft.epochs = 1;
    let out = dir.path().join("run");
    let outcome = shop.run(&out, &mut |_: &Record| {}).unwrap();
    let shown = outcome.records.iter().find_map(|record| record.rollouts.as_ref()).unwrap();
    assert!(shown.prompt.starts_with("[system] "), "{}", shown.prompt);
    assert!(shown.prompt.ends_with("[assistant] <think>\n"), "{}", shown.prompt);
    assert!(out.join("grpo/chat_template.jinja").exists());
}

#[test]
fn tasks_in_words_and_thoughts_walk_the_same_curve_after_kills() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::new(dir.path());
    let whole = dir.path().join("whole");
    let outcome = shop.run(&whole, &mut |_: &Record| {}).unwrap();
    let of = |stage: &'static str| outcome.records.iter().filter(move |r| r.stage == stage);
    // Chains keep to the budget, and what was written is shown with what it was worth.
    for (stage, budget) in [("srpo", 24.0), ("grpo", 16.0)] {
        let mut lens = of(stage).filter_map(|record| record.values.get("thought")).peekable();
        assert!(lens.peek().is_some() && lens.all(|len| (1.0..=budget).contains(len)));
        let shown = of(stage).next_back().and_then(|record| record.rollouts.clone()).unwrap();
        assert_eq!(shown.rollouts.len(), 4);
        assert!(shown.rollouts.iter().all(|rollout| rollout.text.contains("<a_")));
    }

    // Stages that think are tested so too, and drawn from in both modes.
    let rows = |system: &str| {
        let named = outcome.report.rows().iter().filter(|row| row.system == system);
        named.map(|row| row.protocol.decoding()).collect::<Vec<_>>()
    };
    let chains = "3 chains of at most 20 tokens";
    assert_eq!(
        rows("GRPO, thinking"),
        [format!("{chains}, beam 4, renormalised"), format!("{chains}, draws: 3")]
    );
    assert!(rows("GRPO").contains(&"draws: 3".to_owned()));
    let text = fs::read(whole.join("thoughts/grpo.json")).unwrap();
    let results: Vec<ThoughtResult> = serde_json::from_slice(&text).unwrap();
    assert_eq!(results.len(), 24);
    assert!(results.iter().all(|result| result.thought_lens.iter().all(|len| *len <= 20)));

    let broken = dir.path().join("broken");
    for (stage, step) in [("sft", 9), ("srpo", 2), ("srpo", 4), ("grpo", 3)] {
        let mut kill = Kill { stage, step };
        let killed = catch_unwind(AssertUnwindSafe(|| shop.run(&broken, &mut kill)));
        assert!(killed.is_err(), "{stage} ends before step {step}");
    }
    shop.run(&broken, &mut |_: &Record| {}).unwrap();
    for file in [
        "metrics.jsonl",
        "sft/model.safetensors",
        "srpo/model.safetensors",
        "grpo/model.safetensors",
        "evaluation.json",
    ] {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(read(&broken) == read(&whole), "{file} differs");
    }
}
