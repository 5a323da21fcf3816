//! The mean of several metrics, as one column.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::{Metric, MetricError, MetricSource};

/// Largest cut-off of a metric in an average.
const MAX_CUT_OFF: usize = 64;
/// The metrics that an average can hold, in the order in which they are written.
const FAMILIES: [fn(NonZeroUsize) -> Metric; 5] =
    [Metric::HitRate, Metric::Ndcg, Metric::Mrr, Metric::Pass, Metric::Best];

/// The arithmetic mean of several metrics of the same sample, each with the same weight.
///
/// ```text
/// Avg(m₁, …, mₙ) = (m₁ + … + mₙ) / n
/// ```
/// Written `Avg(HR@1/5/10+NDCG@5/10)`: names with their cut-offs, from 1 to 64. All are metrics of
/// ranks, or all are metrics of drawn answers. GREAM, tables 3 and 4, prints such means: `Avg Direct` of its
/// columns Recall@1, 5, 10 and NDCG@5, 10, and `Avg Reason` of Pass@1, 5, 10.
///
/// ```
/// use sidereal_metrics::{Average, Metric};
/// let average: Average = "Avg(Recall@1/5+NDCG@5)".parse()?;
/// assert_eq!(average.to_string(), "Avg(HR@1/5+NDCG@5)");
/// let parts: Vec<String> = average.parts().map(|part| part.to_string()).collect();
/// assert_eq!(parts, ["HR@1", "HR@5", "NDCG@5"]);
/// assert_eq!("Avg(HR@1/5+NDCG@5)".parse::<Metric>()?, Metric::Average(average));
/// # Ok::<(), sidereal_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Average {
    /// For each of [`FAMILIES`]: bit `k − 1` is set if the cut-off `k` is a part.
    cut_offs: [u64; FAMILIES.len()],
}

impl Average {
    /// The metrics, by name and by rising cut-off.
    pub fn parts(self) -> impl Iterator<Item = Metric> {
        FAMILIES.into_iter().zip(self.cut_offs).flat_map(|(family, cut_offs)| {
            let set = (0..MAX_CUT_OFF).filter(move |bit| cut_offs >> bit & 1 == 1);
            set.filter_map(|bit| NonZeroUsize::new(bit + 1)).map(family)
        })
    }

    /// The mean of `value` over the parts.
    pub(crate) fn mean(
        self,
        value: impl Fn(Metric) -> Result<f64, MetricError>,
    ) -> Result<f64, MetricError> {
        let values = self.parts().map(value).collect::<Result<Vec<f64>, _>>()?;
        Ok(values.iter().sum::<f64>() / values.len() as f64)
    }

    /// What all parts are computed from.
    pub(crate) fn source(self) -> MetricSource {
        self.parts().next().map_or(MetricSource::Ranks, Metric::source)
    }
}

impl fmt::Display for Average {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Avg(")?;
        let mut last: Option<String> = None;
        for part in self.parts().map(|part| part.to_string()) {
            let (name, k) = part.split_once('@').unwrap_or((&part, ""));
            match &last {
                Some(last) if last == name => write!(f, "/{k}")?,
                Some(_) => write!(f, "+{part}")?,
                None => f.write_str(&part)?,
            }
            last = Some(name.to_owned());
        }
        f.write_str(")")
    }
}

impl FromStr for Average {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let refuse = |needed| Err(MetricError::Average { text: text.to_owned(), needed });
        let unknown = || MetricError::Name { text: text.to_owned() };
        let inner = text.strip_prefix("Avg(").and_then(|rest| rest.strip_suffix(')'));
        let mut cut_offs = [0; FAMILIES.len()];
        let mut source = None;
        for names in inner.ok_or_else(unknown)?.split('+') {
            let (name, of_name) = names.split_once('@').ok_or_else(unknown)?;
            for k in of_name.split('/') {
                let part: Metric = format!("{name}@{k}").parse()?;
                let k: NonZeroUsize = k.parse().map_err(|_| unknown())?;
                let Some(family) = FAMILIES.iter().position(|family| family(k) == part) else {
                    return refuse(
                        "metrics of ranks or of drawn answers, such as HR, NDCG and Pass",
                    );
                };
                if k.get() > MAX_CUT_OFF {
                    return refuse("cut-offs from 1 to 64");
                }
                if *source.get_or_insert(part.source()) != part.source() {
                    return refuse("metrics of ranks alone, or of drawn answers alone");
                }
                let bit = 1 << (k.get() - 1);
                if cut_offs[family] & bit != 0 {
                    return refuse("each metric once");
                }
                cut_offs[family] |= bit;
            }
        }
        Ok(Self { cut_offs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draws, Outcome, Placement};

    #[test]
    fn an_average_is_the_mean_of_its_parts() {
        let average: Metric = "Avg(HR@1/5/10+NDCG@5/10)".parse().unwrap();
        // Rank 4: no hit at 1, a hit at 5 and 10, a gain of 1 / log2(5) at both cut-offs.
        let fourth = Placement::tied(3, NonZeroUsize::MIN);
        let expected = (0.0 + 1.0 + 1.0 + 2.0 / 5f64.log2()) / 5.0;
        assert!((fourth.value(average).unwrap() - expected).abs() < 1e-12);
        assert!(Draws::new(&[true]).unwrap().value(average).is_err());
        let draws = Draws::new(&[false, true]).unwrap();
        let value = draws.value("Avg(Pass@1/2)".parse().unwrap()).unwrap();
        assert!((value - 0.75).abs() < 1e-12);
        assert!(fourth.value("Avg(Pass@1/2)".parse().unwrap()).is_err());
    }

    #[test]
    fn the_printed_average_of_gream_is_over_the_columns_of_its_table() {
        // Table 2, Instruments, GREAM-Align; table 4 prints .0949 for its direct answers.
        let columns = [0.0711, 0.1026, 0.1207, 0.0872, 0.0931];
        assert!((columns.iter().sum::<f64>() / 5.0 - 0.0949).abs() < 5e-5);
        let average: Average = "Avg(HR@1/5/10+NDCG@5/10)".parse().unwrap();
        assert_eq!(average.parts().count(), columns.len());
    }

    #[test]
    fn an_average_that_is_none_is_refused_with_the_reason() {
        for (text, reason) in [
            ("Avg()", "is not a metric"),
            ("Avg(HR@1", "is not a metric"),
            ("Avg(HR)", "is not a metric"),
            ("Avg(HR@0)", "is not a metric"),
            ("Avg(AUC@1)", "is not a metric"),
            ("Avg(HR@65)", "cut-offs from 1 to 64"),
            ("Avg(HR@1/1)", "each metric once"),
            ("Avg(HR@1+Pass@1)", "metrics of ranks alone"),
            ("Avg(Entropy@10)", "metrics of ranks or of drawn answers"),
        ] {
            let error = text.parse::<Metric>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
