//! Quality below which a catalogue is not worth training on.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{QualityReport, QuantizerError};

/// Limits that a [`QualityReport`] must keep; `None` is no limit.
///
/// Limits of levels hold for every quantised level, those that have a `squared_error`, or, in a
/// report without reconstruction, for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Thresholds {
    /// Least share of codes in use at each level, in `[0, 1]`.
    pub min_usage: Option<f64>,
    /// Least perplexity of each level as a share of its codebook size, in `[0, 1]`.
    pub min_perplexity: Option<f64>,
    /// Largest Gini coefficient of a level, in `[0, 1]`.
    pub max_gini: Option<f64>,
    /// Largest collision rate, in `[0, 1]`.
    pub max_collision_rate: Option<f64>,
    /// Largest relative error after the last quantised level; a report without one fails.
    pub max_relative_error: Option<f64>,
}

impl Thresholds {
    /// With a least usage of each level.
    #[must_use]
    pub const fn with_min_usage(mut self, share: f64) -> Self {
        self.min_usage = Some(share);
        self
    }

    /// With a least perplexity of each level, as a share of its codebook size.
    #[must_use]
    pub const fn with_min_perplexity(mut self, share: f64) -> Self {
        self.min_perplexity = Some(share);
        self
    }

    /// With a largest Gini coefficient of a level.
    #[must_use]
    pub const fn with_max_gini(mut self, gini: f64) -> Self {
        self.max_gini = Some(gini);
        self
    }

    /// With a largest collision rate.
    #[must_use]
    pub const fn with_max_collision_rate(mut self, rate: f64) -> Self {
        self.max_collision_rate = Some(rate);
        self
    }

    /// With a largest relative error after the last quantised level.
    #[must_use]
    pub const fn with_max_relative_error(mut self, share: f64) -> Self {
        self.max_relative_error = Some(share);
        self
    }

    /// Rejects a report that breaks a limit. A value or a limit that is NaN counts as broken.
    ///
    /// # Errors
    /// [`QuantizerError::Quality`], which lists every broken limit.
    pub fn check(&self, report: &QualityReport) -> Result<(), QuantizerError> {
        let mut broken = Vec::new();
        let mut at_most = |name: &str, found: f64, limit: Option<f64>| match limit {
            Some(limit) if found.partial_cmp(&limit).is_none_or(Ordering::is_gt) => {
                broken.push(format!("{name} is {found:.4}, but it must be at most {limit}"));
            }
            _ => {}
        };
        at_most("collision rate", report.collision_rate, self.max_collision_rate);
        let quantised = report.levels.iter().filter(|level| level.squared_error.is_some()).count();
        let quantised = if quantised == 0 { report.levels.len() } else { quantised };
        for (level, q) in report.levels.iter().take(quantised).enumerate() {
            at_most(&format!("level {level}: Gini"), q.gini, self.max_gini);
        }
        let error = report.levels.get(quantised.saturating_sub(1)).and_then(|q| q.relative_error);
        at_most("relative error", error.unwrap_or(f64::NAN), self.max_relative_error);
        for (level, q) in report.levels.iter().take(quantised).enumerate() {
            let perplexity = q.perplexity / q.codebook_size as f64;
            for (name, found, limit) in [
                ("usage", q.usage, self.min_usage),
                ("perplexity share", perplexity, self.min_perplexity),
            ] {
                if let Some(limit) = limit
                    && found.partial_cmp(&limit).is_none_or(Ordering::is_lt)
                {
                    broken.push(format!(
                        "level {level}: {name} is {found:.4}, but it must be at least {limit}"
                    ));
                }
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        Err(QuantizerError::Quality { broken: broken.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_broken_limit_is_listed() {
        // One of two codes used at level 0, both at level 1; two of three items share an id.
        let codes = array![[0, 0], [0, 1], [0, 1]];
        let report = QualityReport::from_codes(codes.view(), &[2, 2]).unwrap();
        assert!(Thresholds::default().check(&report).is_ok());
        assert!(Thresholds::default().with_min_usage(0.5).check(&report).is_ok());
        let limits = Thresholds::default().with_min_usage(0.75).with_max_collision_rate(0.2);
        assert_eq!(
            limits.check(&report).unwrap_err().to_string(),
            "the quality is too low: collision rate is 0.3333, but it must be at most 0.2; \
             level 0: usage is 0.5000, but it must be at least 0.75"
        );
    }

    #[test]
    fn an_unknown_error_breaks_its_limit() {
        let report = QualityReport::from_codes(array![[0]].view(), &[1]).unwrap();
        assert!(Thresholds::default().with_max_relative_error(1.0).check(&report).is_err());
    }
}
