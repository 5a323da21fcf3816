//! Residual k-means at small sizes: 3 levels, 10 iterations, all threads.
//!
//! `benches/rq_kmeans_peer.py` compares large ones with faiss, scikit-learn and
//! k-means-constrained.
#![allow(clippy::unwrap_used, reason = "a failing bench panics")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linfa::prelude::*;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sidereal_quantizer::{Balance, RqKMeans};

const CODES: usize = 64;

/// Rows around 100 centres, with as much noise as signal.
fn rows(num_rows: usize, width: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let centres = Array2::from_shape_simple_fn((100, width), || rng.gen_range(-1.0f32..1.0));
    Array2::from_shape_fn((num_rows, width), |(i, d)| {
        centres[[i * i % 100, d]] + rng.gen_range(-1.0f32..1.0)
    })
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("rq_kmeans");
    group.sample_size(10);
    for (num_rows, width) in [(2000, 64), (8000, 128)] {
        let rows = rows(num_rows, width);
        let data = DatasetBase::from(rows.view());
        group.throughput(Throughput::Elements(num_rows as u64));
        for (name, balance) in [
            ("nearest", Balance::None),
            ("per-level", Balance::PerLevel),
            ("per-parent", Balance::PerParent),
        ] {
            let params =
                RqKMeans::params([CODES; 3], 7).max_iterations(10).tolerance(0.0).balance(balance);
            let size = format!("{num_rows}x{width}x{CODES}");
            group.bench_with_input(BenchmarkId::new(name, size), &params, |b, params| {
                b.iter(|| black_box(params.fit(&data).unwrap()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
