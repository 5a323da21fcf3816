//! Walks through a structure of parquet before the decoder does.
//!
//! The decoder reads a field by its number, whatever type the file states. When it skips a list of
//! truth values, it expects no bytes for the elements: a list of two billion elements takes six
//! bytes in a file, and minutes in the decoder. So here a field must have the type that belongs to
//! its number, and such a list is an error. Then every other element has at least one byte, and the
//! work of the decoder is bounded by the number of bytes.

use std::io::Read;

use thrift::protocol::{TCompactInputProtocol, TInputProtocol, TType};

use super::format::{Fields, Kind};

/// How deep structures and lists may lie in each other; the decoder's own bound is the same.
const DEPTH: usize = 64;

/// Goes through one structure of these `fields`; what comes back are its own 32-bit numbers with
/// the numbers of their fields, in the order of the file.
///
/// # Errors
/// A field of another type than its number says; a list of truth values; what is nested deeper than
/// [`DEPTH`]; bytes that are no structure, or end before it does.
pub(super) fn walk(bytes: impl Read, fields: Fields) -> thrift::Result<Vec<(i16, i32)>> {
    let mut numbers = Vec::new();
    Walker { input: TCompactInputProtocol::new(bytes) }.structure(fields, DEPTH, &mut numbers)?;
    Ok(numbers)
}

/// An error whose text is shown; the texts of the other kinds of the protocol are not.
fn refusal(why: String) -> thrift::Error {
    thrift::Error::User(why.into())
}

struct Walker<R: Read> {
    input: TCompactInputProtocol<R>,
}

impl<R: Read> Walker<R> {
    fn structure(
        &mut self,
        fields: Fields,
        depth: usize,
        numbers: &mut Vec<(i16, i32)>,
    ) -> thrift::Result<()> {
        self.input.read_struct_begin()?;
        loop {
            let field = self.input.read_field_begin()?;
            let Some(id) = field.id else { return self.input.read_struct_end() };
            let known = fields.iter().find(|(known, _)| *known == id).map(|it| it.1);
            match (field.field_type, known) {
                (found, Some(kind)) if found != kind.wire() => {
                    return Err(refusal(format!("field {id} is {found}, not {}", kind.wire())));
                }
                (TType::I32, _) => numbers.push((id, self.input.read_i32()?)),
                (found, known) => self.value(found, known, depth)?,
            }
        }
    }

    /// Goes through a value that is not a 32-bit number of the outermost structure.
    fn value(&mut self, found: TType, known: Option<Kind>, depth: usize) -> thrift::Result<()> {
        let depth = depth.checked_sub(1);
        let depth = depth.ok_or_else(|| refusal(format!("nested over {DEPTH} deep")))?;
        match found {
            TType::Struct => {
                let fields = if let Some(Kind::Struct(fields)) = known { fields } else { &[] };
                self.structure(fields, depth, &mut Vec::new())
            }
            TType::List | TType::Set => {
                let list = self.input.read_list_begin()?;
                let element = if let Some(Kind::List(kind)) = known { Some(*kind) } else { None };
                if let Some(kind) = element
                    && list.size > 0
                    && list.element_type != kind.wire()
                {
                    let (found, wanted) = (list.element_type, kind.wire());
                    return Err(refusal(format!("a list is of {found}, not of {wanted}")));
                }
                self.elements(list.size, &[(list.element_type, element)], depth)
            }
            TType::Map => {
                let map = self.input.read_map_begin()?;
                let types = map.key_type.zip(map.value_type);
                let types = types.map_or(vec![], |(key, value)| vec![(key, None), (value, None)]);
                self.elements(map.size, &types, depth)
            }
            other => self.input.skip(other),
        }
    }

    fn elements(
        &mut self,
        size: i32,
        types: &[(TType, Option<Kind>)],
        depth: usize,
    ) -> thrift::Result<()> {
        if size > 0 && types.iter().any(|it| it.0 == TType::Bool) {
            return Err(refusal(format!("a list of {size} truth values, which no table needs")));
        }
        for _ in 0..size {
            for (found, known) in types {
                self.value(*found, *known, depth)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::format::{FILE_METADATA, PAGE_HEADER};
    use super::*;

    /// What a walk of these bytes says.
    fn refused(bytes: &[u8], fields: Fields) -> String {
        walk(bytes, fields).unwrap_err().to_string()
    }

    #[test]
    fn truth_values_without_bytes_are_refused_wherever_they_lie() {
        // A field of number 9, 1, 1 and 20: a list, a map of numbers, a set in a structure, and a
        // list of a length in one byte. 0xff 0xff 0xff 0x07 are sixteen millions.
        let many = [0xff, 0xff, 0xff, 0x07];
        let list = [&[0x99, 0xf1][..], &many, &[0]].concat();
        let map = [&[0x1b][..], &many, &[0x51, 0]].concat();
        let set = [&[0x9c, 0x1a, 0xf2][..], &many, &[0, 0]].concat();
        let short = [0x09, 40, 0x11, 1, 0];
        for bytes in [&list[..], &map, &set, &short] {
            assert!(refused(bytes, &[]).contains("truth values"), "{bytes:?}");
        }
        // None of them, and those that a structure holds itself.
        assert_eq!(walk(&[0x19, 0x01, 0x11, 0x12, 0][..], &[]).unwrap(), []);
    }

    #[test]
    fn a_field_is_what_its_number_says() {
        // Number 2 of a page's header is a 32-bit number, stated as one, as text, as a list.
        assert_eq!(walk(&[0x25, 8, 0][..], PAGE_HEADER).unwrap(), [(2, 4)]);
        assert_eq!(refused(&[0x28, 1, 65, 0], PAGE_HEADER), "field 2 is string, not i32");
        assert_eq!(refused(&[0x29, 0x05, 0], PAGE_HEADER), "field 2 is list, not i32");
        // The second field of a file's metadata is a list of structures, its seventh may be empty.
        assert_eq!(refused(&[0x29, 0x15, 2, 0], FILE_METADATA), "a list is of i32, not of struct");
        assert_eq!(walk(&[0x79, 0x00, 0][..], FILE_METADATA).unwrap(), []);
    }

    #[test]
    fn nesting_ends() {
        // Structures in structures are bounded by the protocol's own reader.
        for (deep, said) in [(0x1c, "maximum skip depth"), (0x19, "nested over 64 deep")] {
            assert!(refused(&[deep; 1000], &[]).contains(said), "{deep}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_each_is_read_once(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for fields in [FILE_METADATA, PAGE_HEADER] {
                let mut rest = &bytes[..];
                // A number has a byte at least, and no byte is read twice.
                if let Ok(numbers) = walk(&mut rest, fields) {
                    prop_assert!(numbers.len() < bytes.len());
                }
            }
        }
    }
}
