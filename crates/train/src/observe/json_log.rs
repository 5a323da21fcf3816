//! Records as JSON lines.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use sidereal_files::write_whole;

use super::{Observer, Record};
use crate::TrainError;
use crate::error::io;

/// Records as JSON lines, without times: two runs with one seed write the same bytes, and so does a
/// run that was killed and resumed.
///
/// Numbers that are not finite are the texts `"NaN"`, `"inf"` and `"-inf"`.
#[derive(Debug)]
pub struct JsonLog {
    path: PathBuf,
    file: File,
    /// Length of the file, at the end of a line.
    end: u64,
}

/// A line of a log.
struct Line<'t> {
    /// Without its line end.
    text: &'t str,
    record: Record,
}

impl JsonLog {
    /// Opens a log for appending; it is created if there is none. If a kill left an incomplete last
    /// line, it is removed.
    ///
    /// # Errors
    /// [`TrainError::Io`]; [`TrainError::LogLine`] as [`read`](Self::read).
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(io(path)(source)),
        };
        let lines = lines(&text, path)?;
        let whole: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io(path))?;
        let mut log = Self { path: path.to_owned(), file, end: text.len() as u64 };
        if whole < text.len() {
            log.cut(whole as u64).map_err(io(path))?;
        } else if whole > text.len() {
            // A last line that lacks only its line end because of a kill.
            log.append(b"\n").map_err(io(path))?;
        }
        Ok(log)
    }

    /// Every whole record of a log. If a kill left an incomplete last line, it is skipped.
    ///
    /// # Errors
    /// [`TrainError::Io`]; [`TrainError::LogLine`] names any other line that is not a record.
    pub fn read(path: &Path) -> Result<Vec<Record>, TrainError> {
        let text = fs::read_to_string(path).map_err(io(path))?;
        Ok(lines(&text, path)?.into_iter().map(|line| line.record).collect())
    }

    /// Removes the records of a stage after a step; all other lines stay as they are.
    fn rewind(&mut self, stage: &str, step: usize) -> Result<(), TrainError> {
        let text = fs::read_to_string(&self.path).map_err(io(&self.path))?;
        let stays =
            |line: &&Line<'_>| line.record.stage != stage || (step > 0 && line.record.step <= step);
        let kept = lines(&text, &self.path)?;
        let kept: Vec<&Line<'_>> = kept.iter().filter(stays).collect();
        write_whole(&self.path, |out| {
            kept.iter().try_for_each(|line| writeln!(out, "{}", line.text))
        })?;
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(io(&self.path))?;
        self.end = kept.iter().map(|line| line.text.len() as u64 + 1).sum();
        Ok(())
    }

    /// Adds bytes that end a line. If there is no room for all of them, none is kept, and the next
    /// line begins at the same place.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let _ = self.cut(self.end); // best effort: the write's own error is the news
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn cut(&mut self, end: u64) -> std::io::Result<()> {
        self.file.set_len(end)?;
        self.end = end;
        Ok(())
    }
}

impl Observer for JsonLog {
    fn on_record(&mut self, record: &Record) {
        let line = serde_json::to_vec(record).map_err(std::io::Error::from);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.append(&line)
        });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "a record was not logged");
        }
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        if let Err(error) = self.rewind(stage, step) {
            tracing::warn!(path = %self.path.display(), %error, "the log was not rewound");
        }
    }
}

/// The lines of a log. Text after the last line end that is not a record was being written when the
/// process ended.
fn lines<'t>(text: &'t str, path: &Path) -> Result<Vec<Line<'t>>, TrainError> {
    let mut found = Vec::new();
    for (line, part) in (1..).zip(text.split_inclusive('\n')) {
        let text = part.strip_suffix('\n').unwrap_or(part);
        match serde_json::from_str(text) {
            Ok(record) => found.push(Line { text, record }),
            Err(_) if !part.ends_with('\n') => {}
            Err(source) => {
                return Err(TrainError::LogLine { path: path.to_owned(), line, source });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_resumed_log_equals_an_unbroken_one() {
        let dir = tempfile::tempdir().unwrap();
        let records = |log: &mut JsonLog, steps: &[usize]| {
            for step in steps {
                log.on_record(&Record::new("sft", *step, 4).with("loss", 0.1 * *step as f64));
            }
        };
        let open = |name: &str| JsonLog::open(&dir.path().join(name)).unwrap();
        let mut unbroken = open("a");
        unbroken.on_record(&Record::new("embed", 9, 9));
        records(&mut unbroken, &[1, 2, 3, 4]);

        let mut killed = open("b");
        killed.on_record(&Record::new("embed", 9, 9));
        records(&mut killed, &[1, 2, 3]);
        killed.file.write_all(b"{\"stage\":\"sft\",\"st").unwrap();
        let mut resumed = open("b");
        resumed.on_resume("sft", 1);
        records(&mut resumed, &[2, 3, 4]);
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(text("b"), text("a"));

        // If training begins again, the validation before the first step also comes again.
        let mut anew = open("b");
        anew.on_resume("sft", 0);
        records(&mut anew, &[0]);
        drop(anew);
        let mut again = open("b");
        again.on_resume("sft", 0);
        records(&mut again, &[0, 1, 2, 3, 4]);
        let steps: Vec<usize> =
            JsonLog::read(&again.path).unwrap().iter().map(|record| record.step).collect();
        assert_eq!(steps, [9, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn numbers_that_are_not_finite_come_back_and_cut_nothing_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = JsonLog::open(&path).unwrap();
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1];
        for (step, value) in (1..).zip(values) {
            log.on_record(&Record::new("rl", step, 4).with("ratio", value));
        }
        // As older versions wrote them.
        log.append(b"{\"stage\":\"old\",\"step\":1,\"total\":1,\"values\":{\"x\":null}}\n")
            .unwrap();
        log.on_record(&Record::new("sft", 1, 1));
        let read = |path: &Path| -> Vec<(String, Option<f64>)> {
            let records = JsonLog::read(path).unwrap();
            records.into_iter().map(|r| (r.stage, r.values.into_values().next())).collect()
        };
        let found = read(&path);
        for (value, (stage, found)) in values.iter().zip(&found) {
            let found = found.unwrap();
            assert!(
                stage == "rl"
                    && (found.total_cmp(value).is_eq() || found.is_nan() == value.is_nan())
            );
        }
        assert!(found[4].1.unwrap().is_nan());
        log.on_resume("sft", 0);
        assert_eq!(read(&path).len(), 5);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""ratio":"-inf""#) && text.contains(r#""x":null"#), "{text}");
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_with_its_number_and_nothing_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = JsonLog::open(&path).unwrap();
        log.on_record(&Record::new("sft", 1, 3));
        log.append(b"{\"stage\":\"sf\n").unwrap();
        log.on_record(&Record::new("rl", 1, 3));
        let before = fs::read(&path).unwrap();
        log.on_resume("rl", 0);
        assert!(fs::read(&path).unwrap() == before);
        for error in [JsonLog::read(&path).map(drop), JsonLog::open(&path).map(drop)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("log`, line 2"), "{error}");
        }
    }

    #[test]
    fn an_unfinished_last_line_is_removed_and_a_whole_one_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let line = serde_json::to_string(&Record::new("sft", 1, 3)).unwrap();
        let next = Record::new("sft", 2, 3);
        let after = serde_json::to_string(&next).unwrap();
        for cut in 0..=line.len() {
            fs::write(&path, format!("{line}\n{}", &line[..cut])).unwrap();
            JsonLog::open(&path).unwrap().on_record(&next);
            let kept = if cut == line.len() { format!("{line}\n") } else { String::new() };
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n{kept}{after}\n"));
        }
    }
}
