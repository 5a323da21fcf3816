//! Prints every task of a prompt set in every paraphrase, rendered on a dataset. CPU, instant.
//!
//! Semantic IDs are made up: the item's number. A completion that needs a text of a teacher stays
//! empty unless `--enrichments` names a file of such texts.
//! Run: `cargo run -p sidereal-prompts --example show_prompts -- --set gream --task reasoning`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal_data::read::RowPolicy;
use sidereal_data::read::recbole::{ReadOptions, read};
use sidereal_data::{HeldOut as _, NegativeKind, Negatives, leave_one_out};
use sidereal_prompts::{
    Enrichments, PoolConfig, Pools, PromptRegistry, PromptSet, Task, Tasks, Wording,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Name of a built-in set; all of them without.
    #[arg(long)]
    set: Option<String>,
    /// A set of your own, TOML.
    #[arg(long, conflicts_with = "set")]
    file: Option<PathBuf>,
    /// One task, such as `next-item`; all of the set without.
    #[arg(long)]
    task: Option<Task>,
    /// `RecBole`'s `.inter` file.
    #[arg(long, default_value = "datasets/shop/shop.inter")]
    interactions: PathBuf,
    /// `RecBole`'s `.item` file.
    #[arg(long, default_value = "datasets/shop/shop.item")]
    items: PathBuf,
    /// What a teacher wrote, JSON lines.
    #[arg(long)]
    enrichments: Option<PathBuf>,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Longest history that a prompt shows.
    #[arg(long, default_value = "5")]
    max_history: NonZeroUsize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(args.seed))?.dataset;
    let split = leave_one_out(&dataset, args.max_history)?;
    let number = |item: usize| [item >> 12, item >> 8 & 15, item >> 4 & 15, item & 15];
    let sid = |item| number(item).map(|code| u16::try_from(code).unwrap_or(u16::MAX));
    let sids = (0..dataset.num_items()).map(|item| SemanticId::from(sid(item))).collect();
    let catalog = Catalog::new(SidSpec::new(vec![1 << 16, 16, 16, 16], 0)?, sids)?;
    let texts = match &args.enrichments {
        Some(path) => Enrichments::read(path, &RowPolicy::strict())?.enrichments,
        None => Enrichments::default(),
    };
    let negatives = Negatives::new(NegativeKind::Random, &split.train, &catalog)?;
    let pools = Pools::new(PoolConfig::new(args.seed), negatives, &split.train)?;
    let sample = split.test.sample(0).context("the split holds nobody out")?;

    let mut registry = PromptRegistry::builtin()?;
    let mut name = args.set;
    if let Some(path) = &args.file {
        let set = PromptSet::load(path)?;
        name = Some(set.name().to_owned());
        registry.add(set)?;
    }
    let sets = match &name {
        Some(name) => vec![registry.set(name)?],
        None => registry.sets().collect(),
    };
    for set in sets {
        println!("{}: {}\nhash {}\n", set.name(), set.spec().about, set.hash());
        let tasks = Tasks::new(&dataset, &catalog, set)?;
        let tasks = tasks.with_enrichments(&texts)?.with_pools(&pools);
        for task in set.tasks().filter(|task| args.task.is_none_or(|wanted| wanted == *task)) {
            for paraphrase in 0..set.template(task)?.prompts.len() {
                let wording = Wording::Nth(paraphrase);
                let rendered = if task.is_about_an_item() {
                    tasks.item(task, sample.target, wording)?
                } else if task.is_about_a_query() {
                    tasks.query(task, sample.user, 0, wording)?
                } else {
                    tasks.event(task, &sample, wording)?
                };
                match rendered {
                    Some(rendered) => println!("{rendered}"),
                    None => println!("{task}: the data lack a text that its prompt shows\n"),
                }
            }
        }
    }
    Ok(())
}
