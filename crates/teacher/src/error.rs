//! Why texts could not be requested.

use std::path::{Path, PathBuf};

use sidereal_data::read::Problem;
use sidereal_prompts::EnrichmentKind;
use sidereal_sid::ItemId;

/// Why a teacher, a run of requests or a file of answers could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum TeacherError {
    /// The file of answers could not be opened, read or written.
    #[error("cannot access `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A cache of answers that another run has open.
    #[error("`{}` is in use by another process: wait until it has ended", path.display())]
    CacheInUse { path: PathBuf },
    /// A line of a cache that is not an answer.
    #[error("`{}`, line {line}: the line is not an answer in the format of the cache", path.display())]
    CacheLine {
        path: PathBuf,
        line: u64,
        #[source]
        source: serde_json::Error,
    },
    /// A row with a problem that the policy calls an error.
    #[error("`{}`, {problem}", path.display())]
    Row { path: PathBuf, problem: Problem },
    /// A teacher's template that does not compile, or fails for its values.
    #[error("the template `{name}` of the teacher cannot be rendered")]
    Template {
        name: String,
        #[source]
        source: minijinja::Error,
    },
    /// The environment variable for the key of an endpoint has no usable value.
    #[error(
        "the environment variable `{variable}` must hold the key of the endpoint, but it {found}"
    )]
    MissingKey { variable: String, found: &'static str },
    /// A text that names items by their Semantic IDs, before they have any.
    #[error("a text of kind {kind} names items by their Semantic IDs, but there is no catalogue")]
    NoCatalog { kind: EnrichmentKind },
    /// Reviews of other items.
    #[error("there are reviews of {reviews} items, but the dataset has {dataset}")]
    ReviewCount { reviews: usize, dataset: usize },
    /// A catalogue of another dataset.
    #[error("the catalogue has {catalog} items, but the dataset has {dataset}")]
    CatalogSize { catalog: usize, dataset: usize },
    /// An item outside the dataset.
    #[error("item {item} is outside the {num_items} items")]
    ItemRange { item: ItemId, num_items: usize },
    /// Settings outside their range.
    #[error("`{field}` is {found}; expected {expected}")]
    Config { field: &'static str, found: String, expected: &'static str },
}

impl TeacherError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        let error = TeacherError::MissingKey { variable: "KEY".to_owned(), found: "is not set" };
        insta::assert_snapshot!(
            error.to_string(),
            @"the environment variable `KEY` must hold the key of the endpoint, but it is not set"
        );
    }
}
