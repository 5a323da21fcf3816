//! The answers of a stage's policy to questions with several right answers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use sidereal_data::SampleId;
use sidereal_prompts::{PromptError, Rendered, Task, Tasks, Wording};
use sidereal_train::{Binding, Observer, Ranking, rank};

use crate::error::LabError;
use crate::parts::answers::{AnswerFile, Respondent};
use crate::recipe::Recipe;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::workbench::questions::Question;

/// The rankings of a stage for the questions of a task.
pub(crate) struct QuestionRankings<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) task: Task,
    pub(crate) questions: &'a [Question<'a>],
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str, task: Task) -> String {
    format!("{task} rankings of {stage}")
}

/// The file of these rankings within the run's folder.
pub(crate) fn file(stage: &str, task: Task) -> String {
    format!("rankings/{stage}.{task}.json")
}

impl Part for QuestionRankings<'_> {
    type Output = AnswerFile<Ranking>;

    fn name(&self) -> String {
        name(&self.by.stage.name, self.task)
    }

    fn settings(&self) -> Option<Recipe> {
        Some(self.by.search.of_answers(self.by.stage))
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        self.by.inputs()
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.by.stage.name, self.task)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let Self { by, task, .. } = self;
        let words = by.bench.words("a question")?;
        let asked = words.encoder.prompts(&self.rendered(words.tasks)?)?;
        let model = by.open()?;
        let search = by.beam_search(&model);
        let job = format!("test {} {task}", by.stage.name);
        let found = rank(&search, &asked, by.batching(&job), observer)?;
        self.read(folder)?.save(&found)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<AnswerFile<Ranking>, LabError> {
        let stage = &self.by.stage.name;
        Ok(AnswerFile::new(folder.path(&file(stage, self.task)), stage))
    }
}

impl QuestionRankings<'_> {
    /// The questions as text, in the first paraphrase.
    fn rendered(&self, tasks: &Tasks<'_>) -> Result<Vec<Rendered>, LabError> {
        let mut by_behaviour: BTreeMap<&str, Tasks<'_>> = BTreeMap::new();
        let mut rendered = Vec::with_capacity(self.questions.len());
        for Question { id, behaviour, sample, .. } in self.questions {
            rendered.push(match (sample, *id, behaviour) {
                (None, SampleId::Query { user, place }, _) => {
                    let found = tasks.query(self.task, user, place, Wording::First)?;
                    found.ok_or(PromptError::MissingText { id: *id, task: self.task })?
                }
                (Some(sample), _, Some(behaviour)) => {
                    let tasks = match by_behaviour.entry(behaviour) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(tasks.clone().with_behaviour(behaviour)?),
                    };
                    tasks.asked(self.task, sample)?
                }
                (Some(sample), ..) => tasks.asked(self.task, sample)?,
                (None, id, _) => {
                    return Err(PromptError::MissingText { id, task: self.task }.into());
                }
            });
        }
        Ok(rendered)
    }
}
