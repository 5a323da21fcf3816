//! How a column writes points in time.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How a column of a table writes points in time.
///
/// ```
/// use sidereal_data::read::TimeFormat;
///
/// assert_eq!("milliseconds".parse(), Ok(TimeFormat::Milliseconds));
/// assert_eq!(serde_json::to_string(&TimeFormat::Auto)?, "\"auto\"");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeFormat {
    /// Recognised from each value. A number counts seconds, milliseconds, microseconds or
    /// nanoseconds: the first of them that gives a time which the row policy allows. With the years
    /// that [`RowPolicy::strict`](super::RowPolicy::strict) allows, no number fits two of them.
    /// Anything else is [`Text`](Self::Text).
    #[default]
    Auto,
    /// Seconds since 1970, with a fraction or without.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
    /// RFC 3339 or ISO 8601: `2016-10-01`, `2016-10-01T12:00:00+02:00`, `2016-10-01 12:00:00 UTC`. A
    /// clock time without an offset is in UTC.
    Text,
}

/// A text that does not name a format of times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a time format of auto, seconds, milliseconds, microseconds, nanoseconds or text, found \
     `{text}`"
)]
#[allow(missing_docs, reason = "the message names its field")]
pub struct TimeFormatError {
    pub text: String,
}

impl std::str::FromStr for TimeFormat {
    type Err = TimeFormatError;

    fn from_str(text: &str) -> Result<Self, TimeFormatError> {
        Ok(match text {
            "auto" => Self::Auto,
            "seconds" => Self::Seconds,
            "milliseconds" => Self::Milliseconds,
            "microseconds" => Self::Microseconds,
            "nanoseconds" => Self::Nanoseconds,
            "text" => Self::Text,
            _ => return Err(TimeFormatError { text: text.to_owned() }),
        })
    }
}

impl TimeFormat {
    const UNITS: [Self; 4] =
        [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// The time that a whole number stands for, if it is one of `allowed`.
    pub(super) fn of_whole(
        self,
        value: i64,
        allowed: &RangeInclusive<Timestamp>,
    ) -> Option<Timestamp> {
        let in_unit = |unit| match unit {
            Self::Seconds => Timestamp::from_whole_seconds(value),
            Self::Milliseconds => Some(Timestamp(value)),
            Self::Microseconds => Some(Timestamp(value.div_euclid(1000))),
            Self::Nanoseconds => Some(Timestamp(value.div_euclid(1_000_000))),
            Self::Auto | Self::Text => None,
        };
        self.first(in_unit, allowed)
    }

    /// The time that a number with a fraction stands for, if it is one of `allowed`.
    pub(super) fn of_number(
        self,
        value: f64,
        allowed: &RangeInclusive<Timestamp>,
    ) -> Option<Timestamp> {
        let in_unit = |unit| match unit {
            Self::Seconds => Timestamp::from_seconds(value),
            Self::Milliseconds => Timestamp::from_seconds(value / 1e3),
            Self::Microseconds => Timestamp::from_seconds(value / 1e6),
            Self::Nanoseconds => Timestamp::from_seconds(value / 1e9),
            Self::Auto | Self::Text => None,
        };
        self.first(in_unit, allowed)
    }

    /// The time that a text states, if it is one of `allowed`.
    pub(super) fn of_text(
        self,
        text: &str,
        allowed: &RangeInclusive<Timestamp>,
    ) -> Option<Timestamp> {
        let text = text.trim();
        if self != Self::Text {
            if let Ok(whole) = text.parse() {
                return self.of_whole(whole, allowed);
            }
            if let Ok(number) = text.parse() {
                return self.of_number(number, allowed);
            }
        }
        if matches!(self, Self::Auto | Self::Text) {
            return written(text).filter(|time| allowed.contains(time));
        }
        None
    }

    fn first(
        self,
        in_unit: impl Fn(Self) -> Option<Timestamp>,
        allowed: &RangeInclusive<Timestamp>,
    ) -> Option<Timestamp> {
        let time = |unit| in_unit(unit).filter(|time| allowed.contains(time));
        if self == Self::Auto { Self::UNITS.into_iter().find_map(time) } else { time(self) }
    }
}

/// A date, or a date with a clock time, which is in UTC if it has no offset.
fn written(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let without_offset = || {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(Timestamp(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
    };
    text.parse().ok().or_else(without_offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::RowPolicy;

    fn allowed() -> RangeInclusive<Timestamp> {
        let (first, last) = RowPolicy::strict().times;
        first..=last
    }

    #[test]
    fn the_unit_of_a_number_is_told_from_its_size() {
        let expected = Some(Timestamp(1_475_280_000_500));
        for text in ["1475280000.5", "1475280000500", "1475280000500000", "1475280000500000000"] {
            assert_eq!(TimeFormat::Auto.of_text(text, &allowed()), expected, "{text}");
        }
        assert_eq!(TimeFormat::Auto.of_number(1.475_280_000_5e9, &allowed()), expected);
        for text in ["0", "20161001", "-1475280000", "1e300", "inf", "9223372036854775807", "", "x"]
        {
            assert_eq!(TimeFormat::Auto.of_text(text, &allowed()), None, "{text}");
        }
    }

    #[test]
    fn a_unit_that_is_named_is_the_only_one() {
        let text = "1475280000500";
        assert_eq!(TimeFormat::Seconds.of_text(text, &allowed()), None);
        assert_eq!(TimeFormat::Text.of_text(text, &allowed()), None);
        assert_eq!(TimeFormat::Seconds.of_text("2016-10-01", &allowed()), None);
        let read = TimeFormat::Milliseconds.of_text(text, &allowed());
        assert_eq!(read, Some(Timestamp(1_475_280_000_500)));
        let wide = Timestamp(0)..=Timestamp(i64::MAX);
        assert_eq!(TimeFormat::Seconds.of_whole(7, &wide), Some(Timestamp(7000)));
        assert_eq!(TimeFormat::Nanoseconds.of_whole(7_000_000, &wide), Some(Timestamp(7)));
    }

    #[test]
    fn dates_are_read_with_a_clock_time_and_without() {
        let noon = Some(Timestamp(1_475_323_200_000));
        for text in [
            "2016-10-01T12:00:00Z",
            "2016-10-01T14:00:00+02:00",
            "2016-10-01 12:00:00",
            "2016-10-01T12:00:00.000",
            " 2016-10-01 12:00:00 UTC",
            "2016-10-01 12:00:00+00",
        ] {
            assert_eq!(TimeFormat::Auto.of_text(text, &allowed()), noon, "{text}");
            assert_eq!(TimeFormat::Text.of_text(text, &allowed()), noon, "{text}");
        }
        let morning = TimeFormat::Auto.of_text("2016-10-01", &allowed());
        assert_eq!(morning, Some(Timestamp(1_475_280_000_000)));
        for text in ["2016-13-01", "1970-01-01", "01/10/2016", "yesterday"] {
            assert_eq!(TimeFormat::Auto.of_text(text, &allowed()), None, "{text}");
        }
    }
}
