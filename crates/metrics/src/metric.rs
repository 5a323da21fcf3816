//! Names of metrics.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ranking::Gain;
use crate::{Average, MetricError};

/// What a number measures; written `HR@10`, `NDCG@10`, `AUC`, also in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Metric {
    /// [`hit_rate`](crate::hit_rate) (`HR@k`; `R@k` and `Recall@k` are read as this).
    HitRate(NonZeroUsize),
    /// [`ndcg`](crate::ndcg) (`NDCG@k`; `N@k` is read as this).
    Ndcg(NonZeroUsize),
    /// [`mrr`](crate::mrr) (`MRR@k`).
    Mrr(NonZeroUsize),
    /// [`pass_at_k`](crate::pass_at_k) (`Pass@k`).
    Pass(NonZeroUsize),
    /// [`best_of_k`](crate::best_of_k) (`Best@k`).
    Best(NonZeroUsize),
    /// [`entropy`](crate::entropy), nats (`Entropy@k`).
    Entropy(NonZeroUsize),
    /// [`ColdItems`](crate::ColdItems) (`Cold-Recall@k`).
    ColdRecall(NonZeroUsize),
    /// [`ExposureCounts::coverage`](crate::ExposureCounts::coverage) of top-k lists (`Coverage@k`).
    Coverage(NonZeroUsize),
    /// [`ExposureCounts::gini`](crate::ExposureCounts::gini) of top-k lists (`Gini@k`).
    Gini(NonZeroUsize),
    /// [`auc`](crate::auc()) (`AUC`).
    Auc,
    /// The mean of several metrics (`Avg(HR@1/5/10)`).
    Average(Average),
}

/// What a metric is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricSource {
    /// The rank of a target.
    Ranks,
    /// Answers that were drawn independently of each other.
    Draws,
    /// Lists of recommended items.
    Lists,
    /// Scores of two classes.
    Classes,
}

impl Metric {
    /// Largest value that the metric can take: `ln k` for an entropy, else 1.
    #[must_use]
    pub fn max(self) -> f64 {
        match self {
            Self::Entropy(k) => (k.get() as f64).ln(),
            _ => 1.0,
        }
    }

    /// What it is computed from.
    #[must_use]
    pub fn source(self) -> MetricSource {
        match self {
            Self::HitRate(_) | Self::Ndcg(_) | Self::Mrr(_) => MetricSource::Ranks,
            Self::Pass(_) | Self::Best(_) => MetricSource::Draws,
            Self::Entropy(_) | Self::ColdRecall(_) | Self::Coverage(_) | Self::Gini(_) => {
                MetricSource::Lists
            }
            Self::Auc => MetricSource::Classes,
            Self::Average(average) => average.source(),
        }
    }

    /// Its cut-off, the largest one of an average; `None` for a metric without one.
    #[must_use]
    pub fn cut_off(self) -> Option<NonZeroUsize> {
        match self {
            Self::HitRate(k)
            | Self::Ndcg(k)
            | Self::Mrr(k)
            | Self::Pass(k)
            | Self::Best(k)
            | Self::Entropy(k)
            | Self::ColdRecall(k)
            | Self::Coverage(k)
            | Self::Gini(k) => Some(k),
            Self::Auc => None,
            Self::Average(average) => average.parts().filter_map(Self::cut_off).max(),
        }
    }

    /// Its gain and its cut-off, if it is a function of the target's rank.
    pub(crate) fn gain(self) -> Option<(Gain, NonZeroUsize)> {
        match self {
            Self::HitRate(k) => Some((crate::ranking::hit_gain, k)),
            Self::Ndcg(k) => Some((crate::ranking::discounted_gain, k)),
            Self::Mrr(k) => Some((crate::ranking::reciprocal_gain, k)),
            _ => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, k) = match self {
            Self::HitRate(k) => ("HR", k),
            Self::Ndcg(k) => ("NDCG", k),
            Self::Mrr(k) => ("MRR", k),
            Self::Pass(k) => ("Pass", k),
            Self::Best(k) => ("Best", k),
            Self::Entropy(k) => ("Entropy", k),
            Self::ColdRecall(k) => ("Cold-Recall", k),
            Self::Coverage(k) => ("Coverage", k),
            Self::Gini(k) => ("Gini", k),
            Self::Auc => return f.write_str("AUC"),
            Self::Average(average) => return average.fmt(f),
        };
        write!(f, "{name}@{k}")
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let unknown = || MetricError::Name { text: text.to_owned() };
        if text == "AUC" {
            return Ok(Self::Auc);
        }
        if text.starts_with("Avg(") {
            return text.parse().map(Self::Average);
        }
        let (name, k) = text.split_once('@').ok_or_else(unknown)?;
        let k = k.parse().map_err(|_| unknown())?;
        Ok(match name {
            "HR" | "R" | "Recall" => Self::HitRate(k),
            "NDCG" | "N" => Self::Ndcg(k),
            "MRR" => Self::Mrr(k),
            "Pass" => Self::Pass(k),
            "Best" => Self::Best(k),
            "Entropy" => Self::Entropy(k),
            "Cold-Recall" => Self::ColdRecall(k),
            "Coverage" => Self::Coverage(k),
            "Gini" => Self::Gini(k),
            _ => return Err(unknown()),
        })
    }
}

impl TryFrom<String> for Metric {
    type Error = MetricError;

    fn try_from(text: String) -> Result<Self, MetricError> {
        text.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let names = "HR@1 NDCG@10 MRR@5 Pass@8 Best@8 Entropy@10 Cold-Recall@10 Coverage@10 Gini@10 AUC \
             Avg(HR@1/5/10+NDCG@5/10) Avg(Pass@1/5)";
        for name in names.split(' ') {
            assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
        }
        assert_eq!("R@10".parse::<Metric>().unwrap().to_string(), "HR@10");
    }

    #[test]
    fn nonsense_is_refused() {
        for name in ["", "HR", "HR@0", "HR@-1", "hr@10", "@5", "HR@5@6"] {
            assert!(name.parse::<Metric>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_metric_says_what_it_is_of_and_how_far_it_looks() {
        for (name, source, cut_off) in [
            ("HR@3", MetricSource::Ranks, Some(3)),
            ("Avg(HR@1/20+NDCG@10)", MetricSource::Ranks, Some(20)),
            ("Pass@32", MetricSource::Draws, Some(32)),
            ("Avg(Pass@1/5)", MetricSource::Draws, Some(5)),
            ("Cold-Recall@10", MetricSource::Lists, Some(10)),
            ("AUC", MetricSource::Classes, None),
        ] {
            let metric: Metric = name.parse().unwrap();
            assert_eq!(metric.source(), source, "{name}");
            assert_eq!(metric.cut_off().map(NonZeroUsize::get), cut_off, "{name}");
        }
    }

    #[test]
    fn only_an_entropy_exceeds_one() {
        let max = |name: &str| name.parse::<Metric>().unwrap().max();
        assert!((max("Entropy@8") - 3.0 * 2f64.ln()).abs() < 1e-12);
        for name in ["HR@8", "NDCG@8", "Gini@8", "AUC"] {
            assert!((max(name) - 1.0).abs() < f64::EPSILON, "{name}");
        }
    }

    #[test]
    fn other_spellings_are_read_and_json_holds_the_name() {
        for (text, name) in [("Recall@5", "HR@5"), ("R@5", "HR@5"), ("N@5", "NDCG@5")] {
            let json = format!("\"{text}\"");
            let metric: Metric = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&metric).unwrap(), format!("\"{name}\""));
        }
    }
}
