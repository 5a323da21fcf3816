//! Seconds of training steps, for a checkpoint and batches made elsewhere. CPU or CUDA.
//! `python crates/train/benches/step_peer.py` makes the input and runs this beside PyTorch.
//! Run: `cargo run --release -p sidereal-train --example step_speed -- --model DIR --input FILE`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde::Deserialize;
use sidereal_policy::{
    BeamSearch, CompletionToken, Completions, Constraint, Decoder, Hypothesis, LogpPass, Place,
    Policy as _, Scoring, Target, TokenBatch, code_targets, completion_logp, device, target_pass,
    tune_allocator,
};
use sidereal_rl::{
    Clip, Grpo, Kl, KlEstimator, Normalise, RolloutBatch, Segments, StepSize, ZScore,
};
use sidereal_sid::{Catalog, SemanticId, SidSpec};
use sidereal_train::{AdamW, OptimConfig};
use tch::{Kind, Tensor};

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
    #[arg(long, default_value = "float32")]
    dtype: Dtype,
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Steps before the first timed one.
    #[arg(long, default_value_t = 1)]
    warmup: usize,
    /// Sequences of a supervised step whose gradients are computed together, in order of length.
    #[arg(long, default_value_t = 16)]
    micro_batch: usize,
}

/// What matrix products are computed in; weights and moments are f32.
#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    Float32,
    Bfloat16,
}

/// Batches of one kind.
#[derive(Deserialize)]
struct Input {
    sids: Vec<Vec<u16>>,
    codebook_sizes: Vec<usize>,
    /// Vocabulary id of each code, level after level.
    ids: Vec<u32>,
    lr: f64,
    clip_norm: f64,
    /// Supervised steps: sequences, each with the number of tokens at its end that are learned.
    #[serde(default)]
    sft: Vec<Vec<(Vec<u32>, usize)>>,
    /// RL steps: prompts.
    #[serde(default)]
    rl: Vec<Vec<Vec<u32>>>,
    /// Tokens after each Semantic ID of an RL step, scored too.
    #[serde(default)]
    tail: Vec<u32>,
    #[serde(default)]
    group_size: usize,
    #[serde(default)]
    kl_coef: f64,
}

fn main() -> Result<(), Error> {
    let args = Args::parse();
    let _ = tune_allocator();
    let device = device(&args.device)?;
    let input: Input = serde_json::from_reader(std::fs::File::open(&args.input)?)?;
    let sids = input.sids.iter().map(|codes| SemanticId::from(codes.clone())).collect();
    let catalog = Catalog::new(SidSpec::new(input.codebook_sizes.clone(), 0)?, sids)?;
    let constraint = Constraint::from_ids(&catalog, input.ids.clone(), device)?;
    let kind = match args.dtype {
        Dtype::Float32 => Kind::Float,
        Dtype::Bfloat16 => Kind::BFloat16,
    };
    let model = Decoder::load(&args.model, device)?.computing_in(kind).require_grad(true);
    let reference = model.frozen_copy()?;
    let config =
        OptimConfig { clip_norm: input.clip_norm, weight_decay: 0.0, ..OptimConfig::default() };
    let optim = AdamW::new(config, model.weights());
    let micro_batch = args.micro_batch.max(1);
    let mut bench = Bench { model, reference, constraint, optim, input, micro_batch };
    let steps = bench.input.sft.len().max(bench.input.rl.len());
    let (mut seconds, mut phases, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps {
        let timed = if bench.input.rl.is_empty() { bench.sft(step)? } else { bench.rl(step)? };
        losses.push(timed.loss);
        if step >= args.warmup {
            seconds.push(timed.phases.iter().sum::<f64>());
            phases.push(timed.phases);
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "seconds": seconds,
            "phases": phases,
            "losses": losses,
            "threads": tch::get_num_threads(),
            "peak_rss_mb": peak_rss_mb(),
        })
    );
    Ok(())
}

struct Bench {
    model: Decoder,
    reference: Decoder,
    constraint: Constraint,
    optim: AdamW,
    input: Input,
    micro_batch: usize,
}

/// A step's loss and the seconds of its phases.
struct Timed {
    loss: f64,
    phases: Vec<f64>,
}

impl Bench {
    /// Forward, backward, update of one batch; its loss.
    fn sft(&mut self, step: usize) -> Result<Timed, Error> {
        let mut rows: Vec<&(Vec<u32>, usize)> = self.input.sft[step].iter().collect();
        rows.sort_by_key(|(ids, _)| ids.len());
        let slope = -1.0 / rows.iter().map(|(_, learned)| *learned as f64).sum::<f64>();
        let (mut loss, mut forward, mut backward) = (0.0, Duration::ZERO, Duration::ZERO);
        for rows in rows.chunks(self.micro_batch) {
            let start = Instant::now();
            let pass = self.read(rows)?;
            loss += slope * pass.logp().sum(Kind::Double).double_value(&[]);
            let read = Instant::now();
            let d_logp = pass.logp().full_like(slope);
            pass.backward(&d_logp)?;
            forward += read - start;
            backward += read.elapsed();
        }
        let start = Instant::now();
        self.optim.step(self.model.weights(), self.input.lr)?;
        let phases = [forward, backward, start.elapsed()];
        Ok(Timed { loss, phases: phases.iter().map(Duration::as_secs_f64).collect() })
    }

    /// Log-probabilities of the learned tokens of some rows.
    fn read(&self, rows: &[&(Vec<u32>, usize)]) -> Result<LogpPass<'_>, Error> {
        let tokens: Vec<&[u32]> = rows.iter().map(|(ids, _)| ids.as_slice()).collect();
        let limit = self.model.config().max_position_embeddings;
        let batch = TokenBatch::new(&tokens, 0, limit, self.model.device())?;
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (row, (ids, learned)) in rows.iter().enumerate() {
            for (at, id) in ids.iter().enumerate().skip(ids.len() - learned) {
                places.push(Place { row, position: at - 1 });
                targets.push(Target::Word(*id));
            }
        }
        let states = self.model.forward_at(&batch, &places, 0.0)?;
        Ok(target_pass(&self.model, &self.constraint, states, &targets, Scoring::Full)?)
    }

    /// Rollouts, rewards, reference, forward, backward, update of one batch; its loss.
    fn rl(&mut self, step: usize) -> Result<Timed, Error> {
        let mut marks = vec![Instant::now()];
        let limit = self.model.config().max_position_embeddings;
        let prompts = &self.input.rl[step];
        let batch = TokenBatch::new(prompts, 0, limit, self.model.device())?;
        let scoring = Scoring::Full;
        let search = BeamSearch {
            model: &self.model,
            constraint: &self.constraint,
            beam_width: self.input.group_size,
            scoring,
        };
        let groups = search.search(&batch, &vec![&[][..]; prompts.len()])?;
        marks.push(Instant::now());
        let rewards: Vec<f64> = groups.iter().enumerate().flat_map(rewards).collect();
        let of_groups = Segments::from_lens(groups.iter().map(Vec::len));
        let advantages = ZScore::TRL.advantages(&rewards, &of_groups)?.values;
        let rollouts = groups
            .iter()
            .map(|group| group.iter().map(|found| self.completion(found)).collect())
            .collect::<Result<Vec<Vec<_>>, Error>>()?;
        let begun = vec![0; prompts.len()];
        let completions = Completions { prompts: &batch, begun: &begun, rollouts: &rollouts };
        let reference = {
            let _guard = tch::no_grad_guard();
            completion_logp(&self.reference, &self.constraint, &completions, scoring)?.logp
        };
        marks.push(Instant::now());
        let scored = self.model.completion_pass(&self.constraint, &completions, scoring.into())?;
        let [reference, logp] = [&reference, scored.pass.logp()]
            .map(|logp| Vec::<f64>::try_from(logp.to_kind(Kind::Double)));
        let (reference, logp) = (reference?, logp?);
        let tokens = Segments::from_lens(scored.lens.iter().copied());
        let objective = Grpo {
            clip: Clip::new(0.2, 0.2)?,
            kl: Some(Kl::new(self.input.kl_coef, KlEstimator::K3)?),
            normalise: Normalise::Token,
        };
        let rollouts =
            RolloutBatch::new(&tokens, &logp, &logp, &advantages)?.with_reference(&reference)?;
        let found = objective.objective(&rollouts, StepSize::of(&tokens))?;
        marks.push(Instant::now());
        scored.pass.backward(&-Tensor::from_slice(&found.d_logp))?;
        marks.push(Instant::now());
        self.optim.step(self.model.weights(), self.input.lr)?;
        marks.push(Instant::now());
        let span = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64();
        Ok(Timed { loss: -found.value, phases: marks.windows(2).map(span).collect() })
    }

    /// The codes of a hypothesis and the tail, all scored.
    fn completion(&self, found: &Hypothesis) -> Result<Vec<CompletionToken>, Error> {
        let codes = code_targets(self.constraint.trie(), &[], &found.tokens)?;
        let tail = self.input.tail.iter().map(|id| Target::Word(*id));
        Ok(codes.into_iter().chain(tail).map(CompletionToken::Scored).collect())
    }
}

/// Rewards of a group in which rollout `prompt mod G` is the target: 1 for it, and for the others
/// `−(1/log₂(rank + 2)) / Σ`.
fn rewards((prompt, group): (usize, &Vec<Hypothesis>)) -> Vec<f64> {
    let rank = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let sum: f64 = (0..group.len()).map(rank).sum();
    let hit = prompt % group.len();
    (0..group.len()).map(|place| if place == hit { 1.0 } else { -rank(place) / sum }).collect()
}

/// Most memory that this process has held, in MiB; 0 where the system does not tell.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}
