//! Records as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};

use sidereal_corpus::write::write_whole;

use super::{Observer, Record};
use crate::TrainError;

/// Records as JSON lines, without times: two runs with one seed write the same bytes, and a run
/// that was killed and resumed those of an unbroken one.
#[derive(Debug)]
pub struct JsonLog {
    path: PathBuf,
    file: File,
}

impl JsonLog {
    /// Opens a log for appending; it is created where there is none.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let io = |source| TrainError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Every whole record of a log; a line that a kill cut short ends it.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn read(path: &Path) -> Result<Vec<Record>, TrainError> {
        let io = |source| TrainError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mut records = Vec::new();
        for line in BufReader::new(file).lines() {
            match serde_json::from_str(&line.map_err(io)?) {
                Ok(record) => records.push(record),
                Err(_) => break,
            }
        }
        Ok(records)
    }

    fn rewind(&mut self, stage: &str, step: usize) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { path: self.path.clone(), source };
        let records = Self::read(&self.path)?;
        let stays = |record: &&Record| record.stage != stage || (step > 0 && record.step <= step);
        write_whole(&self.path, |out| {
            records.iter().filter(stays).try_for_each(|record| write_line(out, record))
        })?;
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(io)?;
        Ok(())
    }
}

impl Observer for JsonLog {
    fn on_record(&mut self, record: &Record) {
        if let Err(error) = write_line(&mut self.file, record) {
            tracing::warn!(path = %self.path.display(), %error, "a record was not logged");
        }
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        if let Err(error) = self.rewind(stage, step) {
            tracing::warn!(path = %self.path.display(), %error, "the log was not rewound");
        }
    }
}

fn write_line(out: &mut dyn Write, record: &Record) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    out.write_all(&line)
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

        // Begun anew, the validation before the first step comes again too.
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
}
