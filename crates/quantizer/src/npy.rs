//! The header of a `NumPy` file, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//!
//! It is read here because the crates for it depend on a parser generator, only for this one line
//! of text.

use std::path::Path;

use crate::QuantizerError;

/// What the header of a two-dimensional array says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    /// Element type, such as `<f4`.
    pub(crate) descr: String,
    pub(crate) fortran_order: bool,
    pub(crate) shape: (usize, usize),
    /// Where the values begin.
    pub(crate) data: usize,
}

impl NpyHeader {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` after the preamble.
    pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Self, QuantizerError> {
        let bad = || QuantizerError::NpyHeader { path: path.to_owned() };
        let (preamble, rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
        let [0x93, b'N', b'U', b'M', b'P', b'Y', version, _] = *preamble else {
            return Err(bad());
        };
        let (length, rest) = if version == 1 {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(bad)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
            (usize::try_from(u32::from_le_bytes(*length)).map_err(|_| bad())?, rest)
        };
        let (header, values) = rest.split_at_checked(length).ok_or_else(bad)?;
        let header = std::str::from_utf8(header).map_err(|_| bad())?;
        let value = |key: &str| {
            let (_, after) = header.split_once(&format!("'{key}':"))?;
            Some(after.trim_start())
        };
        let descr = value("descr").ok_or_else(bad)?;
        // A structured type is a list; anything but a plain string is reported as it stands.
        let descr = descr
            .strip_prefix('\'')
            .and_then(|text| text.split('\'').next())
            .unwrap_or("a structured type");
        let fortran_order = value("fortran_order").ok_or_else(bad)?.starts_with("True");
        let shape = value("shape").and_then(|text| text.strip_prefix('(')).ok_or_else(bad)?;
        let (shape, _) = shape.split_once(')').ok_or_else(bad)?;
        let lengths: Vec<&str> =
            shape.split(',').map(str::trim).filter(|length| !length.is_empty()).collect();
        let [rows, columns] = lengths[..] else {
            let (path, found) = (path.to_owned(), format!("of shape ({shape})"));
            return Err(QuantizerError::NpyKind { path, found });
        };
        let parse = |length: &str| length.parse::<usize>().map_err(|_| bad());
        Ok(Self {
            descr: descr.to_owned(),
            fortran_order,
            shape: (parse(rows)?, parse(columns)?),
            data: bytes.len() - values.len(),
        })
    }
}

/// A file as `NumPy` 2 writes it: the header padded so that the values begin at a multiple of 64.
#[cfg(test)]
pub(crate) fn npy(descr: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), values].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_numpy_is_read() {
        let header = NpyHeader::read(Path::new("x"), &npy("<f4", false, "(12101, 384)", &[]));
        let expected = NpyHeader {
            descr: "<f4".to_owned(),
            fortran_order: false,
            shape: (12101, 384),
            data: 128,
        };
        assert_eq!(header.unwrap(), expected);
    }

    #[test]
    fn vectors_and_cubes_are_no_matrices() {
        for shape in ["(3,)", "()", "(1, 2, 3)"] {
            let error = NpyHeader::read(Path::new("x"), &npy("<f4", false, shape, &[]));
            assert!(matches!(error, Err(QuantizerError::NpyKind { .. })), "{shape}");
        }
    }

    #[test]
    fn anything_else_is_no_numpy_file() {
        let file = npy("<f4", false, "(1, 1)", &[]);
        for len in 0..file.len() {
            assert!(matches!(
                NpyHeader::read(Path::new("x"), &file[..len]),
                Err(QuantizerError::NpyHeader { .. })
            ));
        }
        let bytes = npy("<f4", false, "(one, 1)", &[]);
        assert!(NpyHeader::read(Path::new("x"), &bytes).is_err());
    }
}
