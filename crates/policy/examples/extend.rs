//! Adds a token for each code of Semantic IDs to a pretrained checkpoint. CPU, seconds.
//! Run: `cargo run --release -p sidereal-policy --example extend -- path/to/base path/to/out
//! --codes 256,256,256 --mean`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;

use clap::Parser;
use sidereal_policy::{RowInit, VocabularyExtension, extend_pretrained};
use sidereal_sid::SidSpec;

#[derive(Parser)]
#[command(about = "Adds a token for each code of Semantic IDs to a pretrained checkpoint")]
struct Args {
    /// HF directory of the pretrained model, with `tokenizer.json`.
    base: PathBuf,
    /// Directory of the extended one; another than the base's.
    out: PathBuf,
    /// Codes of each level.
    #[arg(long, value_delimiter = ',', default_values_t = [256, 256, 256])]
    codes: Vec<usize>,
    /// Codes that tell apart items whose other codes are equal; 0 for none.
    #[arg(long, default_value_t = 0)]
    suffix: usize,
    /// Begin new rows as the mean of the old ones instead of random ones.
    #[arg(long)]
    mean: bool,
    /// With `--mean`: standard deviation of the noise that tells the new rows apart.
    #[arg(long, default_value_t = 1e-3, requires = "mean")]
    noise: f64,
    /// The number of rows becomes a multiple of this.
    #[arg(long, default_value_t = 64)]
    pad_to_multiple_of: usize,
    /// What a completion in words ends with where that is not the base's end of a text.
    #[arg(long)]
    end_of_turn: Option<String>,
    /// Seed of the random rows.
    #[arg(long, default_value_t = 1)]
    seed: i64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let spec = SidSpec::new(args.codes, args.suffix)?;
    let how = VocabularyExtension {
        init: if args.mean { RowInit::Mean { noise: args.noise } } else { RowInit::Random },
        pad_to_multiple_of: args.pad_to_multiple_of,
        end_of_turn: args.end_of_turn,
        seed: args.seed,
    };
    let tokenizer = extend_pretrained(&args.base, &spec, &how, &args.out)?;
    let ids = tokenizer.sid_ids();
    println!("{} codes, ids {:?} to {:?}", ids.len(), ids.first(), ids.last());
    println!("{} ids in all, wrote `{}`", tokenizer.vocab_size(), args.out.display());
    Ok(())
}
