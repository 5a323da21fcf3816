//! Tests of stages whose answers are one file for each stage.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sidereal_files::{read_json, write_json};
use sidereal_train::{Binding, Observer};

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::recipe::Recipe;
use crate::recipe::evaluate::EvaluateConfig;
use crate::run::part::{Folder, Part, PartFiles, Remarks};

/// A test of a stage's policy beside the ranking of items.
pub(crate) trait StageTest {
    /// What is answered: the folder of the answers, and a word of the part's name.
    const WHAT: &'static str;
    /// One answer.
    type Answer: Serialize + DeserializeOwned;

    /// Whose policy answers.
    fn by(&self) -> &Respondent<'_>;

    /// Puts the settings that the answers depend on into an empty test.
    fn settings(&self, evaluate: &mut EvaluateConfig);

    /// What the answers are made of besides the policy.
    fn asked(&self) -> Result<Binding, LabError> {
        Ok(Binding::new())
    }

    /// The answers.
    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<Self::Answer>, LabError>;
}

/// The name of the part of a stage.
pub(crate) fn name<T: StageTest>(stage: &str) -> String {
    format!("{} of {stage}", T::WHAT)
}

/// The file of a stage's answers within the run's folder.
pub(crate) fn file<T: StageTest>(stage: &str) -> String {
    format!("{}/{stage}.json", T::WHAT)
}

/// A test as a part of a run.
pub(crate) struct TestPart<T>(pub(crate) T);

impl<T: StageTest> Part for TestPart<T> {
    type Output = Vec<T::Answer>;

    fn name(&self) -> String {
        name::<T>(&self.0.by().stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let by = self.0.by();
        let mut own = by.search.of_answers(by.stage);
        own.evaluate.beam_width = EvaluateConfig::blank().beam_width;
        self.0.settings(&mut own.evaluate);
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.0.by().inputs()?;
        inputs.extend(self.0.asked()?);
        Ok(inputs)
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([file::<T>(&self.0.by().stage.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        folder.within(T::WHAT)?;
        write_json(&folder.path(&file::<T>(&self.0.by().stage.name)), &self.0.answers(observer)?)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Vec<T::Answer>, LabError> {
        Ok(read_json(&folder.path(&file::<T>(&self.0.by().stage.name)))?)
    }
}
