//! Answers of a stage's policy to users of the test, and the files that hold them.

use std::cell::OnceCell;
use std::fs;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sidereal_data::{HeldOut as _, Sample};
use sidereal_files::{read_json, write_whole};
use sidereal_policy::{AnyPolicy, BeamSearch, Policy};
use sidereal_prompts::Task;
use sidereal_train::{Batching, Binding, EncodedPrompt, Observer, Ranking};

use crate::error::LabError;
use crate::parts::policy::{PolicyFolder, weights_file};
use crate::recipe::Recipe;
use crate::recipe::compute::Compute;
use crate::recipe::evaluate::EvaluateConfig;
use crate::recipe::stage::Stage;
use crate::run::part::{Folder, Made, Part, PartFiles, Remarks};
use crate::workbench::Workbench;

/// The settings of the search for answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchSettings {
    pub(crate) seed: u64,
    pub(crate) compute: Compute,
    pub(crate) beam_width: usize,
    pub(crate) batch_size: usize,
    /// The share of the test's users, see [`EvaluateConfig::users`].
    pub(crate) users: Option<NonZeroUsize>,
}

impl SearchSettings {
    /// The settings of a recipe.
    pub(crate) const fn of(recipe: &Recipe) -> Self {
        let EvaluateConfig { beam_width, batch_size, users, .. } = recipe.evaluate;
        Self { seed: recipe.seed, compute: recipe.compute, beam_width, batch_size, users }
    }

    /// The settings that a stage's answers depend on, besides its policy.
    pub(crate) fn of_answers(self, stage: &Stage) -> Recipe {
        let Self { seed, compute, beam_width, batch_size, users } = self;
        let evaluate = EvaluateConfig { beam_width, batch_size, users, ..EvaluateConfig::blank() };
        let stages = vec![stage.without_label()];
        Recipe { seed, compute, evaluate, stages, ..Recipe::blank() }
    }
}

/// A stage whose policy answers.
#[derive(Clone, Copy)]
pub(crate) struct Respondent<'a> {
    pub(crate) bench: &'a Workbench<'a>,
    pub(crate) stage: &'a Stage,
    pub(crate) policy: &'a Made<PolicyFolder>,
    pub(crate) search: SearchSettings,
}

impl<'a> Respondent<'a> {
    /// The inputs of its answers, besides settings.
    pub(crate) fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.bench.inputs()?;
        let weights = self.policy.hash(&weights_file(&self.stage.name))?;
        inputs.insert("policy".to_owned(), weights);
        Ok(inputs)
    }

    /// The policy.
    pub(crate) fn open(&self) -> Result<AnyPolicy, LabError> {
        let kind = self.search.compute.kind();
        self.policy.value.open(self.bench.device, kind, &self.bench.made_for)
    }

    /// The search over the catalogue.
    pub(crate) fn beam_search<'m>(&self, model: &'m dyn Policy) -> BeamSearch<'m>
    where
        'a: 'm,
    {
        BeamSearch {
            model,
            constraint: self.bench.constraint,
            beam_width: self.search.beam_width,
            scoring: self.stage.training.scoring(),
        }
    }

    /// How the users of `job` are decoded.
    pub(crate) fn batching<'b>(&self, job: &'b str) -> Batching<'b> {
        self.bench.batching(self.search.batch_size, job)
    }
}

/// The users of the test, with prompts for the next item.
pub(crate) struct TestUsers<'a> {
    bench: &'a Workbench<'a>,
    asked: OnceCell<Vec<EncodedPrompt>>,
}

impl<'a> TestUsers<'a> {
    pub(crate) const fn new(bench: &'a Workbench<'a>) -> Self {
        Self { bench, asked: OnceCell::new() }
    }

    /// Their samples.
    pub(crate) fn samples(&self) -> Vec<Sample<'a>> {
        self.bench.split.test.samples().collect()
    }

    /// Their prompts, which are written when they are first needed.
    pub(crate) fn asked(&self) -> Result<&[EncodedPrompt], LabError> {
        if let Some(asked) = self.asked.get() {
            return Ok(asked);
        }
        let asked = self.bench.prompts(Task::NextItem, &self.samples())?;
        Ok(self.asked.get_or_init(|| asked))
    }
}

/// An answer that ranks items.
pub(crate) trait Answer: Serialize + DeserializeOwned {
    /// The items, and the sample.
    fn ranking(&self) -> &Ranking;
}

impl Answer for Ranking {
    fn ranking(&self) -> &Ranking {
        self
    }
}

/// The file of a stage's answers, which is read when it is needed.
#[derive(Debug)]
pub(crate) struct AnswerFile<A> {
    path: PathBuf,
    stage: String,
    answers: PhantomData<A>,
}

impl<A: Answer> AnswerFile<A> {
    /// The file at this path, of the stage of this name.
    pub(crate) fn new(path: PathBuf, stage: &str) -> Self {
        Self { path, stage: stage.to_owned(), answers: PhantomData }
    }

    /// The answers. Answers of earlier versions were not checked when they were written.
    pub(crate) fn load(&self) -> Result<Vec<A>, LabError> {
        let answers: Vec<A> = read_json(&self.path)?;
        check_scores(&self.stage, answers.iter().map(A::ranking))?;
        Ok(answers)
    }

    /// Writes answers in one line, because those of twenty thousand users are a million items.
    pub(crate) fn save(&self, answers: &[A]) -> Result<(), LabError> {
        check_scores(&self.stage, answers.iter().map(A::ranking))?;
        let path: &Path = &self.path;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|source| LabError::Io { path: dir.into(), source })?;
        }
        let text = serde_json::to_vec(answers)
            .map_err(|source| LabError::Json { path: path.to_owned(), source })?;
        Ok(write_whole(path, |out| out.write_all(&text))?)
    }
}

/// What the policy of a stage answers to users of the test, kept in one file: a part, as [`Answered`].
pub(crate) trait AnswersOfStage {
    /// What each user is answered.
    type Answer: Answer;

    /// The stage that answers.
    fn by(&self) -> Respondent<'_>;

    /// The name of the part of a stage.
    fn name_of(stage: &str) -> String;

    /// The file of a stage within the run's folder.
    fn file_of(stage: &str) -> String;

    /// The settings that the answers depend on, besides the policy.
    fn depends_on(&self) -> Recipe {
        self.by().search.of_answers(self.by().stage)
    }

    /// Asks the policy.
    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<Self::Answer>, LabError>;
}

/// Answers as a part of a run.
pub(crate) struct Answered<T>(pub(crate) T);

impl<T: AnswersOfStage> Part for Answered<T> {
    type Output = AnswerFile<T::Answer>;

    fn name(&self) -> String {
        T::name_of(&self.0.by().stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        Some(self.0.depends_on())
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        self.0.by().inputs()
    }

    fn files(&self) -> PartFiles {
        PartFiles::always([T::file_of(&self.0.by().stage.name)])
    }

    fn make(
        &self,
        folder: &Folder,
        _: &Binding,
        observer: &mut dyn Observer,
    ) -> Result<Remarks, LabError> {
        let answers = self.0.answers(observer)?;
        self.read(folder)?.save(&answers)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Self::Output, LabError> {
        let stage = &self.0.by().stage.name;
        Ok(AnswerFile::new(folder.path(&T::file_of(stage)), stage))
    }
}

/// Accepts rankings that have an order.
fn check_scores<'r>(
    stage: &str,
    rankings: impl IntoIterator<Item = &'r Ranking>,
) -> Result<(), LabError> {
    let mut rankings = rankings.into_iter();
    match rankings.find(|ranking| ranking.scores.iter().any(|score| score.is_nan())) {
        Some(ranking) => Err(LabError::Scores { stage: stage.to_owned(), id: ranking.id }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sidereal_data::{ItemId, SampleId, UserId};

    use super::*;

    #[test]
    fn a_ranking_with_a_nan_score_is_an_error_that_names_stage_and_sample() {
        let ranking = |user, scores: &[f32]| Ranking {
            id: SampleId::Event { user: UserId(user), position: 3 },
            target: ItemId(0),
            found: scores.iter().map(|_| vec![ItemId(0)]).collect(),
            scores: scores.to_vec(),
        };
        let found = [ranking(1, &[-1.0, f32::NEG_INFINITY]), ranking(2, &[-1.0, f32::NAN])];
        check_scores("rl", &found[..1]).unwrap();
        let error = check_scores("rl", &found).unwrap_err().to_string();
        let named = format!("stage `rl` to sample {} has a score that is not", found[1].id);
        assert!(error.contains(&named), "{error}");
        // What older versions wrote can be read, and what is written reads back.
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains(r#"[-1.0,"-inf"]"#), "{text}");
        let old = text.replace("\"NaN\"", "null").replace("\"-inf\"", "null");
        for text in [text, old] {
            let read: Vec<Ranking> = serde_json::from_str(&text).unwrap();
            assert!(read[1].scores[1].is_nan() && read[1].found == found[1].found);
        }
    }
}
