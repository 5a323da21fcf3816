//! Recommends items by a policy that the example `demo` or `singer` trained.
//!
//! The history is given as titles, item keys or Semantic IDs, in any mixture, earliest first.
//! Seconds. Run: `cargo run --release --example recommend -- --run runs/demo
//! --interactions datasets/shop/shop.inter --items datasets/shop/shop.item --explain
//! "<a_1><b_7><c_2>" "a title" some_key`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Parser;
use sidereal::corpus::read::recbole::{ReadOptions, read};
use sidereal::corpus::{Dataset, PromptRegistry, Tasks, leave_one_out};
use sidereal::policy::{BeamSearch, Conditions, Constraint, Decoder, SidTokenizer, TokenBatch, device};
use sidereal::sid::{Catalog, ItemId, SidSpec};
use sidereal::train::RunConfig;

#[derive(Parser)]
#[command(about = "Recommends items by a trained policy")]
struct Args {
    /// Folder of the run.
    #[arg(long)]
    run: PathBuf,
    /// The policy in it: `rl` or `sft`.
    #[arg(long, default_value = "rl")]
    stage: String,
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
    let config = RunConfig::load(&args.run.join("config.toml"))?;
    let dataset = read(&args.interactions, &args.items, &ReadOptions::new(config.seed))?.dataset;
    let dir = args.run.join(&args.stage);
    let catalog = Catalog::load(&dir.join("catalog.json"))?;
    let tokenizer = SidTokenizer::load(&dir, catalog.spec())?;
    let model = Decoder::load(&dir, device(&args.device)?)?;
    model.check_vocabulary(&tokenizer)?;
    let registry = PromptRegistry::builtin()?;
    let window = NonZeroUsize::new(config.max_history).context("`max_history` is 0")?;
    let split = leave_one_out(&dataset, window)?.hash();
    let path = dir.join("sidereal.json");
    let made_for: BTreeMap<String, String> = serde_json::from_slice(
        &std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?,
    )?;
    for (part, found) in [("split", split.as_str()), ("prompts", registry.hash())] {
        let same = made_for.get(part).is_some_and(|needed| needed == found);
        ensure!(same, "`{}` was made for another {part}: other data or settings", dir.display());
    }
    let tasks = Tasks::new(&dataset, &catalog, &registry)?;

    let history = args
        .history
        .iter()
        .map(|text| find(text, &dataset, &catalog))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let recent = &history[history.len().saturating_sub(config.max_history)..];
    let prompt = tokenizer.encode(&tasks.next_item_prompt(recent)?)?;
    let limit = model.config().max_position_embeddings.saturating_sub(catalog.spec().max_len());
    let prompts = TokenBatch::new(&[prompt], tokenizer.pad(), limit, model.device())?;
    let constraint = Constraint::new(&catalog, &tokenizer, model.device())?;
    let scoring = match args.stage.as_str() {
        "sft" => config.sft.scoring,
        _ => config.rl.scoring,
    };
    let search = BeamSearch {
        model: &model,
        constraint: &constraint,
        beam_width: args.beam_width.max(args.k + history.len()),
        scoring,
    };
    let mut kept = BTreeMap::new();
    let found = search.search_observed(&prompts, &Conditions::default(), &mut |prefix| {
        kept.insert(prefix.tokens.to_vec(), prefix.score);
    })?;

    println!("after");
    for item in recent {
        println!("  {}", name(*item, &dataset, &catalog)?);
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
        println!("  {:7.3}  {}", hypothesis.score, name(*item, &dataset, &catalog)?);
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
