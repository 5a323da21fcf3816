//! Tab-separated files with a typed header, row by row.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::source;
use crate::CorpusError;

/// Longest line in bytes: a file without line ends must not be taken for one row.
const MAX_LINE: usize = 16 << 20;
/// What some editors write before a file's first character.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A column that a reader wants: its name and the types it can use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) types: &'static [&'static str],
}

/// Streams the rows of one file. Columns are found by the header, others are ignored; blank lines
/// are skipped, quotes are plain text, `\r\n` ends a line as `\n` does.
pub(super) struct Table {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    /// Name and type of each column as the header spells them.
    header: Vec<(String, String)>,
    /// Bytes of the current row and where its fields lie in them.
    row: Vec<u8>,
    fields: Vec<Range<usize>>,
    line: u64,
}

impl Table {
    pub(super) fn open(path: &Path, expected: Column) -> Result<Self, CorpusError> {
        let mut table = Self {
            path: path.to_owned(),
            reader: BufReader::new(source::open(path)?),
            header: Vec::new(),
            row: Vec::new(),
            fields: Vec::new(),
            line: 0,
        };
        if !table.advance()? {
            let expected = format!("{}:{}", expected.name, expected.types.join("|"));
            return Err(CorpusError::EmptyFile { path: table.path, expected });
        }
        for index in 0..table.fields.len() {
            let text = table.text(index, "header")?;
            let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
            let (name, kind) = text.split_once(':').unwrap_or((text, ""));
            table.header.push((name.to_owned(), kind.to_owned()));
        }
        Ok(table)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Index of a column; `None` where the header lacks it.
    pub(super) fn find(&self, column: Column) -> Result<Option<usize>, CorpusError> {
        let is_it = |(_, (name, _)): &(usize, &(String, String))| name == column.name;
        let mut found = self.header.iter().enumerate().filter(is_it);
        let Some((index, (_, kind))) = found.next() else { return Ok(None) };
        let (path, name) = (self.path.clone(), column.name.to_owned());
        if found.next().is_some() {
            return Err(CorpusError::RepeatedColumn { path, column: name });
        }
        if !column.types.contains(&kind.as_str()) {
            let expected =
                column.types.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(" or ");
            let found = kind.clone();
            return Err(CorpusError::ColumnType { path, column: name, found, expected });
        }
        Ok(Some(index))
    }

    /// Index of a column that must be there.
    pub(super) fn require(&self, column: Column) -> Result<usize, CorpusError> {
        self.find(column)?.ok_or_else(|| CorpusError::MissingColumn {
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
    pub(super) fn next_row(&mut self) -> Result<bool, CorpusError> {
        let more = self.advance()?;
        if more && self.fields.len() != self.header.len() {
            return Err(CorpusError::Ragged {
                path: self.path.clone(),
                line: self.line,
                found: self.fields.len(),
                expected: self.header.len(),
            });
        }
        Ok(more)
    }

    /// Line of the current row, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// A field of the current row.
    pub(super) fn field(&self, index: usize) -> Result<&str, CorpusError> {
        self.text(index, self.name(index))
    }

    /// A field of the current row that must not be empty.
    pub(super) fn key(&self, index: usize) -> Result<&str, CorpusError> {
        let text = self.field(index)?;
        if text.is_empty() {
            let (path, column) = (self.path.clone(), self.name(index).to_owned());
            return Err(CorpusError::EmptyField { path, line: self.line, column });
        }
        Ok(text)
    }

    /// A field of the current row that must be a finite number.
    pub(super) fn number(&self, index: usize) -> Result<f64, CorpusError> {
        let text = self.key(index)?;
        text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
            CorpusError::Number {
                path: self.path.clone(),
                line: self.line,
                column: self.name(index).to_owned(),
                found: text.to_owned(),
            }
        })
    }

    /// Moves to the next line that is not blank; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, CorpusError> {
        loop {
            self.row.clear();
            let mut limited = self.reader.by_ref().take(MAX_LINE as u64 + 1);
            let read = limited.read_until(b'\n', &mut self.row);
            if read.map_err(|source| CorpusError::io(&self.path, source))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if self.row.len() > MAX_LINE {
                let (path, line) = (self.path.clone(), self.line);
                return Err(CorpusError::LongLine { path, line, max: MAX_LINE });
            }
            for end in [b'\n', b'\r'] {
                self.row.pop_if(|last| *last == end);
            }
            if !self.row.is_empty() {
                break;
            }
        }
        self.fields.clear();
        let mut start = 0;
        for field in self.row.split(|byte| *byte == b'\t') {
            self.fields.push(start..start + field.len());
            start += field.len() + 1;
        }
        Ok(true)
    }

    fn name(&self, index: usize) -> &str {
        self.header.get(index).map_or("", |(name, _)| name)
    }

    fn text(&self, index: usize, column: &str) -> Result<&str, CorpusError> {
        let field = self.fields.get(index).and_then(|range| self.row.get(range.clone()));
        std::str::from_utf8(field.unwrap_or_default()).map_err(|_| CorpusError::NotUtf8 {
            path: self.path.clone(),
            line: self.line,
            column: column.to_owned(),
        })
    }
}
