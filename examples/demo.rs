//! Makes a recommender from nothing on the shipped shop, and judges it against the known truth.
//!
//! Minutes on two CPU cores. Run: `cargo xtask demo`, or once set up
//! `cargo run --release --example demo -- --out runs/demo`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

#[path = "support/settings.rs"]
mod settings;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal::data::read::recbole::{ReadOptions, read};
use sidereal::data::synthetic::{Shop, ShopRecord};
use sidereal::lab::{Pipeline, Reference};
use sidereal::policy::device;
use sidereal::train::Bars;

#[derive(Parser)]
#[command(about = "Makes a recommender from nothing on the shipped shop")]
struct Args {
    /// Folder of the shop.
    #[arg(long, default_value = "datasets/shop")]
    shop: PathBuf,
    /// Folder of the run.
    #[arg(long, default_value = "runs/demo")]
    out: PathBuf,
    #[command(flatten)]
    settings: settings::SettingArgs,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let recipe = args.settings.recipe(&[
        ("demo", include_str!("recipes/demo.toml")),
        ("fresh", include_str!("recipes/demo-fresh.toml")),
        ("objectives", include_str!("recipes/demo-objectives.toml")),
    ])?;
    let file = |name: &str| args.shop.join(name);
    let options = ReadOptions::new(recipe.seed);
    let dataset = read(&file("shop.inter"), &file("shop.item"), &options)?.dataset;
    let record = std::fs::read(file("shop.json")).context("cannot read the shop's record")?;
    let record: ShopRecord = serde_json::from_slice(&record).context("`shop.json` is damaged")?;
    let oracle = Shop::new(record.config)?.oracle(&dataset)?;
    let references = [Reference { name: "best possible", recommender: &oracle }];
    let pipeline = Pipeline {
        recipe: &recipe,
        dataset: &dataset,
        published: None,
        references: &references,
        out: &args.out,
        device: device(&args.settings.device)?,
    };
    let outcome = pipeline.run(&mut Bars::default())?;
    println!("{}", outcome.report);
    for showcase in &outcome.showcases {
        println!("{showcase}");
    }
    let page = args.out.join("report.html");
    outcome.write_page("A shop of five hundred products", &page)?;
    println!("report: {}", page.display());
    Ok(())
}
