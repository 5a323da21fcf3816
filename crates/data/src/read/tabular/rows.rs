//! The wanted cells of each row, for every kind of file.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

use crate::read::json_lines;
use crate::read::lines::BYTE_ORDER_MARK;
use crate::read::placeholder::{OnPlaceholder, is_placeholder};
use crate::read::policy::RowPolicy;
use crate::read::problem::{Problem, ProblemKind};
use crate::read::table::Table;
use crate::read::{items, source};
use crate::{DataError, Timestamp};

/// Rows of JSON in which a column that every row needs must appear.
const FIRST_ROWS: usize = 100;
/// Bytes that a file in parquet begins with.
const PARQUET: &[u8] = b"PAR1";

/// A column that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) holds: Holds,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The name of a user or an item, which every row needs.
    Key,
    /// A time, which every row needs.
    Time,
    /// A text or a list of texts, which a row may lack.
    Texts,
    /// A truth value, which a row may lack.
    Label,
}

impl Holds {
    /// Whether every row needs it.
    fn is_needed(self) -> bool {
        matches!(self, Self::Key | Self::Time)
    }
}

/// What one field of a row holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// A text, a number or a list; null for nothing.
    Value(Value),
    /// A time of a column of times.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "other files have none"))]
    Time(Timestamp),
}

impl Cell {
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Time(time) => Value::String(time.to_string()),
        }
    }

    /// The cell as messages show it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Value(Value::Null) => "nothing".to_owned(),
            Self::Value(Value::String(text)) => text.clone(),
            Self::Value(value) => value.to_string(),
            Self::Time(time) => time.to_string(),
        }
    }

    /// Whether a label is set; nothing is not set. The error is what was found.
    pub(super) fn label(&self) -> Result<bool, String> {
        match self {
            Self::Value(Value::Null) => Ok(false),
            Self::Value(Value::Bool(set)) => Ok(*set),
            Self::Value(Value::Number(number)) => Ok(number.as_f64().is_some_and(|it| it > 0.0)),
            Self::Value(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "" | "false" => Ok(false),
                "true" => Ok(true),
                other => match other.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(number > 0.0),
                    _ => Err(self.shown()),
                },
            },
            Self::Value(_) | Self::Time(_) => Err(self.shown()),
        }
    }

    /// The name that a key is.
    pub(super) fn key(self, column: &str, policy: &RowPolicy) -> Result<String, Problem> {
        let missing = policy.placeholders == OnPlaceholder::Missing;
        match self {
            Self::Value(Value::String(text))
                if !(text.is_empty() || missing && is_placeholder(&text)) =>
            {
                Ok(text)
            }
            Self::Value(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(number.to_string())
            }
            other => {
                let needed = "a text or a whole number";
                let column = column.to_owned();
                Err(Problem::new(ProblemKind::Field, column, &other.shown(), needed))
            }
        }
    }
}

/// A row, or what is wrong with it.
pub(super) type Row = Result<Vec<Cell>, Problem>;

/// Hands the wanted cells of each row to `take`, in the order of the file, with the line.
pub(super) fn read(
    path: &Path,
    wanted: &[Wanted<'_>],
    policy: &RowPolicy,
    take: impl FnMut(u64, Row) -> Result<(), DataError> + Send,
) -> Result<(), DataError> {
    if begins_as_parquet(path)? {
        return parquet(path, wanted, take);
    }
    match items::first_byte(path)? {
        Some(b'{') => json(path, wanted, policy, take),
        Some(b'[') => Err(DataError::JsonArray { path: path.to_owned() }),
        _ => delimited(path, wanted, policy, take),
    }
}

fn begins_as_parquet(path: &Path) -> Result<bool, DataError> {
    let mut first = Vec::new();
    let input = source::open(path)?;
    let read = input.take(PARQUET.len() as u64).read_to_end(&mut first);
    read.map_err(|source| DataError::io(path, source))?;
    Ok(first == PARQUET)
}

fn delimited(
    path: &Path,
    wanted: &[Wanted<'_>],
    policy: &RowPolicy,
    mut take: impl FnMut(u64, Row) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let names: Vec<_> = wanted.iter().map(|column| column.name).collect();
    let mut table = Table::open_plain(path, policy.max_line, &names.join(", "))?;
    let places = names.into_iter().map(|name| table.place(name));
    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
    loop {
        let row = table.next_row().and_then(|more| {
            let cell = |place: &usize| {
                table.field(*place).map(|text| {
                    let empty = text.is_empty();
                    Cell::Value(if empty { Value::Null } else { Value::String(text.to_owned()) })
                })
            };
            more.then(|| places.iter().map(cell).collect()).transpose()
        });
        let (line, row) = match row {
            Ok(None) => return Ok(()),
            Ok(Some(cells)) => (table.line(), Ok(cells)),
            Err(DataError::Ragged { line, found, expected, .. }) => {
                let found = format!("{found} fields, the header has {expected}");
                let needed = "as many fields as the header has";
                (line, Err(Problem::new(ProblemKind::Malformed, "", &found, needed)))
            }
            Err(DataError::LongLine { line, max, .. }) => {
                let found = format!("a line of more than {max} bytes");
                (line, Err(Problem::new(ProblemKind::TooLong, "", &found, "a shorter line")))
            }
            Err(DataError::NotUtf8 { line, column, .. }) => {
                let found = "bytes that are no text";
                (line, Err(Problem::new(ProblemKind::Malformed, column, found, "UTF-8")))
            }
            Err(other) => return Err(other),
        };
        take(line, row)?;
    }
}

fn json(
    path: &Path,
    wanted: &[Wanted<'_>],
    policy: &RowPolicy,
    mut take: impl FnMut(u64, Row) -> Result<(), DataError> + Send,
) -> Result<(), DataError> {
    let names = first_names(path, policy)?;
    let missing = |column: &Wanted<'_>| {
        let found: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let (path, column) = (path.to_owned(), column.name.to_owned());
        DataError::NoColumn { path, column, found: found.join(", ") }
    };
    let needed = wanted.iter().filter(|column| column.holds.is_needed());
    if let Some(column) = needed
        .filter(|_| !names.is_empty())
        .find(|column| !names.iter().any(|name| name == column.name))
    {
        return Err(missing(column));
    }
    // A column that rows may lack must be in one of them.
    let mut seen = vec![names.is_empty(); wanted.len()];
    let cells = |row: Map<String, Value>| -> Result<Vec<Option<Value>>, Problem> {
        Ok(wanted.iter().map(|column| row.get(column.name).cloned()).collect())
    };
    json_lines::rows(path, policy.max_line, cells, |line, row| {
        let cells = row.map(|cells| {
            let mark = |(seen, cell): (&mut bool, &Option<Value>)| *seen |= cell.is_some();
            seen.iter_mut().zip(&cells).for_each(mark);
            cells.into_iter().map(|cell| Cell::Value(cell.unwrap_or_default())).collect()
        });
        take(line, cells)
    })?;
    wanted.iter().zip(seen).find(|(_, seen)| !seen).map_or(Ok(()), |it| Err(missing(it.0)))
}

/// Names of fields in the first rows, each once, in the order of the file.
fn first_names(path: &Path, policy: &RowPolicy) -> Result<Vec<String>, DataError> {
    let mut input = BufReader::new(source::open(path)?);
    let (mut names, mut line) = (Vec::new(), Vec::new());
    for number in 0..FIRST_ROWS {
        line.clear();
        let mut limited = input.by_ref().take(policy.max_line as u64);
        let read = limited.read_until(b'\n', &mut line);
        if read.map_err(|source| DataError::io(path, source))? == 0 {
            break;
        }
        let mut text = &line[..];
        if number == 0 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let Ok(row) = serde_json::from_slice::<Map<String, Value>>(text) else { continue };
        for (name, _) in row {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

#[cfg(not(feature = "parquet"))]
fn parquet(
    path: &Path,
    _: &[Wanted<'_>],
    _: impl FnMut(u64, Row) -> Result<(), DataError>,
) -> Result<(), DataError> {
    Err(DataError::NoParquet { path: path.to_owned() })
}

#[cfg(feature = "parquet")]
fn parquet(
    path: &Path,
    wanted: &[Wanted<'_>],
    mut take: impl FnMut(u64, Row) -> Result<(), DataError>,
) -> Result<(), DataError> {
    use arrow_array::ArrayRef;

    use crate::read::batches::cells::{Role, is_set, moment, name, texts};
    use crate::read::batches::{self, Column};

    let role = |holds| match holds {
        Holds::Key => Role::Name,
        Holds::Time => Role::Moment,
        Holds::Texts => Role::Texts,
        Holds::Label => Role::Label,
    };
    let columns: Vec<Column<'_>> =
        wanted.iter().map(|column| Column::new(column.name, role(column.holds))).collect();
    let cell = |column: &Wanted<'_>, values: &ArrayRef, row| match column.holds {
        Holds::Key => Cell::Value(name(values, row).map_or(Value::Null, Value::String)),
        Holds::Texts => Cell::Value(texts(values, row)),
        Holds::Label => Cell::Value(Value::Bool(is_set(values, row))),
        Holds::Time => match moment(values, row) {
            Ok(time) => Cell::Time(time),
            Err(value) => Cell::Value(value),
        },
    };
    let mut line = 0;
    batches::read(path, &columns, |batch| {
        for row in 0..batch.num_rows() {
            line += 1;
            let cells = wanted.iter().map(|column| {
                let values = batch.column_by_name(column.name);
                values.map_or(Cell::Value(Value::Null), |values| cell(column, values, row))
            });
            take(line, Ok(cells.collect()))?;
        }
        Ok(())
    })
}
