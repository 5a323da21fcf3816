//! Makes the demo shop: 500 products, 3,000 customers, and the best that a ranking can do. Seconds.
//! Run: `cargo run --release -p sidereal-data --example make_shop -- --out datasets/shop`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sidereal_data::synthetic::{Shop, ShopConfig, ShopRecord};
use sidereal_data::{leave_one_out, write};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Folder for shop.inter, shop.item and shop.json.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 20)]
    seed: u64,
    #[arg(long, default_value_t = 3000)]
    users: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let ten = NonZeroUsize::new(10).context("ten is not zero")?;
    let shop = Shop::new(ShopConfig::new(args.seed).with_num_users(args.users))?;
    let dataset = shop.generate()?;
    let split = leave_one_out(&dataset, NonZeroUsize::MAX)?;
    let oracle = shop.oracle(&dataset)?;
    let valid = oracle.best_possible(&split.valid, ten)?;
    let test = oracle.best_possible(&split.test, ten)?;
    let record = ShopRecord::new(&shop, &dataset, valid, test);

    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create `{}`", args.out.display()))?;
    write::recbole::write(&dataset, &args.out.join("shop.inter"), &args.out.join("shop.item"))?;
    let json = serde_json::to_string_pretty(&record)? + "\n";
    write::write_whole(&args.out.join("shop.json"), |out| out.write_all(json.as_bytes()))?;
    print!("{json}");
    Ok(())
}
