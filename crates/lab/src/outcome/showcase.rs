//! A few users and what the last policy recommends to them.

use std::fmt;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sidereal_data::{HeldOut as _, ItemId, Sample};
use sidereal_train::Ranking;

use crate::seed::{Purpose, stream};
use crate::workbench::Workbench;

/// A user's history and what the trained policy recommends, by title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Showcase {
    /// Titles of the history, earliest first.
    pub history: Vec<String>,
    /// Title of the item that the user chose next.
    pub chosen: String,
    /// Titles of the best items that are not in the history, best first; the chosen one is marked.
    pub recommended: Vec<(String, bool)>,
}

/// Users whose recommendations are shown by title.
const SHOWN_USERS: usize = 3;

/// The first users, in an order drawn by seed, for whom there are rankings.
pub(crate) fn showcases(bench: &Workbench<'_>, rankings: &[Ranking]) -> Vec<Showcase> {
    let mut samples: Vec<Sample<'_>> = bench.split.test.samples().collect();
    samples.shuffle(&mut stream(bench.seed, Purpose::Showcase, 0));
    let title = |item: ItemId| {
        bench.dataset.item(item).map_or_else(|| item.to_string(), |item| item.title.clone())
    };
    samples
        .iter()
        .filter_map(|sample| {
            let ranking = rankings.iter().find(|ranking| ranking.id == sample.id)?;
            let seen = sample.seen.iter().copied().collect();
            let recommended =
                ranking.top(5, &seen).map(|item| (title(item), item == sample.target));
            Some(Showcase {
                history: sample.history.iter().map(|item| title(*item)).collect(),
                chosen: title(sample.target),
                recommended: recommended.collect(),
            })
        })
        .take(SHOWN_USERS)
        .collect()
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
