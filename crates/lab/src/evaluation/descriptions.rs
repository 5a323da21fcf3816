//! The next item in the free words of every stage, side by side (SINGER, figure 2).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sidereal_page::Table;

use super::stage_answers::StageAnswers;
use crate::parts::descriptions::Description;

/// What the policy of a stage wrote of the next items of some users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DescriptionRow {
    /// The stage's label.
    pub system: String,
    /// A text for each user.
    pub texts: Vec<Description>,
}

/// A row of every stage that was asked.
pub(crate) fn rows(answers: &[StageAnswers<'_>]) -> Vec<DescriptionRow> {
    let row = |answered: &StageAnswers<'_>| {
        let texts = answered.descriptions.as_ref()?.value.clone();
        Some(DescriptionRow { system: answered.stage.label.clone(), texts })
    };
    answers.iter().filter_map(row).collect()
}

/// Share of the words of a text that are different: low for one that repeats itself. 1 for a text without words.
fn variety(text: &str) -> f64 {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let different: BTreeSet<&String> = words.iter().collect();
    if words.is_empty() { 1.0 } else { different.len() as f64 / words.len() as f64 }
}

/// The texts of all stages, user by user.
pub(crate) fn table(rows: &[DescriptionRow]) -> Table {
    let users = rows.iter().map(|row| row.texts.len()).max().unwrap_or(0);
    let texts = (0..users).flat_map(|user| {
        rows.iter().filter_map(move |row| {
            let text = row.texts.get(user)?;
            let ended = if text.ended { "yes" } else { "no" };
            Some(vec![
                text.title.clone(),
                row.system.clone(),
                text.written.clone(),
                ended.to_owned(),
                format!("{:.2}", variety(&text.written)),
            ])
        })
    });
    let header = ["chosen next", "system", "described as", "ended by itself", "different words"];
    Table {
        caption: "The next item, described in free words from a history of Semantic IDs".to_owned(),
        header: header.map(String::from).into(),
        rows: texts.collect(),
        notes: Vec::new(),
    }
}

impl fmt::Display for DescriptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.texts.iter().filter(|text| text.ended).count();
        let sum: f64 = self.texts.iter().map(|text| variety(&text.written)).sum();
        let (system, count) = (&self.system, self.texts.len());
        let mean = sum / count.max(1) as f64;
        write!(
            f,
            "{system}: {ended} of {count} descriptions ended by themselves, different words {mean:.2}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::variety;

    #[test]
    fn a_text_that_repeats_itself_has_few_different_words() {
        assert!((variety("a steel pot") - 1.0).abs() < 1e-12);
        assert!((variety("pot Pot pot pot") - 0.25).abs() < 1e-12);
        assert!((variety("") - 1.0).abs() < 1e-12);
    }
}
