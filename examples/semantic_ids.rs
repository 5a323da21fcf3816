//! Semantic IDs of a file of items: titles and descriptions to vectors, vectors to codes, and a
//! report of how good they are. 3,686 items with descriptions take about two minutes on two cores,
//! nearly all of them in the encoder.
//! Run: `cargo run --release --example semantic_ids -- --items x.item.json --out sids`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use linfa::DatasetBase;
use linfa::traits::Fit as _;
use serde::de::DeserializeOwned;
use sidereal::data::Item;
use sidereal::data::read::{RowPolicy, items};
use sidereal::data::write::sids;
use sidereal::page::Page;
use sidereal::policy::{TextEncoder, device};
use sidereal::quantizer::{Balance, Collisions, QualityReport, RqKMeans, Thresholds, write_index};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// `x.item.json` of `MiniOneRec` and LC-Rec, or `RecBole`'s `x.item`.
    #[arg(long)]
    items: PathBuf,
    /// Where codebooks, catalogue, index, table and report are written; the index counts items as
    /// the table does.
    #[arg(long)]
    out: PathBuf,
    /// A sentence-transformers directory.
    #[arg(long, default_value = "target/all-MiniLM-L6-v2")]
    encoder: PathBuf,
    /// Embed titles alone, without descriptions.
    #[arg(long)]
    titles_only: bool,
    /// Codes of each level.
    #[arg(long, value_delimiter = ',', default_value = "256,256,256")]
    sizes: Vec<usize>,
    /// Runs of k-means a level; the best is kept.
    #[arg(long, default_value_t = 3)]
    restarts: usize,
    /// none, per-level or per-parent. Late residuals have few clusters, and codes that are free to
    /// be used unevenly are: on 3,686 items 24 and 16 of 256 in effect at the second and third level.
    #[arg(long, default_value = "per-level", value_parser = named::<Balance>)]
    balance: Balance,
    /// suffix, slot, reassign or keep.
    #[arg(long, default_value = "suffix", value_parser = named::<Collisions>)]
    collisions: Collisions,
    /// Fail, with nothing written, above this share of colliding items.
    #[arg(long)]
    max_collision_rate: Option<f64>,
    /// Fail, with nothing written, where a level uses less than this share of its codes.
    #[arg(long)]
    min_usage: Option<f64>,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    #[arg(long, default_value = "auto")]
    device: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let loaded = items::read(&args.items, &RowPolicy::lenient())?;
    println!("{} items; {}", loaded.items.len(), loaded.skips);
    let text = |item: &Item| match item.description.as_str() {
        "" => item.title.clone(),
        _ if args.titles_only => item.title.clone(),
        description => format!("{}\n{description}", item.title),
    };
    let texts: Vec<String> = loaded.items.iter().map(text).collect();
    let vectors =
        TextEncoder::load(&args.encoder, device(&args.device)?)?.encode(&texts, 32, |_| ())?;
    let params = RqKMeans::params(args.sizes.clone(), args.seed)
        .restarts(args.restarts)
        .balance(args.balance);
    let model = params.fit(&DatasetBase::from(vectors.view()))?;
    let (books, codes) = (model.codebooks(), model.codes().view());
    let [nearest, queries] = [10, 1000].map(|n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN));
    let report = QualityReport::from_codes(codes, &books.sizes())?
        .with_reconstruction(books, vectors.view(), codes)?
        .with_neighbours(vectors.view(), codes, nearest, queries)?;
    println!("{report}");
    let mut limits = Thresholds::default();
    (limits.max_collision_rate, limits.min_usage) = (args.max_collision_rate, args.min_usage);
    limits.check(&report)?;
    let catalog = args.collisions.catalog(books, vectors.view(), codes)?;
    books.save(&args.out)?;
    catalog.save(&args.out.join("catalog.json"))?;
    write_index(&catalog, &args.out.join("index.json"))?;
    sids::write(&args.out.join("items.tsv"), &loaded.items, &catalog)?;
    let mut page = Page::new("Semantic IDs");
    report.push_to(&mut page, &catalog);
    page.write(&args.out.join("quality.html"))?;
    println!("{} semantic ids in {}", catalog.num_sids(), args.out.display());
    Ok(())
}

/// A setting by its name in recipes.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(name.into())
}
