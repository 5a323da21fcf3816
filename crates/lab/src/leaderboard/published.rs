//! Numbers that others published, with their sources and protocols.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sidereal_metrics::{Metric, SeenItems};

use crate::error::LabError;

/// Numbers that others published. They are shown beside measured ones, in columns and tables of their own, and
/// never enter a mean, a test or a choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedNumbers {
    /// The results, one for each system, dataset and source.
    #[serde(rename = "result", default)]
    pub results: Vec<PublishedResult>,
}

/// What one source says of one system on one dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedResult {
    /// The system, as its source names it.
    pub system: String,
    /// Short name of the dataset: `beauty`, `sports`, `toys`, `instruments`.
    pub dataset: String,
    /// What the number was counted on: the split, the candidates, the level of a hit.
    pub protocol: String,
    /// The rule for seen items; without it, the source does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_items: Option<SeenItems>,
    /// Where the number stands.
    pub source: String,
    /// Who counted it.
    pub by: CountedBy,
    /// The values by metric.
    pub values: BTreeMap<Metric, f64>,
}

/// Who counted a published number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CountedBy {
    /// The authors of the system, in a paper, a log or a README of theirs.
    Authors,
    /// Others, who trained the system again.
    Reproduction,
    /// The number of the authors as somebody else quotes it.
    Quoted,
}

impl CountedBy {
    /// As the tables name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authors => "authors",
            Self::Reproduction => "reproduction",
            Self::Quoted => "quoted",
        }
    }
}

/// The numbers that come with the library.
const SHIPPED: &str = include_str!("../../published/amazon.toml");

impl PublishedNumbers {
    /// The numbers that come with the library, on Amazon's reviews of 2014.
    ///
    /// # Errors
    /// None: a test reads the file.
    ///
    /// ```
    /// use sidereal_lab::PublishedNumbers;
    /// let numbers = PublishedNumbers::shipped()?;
    /// assert!(numbers.of("beauty").any(|result| result.system == "BSARec"));
    /// # Ok::<(), sidereal_lab::LabError>(())
    /// ```
    pub fn shipped() -> Result<Self, LabError> {
        Self::parse(SHIPPED, Path::new("published/amazon.toml"))
    }

    /// Reads numbers from a TOML file.
    ///
    /// # Errors
    /// [`LabError::Io`], and those of [`parse`](Self::parse).
    pub fn load(path: &Path) -> Result<Self, LabError> {
        let text = fs::read_to_string(path)
            .map_err(|source| LabError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads numbers from the text of a TOML file; `path` is for messages.
    ///
    /// # Errors
    /// [`LabError::Toml`]; [`LabError::Setting`] for a value outside `[0, 1]`, and for a result without a
    /// source, a protocol or a value.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LabError> {
        let refuse = |source| LabError::Toml { path: path.to_owned(), source: Box::new(source) };
        let numbers: Self = toml::from_str(text).map_err(refuse)?;
        numbers.results.iter().try_for_each(PublishedResult::check)?;
        Ok(numbers)
    }

    /// The results on a dataset.
    pub fn of<'a>(&'a self, dataset: &'a str) -> impl Iterator<Item = &'a PublishedResult> {
        self.results.iter().filter(move |result| result.dataset == dataset)
    }

    /// Names of the datasets, each once.
    #[must_use]
    pub fn datasets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.results.iter().map(|r| r.dataset.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl PublishedResult {
    /// The rule for seen items, in words.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self.seen_items {
            Some(SeenItems::Kept) => "seen items kept",
            Some(SeenItems::Removed) => "seen items removed",
            None => "seen items: not stated",
        }
    }

    fn check(&self) -> Result<(), LabError> {
        let field = |key: &str| format!("result {} on {}: {key}", self.system, self.dataset);
        for (key, text) in [("source", &self.source), ("protocol", &self.protocol)] {
            if text.trim().is_empty() {
                let (field, found) = (field(key), "empty".to_owned());
                return Err(LabError::Setting { field, found, needed: "a text" });
            }
        }
        if self.values.is_empty() {
            let (field, found) = (field("values"), "empty".to_owned());
            return Err(LabError::Setting { field, found, needed: "at least one value" });
        }
        match self.values.iter().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            None => Ok(()),
            Some((metric, value)) => Err(LabError::Setting {
                field: field(&metric.to_string()),
                found: value.to_string(),
                needed: "a number in [0, 1]",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_shipped_numbers_are_readable_and_stand_once() {
        let numbers = PublishedNumbers::shipped().unwrap();
        assert_eq!(numbers.datasets(), ["beauty", "instruments", "sports", "toys"]);
        let mut known = BTreeSet::new();
        for result in &numbers.results {
            let PublishedResult { system, dataset, source, .. } = result;
            assert!(known.insert((system, dataset, source)), "{system} on {dataset}: {source}");
            for metrics in [["HR@5", "HR@10"], ["NDCG@5", "NDCG@10"], ["NDCG@5", "HR@5"]] {
                let [low, high] = metrics.map(|name| result.values.get(&name.parse().unwrap()));
                if let (Some(low), Some(high)) = (low, high) {
                    assert!(low <= high, "{system} on {dataset}: {metrics:?}");
                }
            }
        }
    }

    #[test]
    fn a_number_without_a_source_or_out_of_range_is_refused() {
        let text = |source: &str, value: f64| {
            format!(
                "[[result]]\nsystem = 'A'\ndataset = 'beauty'\nprotocol = 'all items'\n\
                 source = '{source}'\nby = 'authors'\nvalues = {{ 'HR@10' = {value} }}\n"
            )
        };
        let parse = |text: &str| PublishedNumbers::parse(text, Path::new("numbers.toml"));
        assert_eq!(parse(&text("paper", 0.1)).unwrap().of("beauty").count(), 1);
        for (source, value, named) in [(" ", 0.1, "source"), ("paper", 7.3, "HR@10")] {
            let error = parse(&text(source, value)).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("A on beauty"), "{error}");
        }
    }
}
