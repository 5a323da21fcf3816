//! Counts its own starts in a file of a folder: `counter FOLDER`.
//!
//! Two starts at once never lose a count: the second one is refused while the first holds the folder.

use std::fs;
use std::path::PathBuf;

use sidereal_files::{FileError, FolderLock, hash_file, write_whole};

fn main() -> Result<(), FileError> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "counter".into()));
    let _lock = FolderLock::acquire(&folder)?;
    let path = folder.join("count");
    let before: u64 =
        fs::read_to_string(&path).ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0);
    write_whole(&path, |out| writeln!(out, "{}", before + 1))?;
    #[allow(clippy::print_stdout, reason = "the result of the program")]
    {
        println!("start {}, BLAKE3 of the count {}", before + 1, hash_file(&path)?);
    }
    Ok(())
}
