//! From Amazon's reviews, as they are published, to a split dataset, with a report of each step.

mod filters;
pub(crate) mod step;
pub(crate) mod undescribed;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::filter::{KCore, TitleLimit, k_core, limit_titles, time_window};
use crate::read::amazon::{Release, read_metadata, read_reviews};
use crate::read::{ReadData, RowPolicy, Skips};
use crate::{
    Assembly, Audit, DataError, Dataset, HeldOut as _, Split, SplitProtocol, Statistics, Timestamp,
    audit, global_time, leave_one_out, user_split,
};

pub use filters::Filters;
pub use step::Step;
use undescribed::{UNDESCRIBED, undescribed};

/// The settings of the steps, in this order: read, time window, titles, k-core, number, split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareConfig {
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
    pub protocol: SplitProtocol,
    /// Longest history that a sample shows: the length of the sliding window.
    pub max_history: NonZeroUsize,
}

/// The prepared data.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// Items and users.
    pub dataset: Dataset,
    /// Training, validation and test samples.
    pub split: Split,
    /// Rows left out by the readers, by file.
    pub skips: Vec<Skips>,
    /// What each filter removed, in order.
    pub steps: Vec<Step>,
}

/// Reads reviews and, if there are any, their items; filters and splits them.
///
/// With items, a review whose item has no line, or one that was skipped, is treated as
/// [`RowPolicy::missing_titles`] says.
///
/// # Errors
/// The errors of the readers, of [`Dataset::new`] and of the splits; [`DataError::Undescribed`] for
/// a review without an item, if missing titles are errors; [`DataError::NotASplit`] for
/// [`SplitProtocol::Published`], because reviews come without a split.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use sidereal_data::filter::KCore;
/// use sidereal_data::prepare::{PrepareConfig, prepare};
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::amazon::Release;
/// use sidereal_data::{Assembly, HeldOut, SplitProtocol};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("reviews.jsonl");
/// let line = |user, item, time| format!(
///     "{{\"user_id\": \"{user}\", \"parent_asin\": \"{item}\", \"timestamp\": {time}000000000}}\n"
/// );
/// let lines = [("u", "a", 1001), ("u", "b", 1002), ("u", "c", 1003), ("v", "c", 1001)];
/// std::fs::write(&path, lines.map(|(u, i, t)| line(u, i, t)).concat())?;
/// let config = PrepareConfig {
///     release: Release::Y2023,
///     policy: RowPolicy::strict(),
///     window: None,
///     title_limit: None,
///     k_core: KCore { user: 2, item: 1 },
///     assembly: Assembly::new(1),
///     protocol: SplitProtocol::LeaveOneOut,
///     max_history: NonZeroUsize::MIN,
/// };
/// let prepared = prepare(&path, None, &config)?;
/// assert_eq!((prepared.dataset.num_users(), prepared.split.test.num_samples()), (1, 1));
/// assert_eq!(prepared.steps[0].dropped.users, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prepare(
    reviews: &Path,
    items: Option<&Path>,
    config: &PrepareConfig,
) -> Result<Prepared, DataError> {
    let loaded = read_reviews(reviews, config.release, &config.policy)?;
    let (mut rows, mut skips, mut steps) = (loaded.interactions, vec![loaded.skips], Vec::new());
    let mut step = |name, dropped| steps.push(Step { name, dropped });
    if let Some((start, end)) = config.window {
        step("time window", time_window(&mut rows, start..end));
    }
    let mut described = BTreeMap::new();
    if let Some(path) = items {
        let catalogue = read_metadata(path, config.release, rows.items(), &config.policy)?;
        skips.push(catalogue.skips);
        described = catalogue.items;
        step(UNDESCRIBED, undescribed(&mut rows, &described, &config.policy)?);
    }
    if let Some(limit) = config.title_limit {
        step("title length", limit_titles(&mut rows, &described, limit));
    }
    step("k-core", k_core(&mut rows, config.k_core));
    let dataset = rows.into_dataset(described, &config.assembly)?;
    let split = match config.protocol {
        SplitProtocol::LeaveOneOut => leave_one_out(&dataset, config.max_history),
        SplitProtocol::GlobalTime(shares) => global_time(&dataset, shares, config.max_history),
        SplitProtocol::Users { shares, seed } => {
            user_split(&dataset, shares, seed, config.max_history)
        }
        SplitProtocol::Published => Err(DataError::NotASplit { protocol: config.protocol }),
    }?;
    Ok(Prepared { dataset, split, skips, steps })
}

/// What was read, what was left out, what the dataset holds, and what an audit counts.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PrepareReport {
    /// Rows left out by the readers, by file.
    pub skips: Vec<Skips>,
    /// What each filter removed, in order.
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
    /// The report of the prepared data.
    #[must_use]
    pub fn report(&self) -> PrepareReport {
        let Self { dataset, split, skips, steps } = self;
        let samples =
            [split.train.num_samples(), split.valid.num_samples(), split.test.num_samples()];
        PrepareReport {
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

/// Prepared reviews; the notes name the filters.
impl From<Prepared> for ReadData {
    fn from(prepared: Prepared) -> Self {
        let Prepared { dataset, split, skips, steps } = prepared;
        let notes = steps.iter().map(ToString::to_string).collect();
        let mut data = Self::new(dataset);
        (data.split, data.skips, data.notes) = (Some(split), skips, notes);
        data
    }
}

impl fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skips in &self.skips {
            writeln!(f, "{skips}")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
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
