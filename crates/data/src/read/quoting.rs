//! Fields of files that tabs or other bytes separate, as pandas reads and writes them.
//!
//! A field that begins with `"` goes on to the next `"` that is not doubled, over separators and
//! line ends; a doubled one is a quote. What follows the closing quote up to the next separator
//! belongs to the field as it stands, so `"Alien" (uncut)` is `Alien (uncut)`. A quote elsewhere is
//! plain text: `7" tablet`. This is what `pandas.read_csv` does with its default settings; the
//! engine that `RecBole` asks for does the same, and rejects text after a closing quote.

use std::ops::Range;

/// A field of a row: its place in the bytes of the row, or its text without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Plain(Range<usize>),
    Quoted {
        text: Vec<u8>,
        raw: Range<usize>,
        /// Whether text follows the closing quote. Programs that quote fields never write this.
        loose: bool,
    },
}

/// The state at a byte of a row, which is read line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Scan {
    /// At the beginning of a field.
    #[default]
    Start,
    /// Where quotes are plain text.
    Plain,
    /// After an opening quote.
    Quoted,
    /// After a quote that closes the field or is the first of two.
    Closing,
}

impl Scan {
    /// Reads on; whether a quoted field goes on after these bytes.
    pub(super) fn is_open_after(&mut self, bytes: &[u8], separator: u8) -> bool {
        for byte in bytes {
            *self = match (*self, byte) {
                (Self::Quoted, b'"') => Self::Closing,
                (Self::Start | Self::Closing, b'"') | (Self::Quoted, _) => Self::Quoted,
                (_, byte) if *byte == separator => Self::Start,
                _ => Self::Plain,
            };
        }
        *self == Self::Quoted
    }
}

/// Splits a row at its separators. A quoted field that stays open ends with the row.
pub(super) fn split(row: &[u8], separator: u8, fields: &mut Vec<Field>) {
    fields.clear();
    let mut start = 0;
    while start <= row.len() {
        let rest = row.get(start..).unwrap_or_default();
        let len = match rest.strip_prefix(b"\"") {
            None => {
                let len = next(rest, separator);
                fields.push(Field::Plain(start..start + len));
                len
            }
            Some(inside) => {
                let (mut text, after) = quoted(inside);
                let tail = &after[..next(after, separator)];
                text.extend(tail);
                let len = rest.len() - after.len() + tail.len();
                let raw = start..start + len;
                fields.push(Field::Quoted { text, raw, loose: !tail.is_empty() });
                len
            }
        };
        start += len + 1;
    }
}

/// Bytes up to the next separator or the end.
fn next(text: &[u8], separator: u8) -> usize {
    memchr::memchr(separator, text).unwrap_or(text.len())
}

/// The text before the closing quote, and the text after it.
fn quoted(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
            text.extend(rest);
            return (text, &[]);
        };
        text.extend(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(after) = rest.strip_prefix(b"\"") else { return (text, rest) };
        text.push(b'"');
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(row: &str) -> Option<Vec<String>> {
        let mut fields = Vec::new();
        let text = |field: &Field| match field {
            Field::Plain(range) => row[range.clone()].to_owned(),
            Field::Quoted { text, .. } => String::from_utf8(text.clone()).unwrap(),
        };
        if Scan::default().is_open_after(row.as_bytes(), b'\t') {
            return None;
        }
        split(row.as_bytes(), b'\t', &mut fields);
        Some(fields.iter().map(text).collect())
    }

    #[test]
    fn fields_are_those_that_pandas_reads() {
        // Each right side is what `pandas.read_csv(sep="\t", header=None)` gives.
        for (row, expected) in [
            ("a\tb", vec!["a", "b"]),
            ("a\t\"7\"\" tablet \"\"Pro\"\" case\"", vec!["a", "7\" tablet \"Pro\" case"]),
            ("a\t\"b\tc\"\td", vec!["a", "b\tc", "d"]),
            ("a\t\"b\nc\"", vec!["a", "b\nc"]),
            ("a\t7\" tablet\td\"", vec!["a", "7\" tablet", "d\""]),
            ("a\t\"Alien\" by \"X\"\td", vec!["a", "Alien by \"X\"", "d"]),
            ("\"\"\t\"\"\"\"\t\"a\"", vec!["", "\"", "a"]),
            ("a\t", vec!["a", ""]),
            ("a\t\"b\"\t", vec!["a", "b", ""]),
        ] {
            assert_eq!(texts(row).unwrap(), expected, "{row}");
        }
    }

    #[test]
    fn a_quote_that_stays_open_wants_more() {
        for row in ["\"", "a\t\"b", "\"\"\"", "a\t\"b\"\"\tc"] {
            assert_eq!(texts(row), None, "{row}");
        }
    }

    #[test]
    fn text_after_a_closing_quote_is_told() {
        let mut fields = Vec::new();
        split(b"\"a\"\t\"b\" c", b'\t', &mut fields);
        let loose: Vec<bool> =
            fields.iter().map(|it| matches!(it, Field::Quoted { loose: true, .. })).collect();
        assert_eq!(loose, [false, true]);
    }
}
