//! How the program ends where it cannot go on.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// A command line that has to be changed; the text says how.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

impl Usage {
    /// The error of a command line.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(text.into()))
    }
}

/// A command that wrote what it could, and that is less than was asked for; the text says how much.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Incomplete(String);

impl Incomplete {
    /// The error of a result that lacks something.
    pub(crate) fn error(text: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(text.into()))
    }
}

/// Exit code of a command line that has to be changed, as clap has it.
const USAGE: u8 = 2;

/// Exit code of a result that lacks something.
const INCOMPLETE: u8 = 3;

/// Prints an error and what caused it, a line each, and returns the exit code.
pub(crate) fn tell(error: &anyhow::Error) -> ExitCode {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
    };
    // Whoever read the results has seen enough.
    if error.chain().any(broken) {
        return ExitCode::SUCCESS;
    }
    let mut stderr = io::stderr().lock();
    // Nobody is left to be told where stderr is closed.
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
