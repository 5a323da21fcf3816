//! Recommends items by a policy that the example `demo` or `singer` trained.
//!
//! The history is given as titles, item keys or Semantic IDs, in any mixture, earliest first.
//! Seconds. Run: `cargo run --release --example recommend -- --run runs/demo
//! --interactions datasets/shop/shop.inter --items datasets/shop/shop.item --explain
//! "<a_1><b_7><c_2>" "a title" some_key`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::corpus::{Dataset, PromptRegistry, Tasks};
use sidereal::policy::{BeamSearch, Conditions, Constraint, TokenBatch, device};
use sidereal::sid::{Catalog, ItemId, SidSpec};
use sidereal::train::{Encoder, Recipe, TrainedPolicy};

#[derive(Parser)]
#[command(about = "Recommends items by a trained policy")]
struct Args {
    /// Folder of the run.
    #[arg(long)]
    run: PathBuf,
    /// The stage that trained the policy; the run's last one without it.
    #[arg(long)]
    stage: Option<String>,
    /// Interactions of the run, `.inter`.
    #[arg(long)]
    interactions: PathBuf,
    /// Items of the run, `.item`.
    #[arg(long)]
    items: PathBuf,
    /// Number of items.
    #[arg(short, default_value_t = 10)]
    k: usize,
    /// Hypotheses kept at each level; at least `k`.
    #[arg(long, default_value_t = 50)]
    beam_width: usize,
    /// Show items of the history too.
    #[arg(long)]
    keep_seen: bool,
    /// Print the tree of prefixes that led to the items.
    #[arg(long)]
    explain: bool,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Titles, item keys or Semantic IDs, earliest first.
    #[arg(required = true)]
    history: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let recipe = Recipe::load(&args.run.join("config.toml"))?;
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(recipe.seed))?.dataset;
    let stage = match &args.stage {
        Some(name) => recipe.stage(name)?,
        None => recipe.stages.last().context("the recipe has no stage")?,
    };
    let dir = args.run.join(&stage.name);
    let policy = TrainedPolicy::open(&dir, device(&args.device)?)?;
    let registry = PromptRegistry::builtin()?;
    let prompts = registry.set(&recipe.prompts)?;
    let split = recipe.split.split(&dataset, recipe.max_history)?.hash();
    let parts = [("split", split), ("prompts", prompts.hash().to_owned())];
    policy.check(&dir, &parts.map(|(part, hash)| (part.to_owned(), hash)).into())?;
    let TrainedPolicy { model, tokenizer, catalog, .. } = &policy;
    let tasks = Tasks::new(&dataset, catalog, prompts)?;

    let history = args
        .history
        .iter()
        .map(|text| find(text, &dataset, catalog))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let recent = &history[history.len().saturating_sub(recipe.max_history)..];
    let prompt =
        Encoder::new(tokenizer, catalog, prompts)?.read(&tasks.next_item_prompt(recent)?)?;
    let limit = model.config().max_position_embeddings.saturating_sub(catalog.spec().max_len());
    let prompts = TokenBatch::new(&[prompt], tokenizer.pad(), limit, model.device())?;
    let constraint = Constraint::new(catalog, tokenizer, model.device())?;
    let search = BeamSearch {
        model,
        constraint: &constraint,
        beam_width: args.beam_width.max(args.k + history.len()),
        scoring: stage.training.scoring(),
    };
    let mut kept = BTreeMap::new();
    let found = search.search_observed(&prompts, &Conditions::default(), &mut |prefix| {
        kept.insert(prefix.tokens.to_vec(), prefix.score);
    })?;

    println!("after");
    for item in recent {
        println!("  {}", name(*item, &dataset, catalog)?);
    }
    println!("next");
    let seen: BTreeSet<ItemId> =
        if args.keep_seen { BTreeSet::new() } else { history.into_iter().collect() };
    let trie = constraint.trie();
    let items = found.iter().flatten().flat_map(|hypothesis| {
        trie.items(hypothesis.node).iter().map(move |item| (*item, hypothesis))
    });
    let best: Vec<_> = items.filter(|(item, _)| !seen.contains(item)).take(args.k).collect();
    for (item, hypothesis) in &best {
        println!("  {:7.3}  {}", hypothesis.score, name(*item, &dataset, catalog)?);
    }
    if args.explain {
        println!("log-probabilities of the prefixes");
        let leads = |prefix: &[u32]| best.iter().any(|(_, whole)| whole.tokens.starts_with(prefix));
        for (prefix, score) in kept.iter().filter(|(prefix, _)| leads(prefix)) {
            println!(
                "  {:7.3}  {}{}",
                score,
                "  ".repeat(prefix.len() - 1),
                code(prefix, catalog.spec())
            );
        }
    }
    Ok(())
}

/// The item of this Semantic ID, key or title.
fn find(text: &str, dataset: &Dataset, catalog: &Catalog) -> anyhow::Result<ItemId> {
    if !text.starts_with('<') {
        return Ok(dataset.find(text)?);
    }
    let sid = catalog.spec().parse(text)?;
    catalog.items(&sid).first().copied().with_context(|| format!("no item has {sid}"))
}

fn name(item: ItemId, dataset: &Dataset, catalog: &Catalog) -> anyhow::Result<String> {
    let sid = catalog.sid(item).context("the catalogue lacks an item of the data")?;
    let of_data = dataset.item(item).context("the data lack an item of the catalogue")?;
    Ok(format!("{sid}  {} ({})", of_data.title, of_data.key))
}

/// The last code of a prefix, in its notation.
fn code(prefix: &[u32], spec: &SidSpec) -> String {
    let token = prefix.last().and_then(|token| usize::try_from(*token).ok());
    token.and_then(|token| spec.vocabulary().into_iter().nth(token)).unwrap_or_default()
}
