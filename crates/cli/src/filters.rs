//! The filters for users, items and events of the data.

use clap::Args;
use sidereal_data::Timestamp;
use sidereal_data::filter::{KCore, TitleLimit};
use sidereal_data::prepare::Filters;

use crate::failure::Usage;

/// What `prepare` leaves out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// The events that every user must have [default: 5 for Amazon's reviews, 0 for other layouts].
    #[arg(long, value_name = "N")]
    user_k: Option<u32>,
    /// The events that every item must have [default: 5 for Amazon's reviews, 0 for other layouts].
    #[arg(long, value_name = "N")]
    item_k: Option<u32>,
    /// The first day or moment of the events that are kept, such as 2016-10-01.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Events from this day or moment on are left out.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// The most words that the title of an item may have.
    #[arg(long, value_name = "N")]
    title_words: Option<usize>,
    /// Only for Amazon's reviews: keep repeated rows, number items by first appearance, and keep the order of
    /// the file if times are equal. Use it to compare with programs that do so.
    #[arg(long)]
    pub(crate) as_others_do: bool,
}

impl FilterArgs {
    /// The filters; `core` is the default for the events that users and items must have.
    pub(crate) fn filters(&self, core: u32) -> Filters {
        let (start, end) = (self.from, self.until);
        let window = (start.is_some() || end.is_some())
            .then(|| (start.unwrap_or(Timestamp(i64::MIN)), end.unwrap_or(Timestamp(i64::MAX))));
        Filters {
            window,
            title_limit: self.title_words.map(TitleLimit::Words),
            k_core: KCore { user: self.user_k.unwrap_or(core), item: self.item_k.unwrap_or(core) },
        }
    }

    /// Accepts the options that are possible for data from another reader.
    pub(crate) fn check_for_datasets(&self) -> anyhow::Result<()> {
        if self.as_others_do {
            return Err(Usage::error(
                "`--as-others-do` works only with Amazon's reviews: leave it out",
            ));
        }
        Ok(())
    }
}

/// Filters that keep everything.
pub(crate) const fn none() -> Filters {
    Filters { window: None, title_limit: None, k_core: KCore { user: 0, item: 0 } }
}
