//! Log messages of the libraries, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Writes events to stderr: by default warnings, with `verbose` of 1 also what each part does and where
/// the message comes from, and from 2 on everything. If `RUST_LOG` is set, it decides instead.
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
