//! Results on stdout, notes on stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line of a result to stdout.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a note to stderr, such as where something was written.
pub(crate) fn note(text: impl Display) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
