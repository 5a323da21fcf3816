//! From files as Amazon's reviews are published to a split dataset, each step accounted for.

mod filters;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::filter::{Dropped, KCore, TitleLimit, k_core, limit_titles, time_window};
use crate::read::amazon::{Release, read_metadata, read_reviews};
use crate::read::{OnDoubtful, RowPolicy, Skips};
use crate::{
    Assembly, Audit, CorpusError, Dataset, HeldOut as _, Interactions, Item, Protocol, Split,
    Statistics, Timestamp, audit, global_time, leave_one_out, user_split,
};

pub use filters::Filters;

/// What is done, in this order: read, time window, titles, k-core, number, split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Which release the files are of.
    pub release: Release,
    /// What happens to rows with problems.
    pub policy: RowPolicy,
    /// Events from the first time on and before the second; `None` keeps all.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Longest title; `None` admits all.
    pub title_limit: Option<TitleLimit>,
    /// Events that users and items must have.
    pub k_core: KCore,
    /// How items are numbered and ties ordered.
    pub assembly: Assembly,
    /// How samples are split.
    pub protocol: Protocol,
    /// Longest history that a sample shows: the length of the sliding window.
    pub max_history: NonZeroUsize,
}

/// What came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// Items and users.
    pub dataset: Dataset,
    /// Training, validation and test samples.
    pub split: Split,
    /// Rows left out by the readers, by file.
    pub skips: Vec<Skips>,
    /// What each filter took away, in order.
    pub steps: Vec<Step>,
}

/// A filter and what it took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Which filter.
    pub name: &'static str,
    /// What it took away.
    pub dropped: Dropped,
}

/// Reads reviews and, where there are any, their items, filters and splits them.
///
/// With items, a review whose item has no line, or one that was skipped, is treated as
/// [`RowPolicy::missing_titles`] says.
///
/// # Errors
/// What the readers, [`Dataset::new`] and the splits refuse; [`CorpusError::Undescribed`] for a
/// review without an item where missing titles are errors; [`CorpusError::NotASplit`] for
/// [`Protocol::Published`], which reviews do not come with.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_corpus::filter::KCore;
/// use sidereal_corpus::prepare::{Recipe, prepare};
/// use sidereal_corpus::read::{RowPolicy, amazon::Release};
/// use sidereal_corpus::{Assembly, HeldOut, Protocol};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("reviews.jsonl");
/// let line = |user, item, time| format!(
///     "{{\"user_id\": \"{user}\", \"parent_asin\": \"{item}\", \"timestamp\": {time}000000000}}\n"
/// );
/// let lines = [("u", "a", 1001), ("u", "b", 1002), ("u", "c", 1003), ("v", "c", 1001)];
/// std::fs::write(&path, lines.map(|(u, i, t)| line(u, i, t)).concat())?;
/// let recipe = Recipe {
///     release: Release::Y2023,
///     policy: RowPolicy::strict(),
///     window: None,
///     title_limit: None,
///     k_core: KCore { user: 2, item: 1 },
///     assembly: Assembly::new(1),
///     protocol: Protocol::LeaveOneOut,
///     max_history: NonZeroUsize::MIN,
/// };
/// let prepared = prepare(&path, None, &recipe)?;
/// assert_eq!((prepared.dataset.num_users(), prepared.split.test.num_samples()), (1, 1));
/// assert_eq!(prepared.steps[0].dropped.users, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prepare(
    reviews: &Path,
    items: Option<&Path>,
    recipe: &Recipe,
) -> Result<Prepared, CorpusError> {
    let loaded = read_reviews(reviews, recipe.release, &recipe.policy)?;
    let (mut rows, mut skips, mut steps) = (loaded.interactions, vec![loaded.skips], Vec::new());
    let mut step = |name, dropped| steps.push(Step { name, dropped });
    if let Some((start, end)) = recipe.window {
        step("time window", time_window(&mut rows, start..end));
    }
    let mut described = BTreeMap::new();
    if let Some(path) = items {
        let catalogue = read_metadata(path, recipe.release, rows.items(), &recipe.policy)?;
        skips.push(catalogue.skips);
        described = catalogue.items;
        step("without a line of their own", undescribed(&mut rows, &described, &recipe.policy)?);
    }
    if let Some(limit) = recipe.title_limit {
        step("title length", limit_titles(&mut rows, &described, limit));
    }
    step("k-core", k_core(&mut rows, recipe.k_core));
    let dataset = rows.into_dataset(described, &recipe.assembly)?;
    let split = match recipe.protocol {
        Protocol::LeaveOneOut => leave_one_out(&dataset, recipe.max_history),
        Protocol::GlobalTime(shares) => global_time(&dataset, shares, recipe.max_history),
        Protocol::Users { shares, seed } => user_split(&dataset, shares, seed, recipe.max_history),
        Protocol::Published => Err(CorpusError::NotASplit { protocol: recipe.protocol }),
    }?;
    Ok(Prepared { dataset, split, skips, steps })
}

/// Takes away, refuses or keeps the events of items that are not described.
fn undescribed(
    rows: &mut Interactions,
    described: &BTreeMap<String, Item>,
    policy: &RowPolicy,
) -> Result<Dropped, CorpusError> {
    if policy.missing_titles == OnDoubtful::Keep {
        return Ok(Dropped::default());
    }
    let known: Vec<bool> = rows.items().names().map(|key| described.contains_key(key)).collect();
    if policy.missing_titles == OnDoubtful::Error
        && let Some(row) = rows.rows().iter().find(|row| !known[row.item as usize])
    {
        let item = rows.items().name(row.item).unwrap_or_default().to_owned();
        return Err(CorpusError::Undescribed { item });
    }
    Ok(rows.filter(|row| known[row.item as usize]))
}

/// What was read, what was left out, what the dataset holds, and what an audit counts.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Rows left out by the readers, by file.
    pub skips: Vec<Skips>,
    /// What each filter took away, in order.
    pub steps: Vec<Step>,
    /// What the dataset holds.
    pub statistics: Statistics,
    /// How it was split.
    pub protocol: String,
    /// Training, validation and test samples.
    pub samples: [usize; 3],
    /// Hash of the dataset.
    pub dataset_hash: String,
    /// Hash of the split.
    pub split_hash: String,
    /// The usual leaks, counted.
    pub audit: Audit,
}

impl Prepared {
    /// Counts and audits.
    #[must_use]
    pub fn report(&self) -> Report {
        let Self { dataset, split, skips, steps } = self;
        let samples =
            [split.train.num_samples(), split.valid.num_samples(), split.test.num_samples()];
        Report {
            skips: skips.clone(),
            steps: steps.clone(),
            statistics: Statistics::new(dataset),
            protocol: split.protocol.to_string(),
            samples,
            dataset_hash: dataset.hash(),
            split_hash: split.hash(),
            audit: audit(dataset, split),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skips in &self.skips {
            writeln!(f, "{skips}")?;
        }
        for Step { name, dropped } in &self.steps {
            let Dropped { interactions, users, items } = dropped;
            writeln!(f, "{name}: -{interactions} interactions, -{users} users, -{items} items")?;
        }
        let [train, valid, test] = self.samples;
        writeln!(f, "\n{}\n", self.statistics)?;
        writeln!(f, "split                {}", self.protocol)?;
        writeln!(f, "samples              train {train}, valid {valid}, test {test}")?;
        writeln!(f, "hash of the dataset  {}", self.dataset_hash)?;
        writeln!(f, "hash of the split    {}\n", self.split_hash)?;
        write!(f, "{}", self.audit)
    }
}
