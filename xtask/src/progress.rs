//! Progress of a long step: a bar on a terminal, one line in a log.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts a bar of `total` bytes.
    pub(crate) fn bytes(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_message(what.to_owned());
        if bar.is_hidden() {
            eprintln!("xtask: {what} ({:.1} MB)", total as f64 / 1e6);
        }
        let template =
            "{msg:42} {bar:24} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Moves to `bytes` from the start, at most to the end.
    pub(crate) fn set(&self, bytes: u64) {
        self.0.set_position(bytes.min(self.0.length().unwrap_or(bytes)));
    }

    /// Moves `bytes` on.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
