//! What a piece of work costs.

use std::fs;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Time that was spent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cost {
    /// Seconds on the clock.
    pub wall_seconds: f64,
    /// Seconds of processors, all threads together; `None` where the system does not tell
    /// (`/proc/self/stat` is read).
    pub processor_seconds: Option<f64>,
}

impl Cost {
    /// The sum of two costs.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            wall_seconds: self.wall_seconds + other.wall_seconds,
            processor_seconds: self
                .processor_seconds
                .zip(other.processor_seconds)
                .map(|(one, two)| one + two),
        }
    }

    /// No time at all.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { wall_seconds: 0.0, processor_seconds: Some(0.0) }
    }

    /// Seconds of processors, or on the clock where these are not known.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.processor_seconds.unwrap_or(self.wall_seconds)
    }
}

/// Begins to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    processor: Option<f64>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), processor: processor_seconds() }
    }

    /// What was spent since the start.
    pub(crate) fn cost(self) -> Cost {
        let spent = |(before, now): (f64, f64)| (now - before).max(0.0);
        Cost {
            wall_seconds: self.started.elapsed().as_secs_f64(),
            processor_seconds: self.processor.zip(processor_seconds()).map(spent),
        }
    }
}

/// Clock ticks a second in `/proc`: a constant of Linux.
const TICKS: f64 = 100.0;

/// Seconds that all threads of this process have computed, those that ended included.
fn processor_seconds() -> Option<f64> {
    of_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// `utime + stime`: fields 14 and 15. The second field is a name in brackets, which may hold blanks.
fn of_stat(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_all_threads_is_read_from_the_line_of_the_process() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 10 20 0 0 150 75 3 4 20 0 8 0";
        assert_eq!(of_stat(stat).map(f64::to_bits), Some(2.25_f64.to_bits()));
        assert_eq!(of_stat("7 (a) S 1"), None);
    }

    #[test]
    fn a_sum_is_known_where_both_parts_are() {
        let known = Cost { wall_seconds: 1.0, processor_seconds: Some(2.0) };
        let unknown = Cost { processor_seconds: None, ..known };
        assert_eq!(known.plus(Cost::nothing()), known);
        assert_eq!(known.plus(unknown), Cost { wall_seconds: 2.0, processor_seconds: None });
        assert!(unknown.seconds() < known.seconds());
    }
}
