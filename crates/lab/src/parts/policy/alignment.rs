//! The alignment prompts of a reinforcement stage.

use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use sidereal_data::{ItemId, TrainSet, UserId};
use sidereal_prompts::{Rendered, Task, Tasks, Wording};
use sidereal_train::{EncodedPrompt, Encoder};

use super::material::Material;
use crate::error::LabError;
use crate::seed::{Purpose, stream};
use crate::workbench::Words;

/// Subjects that are put into words together.
const TOGETHER: usize = 512;

/// What became of a subject of a task.
enum Asked {
    Prompt(EncodedPrompt),
    /// The data lack a text of the prompt or of its answer.
    WithoutText,
    /// Even with one item of the history there is no room for an answer.
    TooLong(usize),
}

/// `count` prompts of a task about items, queries or events that are drawn by seed, in the first paraphrase. If there
/// are fewer, they come several times.
///
/// A history of which a prompt would have more than `room` tokens loses its earliest items, as in supervised
/// training. What lacks a text, or is too long with one item, is left out; the log says how many those are.
///
/// # Errors
/// [`LabError::Setting`] if nothing is left; those of rendering and of the tokenizer.
pub(super) fn prompts(
    task: Task,
    count: usize,
    room: usize,
    words: &Words<'_>,
    material: &Material<'_>,
) -> Result<Vec<EncodedPrompt>, LabError> {
    // Workers see no more than these: the workbench holds tensors.
    let (tasks, train, encoder) = (&material.tasks(words), material.train(), &words.encoder);
    let mut subjects = subjects(task, tasks, train);
    let round = Task::ALL.iter().position(|other| *other == task).unwrap_or_default();
    subjects.shuffle(&mut stream(material.bench.seed, Purpose::Prompts, 1 + round as u64));
    let (mut found, mut without_text, mut too_long) = (Vec::new(), 0, 0);
    for part in subjects.chunks(TOGETHER) {
        if found.len() >= count {
            break;
        }
        let asked: Vec<Asked> = part
            .par_iter()
            .map(|subject| Asking { task, room, tasks, train, encoder }.ask(*subject))
            .collect::<Result<_, _>>()?;
        for one in asked {
            match one {
                Asked::Prompt(prompt) => found.push(prompt),
                Asked::WithoutText => without_text += 1,
                Asked::TooLong(tokens) => {
                    tracing::debug!(%task, tokens, room, "too long to be asked");
                    too_long += 1;
                }
            }
        }
    }
    if without_text + too_long > 0 {
        let stage = material.stage;
        tracing::warn!(
            stage,
            %task,
            without_text,
            too_long,
            room,
            "alignment prompts left out: those that lack a text, and those with more tokens than there is room for"
        );
    }
    if found.is_empty() {
        return Err(LabError::Setting {
            field: format!("stage.{}.rl.alignment", material.stage),
            found: format!(
                "`{task}`, of which nothing can be asked: {without_text} lack a text, {too_long} are too long"
            ),
            needed: "tasks whose texts the data have and the model has room for",
        });
    }
    Ok(found.iter().cycle().take(count).cloned().collect())
}

/// What a task can be about: items, items of queries by user and place, or training events by their numbers.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Item(ItemId),
    Query(UserId, u32),
    Event(usize),
}

fn subjects(task: Task, tasks: &Tasks<'_>, train: &TrainSet) -> Vec<Subject> {
    if task.is_about_an_item() {
        return tasks.items().map(Subject::Item).collect();
    }
    if task.is_about_a_query() {
        return tasks.queries(train).map(|(user, place)| Subject::Query(user, place)).collect();
    }
    (0..train.num_samples()).map(Subject::Event).collect()
}

/// What puts the subjects of a task into words.
#[derive(Clone, Copy)]
struct Asking<'a> {
    task: Task,
    room: usize,
    tasks: &'a Tasks<'a>,
    train: &'a TrainSet,
    encoder: &'a Encoder<'a>,
}

impl Asking<'_> {
    fn ask(&self, subject: Subject) -> Result<Asked, LabError> {
        let Self { task, room, tasks, train, .. } = *self;
        let mut sample = match subject {
            Subject::Item(item) => {
                return self.fitting(tasks.item(task, item, Wording::First)?, room);
            }
            Subject::Query(user, place) => {
                return self.fitting(tasks.query(task, user, place, Wording::First)?, room);
            }
            Subject::Event(index) => match train.sample(index) {
                Some(sample) => sample,
                None => return Ok(Asked::WithoutText),
            },
        };
        loop {
            let found = self.fitting(tasks.event(task, &sample, Wording::First)?, room)?;
            let items = sample.history.len();
            match found {
                Asked::TooLong(tokens) if items > 1 => {
                    let keep = (items * room / tokens).clamp(1, items - 1);
                    sample.history = &sample.history[items - keep..];
                }
                found => return Ok(found),
            }
        }
    }

    /// The prompt, if there is something to answer and it is short enough.
    fn fitting(&self, rendered: Option<Rendered>, room: usize) -> Result<Asked, LabError> {
        let Some(rendered) = rendered.filter(|rendered| !rendered.completion.is_empty()) else {
            return Ok(Asked::WithoutText);
        };
        Ok(match self.encoder.prompts(&[rendered])?.pop() {
            None => Asked::WithoutText,
            Some(prompt) if prompt.ids.len() > room => Asked::TooLong(prompt.ids.len()),
            Some(prompt) => Asked::Prompt(prompt),
        })
    }
}
