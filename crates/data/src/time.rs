//! Points in time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds in a second.
const SECOND: i64 = 1000;

/// A point in time: milliseconds since 1970-01-01T00:00:00 UTC, negative before that.
///
/// The unit is milliseconds, because the Amazon reviews of 2023 use it and the order within a
/// second matters. Times in seconds are converted. If a source gives positions instead of times,
/// they count as seconds.
///
/// ```
/// use sidereal_data::Timestamp;
///
/// let time = Timestamp::from_seconds(1_475_280_000.5).unwrap();
/// assert_eq!(time, Timestamp(1_475_280_000_500));
/// assert_eq!(time.to_string(), "2016-10-01T00:00:00.5Z");
/// assert_eq!("2016-10-01".parse(), Ok(Timestamp(1_475_280_000_000)));
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The point `seconds` after 1970 began in UTC, rounded to milliseconds; `None` if not finite
    /// or more than 200,000 years away.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * SECOND as f64).round();
        // 2^53: whole numbers up to here are exact.
        #[allow(clippy::cast_possible_truncation, reason = "in range and whole")]
        (millis.abs() <= 9_007_199_254_740_992.0).then_some(Self(millis as i64))
    }

    /// The point `seconds` after 1970 began in UTC; `None` if milliseconds do not fit.
    #[must_use]
    pub fn from_whole_seconds(seconds: i64) -> Option<Self> {
        seconds.checked_mul(SECOND).map(Self)
    }

    /// Whole seconds since 1970 began in UTC, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }
}

/// RFC 3339 in UTC, without a fraction if it is zero; plain milliseconds outside years -9999 to
/// 9999.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a UTC time like `2016-10-01` or `2016-10-01T12:00:00Z`, found `{text}`")]
#[allow(missing_docs, reason = "the message names its field")]
pub struct TimestampError {
    pub text: String,
}

/// A date, which is its first moment in UTC, or RFC 3339 with an offset.
impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let date = || {
            if text.contains(':') {
                return None; // a clock time without an offset
            }
            let date: jiff::civil::Date = text.parse().ok()?;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        };
        let error = || TimestampError { text: text.to_owned() };
        let time = text.parse::<jiff::Timestamp>().ok().or_else(date).ok_or_else(error)?;
        Ok(Self(time.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_to_milliseconds_and_nothing_wraps() {
        assert_eq!(Timestamp::from_seconds(-1.0004), Some(Timestamp(-1000)));
        for seconds in [f64::NAN, f64::INFINITY, 1e13, -1e300] {
            assert_eq!(Timestamp::from_seconds(seconds), None, "{seconds}");
        }
        assert_eq!(Timestamp::from_whole_seconds(i64::MAX), None);
        assert_eq!(Timestamp(-1).seconds(), -1);
        assert_eq!(Timestamp(i64::MAX).to_string(), "9223372036854775807 ms");
    }

    #[test]
    fn an_offset_is_taken_into_account_and_a_bare_clock_time_refused() {
        let utc: Timestamp = "2018-10-01T12:00:00Z".parse().unwrap();
        assert_eq!("2018-10-01T14:00:00+02:00".parse(), Ok(utc));
        for text in ["2018-10-01T12:00:00", "2018-13-01", "yesterday", ""] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError { text: text.to_owned() }));
        }
    }
}
