//! What `--help` says.

use std::path::Path;

use crate::program::succeeds;

#[test]
fn the_help_of_every_command_reads_as_recorded() {
    let dir = Path::new(".");
    insta::assert_snapshot!("help", succeeds(dir, &["--help"]));
    for command in [
        "prepare",
        "sids",
        "train",
        "keys",
        "recommend",
        "compare",
        "leaderboard",
        "report",
        "export",
        "enrich",
        "completions",
    ] {
        let help = succeeds(dir, &[command, "--help"]);
        assert!(help.contains(&format!("\n  sidereal {command} ")), "{command} shows an example");
        insta::assert_snapshot!(format!("help_{command}"), help);
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(Path::new("."), &["completions", shell]);
        assert!(script.contains("recommend") && script.contains("prepare"), "{shell}");
    }
}
