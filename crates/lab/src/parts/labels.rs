//! Label prediction: how probable a stage's policy finds it that users show a behaviour with the items that they
//! chose.

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, Sample, SampleId};
use sidereal_policy::{
    CompletionToken, Completions, Policy as _, Scoring, Target, TokenBatch, as_language_model,
    completion_logp,
};
use sidereal_prompts::{Facts, NO, PromptError, Task, Tasks, Wording, YES};
use sidereal_train::Observer;

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::stage_test::StageTest;
use crate::recipe::evaluate::{EvaluateConfig, EvaluateLabels};
use crate::seed::{Purpose, stream};
use crate::workbench::Words;

/// What a policy says of a behaviour of an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LabelAnswer {
    /// The event.
    pub id: SampleId,
    /// Whether the user showed the behaviour.
    pub label: bool,
    /// `P(yes) / (P(yes) + P(no))` of the policy, in `[0, 1]`.
    pub probability: f64,
}

/// The label predictions of a stage's policy for events of the test.
pub(crate) struct Labels<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) config: &'a EvaluateLabels,
}

impl StageTest for Labels<'_> {
    const WHAT: &'static str = "labels";
    type Answer = LabelAnswer;

    fn by(&self) -> &Respondent<'_> {
        &self.by
    }

    fn settings(&self, evaluate: &mut EvaluateConfig) {
        evaluate.labels = Some(self.config.clone());
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<LabelAnswer>, LabError> {
        let _guard = tch::no_grad_guard();
        let Respondent { bench, stage, search, .. } = self.by;
        let words = bench.words("label prediction")?;
        let tasks = words.tasks.clone().with_behaviour(&self.config.behaviour)?;
        let mut samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
        samples.shuffle(&mut stream(bench.seed, Purpose::Labels, 0));
        samples.truncate(self.config.samples);
        let questions = samples.iter().map(|sample| question(words, &tasks, sample));
        let questions = questions.collect::<Result<Vec<_>, LabError>>()?;
        let model = self.by.open()?;
        let writer = as_language_model(&model, "label prediction")?;
        let longest = questions.iter().flat_map(|it| &it.answers).map(Vec::len).max().unwrap_or(0);
        let limit = model.longest_prompt(longest);
        let (job, mut found) = (format!("labels {}", stage.name), Vec::new());
        for batch in questions.chunks(search.batch_size.max(1)) {
            let rows: Vec<&[u32]> = batch.iter().map(|it| it.prompt.as_slice()).collect();
            let prompts = &TokenBatch::new(&rows, bench.pad(), limit, model.device())?;
            let word = |id: &u32| CompletionToken::Scored(Target::Word(*id));
            let answer = |ids: &Vec<u32>| ids.iter().map(word).collect::<Vec<_>>();
            let rollouts: Vec<Vec<Vec<CompletionToken>>> =
                batch.iter().map(|it| it.answers.iter().map(answer).collect()).collect();
            let begun = &vec![0; batch.len()];
            let completions = Completions { prompts, begun, rollouts: &rollouts };
            let scored = completion_logp(writer, bench.constraint, &completions, Scoring::Full)?;
            let mut tokens = Vec::<f32>::try_from(scored.logp)?.into_iter();
            let sums = scored
                .lens
                .iter()
                .map(|len| tokens.by_ref().take(*len).map(f64::from).sum::<f64>());
            let sums: Vec<f64> = sums.collect();
            for (question, sums) in batch.iter().zip(sums.chunks(2)) {
                let [yes, no] = sums else { continue };
                let probability = 1.0 / (1.0 + (no - yes).exp());
                let Question { id, label, .. } = *question;
                found.push(LabelAnswer { id, label, probability });
            }
            observer.on_progress(&job, "labels", found.len(), questions.len());
        }
        Ok(found)
    }
}

/// A question as tokens, and its two answers.
struct Question {
    id: SampleId,
    label: bool,
    prompt: Vec<u32>,
    /// `yes` and `no`, to the end of the answer.
    answers: [Vec<u32>; 2],
}

/// The question about a sample: what the prompt is, and both answers as training would write them.
fn question(
    words: &Words<'_>,
    tasks: &Tasks<'_>,
    sample: &Sample<'_>,
) -> Result<Question, LabError> {
    let rendered = tasks.event(Task::LabelPrediction, sample, Wording::First)?;
    let (id, task) = (sample.id, Task::LabelPrediction);
    let rendered = rendered.ok_or(PromptError::MissingText { id, task })?;
    let label = rendered.completion_text().contains(YES);
    let written = |verdict: &str| -> Result<(Vec<u32>, Vec<u32>), LabError> {
        let facts = Facts { verdict: Some(verdict), ..Facts::default() };
        let completion = tasks.prompts().completion(task, &facts)?;
        let mut answered = rendered.clone();
        answered.completion = completion;
        let sequence = words.encoder.sequence(&answered)?;
        let first = sequence.targets.first().map_or(sequence.ids.len(), |(at, _)| *at);
        let (prompt, answer) = sequence.ids.split_at(first);
        Ok((prompt.to_vec(), answer.to_vec()))
    };
    let ((prompt, yes), (_, no)) = (written(YES)?, written(NO)?);
    Ok(Question { id, label, prompt, answers: [yes, no] })
}
