//! Amazon reviews and their items, the releases of 2014, 2018 and 2023.
//!
//! One object a line, plain, gzip or zstd, told by the first bytes. Only the fields below are
//! taken; the others may be there or not.
//!
//! | release | reviews | items |
//! |---|---|---|
//! | 2014 | `reviewerID`, `asin`, `overall`, `unixReviewTime` (s) | `asin`, `title`, `description`, `brand`, `categories` (lists; the first counts) |
//! | 2018 | the same | `asin`, `title`, `description` (list), `brand`, `category` (list) |
//! | 2023 | `user_id`, `parent_asin`, `rating`, `timestamp` (ms) | `parent_asin`, `title`, `description` (list), `store`, `categories` (list) |
//!
//! Sources: <https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html>,
//! <https://nijianmo.github.io/amazon/index.html>, <https://amazon-reviews-2023.github.io>.
//! Lines of 2014 that are no JSON but literals of Python (all its item files) are read by a strict
//! parser; nothing is ever evaluated. The items of 2023 are the `parent_asin`s, which colours and
//! sizes share, as its publishers advise.

use serde::{Deserialize, Serialize};

mod metadata;
mod reviews;

pub use metadata::{Catalogue, read_metadata};
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
