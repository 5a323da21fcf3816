//! What the next item is, in the free words of a stage's policy (SINGER, figure 2).

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, Sample, SampleId};
use sidereal_files::{read_json, write_json};
use sidereal_prompts::Task;
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::greedy_texts::write_greedily;
use crate::recipe::Recipe;
use crate::recipe::evaluate::{EvaluateConfig, EvaluateDescriptions};
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;

/// What a policy wrote of the next item of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// What the user chose next.
    pub id: SampleId,
    /// The title of it.
    pub title: String,
    /// The text.
    pub written: String,
    /// Whether it ended by itself, before the budget did.
    pub ended: bool,
}

/// The descriptions of a stage's policy.
pub(crate) struct Descriptions<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) config: &'a EvaluateDescriptions,
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("descriptions of {stage}")
}

/// The file of a stage's descriptions within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("descriptions/{stage}.json")
}

/// The users of the test who are asked, drawn by seed.
fn users<'a>(bench: &Workbench<'a>, count: usize) -> Vec<Sample<'a>> {
    let mut samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    samples.shuffle(&mut stream(bench.seed, Purpose::Showcase, 1));
    samples.truncate(count);
    samples
}

impl Part for Descriptions<'_> {
    type Output = Vec<Description>;

    fn name(&self) -> String {
        name(&self.by.stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let mut own = self.by.search.of_answers(self.by.stage);
        own.evaluate.beam_width = EvaluateConfig::blank().beam_width;
        own.evaluate.descriptions = Some(*self.config);
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        self.by.inputs()
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file(&self.by.stage.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        folder.within("descriptions")?;
        write_json(&folder.path(&file(&self.by.stage.name)), &self.descriptions(observer)?)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Vec<Description>, LabError> {
        Ok(read_json(&folder.path(&file(&self.by.stage.name)))?)
    }
}

impl Descriptions<'_> {
    fn descriptions(&self, observer: &mut dyn Observer) -> Result<Vec<Description>, LabError> {
        let (bench, config) = (self.by.bench, self.config);
        let words = bench.words("descriptions")?;
        let samples = users(bench, config.users);
        let asked = samples.iter().map(|sample| {
            let rendered = words.tasks.asked(Task::DescribeNext, sample)?;
            Ok(words.encoder.read(&rendered.prompt)?)
        });
        let asked = asked.collect::<Result<Vec<_>, LabError>>()?;
        let texts = write_greedily(&self.by, &asked, config.budget, "descriptions", observer)?;
        let described = samples.iter().zip(texts).map(|(sample, text)| {
            let title = bench.dataset.item(sample.target).map(|item| item.title.clone());
            Description {
                id: sample.id,
                title: title.unwrap_or_default(),
                written: text.written,
                ended: text.ended,
            }
        });
        Ok(described.collect())
    }
}
