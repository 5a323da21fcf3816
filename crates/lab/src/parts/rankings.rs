//! The answers of a stage's policy to the users of the test, over the catalogue or from pools.

use sidereal_data::{HeldOut as _, Sample};
use sidereal_policy::{AnyPolicy, BeamSearch, as_language_model};
use sidereal_train::{Binding, ExactCase, Observer, Ranking, rank, rank_exactly};

use rand::seq::SliceRandom as _;

use crate::error::LabError;
use crate::parts::answers::{AnswerFile, Respondent, TestUsers};
use crate::pool_task::is_over_pool;
use crate::recipe::Recipe;
use crate::recipe::pool::CandidatePools;
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;

/// The rankings of a stage: by exact scores of all items, if its policy has them, or by constrained beam
/// search.
pub(crate) struct Rankings<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) users: &'a TestUsers<'a>,
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("rankings of {stage}")
}

/// The file of a stage's rankings within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("rankings/{stage}.json")
}

/// Users of the test who are asked with a pool, drawn by seed.
pub(crate) fn pool_users<'a>(bench: &Workbench<'a>, pool: &CandidatePools) -> Vec<Sample<'a>> {
    let mut samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    samples.shuffle(&mut stream(bench.seed, Purpose::Pools, 0));
    samples.truncate(pool.users);
    samples
}

impl Part for Rankings<'_> {
    type Output = AnswerFile<Ranking>;

    fn name(&self) -> String {
        name(&self.by.stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        Some(self.by.search.of_answers(self.by.stage))
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
        let model = self.by.open()?;
        let rankings = if is_over_pool(self.by.stage.task) {
            self.rank_in_pools(&model, observer)?
        } else if let Some(policy) = model.as_item() {
            let job = format!("test {}", self.by.stage.name);
            let cases = exact_cases(&self.users.samples());
            rank_exactly(policy, &cases, self.by.search.beam_width, &job, observer)?
        } else {
            let job = format!("test {}", self.by.stage.name);
            let search = self.by.beam_search(&model);
            rank(&search, self.users.asked()?, self.by.batching(&job), observer)?
        };
        self.read(folder)?.save(&rankings)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<AnswerFile<Ranking>, LabError> {
        let stage = &self.by.stage.name;
        Ok(AnswerFile::new(folder.path(&file(stage)), stage))
    }
}

/// Samples in the form that exact scoring needs.
pub(crate) fn exact_cases<'s>(samples: &[Sample<'s>]) -> Vec<ExactCase<'s>> {
    let case = |sample: &Sample<'s>| ExactCase {
        id: sample.id,
        history: sample.history,
        seen: sample.seen,
        target: sample.target,
    };
    samples.iter().map(case).collect()
}

impl Rankings<'_> {
    /// The choices of the stage from the pools of the test users, by an exhaustive search over the titles
    /// of the pool or by the greedy slate.
    fn rank_in_pools(
        &self,
        model: &AnyPolicy,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Ranking>, LabError> {
        let Respondent { bench, stage, search, .. } = self.by;
        let Some(pool) = &bench.pool else { return Ok(Vec::new()) };
        let asked = bench.prompts(stage.task, &pool_users(bench, pool))?;
        let job = format!("test {}", stage.name);
        if let Some(slates) = bench.slates(stage.task) {
            return Ok(slates.rank(
                as_language_model(model, "slates")?,
                &asked,
                search.batch_size,
                &job,
                observer,
            )?);
        }
        let (constraint, beam_width) = (bench.answers(stage.task), pool.size);
        let search =
            BeamSearch { model, constraint, beam_width, scoring: stage.training.scoring() };
        Ok(rank(&search, &asked, self.by.batching(&job), observer)?)
    }
}
