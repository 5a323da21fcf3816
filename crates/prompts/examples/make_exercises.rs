//! Makes the exercises in general reasoning that come with the project. Seconds.
//! Run: `cargo run --release -p sidereal-prompts --example make_exercises -- \
//!     --out datasets/reasoning/exercises.jsonl`

use std::path::PathBuf;

use clap::Parser;
use serde_json::json;
use sidereal_data::write;
use sidereal_prompts::exercises;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// File of conversations, one a line.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 600)]
    count: usize,
    #[arg(long, default_value_t = 20)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut chats = exercises(args.count, args.seed);
    let mut seen = std::collections::HashSet::new();
    chats.retain(|chat| seen.insert(chat.clone()));
    write::write_whole(&args.out, |out| {
        for chat in &chats {
            serde_json::to_writer(&mut *out, &json!({ "messages": chat.messages() }))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}
