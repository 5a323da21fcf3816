//! Which behaviour a task about behaviours asks for.

use sidereal_data::{Digest, Labels, Sample};

use super::Tasks;
use crate::{PromptError, Task};

impl Tasks<'_> {
    /// The same tasks, in which those about behaviours ask for this one: its place among
    /// [`Dataset::behaviours`](sidereal_data::Dataset::behaviours).
    ///
    /// # Errors
    /// [`PromptError::NoBehaviour`] for a behaviour that the data do not have.
    pub fn with_behaviour(mut self, name: &str) -> Result<Self, PromptError> {
        let place = self.dataset.behaviour(name).ok_or_else(|| PromptError::NoBehaviour {
            name: name.to_owned(),
            known: self.dataset.behaviours().join(", "),
        })?;
        self.behaviour = Some(place);
        Ok(self)
    }

    /// The behaviour that a task asks for: that of [`with_behaviour`](Self::with_behaviour), or one drawn by the
    /// identity of the sample. The label-conditional task asks for one that the target has, so that there is an
    /// answer; the label prediction for any.
    pub(super) fn asked_behaviour(&self, task: Task, sample: &Sample<'_>) -> Option<usize> {
        let held = self.labels(sample);
        let fits = |place: &usize| task != Task::LabelConditional || held.contains(*place);
        if let Some(fixed) = self.behaviour {
            return Some(fixed).filter(fits);
        }
        let open: Vec<usize> = (0..self.dataset.behaviours().len()).filter(fits).collect();
        let mut digest = Digest::default();
        digest.text("behaviour");
        digest.sample(sample.id);
        let drawn = digest.draw() % u64::try_from(open.len()).ok().filter(|count| *count > 0)?;
        open.get(usize::try_from(drawn).ok()?).copied()
    }

    /// What the user did with the target of a sample.
    pub(super) fn labels(&self, sample: &Sample<'_>) -> Labels {
        let user = self.dataset.user(sample.user);
        user.map(|user| user.labels_of(sample.seen.len())).unwrap_or_default()
    }
}
