//! What a finished run shows.

use std::fmt;
use std::path::Path;

use sidereal_metrics::Report;
use sidereal_quantizer::QualityReport;
use sidereal_sid::Catalog;

use crate::{Record, TrainError};
use sidereal_page::{Card, CardList, Cards, Line, LinePlot, Page, Series};

/// The result of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Every system's metrics, with intervals, protocols and paired tests.
    pub report: Report,
    /// Quality of the Semantic IDs before suffixes.
    pub quality: QualityReport,
    /// Training records, in order.
    pub records: Vec<Record>,
    /// A few users' recommendations.
    pub showcases: Vec<Showcase>,
    /// Items and their Semantic IDs.
    pub catalog: Catalog,
}

/// A user's history and what the trained policy recommends, by title.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Showcase {
    /// Titles of the history, earliest first.
    pub history: Vec<String>,
    /// Title of the item that the user chose next.
    pub chosen: String,
    /// Titles of the best items that are not in the history, best first; the chosen one is marked.
    pub recommended: Vec<(String, bool)>,
}

impl fmt::Display for Showcase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 6;
        let skipped = self.history.len().saturating_sub(SHOWN);
        writeln!(f, "history, the last {}:", self.history.len() - skipped)?;
        for title in &self.history[skipped..] {
            writeln!(f, "    {title}")?;
        }
        writeln!(f, "then chose:\n    {}", self.chosen)?;
        writeln!(f, "recommended:")?;
        for (rank, (title, chosen)) in (1..).zip(&self.recommended) {
            writeln!(f, " {rank:>2} {} {title}", if *chosen { '*' } else { ' ' })?;
        }
        Ok(())
    }
}

impl Outcome {
    /// Writes the report as one HTML file that needs no network.
    ///
    /// # Errors
    /// [`TrainError::Page`].
    pub fn write_page(&self, title: &str, path: &Path) -> Result<(), TrainError> {
        Ok(self.page(title).write(path)?)
    }

    /// The report: metrics, curves, Semantic IDs, users.
    #[must_use]
    pub fn page(&self, title: &str) -> Page {
        let mut page = Page::new(title);
        page.push_summary(format!(
            "{} items, {} levels of codes, {:.1} % of items needed a suffix to be unique.",
            self.catalog.num_items(),
            self.catalog.spec().num_levels(),
            100.0 * self.quality.shared_rate,
        ));
        self.report.push_to(&mut page);
        page.push(self.curves("Supervised: loss", "nats a token", "sft", &["loss", "valid_loss"]));
        page.push(self.curves("Reinforcement: reward", "mean over rollouts", "rl", &["reward"]));
        page.push(self.curves(
            "Reinforcement: groups",
            "share of prompts",
            "rl",
            &["hit", "hard", "live"],
        ));
        page.push(self.curves("Reinforcement: validation", "NDCG@10", "rl", &["valid_ndcg"]));
        page.push(self.curves("Reinforcement: KL to the reference", "nats", "rl", &["kl"]));
        self.quality.push_to(&mut page, &self.catalog);
        page.push(self.users());
        page
    }

    fn curves(&self, caption: &str, y_axis: &str, stage: &str, names: &[&str]) -> LinePlot {
        let series = names.iter().map(|name| Series {
            name: (*name).to_owned(),
            points: self
                .records
                .iter()
                .filter(|record| record.stage == stage)
                .filter_map(|record| Some((record.step as f64, *record.values.get(*name)?)))
                .collect(),
        });
        LinePlot {
            caption: caption.to_owned(),
            x_axis: "step".to_owned(),
            y_axis: y_axis.to_owned(),
            series: series.collect(),
        }
    }

    fn users(&self) -> Cards {
        let cards = self.showcases.iter().enumerate().map(|(user, showcase)| Card {
            title: format!("User {}", user + 1),
            lists: vec![
                CardList::new("History", showcase.history.clone()),
                CardList::new("Then chose", [showcase.chosen.clone()]),
                CardList {
                    name: "Recommended".to_owned(),
                    lines: showcase
                        .recommended
                        .iter()
                        .map(|(text, marked)| Line { text: text.clone(), marked: *marked })
                        .collect(),
                },
            ],
        });
        Cards { caption: "Recommendations".to_owned(), cards: cards.collect() }
    }
}
