//! What the next item is, in the free words of a stage's policy (SINGER, figure 2).

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, Sample, SampleId};
use sidereal_prompts::Task;
use sidereal_train::Observer;

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::greedy_texts::write_greedily;
use crate::parts::stage_test::StageTest;
use crate::recipe::evaluate::{EvaluateConfig, EvaluateDescriptions};
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

/// The users of the test who are asked, drawn by seed.
fn users<'a>(bench: &Workbench<'a>, count: usize) -> Vec<Sample<'a>> {
    let mut samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    samples.shuffle(&mut stream(bench.seed, Purpose::Showcase, 1));
    samples.truncate(count);
    samples
}

impl StageTest for Descriptions<'_> {
    const WHAT: &'static str = "descriptions";
    type Answer = Description;

    fn by(&self) -> &Respondent<'_> {
        &self.by
    }

    fn settings(&self, evaluate: &mut EvaluateConfig) {
        evaluate.descriptions = Some(*self.config);
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<Description>, LabError> {
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
