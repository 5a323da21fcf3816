//! Default settings of an RQ-VAE.

pub(super) fn hidden() -> Vec<usize> {
    vec![512, 256, 128, 64]
}

pub(super) const fn latent() -> usize {
    32
}

pub(super) const fn beta() -> f64 {
    0.25
}

pub(super) const fn quantisation_weight() -> f64 {
    1.0
}

pub(super) const fn learning_rate() -> f64 {
    1e-3
}

pub(super) const fn clip_norm() -> f64 {
    1.0
}

pub(super) const fn batch_size() -> usize {
    1024
}

pub(super) const fn steps() -> usize {
    10_000
}

pub(super) const fn evaluate_every() -> usize {
    500
}

pub(super) const fn sinkhorn_iterations() -> usize {
    50
}

pub(super) const fn revive_after() -> usize {
    20
}

pub(super) const fn diversity_clusters() -> usize {
    10
}

pub(super) fn device() -> String {
    "cpu".to_owned()
}
