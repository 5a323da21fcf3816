//! Cases in which reasoning changed the answer, on a page.

use sidereal_page::{Card, CardList, Cards, Line, Table};

use super::RunResult;
use crate::evaluation::ChangedAnswers;

impl RunResult {
    /// How often reasoning changed the answer, a row for each stage.
    pub(crate) fn changes(&self) -> Table {
        let row = |of: &ChangedAnswers| {
            let ChangedAnswers { system, users, both, gained, lost, .. } = of;
            let neither = users.saturating_sub(both + gained + lost);
            let counts = [users, gained, lost, both, &neither].map(ToString::to_string);
            [self.report.shown(system)].into_iter().chain(counts).collect()
        };
        let header = ["system", "users", "only after reasoning", "only without", "both", "neither"];
        let listed = self.changed.first().map_or(0, |of| of.listed);
        Table {
            caption: format!("Users whose item is among the first {listed} answers"),
            header: header.map(String::from).into(),
            rows: self.changed.iter().map(row).collect(),
            notes: Vec::new(),
        }
    }

    /// Cases of a stage with their chains.
    pub(crate) fn changed_cases(&self, of: &ChangedAnswers) -> Cards {
        let answers = |name: &str, titles: &[(String, bool)]| CardList {
            name: name.to_owned(),
            lines: titles
                .iter()
                .map(|(text, marked)| Line { text: text.clone(), marked: *marked })
                .collect(),
        };
        let cards = of.cases.iter().map(|case| {
            let what = if case.gained { "found only after reasoning" } else { "lost by reasoning" };
            let thought = case.chain.lines().map(str::trim).filter(|line| !line.is_empty());
            Card {
                title: format!("{}: {what}", case.chosen),
                lists: vec![
                    CardList::new("History", case.history.clone()),
                    answers("Answers without reasoning", &case.directly),
                    CardList::new("Chain", thought),
                    answers("Answers after reasoning", &case.after),
                ],
            }
        });
        let system = self.report.shown(&of.system);
        Cards {
            caption: format!("{system}: where the chain changed the answer"),
            cards: cards.collect(),
        }
    }
}
