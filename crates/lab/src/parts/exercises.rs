//! General ability: what a stage's policy answers to exercises in arithmetic, order and days that no stage learned.

use std::collections::BTreeSet;

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use sidereal_files::{hash_json, read_json, write_json};
use sidereal_prompts::{Chat, Message, Prompt, Role, exercises};
use sidereal_train::{Binding, Observer, TrainError};

use crate::error::LabError;
use crate::parts::answers::Respondent;
use crate::parts::greedy_texts::{GreedyText, write_greedily};
use crate::recipe::Recipe;
use crate::recipe::evaluate::{EvaluateConfig, EvaluateExercises};
use crate::run::part::{Folder, Part, PartFiles, Remarks};
use crate::seed::{Purpose, stream};

/// The end of a text that a policy thinks.
const THOUGHT_ENDS: &str = "</think>";

/// A question and its answer, one word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exercise {
    pub(crate) question: String,
    pub(crate) answer: String,
}

/// What a policy wrote to an exercise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExerciseAnswer {
    /// What was asked.
    pub question: String,
    /// The right answer, one word.
    pub answer: String,
    /// The whole text, with what was thought.
    pub written: String,
    /// Whether the last word after the thought is the right answer.
    pub right: bool,
}

/// `count` different exercises by the rules of [`exercises`], drawn by seed, whose questions are in none of the
/// `learned` conversations.
pub(crate) fn held_out(
    count: usize,
    seed: u64,
    learned: &[Chat],
) -> Result<Vec<Exercise>, LabError> {
    let asked = |chat: &Chat| {
        let turns = chat.messages().iter().filter(|turn| turn.role == Role::User);
        turns.map(|turn| turn.content.clone()).collect::<Vec<_>>()
    };
    let mut taken: BTreeSet<String> = learned.iter().flat_map(asked).collect();
    let mut rng = stream(seed, Purpose::Exercises, 0);
    // Most questions have not been asked before, so a few draws of each are enough.
    let drawn = exercises(count.saturating_mul(8), rng.r#gen());
    let new = drawn.iter().filter_map(exercise).filter(|it| taken.insert(it.question.clone()));
    let found: Vec<Exercise> = new.take(count).collect();
    if found.len() < count {
        return Err(LabError::Setting {
            field: "evaluate.exercises.count".to_owned(),
            found: count.to_string(),
            needed: "fewer: the rules have too few different exercises that no stage learned",
        });
    }
    Ok(found)
}

/// The question of a conversation, and its answer without the thought.
fn exercise(chat: &Chat) -> Option<Exercise> {
    let [question, answer] = chat.messages() else { return None };
    let answer = said(&answer.content).trim().to_owned();
    Some(Exercise { question: question.content.clone(), answer })
}

/// What a text says after its thought.
fn said(text: &str) -> &str {
    text.rsplit_once(THOUGHT_ENDS).map_or(text, |(_, said)| said)
}

/// Whether the last word after the thought is the answer: `The result is 57.` answers `57`. A text that opens a thought
/// and does not close it answers nothing.
fn is_right(written: &str, answer: &str) -> bool {
    let unclosed = written.contains("<think>") && !written.contains(THOUGHT_ENDS);
    let mut words = said(written).split(|c: char| !c.is_alphanumeric());
    !unclosed && words.rfind(|word| !word.is_empty()) == Some(answer)
}

/// The answers of a stage's policy to exercises, the most probable token at each step.
pub(crate) struct Exercises<'a> {
    pub(crate) by: Respondent<'a>,
    pub(crate) config: &'a EvaluateExercises,
    pub(crate) asked: &'a [Exercise],
}

/// The name of the part of a stage.
pub(crate) fn name(stage: &str) -> String {
    format!("exercises of {stage}")
}

/// The file of a stage's answers within the run's folder.
pub(crate) fn file(stage: &str) -> String {
    format!("exercises/{stage}.json")
}

impl Part for Exercises<'_> {
    type Output = Vec<ExerciseAnswer>;

    fn name(&self) -> String {
        name(&self.by.stage.name)
    }

    fn settings(&self) -> Option<Recipe> {
        let mut own = self.by.search.of_answers(self.by.stage);
        own.evaluate.beam_width = EvaluateConfig::blank().beam_width;
        own.evaluate.exercises = Some(*self.config);
        Some(own)
    }

    fn inputs(&self) -> Result<Binding, LabError> {
        let mut inputs = self.by.inputs()?;
        inputs.insert("exercises".to_owned(), hash_json(self.asked)?);
        Ok(inputs)
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
        folder.within("exercises")?;
        write_json(&folder.path(&file(&self.by.stage.name)), &self.answers(observer)?)?;
        Ok(Remarks::default())
    }

    fn read(&self, folder: &Folder) -> Result<Vec<ExerciseAnswer>, LabError> {
        Ok(read_json(&folder.path(&file(&self.by.stage.name)))?)
    }
}

impl Exercises<'_> {
    fn answers(&self, observer: &mut dyn Observer) -> Result<Vec<ExerciseAnswer>, LabError> {
        let words = self.by.bench.words("exercises")?;
        let rows = self.asked.iter().map(|exercise| {
            let asked = Message::new(Role::User, exercise.question.as_str());
            words.encoder.read(&Prompt::Chat(vec![asked]))
        });
        let rows = rows.collect::<Result<Vec<_>, TrainError>>()?;
        let texts = write_greedily(&self.by, &rows, self.config.budget, "exercises", observer)?;
        let answer = |(exercise, text): (&Exercise, GreedyText)| {
            let Exercise { question, answer } = exercise.clone();
            let right = is_right(&text.written, &answer);
            ExerciseAnswer { question, answer, written: text.written, right }
        };
        Ok(self.asked.iter().zip(texts).map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_exercises_are_new_and_differ_from_each_other() {
        let learned = exercises(500, 3);
        let found = held_out(200, 1, &learned).unwrap();
        let questions: BTreeSet<&str> = found.iter().map(|it| it.question.as_str()).collect();
        assert_eq!(questions.len(), 200);
        let asked = |chat: &Chat| chat.messages()[0].content.clone();
        assert!(learned.iter().all(|chat| !questions.contains(asked(chat).as_str())));
        // Answers are one word, without the thought, and are right by the rule that judges.
        for Exercise { answer, .. } in &found {
            assert!(answer.chars().all(char::is_alphanumeric) && !answer.is_empty(), "{answer}");
            assert!(is_right(answer, answer));
        }
        assert_eq!(held_out(200, 1, &learned).unwrap(), found);
        assert_ne!(held_out(200, 2, &learned).unwrap(), found);
    }

    #[test]
    fn the_last_word_after_the_thought_is_the_answer() {
        for (written, right) in [
            ("<think>\n5 + 52 = 57.\n</think>\n57", true),
            ("<think>57</think> It is **57**.", true),
            ("57", true),
            ("The result is 57.", true),
            ("<think>57", false),
            ("<think>57</think>", false),
            ("57 or 58", false),
            ("157", false),
            ("", false),
        ] {
            assert_eq!(is_right(written, "57"), right, "{written}");
        }
    }
}
