//! Keeps the interactions of a period of time.

use std::ops::Range;

use super::Dropped;
use crate::{Interactions, Timestamp};

/// Keeps the interactions from `window.start` on and before `window.end`: exactly this window, even
/// if few or none are left.
///
/// ```
/// use sidereal_data::{Interactions, Timestamp};
/// use sidereal_data::filter::time_window;
///
/// let mut rows = Interactions::default();
/// for time in ["2016-09-30T23:59:59Z", "2016-10-01", "2018-10-01"] {
///     rows.push("u", "a", time.parse()?)?;
/// }
/// let dropped = time_window(&mut rows, "2016-10-01".parse()?.."2018-10-01".parse()?);
/// assert_eq!((rows.len(), dropped.interactions), (1, 2)); // the end is outside
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn time_window(interactions: &mut Interactions, window: Range<Timestamp>) -> Dropped {
    interactions.filter(|row| window.contains(&row.time))
}
