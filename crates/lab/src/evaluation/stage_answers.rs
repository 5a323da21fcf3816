//! All answers of a stage in the test.

use sidereal_train::Ranking;

use crate::parts::answers::AnswerFile;
use crate::parts::blended_rankings::BlendFiles;
use crate::parts::exercises::ExerciseAnswer;
use crate::parts::labels::LabelAnswer;
use crate::parts::reasoning::ReasoningResult;
use crate::parts::written::WrittenAnswer;
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
    /// What it wrote about the next item, if the recipe asks for it.
    pub(crate) written: Option<Made<Vec<WrittenAnswer>>>,
    /// Label predictions, if the recipe tests them and the stage learned them.
    pub(crate) labels: Option<Made<Vec<LabelAnswer>>>,
}

/// The answers of a blend.
pub(crate) struct BlendAnswers<'a> {
    pub(crate) blend: &'a BlendConfig,
    pub(crate) files: Made<BlendFiles>,
}
