//! A whole GGUF file.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::error::GgufError;
use crate::metadata::Metadata;
use crate::tensor::{Stated, Tensor};
use crate::value::Value;

const MAGIC: [u8; 4] = *b"GGUF";
/// The setting of the distance between the beginnings of tensors.
const ALIGNMENT: &str = "general.alignment";
/// The distance in a file that does not state it.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The largest distance.
const MOST_ALIGNMENT: u64 = 1 << 16;

/// A GGUF file: settings and tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf<'a> {
    metadata: Metadata<'a>,
    tensors: BTreeMap<&'a str, Tensor<'a>>,
}

impl<'a> Gguf<'a> {
    /// Reads the bytes of a file. Everything is checked here, so that no later use of the result fails on a damaged
    /// file: lengths and counts, texts, keys and names, shapes and element types, and that every tensor lies within the
    /// file and shares no byte with another.
    ///
    /// Time and memory are proportional to the size of the settings and the list of tensors.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes);
        let magic: Result<[u8; 4], _> = cursor.array("the first bytes");
        if magic != Ok(MAGIC) {
            return Err(GgufError::Magic { found: bytes.iter().copied().take(4).collect() });
        }
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(GgufError::Version { found: version });
        }
        let num_tensors = cursor.count(Stated::LEAST, "tensors")?;
        // The shortest setting: an empty key, a kind and one byte.
        let num_settings = cursor.count(8 + 4 + 1, "settings")?;
        let metadata = settings(&mut cursor, num_settings)?;
        let alignment = alignment(&metadata)?;
        cursor.check_count(num_tensors, Stated::LEAST, "tensors")?;
        let mut stated = Vec::new();
        for _ in 0..num_tensors {
            stated.push(Stated::read(&mut cursor)?);
        }
        check_apart(&mut stated)?;
        let padding = (cursor.at() as u64).next_multiple_of(alignment) - cursor.at() as u64;
        let data = if stated.is_empty() {
            [].as_slice() // then the padding may be missing too
        } else {
            cursor.take(padding, "the padding before the tensors")?;
            cursor.take(cursor.left() as u64, "the tensors")?
        };
        let found = |tensor: Stated<'a>| Ok((tensor.name, tensor.find(data, alignment)?));
        let tensors = stated.into_iter().map(found).collect::<Result<_, GgufError>>()?;
        Ok(Self { metadata, tensors })
    }

    /// The settings.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The tensors by their names.
    #[must_use]
    pub const fn tensors(&self) -> &BTreeMap<&'a str, Tensor<'a>> {
        &self.tensors
    }
}

fn settings<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<Metadata<'a>, GgufError> {
    let mut settings = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.text("the key of a setting")?;
        if settings.insert(key, Value::read(cursor, key)?).is_some() {
            return Err(GgufError::DuplicateKey { key: key.to_owned() });
        }
    }
    Ok(Metadata(settings))
}

/// The distance between the beginnings of tensors, in bytes.
fn alignment(metadata: &Metadata<'_>) -> Result<u64, GgufError> {
    let Some(found) = metadata.count(ALIGNMENT)? else { return Ok(DEFAULT_ALIGNMENT) };
    let found = found as u64;
    if found.is_power_of_two() && found <= MOST_ALIGNMENT {
        Ok(found)
    } else {
        Err(GgufError::Alignment { found })
    }
}

/// Sorts tensors by their places, and accepts them if no two have one name or common bytes.
fn check_apart(stated: &mut [Stated<'_>]) -> Result<(), GgufError> {
    stated.sort_by_key(|tensor| tensor.name);
    if let Some(twice) = stated.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(GgufError::DuplicateTensor { name: twice[0].name.to_owned() });
    }
    stated.sort_by_key(|tensor| tensor.offset);
    let shared = stated.windows(2).find(|pair| {
        let end = pair[0].offset.checked_add(pair[0].size as u64);
        end.is_none_or(|end| end > pair[1].offset)
    });
    match shared {
        None => Ok(()),
        Some(pair) => Err(GgufError::Overlap {
            first: pair[0].name.to_owned(),
            second: pair[1].name.to_owned(),
        }),
    }
}
