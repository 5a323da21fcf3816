//! Event files for `TensorBoard`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message as _;

use super::{Observer, Record};

/// First event of a file.
const FILE_VERSION: &str = "brain.Event:2";
/// Session status that says a run starts (again) at an event's step.
const SESSION_START: i32 = 1;

/// Records as `TensorBoard` event files, one run a stage: `tensorboard --logdir DIR`.
///
/// A stage that goes on after a checkpoint opens a further file, which tells `TensorBoard` to
/// forget the steps that come again. If a stage cannot be logged, there is one warning and the
/// stage is then left out, because logging must never stop a training.
#[derive(Debug)]
pub struct TensorBoard {
    dir: PathBuf,
    /// `None` if writing failed.
    files: BTreeMap<String, Option<File>>,
}

impl TensorBoard {
    /// A log in `dir`, which is created with the first event if it is missing.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), files: BTreeMap::new() }
    }

    /// A new file of a stage whose next step is `step`.
    fn start(&self, stage: &str, step: usize) -> std::io::Result<File> {
        let dir = self.dir.join(stage);
        fs::create_dir_all(&dir)?;
        // TensorBoard reads the files of a run in the order of their names.
        let mut seconds = now().as_secs();
        let mut file = loop {
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.sidereal"));
            match File::create_new(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => seconds += 1,
                other => break other?,
            }
        };
        let wall_time = now().as_secs_f64();
        let version =
            Event { wall_time, file_version: Some(FILE_VERSION.into()), ..Event::default() };
        let session = Event {
            wall_time,
            step: i64::try_from(step).unwrap_or(i64::MAX),
            session_log: Some(SessionLog { status: SESSION_START }),
            ..Event::default()
        };
        file.write_all(&[version.framed(), session.framed()].concat())?;
        Ok(file)
    }

    /// Opens a file for a stage; a failure is logged once.
    fn open_stage(&mut self, stage: &str, step: usize) {
        let file = self.start(stage, step).inspect_err(|error| {
            tracing::warn!(dir = %self.dir.display(), stage, %error, "cannot write a TensorBoard log");
        });
        self.files.insert(stage.to_owned(), file.ok());
    }
}

impl Observer for TensorBoard {
    fn on_record(&mut self, record: &Record) {
        if !self.files.contains_key(&record.stage) {
            self.open_stage(&record.stage, record.step);
        }
        let Some(slot) = self.files.get_mut(&record.stage) else { return };
        let Some(file) = slot else { return };
        let event = Event::of_record(record, now().as_secs_f64());
        if let Err(error) = file.write_all(&event.framed()) {
            tracing::warn!(stage = record.stage, %error, "the TensorBoard log ends here");
            *slot = None;
        }
    }

    fn on_resume(&mut self, stage: &str, step: usize) {
        self.open_stage(stage, if step == 0 { 0 } else { step + 1 });
    }
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The fields in use of `tensorflow.Event`.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `tensorflow.Summary.Value` of a scalar.
#[derive(Clone, PartialEq, prost::Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, prost::Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Event {
    fn of_record(record: &Record, wall_time: f64) -> Self {
        let value = record
            .values
            .iter()
            .map(|(name, value)| {
                #[allow(clippy::cast_possible_truncation, reason = "the format holds f32")]
                let value = *value as f32;
                Scalar { tag: name.clone(), simple_value: Some(value) }
            })
            .collect();
        let step = i64::try_from(record.step).unwrap_or(i64::MAX);
        Self { wall_time, step, summary: Some(Summary { value }), ..Self::default() }
    }

    /// Length and event, each after its checksum (`TFRecord`).
    fn framed(&self) -> Vec<u8> {
        let data = self.encode_to_vec();
        let len = (data.len() as u64).to_le_bytes();
        [&len[..], &masked(&len), &data, &masked(&data)].concat()
    }
}

/// CRC-32C, rotated and shifted as the format requires.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `TensorBoard` itself: `tests/parity/events.py`.
    const BY_TENSORBOARD: &[u8] = include_bytes!("../../tests/parity/events.tfevents");

    #[test]
    fn the_bytes_are_those_that_tensorboard_writes() {
        let wall_time = 1_700_000_000.25;
        let version =
            Event { wall_time, file_version: Some(FILE_VERSION.into()), ..Event::default() };
        let session = Event {
            wall_time,
            step: 5,
            session_log: Some(SessionLog { status: SESSION_START }),
            ..Event::default()
        };
        let record = Record::new("rl", 300, 400).with("lr", 1e-5).with("reward", -0.25);
        let events = [version, session, Event::of_record(&record, wall_time)];
        let bytes: Vec<u8> = events.iter().flat_map(Event::framed).collect();
        assert!(bytes == BY_TENSORBOARD, "{bytes:?}\n{BY_TENSORBOARD:?}");
    }

    #[test]
    fn numbers_that_are_not_finite_are_kept() {
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
        let mut record = Record::new("rl", 1, 4);
        for (name, value) in ["a", "b", "c", "d"].into_iter().zip(values) {
            record = record.with(name, value);
        }
        let event = Event::of_record(&record, 0.0);
        let read = Event::decode(event.encode_to_vec().as_slice()).unwrap();
        let scalars = read.summary.unwrap().value;
        let found: Vec<f32> = scalars.iter().map(|scalar| scalar.simple_value.unwrap()).collect();
        // The format holds f32, in which the largest f64 are infinite.
        assert!(
            found[0].is_nan() && found[1..] == [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY]
        );
    }

    #[test]
    fn a_stage_that_starts_again_gets_a_further_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(dir.path());
        for _ in 0..2 {
            board.on_resume("sft", 3);
            board.on_record(&Record::new("sft", 4, 9).with("loss", 0.5));
        }
        let mut names: Vec<_> = fs::read_dir(dir.path().join("sft"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2);
    }
}
