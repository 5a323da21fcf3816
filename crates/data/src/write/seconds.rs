//! Times as files hold them.

use std::fmt;

use crate::Timestamp;

/// Seconds since 1970 with as many decimals as are needed.
pub(super) struct Seconds(pub(super) Timestamp);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        let (sign, size) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
        write!(f, "{sign}{}", size / 1000)?;
        if size.is_multiple_of(1000) { Ok(()) } else { write!(f, ".{:03}", size % 1000) }
    }
}
