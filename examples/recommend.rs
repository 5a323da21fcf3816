//! Recommends items by the policy that the example `demo` trained.
//!
//! The history is given as titles, item keys or Semantic IDs, in any mixture, earliest first.
//! Seconds. Run: `cargo run --release --example recommend -- runs/demo/1 item-003 "<a_1><b_7><c_2>"`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sidereal::lab::{TrainedStage, Wanted};
use sidereal::metrics::SeenItems;
use sidereal::policy::{device, share_cores};

#[derive(Parser)]
#[command(about = "Recommends items by a trained policy")]
struct Args {
    /// Folder of the run.
    run: PathBuf,
    /// Titles, item keys or Semantic IDs, earliest first.
    #[arg(required = true)]
    history: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let _shares = share_cores();
    let args = Args::parse();
    let stage = TrainedStage::open(&args.run, None, device("auto")?)?;
    let recommender = stage.standalone()?;
    let history =
        args.history.iter().map(|text| recommender.find(text)).collect::<Result<Vec<_>, _>>()?;
    let ten = NonZeroUsize::new(10).unwrap_or(NonZeroUsize::MIN);
    let wanted = Wanted { num_items: ten, beam_width: 50, seen: SeenItems::Removed };
    for best in recommender.recommend(&[history], &wanted)?.into_iter().flatten() {
        let title = recommender.dataset().item(best.item).map_or("", |item| &item.title);
        println!("{:7.3}  {title}", best.score);
    }
    Ok(())
}
