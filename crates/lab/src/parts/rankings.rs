//! The answers of a stage's policy to the users of the test, over the catalogue or from pools.

use sidereal_data::{HeldOut as _, Sample};
use sidereal_policy::{AnyPolicy, BeamSearch, as_language_model};
use sidereal_train::{ExactCase, Observer, Ranking, rank, rank_exactly};

use rand::seq::SliceRandom as _;

use crate::error::LabError;
use crate::parts::answers::{AnswersOfStage, Respondent, TestUsers};
use crate::parts::{head_answers, title_answers};
use crate::pool_task::{is_by_head, is_over_all_titles, is_over_pool};
use crate::recipe::pool::CandidatePools;
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

impl AnswersOfStage for Rankings<'_> {
    type Answer = Ranking;

    fn by(&self) -> Respondent<'_> {
        self.by
    }

    fn name_of(stage: &str) -> String {
        name(stage)
    }

    fn file_of(stage: &str) -> String {
        file(stage)
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<Ranking>, LabError> {
        let model = self.by.open()?;
        let job = format!("test {}", self.by.stage.name);
        if is_over_pool(self.by.stage.task) {
            return self.rank_in_pools(&model, observer);
        }
        if let Some(slates) = self.by.bench.slates(self.by.stage.task) {
            let asked = self.by.bench.prompts(self.by.stage.task, &self.users.samples())?;
            let (writer, together) =
                (as_language_model(&model, "slates")?, self.by.search.batch_size);
            return Ok(slates.rank(writer, &asked, together, &job, observer)?);
        }
        if is_over_all_titles(self.by.stage.task) {
            return title_answers::rank(&self.by, self.users, &model, &job, observer);
        }
        if is_by_head(self.by.stage.task) {
            return head_answers::rank(&self.by, self.users, &model, &job, observer);
        }
        if let Some(policy) = model.as_item() {
            let cases = exact_cases(&self.users.samples());
            return Ok(rank_exactly(policy, &cases, self.by.search.beam_width, &job, observer)?);
        }
        let search = self.by.beam_search(&model);
        Ok(rank(&search, self.users.asked()?, self.by.batching(&job), observer)?)
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
