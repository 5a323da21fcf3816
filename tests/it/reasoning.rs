//! Tasks in words, then thoughts before recommendations; and once more after kills.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sidereal::corpus::{Dataset, Item, Split, leave_one_out};
use sidereal::sid::{Catalog, SemanticId, SidSpec};
use sidereal::train::{Observer, Outcome, Pipeline, Published, Recipe, Record, TrainError};

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

    fn run(&self, out: &Path, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
        let Self { dataset, catalog, split, recipe } = self;
        let published = Some(Published { catalog, split });
        let device = sidereal::policy::device("cpu")?;
        Pipeline { recipe, dataset, published, references: &[], out, device }.run(observer)
    }
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
