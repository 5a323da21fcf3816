//! Watching a run: records, the JSON-lines log, progress bars.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What a stage did up to a step: one line of the log.
///
/// Values by name. SFT: `loss` (mean −log p of the learned tokens of the step, nats), `lr`,
/// `grad_norm` (before clipping), `epoch`, at an epoch's end `valid_loss`. RL: `reward` (mean over
/// rollouts), `hit` (share of unguided groups with the target), `hard` (share without), `guide`
/// (codes given to hard samples), `live` (share of groups whose rewards differ), `kl` (nats a
/// token, towards the reference), `rollouts`, `lr`, `grad_norm`; `valid_ndcg` where it is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Stage that reports.
    pub stage: String,
    /// 1-based step.
    pub step: usize,
    /// Steps of the whole stage.
    pub total: usize,
    /// Named values.
    pub values: BTreeMap<String, f64>,
}

impl Record {
    /// A record without values.
    #[must_use]
    pub fn new(stage: &str, step: usize, total: usize) -> Self {
        Self { stage: stage.to_owned(), step, total, values: BTreeMap::new() }
    }

    /// The record with one more value.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }
}

/// Hears what a run does.
pub trait Observer {
    /// A step of training was done.
    fn on_record(&mut self, record: &Record);

    /// Training goes on behind `step` of `stage`: later records will come again.
    fn on_resume(&mut self, stage: &str, step: usize) {
        let _ = (stage, step);
    }

    /// A long job of `total` units advanced to `done`; `done == total` ends it.
    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        let _ = (job, unit, done, total);
    }
}

impl<F: FnMut(&Record)> Observer for F {
    fn on_record(&mut self, record: &Record) {
        self(record);
    }
}

/// Both of two observers.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on_record(&mut self, record: &Record) {
        self.0.on_record(record);
        self.1.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.0.on_resume(stage, step);
        self.1.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.0.on_progress(job, unit, done, total);
        self.1.on_progress(job, unit, done, total);
    }
}

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
        let partial = self.path.with_extension("partial");
        let mut kept = File::create(&partial).map_err(io)?;
        for record in Self::read(&self.path)? {
            if record.stage != stage || record.step <= step {
                write_line(&mut kept, &record).map_err(io)?;
            }
        }
        kept.sync_all().and_then(|()| fs::rename(&partial, &self.path)).map_err(io)?;
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

fn write_line(file: &mut File, record: &Record) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Progress bars on stderr: one a job, with throughput and time left.
#[derive(Debug, Default)]
pub struct Bars {
    bar: Option<(String, ProgressBar)>,
}

impl Bars {
    fn bar(&mut self, job: &str, unit: &str, start: usize, total: usize) -> &ProgressBar {
        if self.bar.as_ref().is_some_and(|(name, _)| name != job) {
            self.bar = None;
        }
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total as u64).with_position(start as u64);
            bar.reset_eta();
            let template = format!(
                "{{prefix:>12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} \
                 {{eta}} left {{msg}}"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(job.to_owned());
            (job.to_owned(), bar)
        });
        bar
    }

    fn advance(&mut self, job: &str, unit: &str, done: usize, total: usize, message: String) {
        let bar = self.bar(job, unit, done.saturating_sub(1), total);
        bar.set_message(message);
        bar.set_position(done as u64);
        if done >= total {
            bar.finish();
            self.bar = None;
        }
    }
}

impl Observer for Bars {
    fn on_record(&mut self, record: &Record) {
        let shown = ["loss", "valid_loss", "reward", "valid_ndcg"];
        let message = shown
            .iter()
            .filter_map(|name| Some(format!("{name} {:.4}", record.values.get(*name)?)))
            .collect::<Vec<_>>()
            .join("  ");
        self.advance(&record.stage, "steps", record.step, record.total, message);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.advance(job, unit, done, total, String::new());
    }
}

#[cfg(test)]
mod tests {
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
    }
}
