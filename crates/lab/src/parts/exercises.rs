//! General ability: what a stage's policy answers to exercises that no stage learned.

use std::collections::BTreeSet;

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sidereal_files::hash_json;
use sidereal_prompts::{
    AbilityKind, AbilityQuestion, Chat, Message, Prompt, Role, ability_questions,
};
use sidereal_train::{Binding, Observer, TrainError};

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::greedy_texts::{GreedyText, write_greedily};
use crate::parts::stage_test::StageTest;
use crate::recipe::evaluate::{EvaluateConfig, EvaluateExercises};
use crate::seed::{Purpose, stream};

/// What a policy wrote to an exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExerciseAnswer {
    /// The kind of exercise.
    #[serde(default = "of_the_rules")]
    pub kind: AbilityKind,
    /// What was asked.
    pub question: String,
    /// The right answer, or what a right answer has to be.
    pub answer: String,
    /// The whole text, with what was thought.
    pub written: String,
    /// Whether it is right.
    pub right: bool,
}

/// The kind of the exercises of earlier versions.
const fn of_the_rules() -> AbilityKind {
    AbilityKind::Exercises
}

/// `count` different exercises of each kind, drawn by seed, whose questions are in none of the `learned`
/// conversations.
pub(crate) fn held_out(
    config: &EvaluateExercises,
    seed: u64,
    learned: &[Chat],
) -> Result<Vec<AbilityQuestion>, LabError> {
    let asked = |chat: &Chat| {
        let turns = chat.messages().iter().filter(|turn| turn.role == Role::User);
        turns.map(|turn| turn.content.clone()).collect::<Vec<_>>()
    };
    let count = config.count;
    let mut taken: BTreeSet<String> = learned.iter().flat_map(asked).collect();
    let mut all = Vec::new();
    for kind in &config.kinds {
        let mut rng = stream(seed, Purpose::Exercises, *kind as u64);
        // Most questions have not been asked before, so a few draws of each are enough.
        let drawn = ability_questions(*kind, count.saturating_mul(8), rng.r#gen());
        let new = drawn.into_iter().filter(|it| taken.insert(it.question.clone()));
        let found: Vec<AbilityQuestion> = new.take(count).collect();
        if found.len() < count {
            return Err(LabError::Setting {
                field: "evaluate.exercises.count".to_owned(),
                found: count.to_string(),
                needed: "fewer: the rules have too few different exercises that no stage learned",
            });
        }
        all.extend(found);
    }
    Ok(all)
}

/// The answers of a stage's policy to exercises, the most probable token at each step.
pub(crate) struct Exercises<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) config: &'a EvaluateExercises,
    pub(crate) asked: &'a [AbilityQuestion],
}

impl StageTest for Exercises<'_> {
    const WHAT: &'static str = "exercises";
    type Answer = ExerciseAnswer;

    fn by(&self) -> &Respondent<'_> {
        &self.by
    }

    fn settings(&self, evaluate: &mut EvaluateConfig) {
        evaluate.users = None;
        evaluate.exercises = Some(self.config.clone());
    }

    fn asked(&self) -> Result<Binding, LabError> {
        Ok(Binding::from([("exercises".to_owned(), hash_json(self.asked)?)]))
    }

    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<ExerciseAnswer>, LabError> {
        let words = self.by.bench.words("exercises")?;
        let rows = self.asked.iter().map(|exercise| {
            let asked = Message::new(Role::User, exercise.question.as_str());
            words.encoder.read(&Prompt::Chat(vec![asked]))
        });
        let rows = rows.collect::<Result<Vec<_>, TrainError>>()?;
        let texts = write_greedily(&self.by, &rows, self.config.budget, "exercises", observer)?;
        let answer = |(exercise, text): (&AbilityQuestion, GreedyText)| {
            let right = exercise.check.accepts(&text.written);
            let (kind, answer) = (exercise.kind, exercise.check.to_string());
            let question = exercise.question.clone();
            ExerciseAnswer { kind, question, answer, written: text.written, right }
        };
        Ok(self.asked.iter().zip(texts).map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use sidereal_prompts::exercises;

    use super::*;

    #[test]
    fn held_out_exercises_are_new_and_differ_from_each_other() {
        let learned = exercises(500, 3);
        let kinds = vec![AbilityKind::Exercises, AbilityKind::WordProblems];
        let config = EvaluateExercises { count: 200, budget: 1, kinds };
        let found = held_out(&config, 1, &learned).unwrap();
        let questions: BTreeSet<&str> = found.iter().map(|it| it.question.as_str()).collect();
        assert_eq!(questions.len(), 400);
        let asked = |chat: &Chat| chat.messages()[0].content.clone();
        assert!(learned.iter().all(|chat| !questions.contains(asked(chat).as_str())));
        assert_eq!(held_out(&config, 1, &learned).unwrap(), found);
        assert_ne!(held_out(&config, 2, &learned).unwrap(), found);
        // Those of a kind do not depend on what else is asked.
        let one = EvaluateExercises { kinds: vec![AbilityKind::WordProblems], ..config };
        assert_eq!(held_out(&one, 1, &learned).unwrap(), found[200..]);
    }
}
