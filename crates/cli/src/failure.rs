//! How the program ends if it cannot go on.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// The command line must be changed; the text says how.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

impl Usage {
    /// The error of a command line.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(text.into()))
    }
}

/// The command wrote less than was asked for; the text says how much.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Incomplete(String);

impl Incomplete {
    /// The error of an incomplete result.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(text.into()))
    }
}

/// Exit code if the command line must be changed, as in clap.
const USAGE: u8 = 2;

/// Exit code if a result is incomplete.
const INCOMPLETE: u8 = 3;

/// Prints an error and its causes, one on each line, and returns the exit code.
pub(crate) fn tell(error: &anyhow::Error) -> ExitCode {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
    };
    // The reader of the results has closed the pipe.
    if error.chain().any(broken) {
        return ExitCode::SUCCESS;
    }
    let mut stderr = io::stderr().lock();
    // If stderr is closed, the error cannot be shown.
    let _ = writeln!(stderr, "error: {error}");
    for cause in error.chain().skip(1) {
        let _ = writeln!(stderr, "caused by: {cause}");
    }
    if error.is::<Usage>() {
        let _ = writeln!(stderr, "\nFor more information, try `--help` after the command.");
        return ExitCode::from(USAGE);
    }
    if error.is::<Incomplete>() {
        return ExitCode::from(INCOMPLETE);
    }
    ExitCode::FAILURE
}
