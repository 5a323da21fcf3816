//! The rules that check an answer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The begin and the end of a text that a model thinks.
const THOUGHT: (&str, &str) = ("<think>", "</think>");

/// What an answer has to be. What is thought before it, up to `</think>`, does not count; a text that opens a thought
/// and does not close it answers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbilityCheck {
    /// Its last word is this one: `The result is 57.` answers `57`.
    LastWord(String),
    /// Its last number is this one: `57 apples are left.` answers 57.
    LastNumber(u32),
    /// It is these words, in this order, whatever marks and spaces stand between them and around them.
    Words(Vec<String>),
    /// It has all these words, and no letter is small.
    Capitals(Vec<String>),
    /// It has all these words, in capitals or not.
    Contains(Vec<String>),
    /// It has so many lines, without empty ones, and each begins with the mark.
    Lines {
        /// Lines.
        count: usize,
        /// What each line begins with.
        mark: String,
    },
    /// It begins and ends with a double quotation mark, and has words between them but not this one.
    Quoted {
        /// The word that it must not have.
        without: String,
    },
}

impl AbilityCheck {
    /// Whether a text is right.
    #[must_use]
    pub fn accepts(&self, written: &str) -> bool {
        let Some(said) = said(written).map(str::trim) else { return false };
        match self {
            Self::LastWord(word) => words(said).last() == Some(&word.as_str()),
            Self::LastNumber(number) => last_number(said) == Some(f64::from(*number)),
            Self::Words(expected) => words(said) == *expected,
            Self::Capitals(expected) => {
                !said.chars().any(char::is_lowercase) && has_all(said, expected)
            }
            Self::Contains(expected) => has_all(said, expected),
            Self::Lines { count, mark } => {
                let lines: Vec<&str> =
                    said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                let marked = |line: &&str| {
                    line.strip_prefix(mark.as_str()).is_some_and(|rest| !words(rest).is_empty())
                };
                lines.len() == *count && lines.iter().all(marked)
            }
            Self::Quoted { without } => {
                let within = said.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                within.is_some_and(|within| {
                    let refused = has_all(within, std::slice::from_ref(without));
                    !words(within).is_empty() && !within.contains('"') && !refused
                })
            }
        }
    }

    /// A right answer.
    #[must_use]
    pub fn example(&self) -> String {
        match self {
            Self::LastWord(word) => word.clone(),
            Self::LastNumber(number) => number.to_string(),
            Self::Words(words) | Self::Contains(words) => words.join(" "),
            Self::Capitals(words) => words.join(" ").to_uppercase(),
            Self::Lines { count, mark } => vec![format!("{mark} one"); *count].join("\n"),
            Self::Quoted { .. } => "\"one\"".to_owned(),
        }
    }
}

impl fmt::Display for AbilityCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LastWord(word) => f.write_str(word),
            Self::LastNumber(number) => write!(f, "{number}"),
            Self::Words(words) => write!(f, "only the words: {}", words.join(" ")),
            Self::Capitals(words) => write!(f, "only capitals, with: {}", words.join(" ")),
            Self::Contains(words) => write!(f, "a text with the words: {}", words.join(" ")),
            Self::Lines { count, mark } => write!(f, "{count} lines that begin with `{mark}`"),
            Self::Quoted { without } => {
                write!(f, "a text in double quotation marks, without: {without}")
            }
        }
    }
}

/// What a text says after its thought; `None` if the thought is not closed.
pub(super) fn said(text: &str) -> Option<&str> {
    let (begin, end) = THOUGHT;
    match text.rsplit_once(end) {
        Some((_, said)) => Some(said),
        None => (!text.contains(begin)).then_some(text),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

fn has_all(text: &str, expected: &[String]) -> bool {
    let found: Vec<String> = words(text).iter().map(|word| word.to_lowercase()).collect();
    expected.iter().all(|word| found.contains(&word.to_lowercase()))
}

/// The last number of a text: digits, with commas between them and a fraction after a point.
fn last_number(text: &str) -> Option<f64> {
    let of_number = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    let runs = text.split(|c: char| !of_number(c));
    let mut numbers = runs.filter_map(|run| {
        let run = run.trim_matches([',', '.']).replace(',', "");
        run.parse::<f64>().ok()
    });
    numbers.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let check = AbilityCheck::LastWord("57".to_owned());
            assert_eq!(check.accepts(written), right, "{written}");
        }
    }

    #[test]
    fn the_last_number_is_the_answer() {
        for (written, right) in [
            ("There are 1,200 tiles left.", true),
            ("1200", true),
            ("3 * 400 = 1200.", true),
            ("It is $1200.00, of 5", false),
            ("1200.0 tiles", true),
            ("1200.5", false),
            ("12", false),
            ("twelve hundred", false),
        ] {
            assert_eq!(AbilityCheck::LastNumber(1200).accepts(written), right, "{written}");
        }
    }

    #[test]
    fn instructions_are_checked_as_they_say() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let quoted = AbilityCheck::Quoted { without: "sun".to_owned() };
        let three = AbilityCheck::Lines { count: 3, mark: "-".to_owned() };
        for (check, written, right) in [
            (AbilityCheck::Words(owned(&["sun", "sun"])), "Sun sun", false),
            (AbilityCheck::Words(owned(&["sun", "sun"])), "sun, sun.", true),
            (AbilityCheck::Words(owned(&["sun", "sun"])), "sun sun sun", false),
            (AbilityCheck::Capitals(owned(&["sun"])), "THE SUN!", true),
            (AbilityCheck::Capitals(owned(&["sun"])), "SUN. Here it is.", false),
            (AbilityCheck::Capitals(owned(&["sun"])), "MOON", false),
            (AbilityCheck::Contains(owned(&["Sun", "sea"])), "The sun over the SEA.", true),
            (AbilityCheck::Contains(owned(&["sun", "sea"])), "Sunday at sea", false),
            (three.clone(), "- a\n\n- b\n- c", true),
            (three.clone(), "- a\n- b\n- c\n- d", false),
            (three.clone(), "Here:\n- a\n- b", false),
            (three, "- a\n-\n- c", false),
            (quoted.clone(), "\"Grass is green.\"", true),
            (quoted.clone(), "It is \"green\"", false),
            (quoted.clone(), "\"\"", false),
            (quoted.clone(), "\"green\" and \"blue\"", false),
            (quoted, "\"The Sun is green.\"", false),
        ] {
            assert_eq!(check.accepts(written), right, "{check}: {written}");
        }
    }
}
