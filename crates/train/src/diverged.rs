//! The error of a training that should not go on.

use std::fmt::Display;

use crate::TrainError;
use crate::checkpoint::Checkpoints;

impl TrainError {
    /// The error of step `step`, counted from 1, after which training should not go on, or the
    /// error of listing the checkpoints before it. `samples` are those of the update.
    pub(crate) fn diverged(
        stage: &str,
        step: usize,
        (what, found): (&'static str, f64),
        checkpoints: &Checkpoints,
        samples: impl IntoIterator<Item = impl Display>,
    ) -> Self {
        let checkpoint = match checkpoints.newest() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return error,
        };
        let samples: Vec<String> = samples.into_iter().map(|id| id.to_string()).collect();
        let samples = samples.join(" ");
        Self::Diverged { stage: stage.to_owned(), step, what, found, checkpoint, samples }
    }
}
