//! Tables of users and what they did, in parquet, as `RecIF-Bench` publishes them.
//!
//! ```text
//! uid                int            user
//! split              int            0 train, 1 test
//! hist_video_pid     list of int    items, earliest first
//! hist_video_like    list of int    0 or 1, next to the items: one column a behaviour
//! target_video_pid   list of int    what came after the history
//! target_video_like  list of int
//! inter_user_profile_with_sid  text  who the user is
//! inter_keyword_to_items       text  a JSON object: for each keyword a list of items
//! ```
//! Source: the card of the dataset `OpenOneRec-RecIF`. Names are settings ([`Columns`]), and so is
//! the behaviour whose label an event needs to count, the behaviours that events are labelled with, and
//! whether portraits and queries are read. If the items are lists, a row is a sequence.
//! If they are single items, a row is one event, and the rows of a user belong together. An item is
//! a number, a text or a list of numbers, which are the codes of a Semantic ID and become its token
//! notation. Columns that are not named are not read; a batch of rows is held at a time.

use std::num::NonZeroUsize;
use std::path::Path;

use self::rows::Rows;
use super::batches::cells::Role;
use super::batches::{self, Column};
use super::policy::RowPolicy;
use crate::DataError;

mod columns;
mod loaded;
mod queries;
mod rows;

pub use columns::{Columns, EventColumns};
pub use loaded::Loaded;

/// Reads a table; `seed` shuffles item identities, `max_history` cuts what a sample shows.
///
/// The line of a problem is the number of the row, from 1. A row is left out as a whole if it has
/// no user or no items, queries that are no JSON object of lists of items, lists of different lengths, an item without a name, times that the policy
/// does not allow, or targets before the end of the history. A second row of a user who has targets
/// is a duplicate, and so are two events of a user with one item and time.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Parquet`]; [`DataError::NoColumn`],
/// [`DataError::RepeatedColumn`] and [`DataError::ColumnKind`]; [`DataError::Row`] for the first
/// problem that `policy` calls an error; [`DataError::AllSkipped`] if no row is left; the errors of
/// [`Dataset::new`](crate::Dataset::new).
pub fn read(
    path: &Path,
    columns: &Columns,
    seed: u64,
    max_history: NonZeroUsize,
    policy: &RowPolicy,
) -> Result<Loaded, DataError> {
    let mut rows = Rows::new(path, columns, policy);
    batches::read(path, &wanted(columns), |batch| rows.add(batch))?;
    rows.finish(seed, max_history)
}

/// Every column with what it must hold.
fn wanted(columns: &Columns) -> Vec<Column<'_>> {
    let mut wanted = vec![Column::new(&columns.user, Role::Name)];
    for EventColumns { items, label, behaviours, times } in
        [Some(&columns.history), columns.target.as_ref()].into_iter().flatten()
    {
        let beside = |name, role| Column::new(name, role).beside(items);
        wanted.push(Column::new(items, Role::Items));
        wanted.extend(label.as_deref().map(|label| beside(label, Role::Label)));
        let labels = behaviours.iter().filter(|column| Some(*column) != label.as_ref());
        wanted.extend(labels.map(|column| beside(column.as_str(), Role::Label)));
        wanted.extend(times.as_deref().map(|times| beside(times, Role::Time)));
    }
    let texts = [&columns.portrait, &columns.queries].into_iter().flatten();
    wanted.extend(texts.map(|column| Column::new(column, Role::Texts)));
    wanted.extend(columns.split.as_deref().map(|split| Column::new(split, Role::Name)));
    wanted
}

#[cfg(test)]
mod tests;
