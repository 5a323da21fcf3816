//! Tokens per second of forward and backward passes of a small policy. CPU, seconds.
//! Run: `OMP_NUM_THREADS=1 cargo run --release -p sidereal-policy --example allocator_speed -- tuned`
//! (without `tuned`: with the allocator as the system sets it).
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::time::Instant;

use sidereal_policy::{Architecture, Decoder, DecoderConfig, TokenBatch, device, tune_allocator};
use tch::{Kind, Tensor};

const ROWS: usize = 64;
const TOKENS: u32 = 40;
const STEPS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tuned = std::env::args().any(|argument| argument == "tuned") && tune_allocator();
    let config = DecoderConfig {
        architecture: Architecture::Qwen3,
        vocab_size: 2000,
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 32,
        max_position_embeddings: 128,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: None,
        attention_bias: false,
        tie_word_embeddings: true,
    };
    let model = Decoder::random(config, 1, device("cpu")?)?.require_grad(true);
    let rows: Vec<Vec<u32>> =
        (0..64u32).map(|row| (0..TOKENS).map(|i| (row * 97 + i * 31) % 2000).collect()).collect();
    let batch = TokenBatch::new(&rows, 0, 128, model.device())?;
    let mut seconds = Vec::with_capacity(STEPS);
    for _ in 0..STEPS {
        let start = Instant::now();
        let hidden: Tensor = model.forward(&batch, 0.0)?;
        hidden.square().mean(Kind::Float).backward();
        for weight in model.weights().values() {
            weight.shallow_clone().zero_grad();
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let tokens = ROWS as f64 * f64::from(TOKENS);
    println!(
        "tuned {tuned}, {} threads: median {:.0} tokens/s, best {:.0}",
        tch::get_num_threads(),
        tokens / seconds[STEPS / 2],
        tokens / seconds[0],
    );
    Ok(())
}
