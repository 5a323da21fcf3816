//! Names of a table's columns.

use std::num::NonZeroUsize;

use crate::read::TimeFormat;

/// Names of the columns that hold a sequence, or one event a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventColumns {
    /// Items.
    pub items: String,
    /// Label that an event must have to count: true, or a number other than 0; `None` takes all.
    pub label: Option<String>,
    /// What else users did with items: the column of each of [`Columns::behaviours`], in their order.
    pub behaviours: Vec<String>,
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
    /// Names of the behaviours that events are labelled with; none by default.
    pub behaviours: Vec<String>,
    /// Who the user is, in words; a row without a text has no portrait.
    pub portrait: Option<String>,
    /// What the user asked for: a JSON object with a list of items for each query. A row without a text has none,
    /// and a query without words or items counts as none.
    pub queries: Option<String>,
    /// Which set a user is in: 0 or `train`, 1 or `test`, `valid`.
    pub split: Option<String>,
    /// One of so many training users with targets, drawn by seed, becomes a user of validation: the benchmark has
    /// no validation set. `None` leaves all in training.
    pub valid_every: Option<NonZeroUsize>,
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
            behaviours: Vec::new(),
            times: None,
        };
        Self {
            user: "uid".to_owned(),
            history: events("hist"),
            target: Some(events("target")),
            behaviours: Vec::new(),
            portrait: None,
            queries: None,
            split: Some("split".to_owned()),
            valid_every: None,
            time_format: TimeFormat::Milliseconds,
        }
    }

    /// With one of so many training users in validation.
    #[must_use]
    pub const fn with_valid_every(mut self, users: NonZeroUsize) -> Self {
        self.valid_every = Some(users);
        self
    }

    /// With `RecIF-Bench`'s portraits and queries.
    #[must_use]
    pub fn with_queries(mut self) -> Self {
        self.portrait = Some("inter_user_profile_with_sid".to_owned());
        self.queries = Some("inter_keyword_to_items".to_owned());
        self
    }

    /// `RecIF-Bench`'s names for a domain, whose events are labelled with these behaviours, such as `like`
    /// and `comment`.
    ///
    /// ```
    /// use sidereal_data::read::recif::Columns;
    ///
    /// let columns = Columns::recif_labelled("video", None, &["like", "forward"]);
    /// assert_eq!(columns.history.behaviours, ["hist_video_like", "hist_video_forward"]);
    /// ```
    #[must_use]
    pub fn recif_labelled<S: AsRef<str>>(
        domain: &str,
        behaviour: Option<&str>,
        labels: &[S],
    ) -> Self {
        let columns = Self::recif(domain, behaviour);
        let labelled = |part: &str, events: EventColumns| {
            let column = |label: &S| format!("{part}_{domain}_{}", label.as_ref());
            EventColumns { behaviours: labels.iter().map(column).collect(), ..events }
        };
        Self {
            history: labelled("hist", columns.history),
            target: columns.target.map(|events| labelled("target", events)),
            behaviours: labels.iter().map(|label| label.as_ref().to_owned()).collect(),
            ..columns
        }
    }
}
