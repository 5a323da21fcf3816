//! Checks the sizes that a table states, so that they cannot make the decoder take too much memory
//! or time.
//!
//! The decoder of parquet takes memory for a page as the page's header asks, before it looks at what
//! is there, and time for a list as its length says. So the file's metadata and the headers of the
//! columns that are read are walked first.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};

use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::format::{FILE_METADATA, PAGE_HEADER};
use super::walk::walk;

/// Bytes of a page once decompressed. Writers aim at one to a hundred million.
const PAGE: i32 = 128 << 20;

/// Bytes read at a time: a header has tens of them, what follows it is skipped.
const HEADER: usize = 1 << 10;

/// Bytes at a file's end: how long the metadata before them are, and a mark.
const TAIL: u64 = 8;

/// Rejects metadata that would take the decoder too long. A file that is not parquet at all passes,
/// because the error of the decoder is better.
pub(super) fn check_metadata(file: &File) -> Result<(), ParquetError> {
    let len = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let Some(end) = len.checked_sub(TAIL) else { return Ok(()) };
    file.seek(SeekFrom::Start(end))?;
    let (mut size, mut mark) = ([0; 4], [0; 4]);
    file.read_exact(&mut size)?;
    file.read_exact(&mut mark)?;
    let size = u64::from(u32::from_le_bytes(size));
    let Some(start) = end.checked_sub(size).filter(|_| mark == *b"PAR1") else { return Ok(()) };
    file.seek(SeekFrom::Start(start))?;
    walk(file.take(size), FILE_METADATA)
        .map_err(|source| ParquetError::General(format!("the metadata are damaged: {source}")))?;
    Ok(())
}

/// Refuses a table of which a column that is read lies outside the file, or has a page of more than
/// [`PAGE`] bytes.
pub(super) fn check_pages(
    file: &File,
    metadata: &ParquetMetaData,
    read: &ProjectionMask,
) -> Result<(), ParquetError> {
    let len = file.metadata()?.len();
    let mut file = BufReader::with_capacity(HEADER, file);
    for group in metadata.row_groups() {
        for (_, chunk) in group.columns().iter().enumerate().filter(|it| read.leaf_included(it.0)) {
            let refused = |why: &str| {
                ParquetError::General(format!("column `{}` {why}", chunk.column_path().string()))
            };
            let pages = span(chunk, len).ok_or_else(|| refused("lies outside the file"))?;
            check_column(&mut file, pages, &refused)?;
        }
    }
    Ok(())
}

/// First byte of a column's pages and the byte after them, if the file has both: the same bytes
/// that the decoder takes, wherever the two offsets are. Otherwise it would read pages that were
/// not checked.
fn span(chunk: &ColumnChunkMetaData, len: u64) -> Option<(u64, u64)> {
    let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    (end <= len).then_some((start, end))
}

/// Reads the header of every page of `start..end`.
fn check_column(
    file: &mut BufReader<&File>,
    (start, end): (u64, u64),
    refused: &impl Fn(&str) -> ParquetError,
) -> Result<(), ParquetError> {
    let mut place = start;
    while place < end {
        file.seek(SeekFrom::Start(place))?;
        let mut rest = file.take(end - place);
        let numbers = walk(&mut rest, PAGE_HEADER)
            .map_err(|source| refused(&format!("has a damaged page: {source}")))?;
        // The decoder takes the last of several statements.
        let stated = |field| numbers.iter().rev().find(|it| it.0 == field).map_or(0, |it| it.1);
        let (decompressed, stored) = (stated(2), stated(3));
        if decompressed > PAGE {
            return Err(refused(&format!(
                "has a page of {decompressed} bytes, at most {PAGE} are read"
            )));
        }
        let body = u64::try_from(stored).ok().filter(|body| *body <= rest.limit());
        let body = body.ok_or_else(|| refused("has a page that goes on beyond the column"))?;
        place = end - rest.limit() + body;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use parquet::basic::Type;
    use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as SchemaType};
    use thrift::protocol::{TCompactOutputProtocol, TFieldIdentifier, TOutputProtocol as _};
    use thrift::protocol::{TStructIdentifier, TType};

    use super::*;

    /// A page: its header, with statistics that are not looked at, and five bytes.
    fn page(decompressed: i32, stored: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut header = TCompactOutputProtocol::new(&mut bytes);
        header.write_struct_begin(&TStructIdentifier::new("PageHeader")).unwrap();
        for (id, value) in [(1, 0), (2, decompressed), (3, stored)] {
            header.write_field_begin(&TFieldIdentifier::new("", TType::I32, id)).unwrap();
            header.write_i32(value).unwrap();
        }
        header.write_field_begin(&TFieldIdentifier::new("", TType::Struct, 5)).unwrap();
        header.write_struct_begin(&TStructIdentifier::new("DataPageHeader")).unwrap();
        header.write_field_begin(&TFieldIdentifier::new("", TType::Struct, 5)).unwrap();
        header.write_struct_begin(&TStructIdentifier::new("Statistics")).unwrap();
        header.write_field_begin(&TFieldIdentifier::new("", TType::String, 1)).unwrap();
        header.write_bytes(&[9; 3000]).unwrap();
        for _ in 0..2 {
            header.write_field_stop().unwrap();
            header.write_struct_end().unwrap();
        }
        header.write_field_stop().unwrap();
        header.write_struct_end().unwrap();
        bytes.extend([7; 5]);
        bytes
    }

    fn walked(pages: &[(i32, i32)]) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<_> = pages.iter().flat_map(|it| page(it.0, it.1)).collect();
        file.write_all(b"PAR1").unwrap();
        file.write_all(&bytes).unwrap();
        let span = (4, 4 + bytes.len() as u64);
        let refused = |why: &str| ParquetError::General(why.to_owned());
        check_column(&mut BufReader::with_capacity(HEADER, &file), span, &refused)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_pages_that_are_walked_are_those_that_the_decoder_reads() {
        let column = SchemaType::primitive_type_builder("x", Type::INT64).build().unwrap();
        let column = ColumnDescriptor::new(Arc::new(column), 0, 0, ColumnPath::from("x"));
        let column = Arc::new(column);
        for (dictionary, data, size) in [(None, 4, 20), (Some(4), 10, 20), (Some(50), 4, 20)] {
            let chunk = ColumnChunkMetaData::builder(Arc::clone(&column))
                .set_dictionary_page_offset(dictionary)
                .set_data_page_offset(data)
                .set_total_compressed_size(size)
                .build()
                .unwrap();
            let (start, len) = chunk.byte_range();
            assert_eq!(span(&chunk, start + len), Some((start, start + len)));
            assert_eq!(span(&chunk, start + len - 1), None);
        }
        let negative = ColumnChunkMetaData::builder(column).set_data_page_offset(-1);
        assert_eq!(span(&negative.build().unwrap(), 100), None);
    }

    #[test]
    fn every_page_is_looked_at() {
        assert_eq!(walked(&[(PAGE, 5), (5, 5), (0, 5)]), Ok(()));
        let large = walked(&[(5, 5), (PAGE + 1, 5)]).unwrap_err();
        assert!(large.contains("a page of 134217729 bytes, at most 134217728"), "{large}");
    }

    #[test]
    fn pages_end_with_their_column() {
        for stored in [6, -1, i32::MAX] {
            let error = walked(&[(5, 5), (5, stored)]).unwrap_err();
            assert!(error.contains("goes on beyond the column"), "{error}");
        }
        // The second header is looked for in the middle of the first page's bytes.
        let error = walked(&[(5, 4)]).unwrap_err();
        assert!(error.contains("damaged page"), "{error}");
    }
}
