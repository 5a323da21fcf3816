//! All answers of a stage in the test.

use std::collections::BTreeMap;

use sidereal_prompts::Task;
use sidereal_train::Ranking;

use crate::parts::answers::AnswerFile;
use crate::parts::blended_rankings::BlendFiles;
use crate::parts::descriptions::Description;
use crate::parts::exercises::ExerciseAnswer;
use crate::parts::labels::LabelAnswer;
use crate::parts::reasoning::ReasoningResult;
use crate::recipe::blend::BlendConfig;
use crate::recipe::stage::Stage;
use crate::run::part::Made;

/// The answers of one stage.
pub(crate) struct StageAnswers<'a> {
    pub(crate) stage: &'a Stage,
    /// Whether all items were scored, exactly.
    pub(crate) exact: bool,
    /// Rankings over the catalogue, or over pools.
    pub(crate) rankings: Made<AnswerFile<Ranking>>,
    /// Rankings of the items of each user's domain, if the data have several domains and the stage
    /// answers over the catalogue.
    pub(crate) in_domain: Option<Made<AnswerFile<Ranking>>>,
    /// Answers after reasoning, for a stage that is tested with reasoning.
    pub(crate) reasoning: Option<Made<AnswerFile<ReasoningResult>>>,
    /// Answers to exercises, if the recipe tests general ability.
    pub(crate) exercises: Option<Made<Vec<ExerciseAnswer>>>,
    /// Descriptions of next items, if the recipe asks for them.
    pub(crate) descriptions: Option<Made<Vec<Description>>>,
    /// Label predictions, if the recipe tests them and the stage learned them.
    pub(crate) labels: Option<Made<Vec<LabelAnswer>>>,
    /// Answers to questions with several targets, besides next items, by the task.
    pub(crate) questions: BTreeMap<Task, Made<AnswerFile<Ranking>>>,
}

/// The answers of a blend.
pub(crate) struct BlendAnswers<'a> {
    pub(crate) blend: &'a BlendConfig,
    pub(crate) files: Made<BlendFiles>,
}
