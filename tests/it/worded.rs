//! The shop with descriptions, Semantic IDs and a split of its own, presets cut down to it, and a
//! tiny pretrained model.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sidereal::data::{Dataset, Item, Split, leave_one_out};
use sidereal::lab::{
    DecoderShape, LabError, Pipeline, Published, Recipe, RunResult, Stage, TeacherConfig, Training,
};
use sidereal::policy::{Decoder, SidTokenizer};
use sidereal::prompts::Amount;
use sidereal::sid::{Catalog, SemanticId, SidSpec};
use sidereal::train::{MixtureOrder, Observer, Record};

use crate::shop;

/// The shop with descriptions, Semantic IDs of kind and colour, and a split, as if published so.
pub(crate) struct Shop {
    pub(crate) dataset: Dataset,
    pub(crate) catalog: Catalog,
    pub(crate) split: Split,
    pub(crate) recipe: Recipe,
}

impl Shop {
    pub(crate) fn new(dir: &Path) -> Self {
        let bare = shop::dataset(dir);
        let items: Vec<Item> = bare
            .items()
            .iter()
            .map(|item| {
                let (colour, kind) = item.title.split_once(' ').unwrap();
                let text = format!("For those who want a {kind} and like {colour} best of all.");
                let categories = ["Shop", kind].map(str::to_owned).to_vec();
                item.clone().with_description(text).with_categories(categories)
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

    /// The shop under a preset, cut down to seconds; a pretrained model becomes a
    /// tiny one in `dir`.
    pub(crate) fn under(mut self, name: &str, dir: &Path) -> Self {
        let mut asked = Recipe::preset(name).unwrap();
        if asked.texts.chat.is_some() {
            asked.texts.chat = self.recipe.texts.chat.take();
        }
        if asked.texts.teacher.is_some() {
            asked.texts.teacher = Some(TeacherConfig::Metadata);
        }
        if let Some(embed) = &mut asked.embed {
            embed.encoder = shop::encoder();
            embed.collaborative_dimensions = embed.collaborative_dimensions.min(8);
        }
        if let Some(sids) = &mut asked.sids {
            sids.codebook_sizes = vec![4, 4, 4];
        }
        if let Some(pool) = &mut asked.pool {
            (pool.size, pool.slate_size) =
                (pool.size.min(8), pool.slate_size.map(|size| size.min(3)));
        }
        let Recipe { tokenizer, model, mut evaluate, .. } = self.recipe;
        evaluate.compare_with = asked.evaluate.compare_with;
        evaluate.reasoning = evaluate.reasoning.filter(|_| asked.evaluate.reasoning.is_some());
        let stages = asked.stages.into_iter().map(cut_down).collect();
        if let Some(pretrained) = &mut asked.pretrained {
            pretrained.base = base(dir, self.catalog.spec());
        } else {
            (asked.model, asked.tokenizer) = (model, tokenizer);
        }
        self.recipe = Recipe { evaluate, stages, ..asked };
        self
    }

    pub(crate) fn run(
        &self,
        out: &Path,
        observer: &mut dyn Observer,
    ) -> Result<RunResult, LabError> {
        let Self { dataset, catalog, split, recipe } = self;
        let published = Some(Published { catalog: Some(catalog), split });
        let device = sidereal::policy::device("cpu").unwrap();
        Pipeline { recipe, dataset, published, baselines: &[], out, device }.run(observer)
    }
}

/// A stage of a few steps.
fn cut_down(mut stage: Stage) -> Stage {
    match &mut stage.training {
        Training::Sft(config) => {
            (config.epochs, config.batch_size, config.micro_batch) = (1, 16, 8);
            let Some(mixture) = &mut config.mixture else { return stage };
            mixture.max_tokens = mixture.max_tokens.min(160);
            match &mut mixture.order {
                MixtureOrder::Weighted(weighted) => weighted.rows = 48,
                MixtureOrder::Staged(stages) => {
                    let amounts = stages.iter_mut().flat_map(|stage| stage.amounts.values_mut());
                    amounts.for_each(|amount| *amount = Amount::Rows(16));
                }
                // Whole epochs of a small shop.
                _ => {}
            }
        }
        Training::Rl { config, .. } => {
            (config.steps, config.prompts_per_step, config.group_size) = (2, 4, 3);
            config.max_draws = config.max_draws.min(2);
            // A prompt of each task.
            config.alignment.iter_mut().for_each(|aligned| aligned.share = 0.15);
            if let Some(reasoning) = &mut config.reasoning {
                reasoning.chain.budget = 12;
            }
        }
        Training::Preference(config) => {
            (config.steps, config.epochs, config.pairs_per_step) = (2, None, 4);
            config.num_negatives = config.num_negatives.min(3);
        }
        Training::ItemHead(config) => {
            (config.steps, config.prompts_per_step) = (2, 4);
            config.negatives = config.negatives.min(8);
            if let Some(chain) = &mut config.chain {
                chain.budget = 6;
            }
            if let Some(recpo) = &mut config.recpo {
                recpo.group_size = 3;
            }
        }
        Training::Untrained(_) => {}
        other => unreachable!("{other:?}"),
    }
    stage
}

/// Carries out a recipe and expects a row of every stage.
pub(crate) fn every_stage_is_tested(name: &str, reasoned: usize) {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::new(dir.path()).under(name, dir.path());
    let outcome = shop.run(&dir.path().join("run"), &mut |_: &Record| {}).unwrap();
    let rows = outcome.report.rows();
    for stage in &outcome.stages {
        assert!(rows.iter().any(|row| row.system == stage.label), "{}", stage.label);
    }
    let merged = rows
        .iter()
        .filter(|row| row.system.ends_with(", reasoning") && row.protocol.beam_width.is_some());
    assert_eq!(merged.count(), reasoned);
    outcome.write_page(name, &dir.path().join("report.html")).unwrap();
}

/// A small model in HF form that knows no Semantic IDs and has a chat template of its own.
pub(crate) fn base(dir: &Path, spec: &SidSpec) -> PathBuf {
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
    let shape = DecoderShape {
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
