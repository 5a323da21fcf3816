//! What the stages write about the next item, side by side.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_page::{Card, CardList, Cards, Table};

use super::stage_answers::StageAnswers;
use crate::parts::written::WrittenAnswer;

/// Users whose texts are shown.
const SHOWN: usize = 5;

/// What a stage wrote, and how well it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WrittenRow {
    /// The stage's label.
    pub system: String,
    /// Users that were asked about.
    pub users: usize,
    /// Share of texts that are the title of the item that the user chose next.
    pub right: f64,
    /// Share of texts that are the title of any item of the catalogue.
    pub titles: f64,
    /// Share of texts that ended by themselves, within the budget.
    pub ended: f64,
    /// Share of the words of a text that it has written before; the mean over texts with words.
    pub repeated: f64,
    /// The texts of the first users.
    pub shown: Vec<WrittenAnswer>,
}

/// A row of every stage that was asked.
pub(crate) fn rows(answers: &[StageAnswers<'_>]) -> Vec<WrittenRow> {
    let row = |answered: &StageAnswers<'_>| {
        Some(of_texts(&answered.stage.label, &answered.written.as_ref()?.value))
    };
    answers.iter().filter_map(row).collect()
}

fn of_texts(system: &str, texts: &[WrittenAnswer]) -> WrittenRow {
    let share = |holds: &dyn Fn(&WrittenAnswer) -> bool| {
        texts.iter().filter(|text| holds(text)).count() as f64 / texts.len().max(1) as f64
    };
    let repeated: Vec<f64> = texts.iter().filter_map(|text| repeated(&text.text)).collect();
    WrittenRow {
        system: system.to_owned(),
        users: texts.len(),
        right: share(&|text| text.text == text.chosen.trim()),
        titles: share(&|text| text.is_title),
        ended: share(&|text| text.ended),
        repeated: repeated.iter().sum::<f64>() / repeated.len().max(1) as f64,
        shown: texts.iter().take(SHOWN).cloned().collect(),
    }
}

/// The share of the words of a text that stand in it before; `None` without words.
fn repeated(text: &str) -> Option<f64> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let different: BTreeSet<&String> = words.iter().collect();
    (!words.is_empty()).then(|| 1.0 - different.len() as f64 / words.len() as f64)
}

/// The rows as a table.
pub(crate) fn table(rows: &[WrittenRow]) -> Table {
    let header = ["system", "users", "the right title", "any title", "ended", "repeated words"];
    let row = |row: &WrittenRow| {
        let shares = [row.right, row.titles, row.ended, row.repeated];
        let shares = shares.into_iter().map(|share| format!("{share:.3}"));
        [row.system.clone(), row.users.to_string()].into_iter().chain(shares).collect()
    };
    Table {
        caption: "The next item in words, written freely".to_owned(),
        header: header.map(String::from).into(),
        rows: rows.iter().map(row).collect(),
        notes: Vec::new(),
    }
}

/// A card for each of the first users, with the text of every stage.
pub(crate) fn cards(rows: &[WrittenRow]) -> Cards {
    let shown = rows.first().map_or(&[][..], |row| row.shown.as_slice());
    let cards = shown.iter().enumerate().map(|(user, first)| {
        let texts = rows.iter().filter_map(|row| {
            let text = &row.shown.get(user)?.text;
            Some(CardList::new(row.system.clone(), [text.clone()]))
        });
        let asked = [
            CardList::new("History", first.history.clone()),
            CardList::new("Then chose", [first.chosen.clone()]),
        ];
        Card {
            title: format!("User {}", user + 1),
            lists: asked.into_iter().chain(texts).collect(),
        }
    });
    Cards { caption: "The next item in words".to_owned(), cards: cards.collect() }
}

impl fmt::Display for WrittenRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, users, right, titles, ended, repeated, .. } = self;
        write!(
            f,
            "{system}: {users} texts about the next item; the right title {right:.3}, any title {titles:.3}, ended \
             {ended:.3}, repeated words {repeated:.3}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_all_texts_and_repetition_of_words() {
        let text = |text: &str, is_title, ended| WrittenAnswer {
            history: Vec::new(),
            chosen: "Red tape".to_owned(),
            text: text.to_owned(),
            ended,
            is_title,
        };
        let texts = [
            text("Red tape", true, true),
            text("Blue tape", true, true),
            text("tape Tape tape tape", false, false),
            text("", false, true),
        ];
        let row = of_texts("SFT", &texts);
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-12, "{row:?}");
        near(row.right, 0.25);
        near(row.titles, 0.5);
        near(row.ended, 0.75);
        near(row.repeated, (0.0 + 0.0 + 0.75) / 3.0);
        assert!(of_texts("none", &[]).repeated.abs() < 1e-12);
    }
}
