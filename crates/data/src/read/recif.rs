//! Tables of users and what they did, in parquet, as `RecIF-Bench` publishes them.
//!
//! ```text
//! uid                int            user
//! split              int            0 train, 1 test
//! hist_video_pid     list of int    items, earliest first
//! hist_video_like    list of int    0 or 1, next to the items: one column a behaviour
//! target_video_pid   list of int    what came after the history
//! target_video_like  list of int
//! ```
//! Source: the card of the dataset `OpenOneRec-RecIF`. Names are settings ([`Columns`]), and so is
//! the behaviour whose label an event needs to count. Lists of items make a row a sequence; plain
//! items make it one event, the rows of a user belong together then. An item is a number, a text
//! or a list of numbers, which are the codes of a Semantic ID and become its token notation.
//! Columns that are not named are not read; a batch of rows is held at a time.

use std::fs::File;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use self::cells::Role;
use self::rows::Rows;
use super::policy::RowPolicy;
use crate::DataError;

mod cells;
mod columns;
mod format;
mod loaded;
mod rows;
mod sizes;
mod walk;

pub use columns::{Columns, EventColumns, TimeUnit};
pub use loaded::Loaded;

/// Rows held at a time.
const BATCH: usize = 256;

/// Reads a table; `seed` shuffles item identities, `max_history` cuts what a sample shows.
///
/// The line of a problem is the number of the row, from 1. A row is left out whole: without a user
/// or items, with lists of different lengths, with an item of no name, with times outside those
/// that the policy allows or targets before the history's end. A second row of a user who has
/// targets is a duplicate, and so are two events of a user with one item and time.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Parquet`]; [`DataError::NoColumn`],
/// [`DataError::RepeatedColumn`] and [`DataError::ColumnKind`]; [`DataError::Row`] for the
/// first problem that `policy` calls an error; [`DataError::AllSkipped`] where no row is left; what
/// [`Dataset::new`](crate::Dataset::new) refuses.
pub fn read(
    path: &Path,
    columns: &Columns,
    seed: u64,
    max_history: NonZeroUsize,
    policy: &RowPolicy,
) -> Result<Loaded, DataError> {
    let broken = |source| DataError::Parquet { path: path.to_owned(), source };
    let io = |source| DataError::io(path, source);
    let file = File::open(path).map_err(io)?;
    let headers = file.try_clone().map_err(io)?;
    sizes::check_metadata(&headers).map_err(broken)?;
    // The types of the format itself: those of a writing program may be others for the same data.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = caught(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options))
        .map_err(broken)?;
    let roots = find(path, builder.schema(), columns)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    caught(|| sizes::check_pages(&headers, builder.metadata(), &mask)).map_err(broken)?;
    let builder = builder.with_projection(mask).with_batch_size(BATCH);
    let mut batches = caught(|| builder.build()).map_err(broken)?;
    let mut rows = Rows::new(path, columns, policy);
    while let Some(batch) =
        caught(|| batches.next().transpose().map_err(ParquetError::from)).map_err(broken)?
    {
        rows.add(&batch)?;
    }
    rows.finish(seed, max_history)
}

/// What the decoder does, or its error: it panics on some damaged files, and a file is data.
fn caught<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    // Nothing of what it leaves half done is used again.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(ParquetError::General("the file is damaged: its decoder gave up".to_owned()))
    })
}

/// Every column with what it must hold, and whether it comes in lists like the items of its
/// sequence.
fn wanted(columns: &Columns) -> Vec<(&str, Role, Option<&str>)> {
    let mut wanted = vec![(columns.user.as_str(), Role::Name, None)];
    for EventColumns { items, label, times } in
        [Some(&columns.history), columns.target.as_ref()].into_iter().flatten()
    {
        wanted.push((items, Role::Items, None));
        wanted.extend(label.as_deref().map(|label| (label, Role::Label, Some(items.as_str()))));
        wanted.extend(times.as_deref().map(|times| (times, Role::Time, Some(items.as_str()))));
    }
    wanted.extend(columns.split.as_deref().map(|split| (split, Role::Name, None)));
    wanted
}

/// Places of the wanted columns.
fn find(path: &Path, schema: &Schema, columns: &Columns) -> Result<Vec<usize>, DataError> {
    let fields = schema.fields();
    let place = |name: &str| {
        let mut found = (0..fields.len()).filter(|place| fields[*place].name() == name);
        match (found.next(), found.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => {
                let (path, column) = (path.to_owned(), name.to_owned());
                Err(DataError::RepeatedColumn { path, column })
            }
            (None, _) => {
                let names: Vec<_> = fields.iter().map(|it| format!("`{}`", it.name())).collect();
                let (path, column, found) = (path.to_owned(), name.to_owned(), names.join(", "));
                Err(DataError::NoColumn { path, column, found })
            }
        }
    };
    let wanted = wanted(columns);
    let mut places = Vec::with_capacity(wanted.len());
    for (name, role, beside) in wanted {
        let field = &fields[place(name)?];
        let listed =
            beside.map(|items| place(items).map(|it| cells::is_list(fields[it].data_type())));
        role.check(field.data_type(), listed.transpose()?).map_err(|expected| {
            let (path, column) = (path.to_owned(), name.to_owned());
            DataError::ColumnKind { path, column, found: field.data_type().to_string(), expected }
        })?;
        places.push(place(name)?);
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
