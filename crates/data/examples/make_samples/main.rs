//! Writes one small dataset, a part of the synthetic shop, in every format that a reader takes. Instant.
//! Run: `cargo run -p sidereal-data --features parquet --example make_samples -- --out datasets/samples`

use std::path::PathBuf;

use clap::Parser;

mod formats;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Folder for the samples, one folder a format.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    formats::write_all(&Args::parse().out)
}
