//! General ability: questions whose answers a rule can check.

mod arithmetic;
mod check;
mod instructions;
mod word_problems;

use std::fmt;

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use self::check::AbilityCheck;
use crate::{Chat, Role, exercises};

/// A kind of question about general ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AbilityKind {
    /// The rules of [`exercises`]: sums, prices, orders, days. A model may have learned their form, not these
    /// questions.
    Exercises,
    /// One operation with whole numbers.
    Arithmetic,
    /// A short story that asks for a number, as `GSM8K` does, with one or two steps.
    WordProblems,
    /// An instruction about the form of the answer, as `IFEval` does.
    Instructions,
}

impl fmt::Display for AbilityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exercises => "exercises",
            Self::Arithmetic => "arithmetic",
            Self::WordProblems => "word problems",
            Self::Instructions => "instructions",
        })
    }
}

/// A question and the rule that checks its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AbilityQuestion {
    /// Its kind.
    pub kind: AbilityKind,
    /// What is asked.
    pub question: String,
    /// What is right.
    pub check: AbilityCheck,
}

/// `count` questions of a kind; some may come twice. Equal seeds give equal questions.
///
/// ```
/// use sidereal_prompts::{AbilityKind, ability_questions};
///
/// let asked = &ability_questions(AbilityKind::Arithmetic, 1, 7)[0];
/// assert!(asked.check.accepts(&format!("I think it is {}.", asked.check)));
/// ```
#[must_use]
pub fn ability_questions(kind: AbilityKind, count: usize, seed: u64) -> Vec<AbilityQuestion> {
    if kind == AbilityKind::Exercises {
        return exercises(count, seed).iter().filter_map(of_exercise).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut question = || match kind {
        AbilityKind::WordProblems => word_problems::draw(&mut rng),
        AbilityKind::Instructions => instructions::draw(&mut rng),
        _ => arithmetic::draw(&mut rng),
    };
    (0..count)
        .map(|_| {
            let (question, check) = question();
            AbilityQuestion { kind, question, check }
        })
        .collect()
}

/// The question of a conversation, and its answer without the thought.
fn of_exercise(chat: &Chat) -> Option<AbilityQuestion> {
    let [question, answer] = chat.messages() else { return None };
    let said = check::said(&answer.content)?.trim();
    (question.role == Role::User).then(|| AbilityQuestion {
        kind: AbilityKind::Exercises,
        question: question.content.clone(),
        check: AbilityCheck::LastWord(said.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const KINDS: [AbilityKind; 4] = [
        AbilityKind::Exercises,
        AbilityKind::Arithmetic,
        AbilityKind::WordProblems,
        AbilityKind::Instructions,
    ];

    #[test]
    fn questions_depend_on_the_seed_and_most_differ() {
        for kind in KINDS {
            let drawn = ability_questions(kind, 200, 5);
            assert_eq!(drawn, ability_questions(kind, 200, 5));
            assert_ne!(drawn, ability_questions(kind, 200, 6));
            let different: BTreeSet<&str> = drawn.iter().map(|it| it.question.as_str()).collect();
            assert!(different.len() > 90, "{kind}: {}", different.len());
        }
    }

    #[test]
    fn an_answer_that_does_what_is_asked_is_right_and_a_refusal_is_wrong() {
        for kind in KINDS {
            for AbilityQuestion { question, check, .. } in ability_questions(kind, 300, 2) {
                let right = check.example();
                assert!(check.accepts(&right), "{question} -> {right}");
                assert!(check.accepts(&format!("<think>\nNo 0?\n</think>\n{right}")), "{question}");
                assert!(!check.accepts("Sorry, I cannot do that"), "{question}");
                assert!(!check.accepts(""), "{question}");
                assert!(!check.accepts(&format!("<think>\n{right}")), "{question}");
            }
        }
    }
}
