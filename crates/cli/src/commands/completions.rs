//! `sidereal completions`: completions for a shell.

use std::io::{self, Write as _};

use clap::CommandFactory;
use clap_complete::Shell;

/// Print completions of this program for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sidereal completions bash > ~/.local/share/bash-completion/completions/sidereal")]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run<C: CommandFactory>(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "sidereal", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
