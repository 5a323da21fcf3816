//! Seconds of each step of supervised fine-tuning, for a folder of a decoder and batches made elsewhere.
//! `python crates/train/benches/sft_peer.py` makes the input and runs this beside PyTorch.
//! Run: `cargo run --release -p sidereal-train --example sft_speed -- --model DIR --input FILE \
//!     --trainable 'layers.upper = 6
//!     embeddings = "frozen"'`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use serde::Deserialize;
use sidereal_policy::{Constraint, Decoder, Target, tune_allocator};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_train::{
    Binding, Checkpoints, Epoch, Keep, Lessons, OptimConfig, Record, Schedule, Sequence, Sft,
    SftConfig, SftData, TrainError,
};
use tch::{Device, Kind, Tensor};

type Error = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Checkpoint directory.
    #[arg(long)]
    model: PathBuf,
    /// JSON of an [`Input`].
    #[arg(long)]
    input: PathBuf,
    /// Keys of `[stage.sft.trainable]`; without them, all weights are trained.
    #[arg(long, default_value = "")]
    trainable: String,
    /// Keys of `[stage.sft.lower_states]`.
    #[arg(long, default_value = "")]
    lower_states: String,
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    #[arg(long, default_value_t = 16)]
    micro_batch: usize,
    /// Products in bfloat16 over weights in f32.
    #[arg(long)]
    bf16: bool,
}

/// Batches: sequences, each with the number of tokens at its end that are learned.
#[derive(Deserialize)]
struct Input {
    sids: Vec<Vec<u16>>,
    codebook_sizes: Vec<usize>,
    /// Vocabulary id of each code, level after level.
    ids: Vec<u32>,
    lr: f64,
    clip_norm: f64,
    sft: Vec<Vec<(Vec<u32>, usize)>>,
}

/// The batches of the input, in every epoch the same; notes when one is asked for.
struct Given<'a> {
    batches: Vec<Vec<Sequence>>,
    epochs: usize,
    asked: &'a Cell<(Instant, f64)>,
}

impl Lessons for Given<'_> {
    fn epoch(&self, _: usize) -> Result<Epoch<'_>, TrainError> {
        let len = self.batches.len();
        let batch = move |number: usize| {
            self.asked.set((Instant::now(), cpu_seconds()));
            Ok(self.batches[number].clone())
        };
        Ok(Epoch { len, total: len * self.epochs, batch: Box::new(batch) })
    }
}

/// What was measured of a step.
#[derive(serde::Serialize)]
struct Step {
    seconds: f64,
    /// Processor time of all threads.
    cpu: f64,
    loss: f64,
    peak_mb: f64,
}

fn main() -> Result<(), Error> {
    let args = Args::parse();
    let _ = tune_allocator();
    let input: Input = serde_json::from_reader(std::fs::File::open(&args.input)?)?;
    let sids = input.sids.iter().map(|codes| SemanticId::from(codes.clone())).collect();
    let catalog = Catalog::new(SidSpec::new(input.codebook_sizes.clone(), 0)?, sids)?;
    let constraint = Constraint::from_ids(&catalog, input.ids.clone(), Device::Cpu)?;
    let kind = if args.bf16 { Kind::BFloat16 } else { Kind::Float };
    let model = Decoder::load(&args.model, Device::Cpu)?.computing_in(kind);
    let config = SftConfig {
        epochs: args.epochs,
        micro_batch: args.micro_batch,
        keep: Keep::Last,
        trainable: toml::from_str(&args.trainable)?,
        lower_states: toml::from_str(&args.lower_states)?,
        optim: OptimConfig {
            lr: input.lr,
            clip_norm: input.clip_norm,
            weight_decay: 0.0,
            warmup: 0.0,
            schedule: Schedule::Constant,
            ..OptimConfig::default()
        },
        ..SftConfig::default()
    };
    let dir = tempfile::tempdir()?;
    let sft = Sft {
        stage: "sft",
        config: &config.check("sft")?,
        constraint: &constraint,
        pad: 0,
        seed: 0,
        checkpoints: &Checkpoints::new(dir.path(), Binding::new()),
    };
    let asked = Cell::new((Instant::now(), 0.0));
    let batches = input.sft.iter().map(|batch| batch.iter().map(sequence).collect()).collect();
    let lessons = Given { batches, epochs: args.epochs, asked: &asked };
    let valid = vec![sequence(&(vec![5, 6], 1))];
    let mut steps = Vec::new();
    let mut observe = |record: &Record| {
        let loss = record.values.get("loss").copied().unwrap_or(f64::NAN);
        let (start, cpu_from) = asked.get();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_from);
        steps.push(Step { seconds, cpu, loss, peak_mb: peak_mb() });
    };
    sft.run(model, &SftData { lessons: &lessons, valid }, &mut observe)?;
    println!(
        "{}",
        serde_json::json!({
            "steps": steps,
            "threads": tch::get_num_threads(),
            "peak_gflops": { "f32": gflops(Kind::Float), "bf16": gflops(Kind::BFloat16) },
        })
    );
    Ok(())
}

fn sequence((ids, learned): &(Vec<u32>, usize)) -> Sequence {
    let first = ids.len() - learned;
    let targets = (first..ids.len()).map(|at| (at, Target::Word(ids[at]))).collect();
    Sequence { samples: Vec::new(), ids: ids.clone(), targets }
}

/// Operations of products of square matrices in a second of processor time of every thread, in GFLOP/s. The clock would
/// say less where other programs run.
fn gflops(kind: Kind) -> f64 {
    let (size, times) = (2048i64, 12);
    let [a, b] =
        [(); 2].map(|()| Tensor::randn([size, size], (Kind::Float, Device::Cpu)).to_kind(kind));
    let product = || std::hint::black_box(a.matmul(&b));
    let _ = product();
    let start = cpu_seconds();
    for _ in 0..times {
        let _ = product();
    }
    let seconds = (cpu_seconds() - start) / f64::from(tch::get_num_threads());
    2.0 * (size as f64).powi(3) * f64::from(times) / seconds / 1e9
}

/// Processor time of this process in hundredths of a second, as seconds; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in brackets: state is the first field, user and system time the 12th and 13th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Most memory that this process has held, in MiB; 0 where the system does not tell.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}
