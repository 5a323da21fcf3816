//! Files of fields with a header, row by row: those of `RecBole`, whose header has types, and plain
//! ones.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use memchr::memchr_iter;

use super::quoting::{self, Field, Scan};
use super::source;
use crate::DataError;

/// Longest line in bytes: a file without line ends must not be taken for one row.
const MAX_LINE: usize = 16 << 20;
/// The bytes that some editors write before the first character of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A column that a reader wants: its name and the types it can use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) types: &'static [&'static str],
}

/// Streams the rows of one file. Columns are found by the header, others are ignored; blank lines
/// are skipped, fields that begin with a quote are read as [`quoting`] says, `\r\n` ends a line as
/// `\n` does.
pub(super) struct Table {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    /// Byte between fields.
    separator: u8,
    /// Longest row in bytes.
    max_row: usize,
    /// Name and type of each column as the header spells them.
    header: Vec<(String, String)>,
    /// Bytes of the current row, of several lines if a quoted field holds line ends.
    row: Vec<u8>,
    fields: Vec<Field>,
    /// Lines read so far, and the one that the current row begins with.
    read: u64,
    line: u64,
}

impl Table {
    /// A file of fields that tabs separate, whose header names and types each column.
    pub(super) fn open(path: &Path, expected: Column) -> Result<Self, DataError> {
        let mut table = Self::new(path, MAX_LINE)?;
        if !table.advance()? {
            let expected = format!("{}:{}", expected.name, expected.types.join("|"));
            return Err(DataError::EmptyFile { path: table.path, expected });
        }
        for index in 0..table.fields.len() {
            let text = table.text(index, "header")?;
            let (name, kind) = text.split_once(':').unwrap_or((text, ""));
            table.header.push((name.to_owned(), kind.to_owned()));
        }
        Ok(table)
    }

    /// A file of fields that tabs, commas or semicolons separate, whichever its header has most of;
    /// the header names each column. `expected` are the columns that are needed.
    pub(super) fn open_plain(
        path: &Path,
        max_row: usize,
        expected: &str,
    ) -> Result<Self, DataError> {
        let mut table = Self::new(path, max_row)?;
        if !table.advance()? {
            return Err(DataError::EmptyFile { path: table.path, expected: expected.to_owned() });
        }
        let mut most = 0;
        for separator in *b"\t,;" {
            let mut fields = Vec::new();
            quoting::split(&table.row, separator, &mut fields);
            if fields.len() > most {
                (most, table.separator, table.fields) = (fields.len(), separator, fields);
            }
        }
        for index in 0..table.fields.len() {
            let name = table.text(index, "header")?.to_owned();
            table.header.push((name, String::new()));
        }
        Ok(table)
    }

    fn new(path: &Path, max_row: usize) -> Result<Self, DataError> {
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(source::open(path)?),
            separator: b'\t',
            max_row,
            header: Vec::new(),
            row: Vec::new(),
            fields: Vec::new(),
            read: 0,
            line: 0,
        })
    }

    /// Index of a column of a plain file, by its name.
    pub(super) fn place(&self, column: &str) -> Result<usize, DataError> {
        let is_it = |(_, (name, _)): &(usize, &(String, String))| name == column;
        let mut found = self.header.iter().enumerate().filter(is_it);
        let (path, name) = (self.path.clone(), column.to_owned());
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (Some(_), Some(_)) => Err(DataError::RepeatedColumn { path, column: name }),
            (None, _) => {
                let names: Vec<_> =
                    self.header.iter().map(|(name, _)| format!("`{name}`")).collect();
                Err(DataError::NoColumn { path, column: name, found: names.join(", ") })
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Index of a column; `None` if the header lacks it.
    pub(super) fn find(&self, column: Column) -> Result<Option<usize>, DataError> {
        let is_it = |(_, (name, _)): &(usize, &(String, String))| name == column.name;
        let mut found = self.header.iter().enumerate().filter(is_it);
        let Some((index, (_, kind))) = found.next() else { return Ok(None) };
        let (path, name) = (self.path.clone(), column.name.to_owned());
        if found.next().is_some() {
            return Err(DataError::RepeatedColumn { path, column: name });
        }
        if !column.types.contains(&kind.as_str()) {
            let expected =
                column.types.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(" or ");
            let found = kind.clone();
            return Err(DataError::ColumnType { path, column: name, found, expected });
        }
        Ok(Some(index))
    }

    /// Index of a column that must be there.
    pub(super) fn require(&self, column: Column) -> Result<usize, DataError> {
        self.find(column)?.ok_or_else(|| DataError::MissingColumn {
            path: self.path.clone(),
            column: format!("{}:{}", column.name, column.types.join("|")),
            found: self
                .header
                .iter()
                .map(|(name, kind)| format!("`{name}:{kind}`"))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// Moves to the next row; `false` at the end of the file.
    pub(super) fn next_row(&mut self) -> Result<bool, DataError> {
        let more = self.advance()?;
        if more && self.fields.len() != self.header.len() {
            return Err(DataError::Ragged {
                path: self.path.clone(),
                line: self.line,
                found: self.fields.len(),
                expected: self.header.len(),
            });
        }
        Ok(more)
    }

    /// Line that the current row begins with, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// A field of the current row.
    pub(super) fn field(&self, index: usize) -> Result<&str, DataError> {
        self.text(index, self.name(index))
    }

    /// A field of the current row that must not be empty.
    pub(super) fn key(&self, index: usize) -> Result<&str, DataError> {
        let text = self.field(index)?;
        if text.is_empty() { Err(self.no_value(index)) } else { Ok(text) }
    }

    /// The error that a field has no value.
    pub(super) fn no_value(&self, index: usize) -> DataError {
        let found = self.field(index).unwrap_or_default();
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("`{found}`") };
        let (path, column) = (self.path.clone(), self.name(index).to_owned());
        DataError::EmptyField { path, line: self.line, column, found }
    }

    /// A field of the current row that must be a finite number.
    pub(super) fn number(&self, index: usize) -> Result<f64, DataError> {
        let text = self.key(index)?;
        text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| DataError::Number {
            path: self.path.clone(),
            line: self.line,
            column: self.name(index).to_owned(),
            found: text.to_owned(),
        })
    }

    /// A field of the current row as the file spells it, if it has text after its closing quote:
    /// `"Women's wear", 'Hats'` is a list and not a quoted field.
    pub(super) fn list(&self, index: usize) -> Result<&str, DataError> {
        match self.fields.get(index) {
            Some(Field::Quoted { raw, loose: true, .. }) => {
                self.utf8(self.row.get(raw.clone()).unwrap_or_default(), self.name(index))
            }
            _ => self.field(index),
        }
    }

    /// Moves to the next row that is not a blank line; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, DataError> {
        self.row.clear();
        loop {
            if !self.read_line()? {
                return Ok(false);
            }
            if self.read == 1 && self.row.starts_with(BYTE_ORDER_MARK) {
                self.row.drain(..BYTE_ORDER_MARK.len());
            }
            let is_whole = self.row.ends_with(b"\n");
            self.trim_line_end();
            if self.row.len() > self.max_row {
                let (path, line, max) = (self.path.clone(), self.read, self.max_row);
                if !is_whole {
                    self.skip_line()?;
                }
                return Err(DataError::LongLine { path, line, max });
            }
            if !self.row.is_empty() {
                break;
            }
        }
        self.line = self.read;
        let mut scan = Scan::default();
        let mut scanned = 0;
        while scan.is_open_after(self.row.get(scanned..).unwrap_or_default(), self.separator) {
            scanned = self.row.len();
            self.row.push(b'\n');
            if !self.read_line()? || self.row.len() > self.max_row {
                return Err(self.open_quote());
            }
            self.trim_line_end();
        }
        // A title that begins with a quote and never closes it would swallow whole rows, up to a
        // quote that happens to come before a tab.
        let tabs = self.header.len().saturating_sub(1);
        let is_row = |line: &[u8]| memchr_iter(b'\t', line).count() == tabs;
        quoting::split(&self.row, self.separator, &mut self.fields);
        if self.read > self.line {
            // Lines of a text have commas, but hardly ever as many tabs as a row.
            let rows = self.separator == b'\t'
                && tabs > 0
                && self.row.split(|byte| *byte == b'\n').all(is_row);
            let loose = |field: &Field| matches!(field, Field::Quoted { loose: true, .. });
            if rows || self.fields.iter().any(loose) {
                return Err(self.open_quote());
            }
        }
        Ok(true)
    }

    fn open_quote(&self) -> DataError {
        DataError::OpenQuote { path: self.path.clone(), line: self.line }
    }

    /// Adds the next line to the row, its end included; `false` at the end of the file. A row that
    /// is too long ends somewhere after `max_row`.
    fn read_line(&mut self) -> Result<bool, DataError> {
        let left = self.max_row.saturating_add(2).saturating_sub(self.row.len());
        let mut limited = self.reader.by_ref().take(left as u64);
        let read = limited.read_until(b'\n', &mut self.row);
        let read = read.map_err(|source| DataError::io(&self.path, source))?;
        self.read += u64::from(read > 0);
        Ok(read > 0)
    }

    /// Skips the rest of a line of which only the beginning was read.
    fn skip_line(&mut self) -> Result<(), DataError> {
        while !self.row.ends_with(b"\n") {
            self.row.clear();
            let mut limited = self.reader.by_ref().take(1 << 16);
            let read = limited.read_until(b'\n', &mut self.row);
            if read.map_err(|source| DataError::io(&self.path, source))? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn trim_line_end(&mut self) {
        for end in [b'\n', b'\r'] {
            self.row.pop_if(|last| *last == end);
        }
    }

    fn name(&self, index: usize) -> &str {
        self.header.get(index).map_or("", |(name, _)| name)
    }

    fn text(&self, index: usize, column: &str) -> Result<&str, DataError> {
        let bytes = match self.fields.get(index) {
            Some(Field::Plain(range)) => self.row.get(range.clone()).unwrap_or_default(),
            Some(Field::Quoted { text, .. }) => text,
            None => &[],
        };
        self.utf8(bytes, column)
    }

    fn utf8<'t>(&self, bytes: &'t [u8], column: &str) -> Result<&'t str, DataError> {
        std::str::from_utf8(bytes).map_err(|_| DataError::NotUtf8 {
            path: self.path.clone(),
            line: self.line,
            column: column.to_owned(),
        })
    }
}
