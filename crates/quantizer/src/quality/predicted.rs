//! How well codes say which item follows, in a report of their quality.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{LevelPrediction, Prediction};

/// How well codes say which item follows, and whether they could know the answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Predicted {
    /// What was measured.
    pub measured: Prediction,
    /// The codes that it was measured on.
    pub codes: JudgedCodes,
}

/// Which codes a [`Prediction`] in a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JudgedCodes {
    /// Those of the report, which were made without any events.
    Own,
    /// Others, which the same method made with the same settings, but without the held-out events: those of
    /// the report were made with them.
    MadeWithoutHeldOut,
    /// Those of the report, which were made elsewhere and may know the held-out events.
    OfUnknownOrigin,
}

impl Predicted {
    /// What the numbers mean, in a few sentences.
    #[must_use]
    pub fn meaning(&self) -> String {
        let factor = self.measured.gain().exp();
        let codes = match self.codes {
            JudgedCodes::Own => "These codes were made without any events.",
            JudgedCodes::MadeWithoutHeldOut => {
                "This is measured on codes that the same method made without the held-out events."
            }
            JudgedCodes::OfUnknownOrigin => {
                "These codes were made elsewhere. If they were made with the held-out events, the numbers are \
                 too good."
            }
        };
        format!(
            "Given the codes of the item before, the right item is {factor:.2} times as likely as by its \
             frequency alone (geometric mean; below 1 the codes mislead). Of several sets of codes for the same \
             data, the one with the fewest nats predicts best. {codes}"
        )
    }
}

impl fmt::Display for Predicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prediction { num_pairs, levels, nats, unigram_nats, .. } = &self.measured;
        writeln!(
            f,
            "next item after the one before, {num_pairs} held-out training events: {nats:.3} nats, by frequency \
             alone {unigram_nats:.3}"
        )?;
        writeln!(f, "level     nats  by frequency  smoothing")?;
        for (level, q) in levels.iter().enumerate() {
            let LevelPrediction { nats, unigram_nats, smoothing } = q;
            writeln!(f, "{level:>5} {nats:>8.3} {unigram_nats:>13.3} {smoothing:>10}")?;
        }
        writeln!(f, "{}", self.meaning())
    }
}
