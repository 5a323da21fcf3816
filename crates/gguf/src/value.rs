//! The values of settings.

use crate::cursor::Cursor;
use crate::error::GgufError;

/// The value of a setting; texts and lists stay in the bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A number or a truth value.
    Scalar(Scalar),
    /// A text.
    Text(&'a str),
    /// A list of values of one kind.
    Array(Array<'a>),
}

/// A number or a truth value. Integers of all widths are one kind here, and so are floats.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Scalar {
    /// An integer of any width, with or without a sign.
    Integer(i128),
    /// A float of 32 or 64 bits.
    Float(f64),
    /// A truth value.
    Bool(bool),
}

/// A list of values of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a> {
    kind: Kind,
    len: usize,
    bytes: &'a [u8],
}

/// The kinds by their numbers in the format; the arrays are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    U64,
    I64,
    F64,
}

/// The number of the kind of arrays.
const ARRAY: u32 = 9;

impl Kind {
    const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// The fewest bytes of a value; a text has its length in front.
    const fn least(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::Text | Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The next value of this kind.
    fn read<'a>(self, cursor: &mut Cursor<'a>, key: &str) -> Result<Value<'a>, GgufError> {
        const WHAT: &str = "a setting";
        let integer = |value: i128| Value::Scalar(Scalar::Integer(value));
        Ok(match self {
            Self::U8 => integer(u8::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::I8 => integer(i8::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::U16 => integer(u16::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::I16 => integer(i16::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::U32 => integer(u32::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::I32 => integer(i32::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::U64 => integer(u64::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::I64 => integer(i64::from_le_bytes(cursor.array(WHAT)?).into()),
            Self::F32 => {
                Value::Scalar(Scalar::Float(f32::from_le_bytes(cursor.array(WHAT)?).into()))
            }
            Self::F64 => Value::Scalar(Scalar::Float(f64::from_le_bytes(cursor.array(WHAT)?))),
            Self::Bool => match cursor.array(WHAT)? {
                [0] => Value::Scalar(Scalar::Bool(false)),
                [1] => Value::Scalar(Scalar::Bool(true)),
                [found] => return Err(GgufError::Bool { key: key.to_owned(), found }),
            },
            Self::Text => Value::Text(cursor.text("the text of a setting")?),
        })
    }
}

impl<'a> Value<'a> {
    /// The kind and the value after a key.
    pub(crate) fn read(cursor: &mut Cursor<'a>, key: &str) -> Result<Self, GgufError> {
        let kind = |number: u32| {
            Kind::of(number).ok_or_else(|| GgufError::Kind { key: key.to_owned(), found: number })
        };
        let number = cursor.u32("the kind of a setting")?;
        if number != ARRAY {
            return kind(number)?.read(cursor, key);
        }
        let kind = kind(cursor.u32("the kind of a list")?)?;
        let count = cursor.count(kind.least(), "elements of a list")?;
        // Every element is read once, so that reading the list later cannot fail.
        let mut end = cursor.clone();
        for _ in 0..count {
            kind.read(&mut end, key)?;
        }
        let size = end.at() - cursor.at();
        let bytes = cursor.take(size as u64, "a list")?;
        // `count` is at most the number of bytes of the file.
        let len = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Self::Array(Array { kind, len, bytes }))
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Scalar(Scalar::Integer(value)) => format!("the integer {value}"),
            Self::Scalar(Scalar::Float(value)) => format!("the float {value}"),
            Self::Scalar(Scalar::Bool(value)) => format!("the truth value {value}"),
            Self::Text(text) => {
                let short: String = text.chars().take(40).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("the text `{short}{more}`")
            }
            Self::Array(array) => format!("a list of {} values", array.len()),
        }
    }
}

impl<'a> Array<'a> {
    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the values are texts.
    #[must_use]
    pub const fn holds_texts(&self) -> bool {
        matches!(self.kind, Kind::Text)
    }

    /// The values in their order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (mut cursor, kind) = (Cursor::new(self.bytes), self.kind);
        // All were read when the file was, so none fails.
        (0..self.len).map_while(move |_| kind.read(&mut cursor, "").ok())
    }
}
