//! The largest rate of matrix products on a device, in GFLOP/s: what a share of peak is a share of. CPU or CUDA.
//! Run: `cargo run --release -p sidereal-policy --example matrix_peak -- --device cuda`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::time::Instant;

use clap::Parser;
use sidereal_policy::{SeededGenerator, device, tune_allocator};
use tch::{Cuda, Device, Kind, Tensor};

#[derive(Parser)]
#[command(about)]
struct Args {
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Rows and columns of the square matrices.
    #[arg(long, default_value_t = 8192)]
    size: i64,
    /// Timed runs; the fastest one counts.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let _ = tune_allocator();
    let device = device(&args.device)?;
    let rates = [Kind::Float, Kind::BFloat16].map(|kind| rate(&args, device, kind));
    let [float32, bfloat16] = rates;
    println!(
        "{}",
        serde_json::json!({
            "device": args.device,
            "size": args.size,
            "threads": tch::get_num_threads(),
            "float32_gflops": float32?,
            "bfloat16_gflops": bfloat16?,
        })
    );
    Ok(())
}

/// The fastest of some products, in 10⁹ operations a second: `2·n³` for matrices of `n` rows and columns.
fn rate(args: &Args, device: Device, kind: Kind) -> Result<f64, tch::TchError> {
    let _generator = SeededGenerator::new(1);
    let shape = [args.size, args.size];
    let [left, right] = [(), ()].map(|()| Tensor::f_randn(shape, (Kind::Float, device)));
    let (left, right) = (left?.f_to_kind(kind)?, right?.f_to_kind(kind)?);
    let mut fastest = f64::INFINITY;
    for run in 0..=args.repeats {
        wait(device);
        let start = Instant::now();
        let product = left.f_matmul(&right)?;
        wait(device);
        drop(product);
        // The first run warms up.
        if run > 0 {
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(2.0 * (args.size as f64).powi(3) / fastest / 1e9)
}

/// Waits until the device has done all that it was asked for.
fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(i64::try_from(index).unwrap_or_default());
    }
}
