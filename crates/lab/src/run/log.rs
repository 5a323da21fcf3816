//! The log of a run, with the values of every step.

use sidereal_train::{JsonLog, Observer, Record};

/// Its file within the folder of the run.
pub(crate) const LOG: &str = "metrics.jsonl";

/// The log of the run together with the caller's observer.
pub(crate) struct Logged<'a> {
    pub(crate) log: JsonLog,
    pub(crate) inner: &'a mut dyn Observer,
}

impl Observer for Logged<'_> {
    fn on_record(&mut self, record: &Record) {
        self.log.on_record(record);
        self.inner.on_record(record);
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.log.on_resume(stage, step);
        self.inner.on_resume(stage, step);
    }

    fn on_progress(&mut self, job: &str, unit: &str, done: usize, total: usize) {
        self.inner.on_progress(job, unit, done, total);
    }
}
