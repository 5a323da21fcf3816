//! What the libraries tell, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Writes events to stderr: warnings; with `verbose` of 1 what each part does and where it is told, from 2
/// everything. `RUST_LOG`, where it is set, decides instead.
pub(crate) fn start(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(verbose > 0)
        .without_time()
        .with_env_filter(filter)
        .init();
}
