//! Plain tables, as any data platform writes them: CSV, TSV, JSON lines or parquet.
//!
//! ```text
//! interactions.csv   user_id,item_id,timestamp           a row for each event
//!                    ann,B07,2016-10-01T12:00:00Z
//! items.csv          item_id,title,brand,categories,description      optional
//!                    B07,"Mug, red",Acme,Kitchen|Mugs,A mug.
//! ```
//! The caller names the columns ([`Columns`]); other columns are not read. The kind of a file is
//! recognised by its first bytes, whatever its name: a table in parquet (feature `parquet`), one JSON
//! object a line, or a header line whose fields are separated by tabs, commas or semicolons, whichever
//! is most frequent. All but parquet may be compressed with gzip or zstd. The two files may be of two
//! kinds.
//!
//! - A user or an item is a text or a whole number. A word for a missing value, such as `nan`, counts
//!   as missing ([`OnPlaceholder`](super::OnPlaceholder)).
//! - A time is written as [`TimeFormat`](super::TimeFormat) says. Events of a user at one time, such as
//!   those of one day if times are dates, are ordered as [`Assembly::ties`] says. Without a column of
//!   times the rows of a user are taken in the order of the file, and the dataset has no times.
//! - Behaviours ([`Columns::behaviours`]) are truth values: true, false, 1, 0 or another number, of which
//!   those above 0 count as true. A field with nothing is false; another text is a problem of the row.
//! - Categories are a list (a JSON array, also as the text of a field; a list of texts in parquet), or
//!   one text with a separator ([`ItemColumns::separator`]).
//! - A field of a CSV file that begins with `"` is quoted: separators and line ends in it belong to it,
//!   and `""` is a quote. A byte order mark is skipped.
//! - Every row of the item table becomes an item, chosen or not. An event of an item without a row is
//!   treated as [`RowPolicy::missing_titles`] says.
//!
//! The line of a problem is that of the file, from 1; in parquet it is the number of the row.

use std::collections::BTreeMap;
use std::path::Path;

use super::data::ReadData;
use super::policy::RowPolicy;
use crate::{Assembly, DataError, Dataset, Ties, User};

mod columns;
mod events;
mod items;
mod rows;

pub use columns::{BehaviourColumn, Columns, ItemColumns};

/// The files of one dataset.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// Who chose what, and when.
    pub interactions: &'a Path,
    /// What is known of the items; without it the items only have keys.
    pub items: Option<&'a Path>,
}

/// Reads a table of interactions and, if there is one, a table of items.
///
/// `assembly` says how items are numbered and events of equal time ordered. Memory is that of the
/// dataset; if duplicates are not kept and there are times, also 24 bytes or more for each event.
/// Without times a second row of a user and an item is a second event.
///
/// # Errors
/// [`DataError::Io`], [`DataError::EmptyFile`], [`DataError::NoRows`], [`DataError::OpenQuote`],
/// [`DataError::JsonArray`], [`DataError::NoParquet`] and, for a damaged table, `DataError::Parquet`;
/// for a column that is missing, that appears twice or that holds something else,
/// [`DataError::NoColumn`], [`DataError::RepeatedColumn`] and [`DataError::ColumnKind`];
/// [`DataError::Row`] for the first problem that `policy` calls an error, [`DataError::AllSkipped`] if
/// it skips all rows of a file; [`DataError::TooMany`].
///
/// # Examples
/// ```
/// use sidereal_data::Assembly;
/// use sidereal_data::read::RowPolicy;
/// use sidereal_data::read::tabular::{Columns, Files, ItemColumns, read};
///
/// let dir = tempfile::tempdir()?;
/// let (log, shop) = (dir.path().join("log.csv"), dir.path().join("shop.jsonl"));
/// std::fs::write(&log, "when,who,what\n2016-10-01,ann,7\n2016-09-30,ann,8\n")?;
/// std::fs::write(&shop, "{\"id\": 7, \"name\": \"a mug\"}\n{\"id\": 8, \"name\": \"a pan\"}\n")?;
///
/// let columns = Columns::new("who", "what")
///     .with_time("when")
///     .with_items(ItemColumns::new("id").with_title("name"));
/// let files = Files { interactions: &log, items: Some(&shop) };
/// let dataset = read(&files, &columns, &Assembly::new(42), &RowPolicy::strict())?.dataset;
/// let titles = dataset.users()[0].events.iter().map(|i| &dataset.item(*i).unwrap().title);
/// assert!(titles.eq(["a pan", "a mug"])); // by time
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(
    files: &Files<'_>,
    columns: &Columns,
    assembly: &Assembly,
    policy: &RowPolicy,
) -> Result<ReadData, DataError> {
    let described =
        files.items.map(|path| items::read(path, &columns.items, policy)).transpose()?;
    let known = described.as_ref().map(|described| &described.items);
    let (interactions, skips) = events::read(files.interactions, columns, known, policy)?;
    let mut notes = Vec::new();
    let (mut items, mut reports) = (BTreeMap::new(), vec![skips]);
    if let Some(described) = described {
        notes.extend(described.note);
        items = described.items;
        reports.push(described.skips);
    }
    let dataset = if columns.time.is_some() {
        interactions.assemble(items, assembly, true)?
    } else {
        notes.push("there are no times: a user's events are in the order of the rows".to_owned());
        let assembly = assembly.with_ties(Ties::FileOrder);
        without_times(interactions.assemble(items, &assembly, true)?)?
    };
    reports.iter().for_each(super::Skips::tell);
    let mut data = ReadData::new(dataset);
    (data.skips, data.notes) = (reports, notes);
    Ok(data)
}

fn without_times(dataset: Dataset) -> Result<Dataset, DataError> {
    let (items, users, behaviours) = dataset.into_parts();
    let users = users.into_iter().map(|user| User { times: Vec::new(), ..user }).collect();
    Dataset::with_behaviours(items, users, behaviours)
}

#[cfg(test)]
mod tests;
