//! Limits of a run.

use serde::{Deserialize, Serialize};

use crate::{Sampling, TeacherError, Usage};

/// The price of a million tokens, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// A million tokens read.
    pub prompt: f64,
    /// A million tokens written.
    pub completion: f64,
}

impl Prices {
    /// The cost of these tokens.
    ///
    /// ```text
    /// (prompt tokens · prompt + completion tokens · completion) / 10^6
    /// ```
    #[must_use]
    pub fn cost(&self, usage: Usage) -> f64 {
        let of = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        of(usage.prompt_tokens, self.prompt) + of(usage.completion_tokens, self.completion)
    }
}

/// Settings of a run of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EnrichConfig {
    /// Seed of the waits between attempts.
    pub seed: u64,
    /// Requests under way at once. Range `1..=256`.
    pub concurrency: usize,
    /// How the teacher draws its tokens.
    pub sampling: Sampling,
    /// Fewest and most words of a text; notes between two stages may be shorter. The smallest
    /// allowed value is 1.
    pub words: (usize, usize),
    /// Number of attempts at one request, the first one included. Range `1..`.
    pub attempts: u32,
    /// How often a rejected answer is asked for again, with the reason.
    pub corrections: u32,
    /// Wait after the first failed attempt in seconds; each further failure doubles it. The actual
    /// wait is random, between one half and the whole of it. Range `0..`.
    pub first_wait: f64,
    /// Longest wait in seconds, even if the endpoint asks for more. Range `first_wait..`.
    pub longest_wait: f64,
    /// Requests a minute; `None`: no limit.
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute, read and written; `None`: no limit.
    pub tokens_per_minute: Option<f64>,
    /// What tokens cost.
    pub prices: Prices,
    /// Most that may be spent, in the currency of `prices`, together with all that the answers of
    /// this teacher in the cache have cost; `None`: no limit.
    pub max_cost: Option<f64>,
}

impl EnrichConfig {
    /// Four requests at once, 8 to 300 words, 6 attempts from 1 s to 60 s apart, 2 corrections, no
    /// limits of rate or cost.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            concurrency: 4,
            sampling: Sampling { temperature: 0.7, max_tokens: 1024 },
            words: (8, 300),
            attempts: 6,
            corrections: 2,
            first_wait: 1.0,
            longest_wait: 60.0,
            requests_per_minute: None,
            tokens_per_minute: None,
            prices: Prices { prompt: 0.0, completion: 0.0 },
            max_cost: None,
        }
    }

    /// The settings, if each is in its range.
    pub(super) fn checked(self) -> Result<Self, TeacherError> {
        let refuse = |field: &'static str, found: String, expected: &'static str| {
            Err(TeacherError::Config { field, found, expected })
        };
        if !(1..=256).contains(&self.concurrency) {
            return refuse("concurrency", self.concurrency.to_string(), "1 to 256");
        }
        if self.attempts == 0 {
            return refuse("attempts", "0".to_owned(), "1 or more");
        }
        if self.words.0 == 0 || self.words.0 > self.words.1 {
            return refuse(
                "words",
                format!("{:?}", self.words),
                "the smallest number of words, at least 1, then the largest",
            );
        }
        if self.sampling.max_tokens == 0 {
            return refuse("sampling.max_tokens", "0".to_owned(), "1 or more");
        }
        // A wait of more than a year makes no sense, and `Duration` panics on far larger values.
        let waits = [("first_wait", self.first_wait), ("longest_wait", self.longest_wait)];
        let numbers = [
            ("sampling.temperature", f64::from(self.sampling.temperature)),
            ("prices.prompt", self.prices.prompt),
            ("prices.completion", self.prices.completion),
            ("max_cost", self.max_cost.unwrap_or(0.0)),
        ];
        for (field, value) in waits.into_iter().chain(numbers) {
            if !(value >= 0.0 && value.is_finite()) {
                return refuse(field, value.to_string(), "a number that is at least 0");
            }
        }
        if self.longest_wait < self.first_wait || self.longest_wait > 3.2e7 {
            let found = self.longest_wait.to_string();
            return refuse("longest_wait", found, "`first_wait` to a year");
        }
        let rates = [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
        ];
        for (field, rate) in rates {
            if rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
                return refuse(field, format!("{rate:?}"), "a number above 0");
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_outside_its_range_is_named() {
        type Change = fn(&mut EnrichConfig);
        let changes: [(&str, Change); 10] = [
            ("concurrency", |c| c.concurrency = 0),
            ("attempts", |c| c.attempts = 0),
            ("words", |c| c.words = (5, 4)),
            ("sampling.max_tokens", |c| c.sampling.max_tokens = 0),
            ("sampling.temperature", |c| c.sampling.temperature = f32::NAN),
            ("first_wait", |c| c.first_wait = -1.0),
            ("longest_wait", |c| c.longest_wait = 0.5),
            ("max_cost", |c| c.max_cost = Some(f64::INFINITY)),
            ("requests_per_minute", |c| c.requests_per_minute = Some(0.0)),
            ("tokens_per_minute", |c| c.tokens_per_minute = Some(f64::NAN)),
        ];
        assert!(EnrichConfig::new(1).checked().is_ok());
        for (name, change) in changes {
            let mut config = EnrichConfig::new(1);
            change(&mut config);
            let refused = config.checked();
            assert!(matches!(refused, Err(TeacherError::Config { field, .. }) if field == name));
        }
    }

    #[test]
    fn tokens_cost_their_price_by_the_million() {
        let prices = Prices { prompt: 2.0, completion: 8.0 };
        let usage = Usage { prompt_tokens: 500_000, completion_tokens: 250_000 };
        assert!((prices.cost(usage) - 3.0).abs() < 1e-12); // 1 + 2
    }
}
