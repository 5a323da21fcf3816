//! Makes Semantic IDs for a file of items: from titles to vectors, from vectors to codes, with a quality report.
//!
//! 3,686 items take about a minute on two cores, nearly all of it in the encoder. The command
//! `sidereal sids` has all methods.
//! Run: `cargo run --release --example semantic_ids -- datasets/shop/shop.item sids`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use linfa::DatasetBase;
use linfa::traits::Fit as _;
use sidereal::data::read::{RowPolicy, items};
use sidereal::data::write::sids;
use sidereal::policy::{TextEncoder, device};
use sidereal::quantizer::{Balance, Collisions, QualityReport, RqKMeans};

#[derive(Parser)]
#[command(about = "Makes Semantic IDs of a file of items")]
struct Args {
    /// `x.item.json` of MiniOneRec and LC-Rec, or RecBole's `x.item`.
    items: PathBuf,
    /// Where codebooks, catalogue and table are written.
    out: PathBuf,
    /// A sentence-transformers directory.
    #[arg(long, default_value = "target/all-MiniLM-L6-v2")]
    encoder: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let items = items::read(&args.items, &RowPolicy::lenient())?.items;
    let titles: Vec<&str> = items.iter().map(|item| item.title.as_str()).collect();
    let encoder = TextEncoder::load(&args.encoder, device("auto")?)?;
    let vectors = encoder.encode(&titles, 32, |_| ())?;
    // Late residuals have few clusters, so codes that are free to be used unevenly are.
    let params = RqKMeans::params([32, 32, 32], 7).restarts(3).balance(Balance::PerLevel);
    let model = params.fit(&DatasetBase::from(vectors.view()))?;
    let (books, codes) = (model.codebooks(), model.codes().view());
    let quality = QualityReport::from_codes(codes, &books.sizes())?.with_reconstruction(
        books,
        vectors.view(),
        codes,
    )?;
    println!("{quality}");
    let catalog = Collisions::Suffix.catalog(books, vectors.view(), codes)?;
    books.save(&args.out)?;
    catalog.save(&args.out.join("catalog.json"))?;
    sids::write(&args.out.join("items.tsv"), &items, &catalog)?;
    println!("{} Semantic IDs in {}", catalog.num_sids(), args.out.display());
    Ok(())
}
