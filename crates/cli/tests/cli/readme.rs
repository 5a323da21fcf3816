//! The commands of `README.md`, as they stand there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::program::succeeds;
use crate::shop;

/// The words of a command line; what stands between quotes is one.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(
            |(place, part)| {
                if place % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }
            },
        )
        .collect()
}

#[test]
fn the_four_commands_of_the_readme_lead_from_raw_files_to_a_recommendation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let start = readme.find("sidereal prepare").unwrap();
    let commands: Vec<Vec<&str>> =
        readme[start..].lines().take_while(|line| !line.starts_with("```")).map(words).collect();
    let names: Vec<&str> = commands.iter().map(|command| command[1]).collect();
    assert_eq!(names, ["prepare", "sids", "train", "recommend"]);

    // A folder like the root of the project, where the commands are meant to be typed.
    let dir = tempfile::tempdir().unwrap();
    symlink(root.join("datasets"), dir.path().join("datasets")).unwrap();
    fs::create_dir(dir.path().join("target")).unwrap();
    symlink(shop::encoder(), dir.path().join("target/all-MiniLM-L6-v2")).unwrap();
    // The recipe `demo` takes minutes: one of seconds stands for it.
    let recipe = fs::read_to_string(shop::recipe()).unwrap();
    let recipe =
        recipe.replace("epochs = 2", "epochs = 1").replace("batch_size = 16", "batch_size = 64");
    fs::write(dir.path().join("tiny.toml"), recipe).unwrap();
    let mut said = String::new();
    for mut command in commands {
        if command[1] == "train" {
            assert_eq!(command[2], "demo");
            command[2] = "tiny.toml";
        }
        said = succeeds(dir.path(), &command[1..]);
    }
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[3], lines.len()), ("after", "next", 14), "{said}");
    assert!(lines[1].contains("  Ironpeak shockproof rugged foam roller ("), "{said}");
    assert!(lines[2].ends_with("(item-003)"), "{said}");
}
