//! Settings of the shop.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// Settings of the shop's law; [`Shop::new`](super::Shop::new) checks them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ShopConfig {
    /// Seed of products' order and of every customer.
    pub seed: u64,
    /// Number of customers. Range `1..`.
    pub num_users: usize,
    /// Fewest events of a customer. Range `3..=max_events`.
    pub min_events: usize,
    /// Largest number of events of a customer. Range `..=100`.
    pub max_events: usize,
    /// Probability that a customer stops after each event from `min_events` on. Range `(0, 1]`.
    pub stop: f64,
    /// Share of events that go on with the last product's series. Range `[0, 1]`.
    pub series: f64,
    /// Share of events that go on with an earlier department. Range `[0, 1]`.
    pub resume: f64,
    /// Share of events that complement the last product. Range `[0, 1]`; the three shares leave
    /// some for browsing.
    pub complement: f64,
    /// Probability that an event follows the favourite style. Range `[0, 1)`.
    pub style_focus: f64,
    /// Probability that browsing stays in the department of interest. Range `[0, 1)`.
    pub interest_focus: f64,
    /// Popularity of each style, department and kind of a series, as a share of that of the one
    /// before it. Range `(0, 1]`.
    pub popularity_ratio: f64,
}

impl ShopConfig {
    /// The settings of the shop that ships with the library, except the seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            num_users: 3000,
            min_events: 6,
            max_events: 25,
            stop: 0.2,
            series: 0.35,
            resume: 0.25,
            complement: 0.1,
            style_focus: 0.5,
            interest_focus: 0.7,
            popularity_ratio: 0.8,
        }
    }

    /// With this number of customers.
    #[must_use]
    pub const fn with_num_users(mut self, num_users: usize) -> Self {
        self.num_users = num_users;
        self
    }

    /// Share of events that browse: what series, resume and complement leave.
    #[must_use]
    pub fn browse(&self) -> f64 {
        1.0 - self.series - self.resume - self.complement
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        let field = |ok: bool, field, found: String, expected| {
            if ok { Ok(()) } else { Err(DataError::Config { field, found, expected }) }
        };
        let share = |name, value: f64| {
            field((0.0..=1.0).contains(&value), name, value.to_string(), "0 to 1")
        };
        let part = |name, value: f64| {
            field((0.0..1.0).contains(&value), name, value.to_string(), "0 to less than 1")
        };
        let positive = |name, value: f64| {
            field(value > 0.0 && value <= 1.0, name, value.to_string(), "more than 0, at most 1")
        };
        let (users, min, max) = (self.num_users, self.min_events, self.max_events);
        field(users > 0, "num_users", users.to_string(), "at least 1")?;
        field(max <= 100, "max_events", max.to_string(), "at most 100")?;
        field((3..=max).contains(&min), "min_events", min.to_string(), "3 to max_events")?;
        positive("stop", self.stop)?;
        share("series", self.series)?;
        share("resume", self.resume)?;
        share("complement", self.complement)?;
        positive("series + resume + complement leave", self.browse())?;
        part("style_focus", self.style_focus)?;
        part("interest_focus", self.interest_focus)?;
        positive("popularity_ratio", self.popularity_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_outside_their_ranges_are_named() {
        let refuses = |change: fn(&mut ShopConfig), name: &str| {
            let mut config = ShopConfig::new(1);
            change(&mut config);
            let error = config.check().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        };
        assert!(ShopConfig::new(1).check().is_ok());
        refuses(|c| c.stop = 0.0, "stop");
        refuses(|c| c.series = f64::NAN, "series");
        refuses(|c| c.series = 0.7, "leave");
        refuses(|c| c.min_events = 2, "min_events");
        refuses(|c| c.max_events = 101, "max_events");
        refuses(|c| c.style_focus = 1.0, "style_focus");
        refuses(|c| c.num_users = 0, "num_users");
    }
}
