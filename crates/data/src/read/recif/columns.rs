//! Names of a table's columns.

use crate::read::TimeFormat;

/// Names of the columns that hold a sequence, or one event a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventColumns {
    /// Items.
    pub items: String,
    /// Label that an event must have to count: true, or a number other than 0; `None` takes all.
    pub label: Option<String>,
    /// The times: whole numbers as [`Columns::time_format`] says, or times of parquet.
    pub times: Option<String>,
}

/// Names of the columns that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The user: a number or a text.
    pub user: String,
    /// What the user did first.
    pub history: EventColumns,
    /// What came after the history; it is held out for users of validation and test.
    pub target: Option<EventColumns>,
    /// Which set a user is in: 0 or `train`, 1 or `test`, `valid`.
    pub split: Option<String>,
    /// How times that are whole numbers are written.
    pub time_format: TimeFormat,
}

impl Columns {
    /// `RecIF-Bench`'s names for a domain, such as `video`, and one of its behaviours, such as
    /// `like`; without a behaviour every event counts.
    #[must_use]
    pub fn recif(domain: &str, behaviour: Option<&str>) -> Self {
        let events = |part: &str| EventColumns {
            items: format!("{part}_{domain}_pid"),
            label: behaviour.map(|behaviour| format!("{part}_{domain}_{behaviour}")),
            times: None,
        };
        Self {
            user: "uid".to_owned(),
            history: events("hist"),
            target: Some(events("target")),
            split: Some("split".to_owned()),
            time_format: TimeFormat::Milliseconds,
        }
    }
}
