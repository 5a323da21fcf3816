//! One optimiser step from Semantic IDs to gradient: reward, advantages, objective.
//!
//! 512 groups of 16 rollouts of 5 codes, one thread. `benches/step_torch.py` does the same in
//! vectorised PyTorch and runs both: `python crates/rl/benches/step_torch.py`.
#![allow(clippy::unwrap_used, reason = "a failing bench panics")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sidereal_rl::{
    Group, Grpo, Kl, KlEstimator, RolloutBatch, Segments, Singer, StepSize, ZScore, score_groups,
};
use sidereal_sid::{Code, SemanticId};

const GROUPS: usize = 512;
const ROLLOUTS: usize = 16;
const TOKENS: usize = 5;

struct Step {
    targets: Vec<SemanticId>,
    rollouts: Vec<Vec<SemanticId>>,
    tokens: Segments,
    logp: Vec<f64>,
    old_logp: Vec<f64>,
    ref_logp: Vec<f64>,
}

/// Two codes a level, so that every prefix length occurs; log-probs near each other.
fn step() -> Step {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let sid = |rng: &mut ChaCha8Rng| (0..TOKENS).map(|_| rng.gen_range(0..2 as Code)).collect();
    let targets = (0..GROUPS).map(|_| sid(&mut rng)).collect();
    let group = |rng: &mut ChaCha8Rng| (0..ROLLOUTS).map(|_| sid(rng)).collect();
    let rollouts = (0..GROUPS).map(|_| group(&mut rng)).collect();
    let num_tokens = GROUPS * ROLLOUTS * TOKENS;
    let logp: Vec<f64> = (0..num_tokens).map(|_| rng.gen_range(-4.0..0.0)).collect();
    let mut near = || logp.iter().map(|logp| logp + rng.gen_range(-0.3..0.3)).collect();
    let (old_logp, ref_logp) = (near(), near());
    let tokens = Segments::uniform(GROUPS * ROLLOUTS, TOKENS);
    Step { targets, rollouts, tokens, logp, old_logp, ref_logp }
}

fn reward_to_gradient(step: &Step, grpo: &Grpo) -> Vec<f64> {
    let groups = step.targets.iter().zip(&step.rollouts).map(|(t, r)| Group::new(t, r));
    let scores = score_groups(&Singer::default(), groups).unwrap();
    let advantages = ZScore::TRL.advantages(&scores.rewards, &scores.groups).unwrap();
    let batch =
        RolloutBatch::new(&step.tokens, &step.logp, &step.old_logp, &advantages.values).unwrap();
    let batch = batch.with_reference(&step.ref_logp).unwrap();
    grpo.objective(&batch, StepSize::of(&step.tokens)).unwrap().d_logp
}

fn bench(c: &mut Criterion) {
    let step = step();
    let mut group = c.benchmark_group("reward_to_gradient");
    group.throughput(Throughput::Elements((GROUPS * ROLLOUTS) as u64));
    let kl = Some(Kl::new(0.04, KlEstimator::K3).unwrap());
    for (name, kl) in [("grpo", None), ("grpo_kl", kl)] {
        let grpo = Grpo { kl, ..Grpo::default() };
        let size = format!("{GROUPS}x{ROLLOUTS}x{TOKENS}");
        group.bench_function(BenchmarkId::new(name, size), |b| {
            b.iter(|| reward_to_gradient(black_box(&step), &grpo));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
