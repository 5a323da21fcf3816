//! Amazon reviews and their items, the releases of 2014, 2018 and 2023.
//!
//! One object a line; plain, gzip or zstd, which is recognised by the first bytes. Only the fields
//! below are used, and the texts of reviews by [`read_review_texts`]; others are ignored.
//!
//! | release | reviews | items |
//! |---|---|---|
//! | 2014 | `reviewerID`, `asin`, `overall`, `unixReviewTime` (s) | `asin`, `title`, `description`, `brand`, `categories` (lists; the first counts) |
//! | 2018 | the same | `asin`, `title`, `description` (list), `brand`, `category` (list) |
//! | 2023 | `user_id`, `parent_asin`, `rating`, `timestamp` (ms) | `parent_asin`, `title`, `description` (list), `store`, `categories` (list) |
//!
//! Sources: <https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html>,
//! <https://nijianmo.github.io/amazon/index.html>, <https://amazon-reviews-2023.github.io>. Lines
//! of 2014 that are not JSON but Python literals (all its item files) are read by a strict parser.
//! Nothing is ever evaluated. The items of 2023 are the `parent_asin`s, which colours and sizes
//! share, as its publishers advise.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::data::ReadData;
use super::policy::RowPolicy;
use crate::filter::Dropped;
use crate::prepare::step::Step;
use crate::prepare::undescribed::{UNDESCRIBED, undescribed};
use crate::{Assembly, DataError};

mod metadata;
mod review_texts;
mod reviews;

pub use metadata::{Catalogue, read_metadata};
pub use review_texts::{ReviewTexts, read_review_texts};
pub use reviews::{LoadedReviews, read_reviews};

/// Which release a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Release {
    /// May 1996 to July 2014.
    #[serde(rename = "2014")]
    Y2014,
    /// May 1996 to October 2018.
    #[serde(rename = "2018")]
    Y2018,
    /// May 1996 to September 2023.
    #[serde(rename = "2023")]
    Y2023,
}

/// Reads reviews and, if there are any, their items as a dataset, without filters and without a
/// split. [`prepare`](mod@crate::prepare) also filters and splits.
///
/// A review of an item without a line is treated as [`RowPolicy::missing_titles`] says.
///
/// # Errors
/// Those of [`read_reviews`] and [`read_metadata`]; [`DataError::Undescribed`] for a review without
/// an item, if missing titles are errors; [`DataError::EmptyDataset`] if no review is left.
///
/// # Examples
/// ```
/// use sidereal_data::Assembly;
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::amazon::{Release, read};
///
/// let dir = tempfile::tempdir()?;
/// let (reviews, items) = (dir.path().join("reviews.jsonl"), dir.path().join("meta.jsonl"));
/// std::fs::write(&reviews, r#"{"user_id": "A1", "parent_asin": "B7", "timestamp": 1357862400000}"#)?;
/// std::fs::write(&items, r#"{"parent_asin": "B7", "title": "Salt", "store": "Acme"}"#)?;
/// let (assembly, policy) = (Assembly::new(42), RowPolicy::strict());
/// let data = read(&reviews, Some(&items), Release::Y2023, &assembly, &policy)?;
/// assert_eq!(data.dataset.items()[0].brand, "Acme");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(
    reviews: &Path,
    items: Option<&Path>,
    release: Release,
    assembly: &Assembly,
    policy: &RowPolicy,
) -> Result<ReadData, DataError> {
    let LoadedReviews { interactions: mut rows, skips } = read_reviews(reviews, release, policy)?;
    let (mut reports, mut notes, mut described) = (vec![skips], Vec::new(), BTreeMap::new());
    if let Some(path) = items {
        let catalogue = read_metadata(path, release, rows.items(), policy)?;
        reports.push(catalogue.skips);
        described = catalogue.items;
        let dropped = undescribed(&mut rows, &described, policy)?;
        if dropped != Dropped::default() {
            notes.push(Step { name: UNDESCRIBED, dropped }.to_string());
        }
    }
    let mut data = ReadData::new(rows.into_dataset(described, assembly)?);
    (data.skips, data.notes) = (reports, notes);
    Ok(data)
}

/// A text that names no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a release of 2014, 2018 or 2023, found `{text}`")]
#[allow(missing_docs, reason = "the message names its field")]
pub struct ReleaseError {
    pub text: String,
}

impl std::str::FromStr for Release {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        match text {
            "2014" => Ok(Self::Y2014),
            "2018" => Ok(Self::Y2018),
            "2023" => Ok(Self::Y2023),
            _ => Err(ReleaseError { text: text.to_owned() }),
        }
    }
}
