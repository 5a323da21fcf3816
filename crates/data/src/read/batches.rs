//! Tables in parquet, batch by batch: only the named columns, each of a kind that its reader can use.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use self::cells::Role;
use crate::DataError;

pub(super) mod cells;
mod format;
mod sizes;
mod walk;

/// Rows held at a time.
const BATCH: usize = 256;

/// A column that is read: its name, what it must hold, and the column of items whose lists it must
/// match in length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    name: &'a str,
    role: Role,
    beside: Option<&'a str>,
}

impl<'a> Column<'a> {
    pub(super) const fn new(name: &'a str, role: Role) -> Self {
        Self { name, role, beside: None }
    }

    pub(super) const fn beside(mut self, items: &'a str) -> Self {
        self.beside = Some(items);
        self
    }
}

/// Hands the table to `take`, a batch of rows at a time, with the named columns alone.
pub(super) fn read(
    path: &Path,
    columns: &[Column<'_>],
    mut take: impl FnMut(&RecordBatch) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let broken = |source| DataError::Parquet { path: path.to_owned(), source };
    let io = |source| DataError::io(path, source);
    let file = File::open(path).map_err(io)?;
    let headers = file.try_clone().map_err(io)?;
    sizes::check_metadata(&headers).map_err(broken)?;
    // The types of the format itself. A writing program may state other types for the same data.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = caught(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options))
        .map_err(broken)?;
    let roots = find(path, builder.schema(), columns)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    caught(|| sizes::check_pages(&headers, builder.metadata(), &mask)).map_err(broken)?;
    let builder = builder.with_projection(mask).with_batch_size(BATCH);
    let mut batches = caught(|| builder.build()).map_err(broken)?;
    while let Some(batch) =
        caught(|| batches.next().transpose().map_err(ParquetError::from)).map_err(broken)?
    {
        take(&batch)?;
    }
    Ok(())
}

/// The result of the decoder, or its error. The decoder panics on some damaged files, but a file
/// must not cause a panic.
fn caught<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    // Nothing that it leaves unfinished is used again.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(ParquetError::General("the file is damaged: its decoder gave up".to_owned()))
    })
}

/// Places of the wanted columns.
fn find(path: &Path, schema: &Schema, columns: &[Column<'_>]) -> Result<Vec<usize>, DataError> {
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
    let mut places = Vec::with_capacity(columns.len());
    for Column { name, role, beside } in columns {
        let field = &fields[place(name)?];
        let listed =
            beside.map(|items| place(items).map(|it| cells::is_list(fields[it].data_type())));
        role.check(field.data_type(), listed.transpose()?).map_err(|expected| {
            let (path, column) = (path.to_owned(), (*name).to_owned());
            DataError::ColumnKind { path, column, found: field.data_type().to_string(), expected }
        })?;
        places.push(place(name)?);
    }
    Ok(places)
}
