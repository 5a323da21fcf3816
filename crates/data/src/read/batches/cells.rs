//! Values of columns, whatever integer type they have.

use std::ops::RangeInclusive;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit as Unit};
use serde_json::Value;
use sidereal_sid::SemanticId;

use crate::Timestamp;
use crate::read::TimeFormat;

/// What a column must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::read) enum Role {
    /// One number or text.
    Name,
    /// Names, or lists of codes; in a list or one a row.
    Items,
    Label,
    Time,
    /// One time a row, whole, with a fraction or as a text.
    Moment,
    /// A text or a list of texts.
    Texts,
}

impl Role {
    /// What is expected, if the column has another type. `listed`: whether the items beside it are
    /// lists.
    pub(in crate::read) fn check(
        self,
        kind: &DataType,
        listed: Option<bool>,
    ) -> Result<(), &'static str> {
        let inner = element(kind).unwrap_or(kind);
        let name = |kind: &DataType| kind.is_integer() || *kind == DataType::Utf8;
        let beside = listed.is_none_or(|listed| listed == is_list(kind));
        let (fits, expected) = match self {
            Self::Name => (name(kind), "whole numbers or texts"),
            Self::Items => (
                name(inner) || (is_list(kind) && element(inner).is_some_and(DataType::is_integer)),
                "numbers, texts, or lists of them or of lists of codes",
            ),
            Self::Label => (
                beside
                    && (inner.is_integer() || inner.is_floating() || *inner == DataType::Boolean),
                "truth values or numbers, in lists where the items are",
            ),
            Self::Time => (
                beside && (inner.is_integer() || matches!(inner, DataType::Timestamp(..))),
                "whole numbers or times, in lists where the items are",
            ),
            Self::Moment => (
                name(kind)
                    || kind.is_floating()
                    || matches!(
                        kind,
                        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
                    ),
                "times, dates, numbers or texts",
            ),
            Self::Texts => {
                (matches!(inner, DataType::Utf8 | DataType::Null), "texts or lists of texts")
            }
        };
        if fits { Ok(()) } else { Err(expected) }
    }
}

fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(field) => Some(field.data_type()),
        _ => None,
    }
}

pub(in crate::read) fn is_list(kind: &DataType) -> bool {
    element(kind).is_some()
}

/// The values of a row: those of its list, or the one that it is. `None` if there is nothing.
pub(in crate::read) fn of_row(column: &ArrayRef, row: usize) -> Option<ArrayRef> {
    if row >= column.len() || column.is_null(row) {
        return None;
    }
    Some(column.as_list_opt::<i32>().map_or_else(|| column.slice(row, 1), |list| list.value(row)))
}

/// A whole number; `None` for nothing and for other types.
pub(in crate::read) fn whole(values: &dyn Array, at: usize) -> Option<i128> {
    if at >= values.len() || values.is_null(at) {
        return None;
    }
    Some(match values.data_type() {
        DataType::Int8 => values.as_primitive::<Int8Type>().value(at).into(),
        DataType::Int16 => values.as_primitive::<Int16Type>().value(at).into(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(at).into(),
        DataType::UInt8 => values.as_primitive::<UInt8Type>().value(at).into(),
        DataType::UInt16 => values.as_primitive::<UInt16Type>().value(at).into(),
        DataType::UInt32 => values.as_primitive::<UInt32Type>().value(at).into(),
        DataType::UInt64 => values.as_primitive::<UInt64Type>().value(at).into(),
        _ => return None,
    })
}

/// A number as a text, a text that is not empty, or codes in token notation.
pub(in crate::read) fn name(values: &dyn Array, at: usize) -> Option<String> {
    if at >= values.len() || values.is_null(at) {
        return None;
    }
    if let Some(texts) = values.as_string_opt::<i32>() {
        return Some(texts.value(at).to_owned()).filter(|text| !text.is_empty());
    }
    if let Some(lists) = values.as_list_opt::<i32>() {
        let codes = lists.value(at);
        let code = |at| whole(&codes, at).and_then(|code| u16::try_from(code).ok());
        let codes: Option<Vec<u16>> = (0..codes.len()).map(code).collect();
        // As many levels as there are letters.
        let codes = codes.filter(|codes| (1..=26).contains(&codes.len()))?;
        return Some(SemanticId::from(codes).to_string());
    }
    whole(values, at).map(|number| number.to_string())
}

/// Whether a label is set; a missing value counts as not set.
pub(in crate::read) fn is_set(values: &dyn Array, at: usize) -> bool {
    if at >= values.len() || values.is_null(at) {
        return false;
    }
    match values.data_type() {
        DataType::Boolean => values.as_boolean().value(at),
        DataType::Float32 => values.as_primitive::<Float32Type>().value(at) > 0.0,
        DataType::Float64 => values.as_primitive::<Float64Type>().value(at) > 0.0,
        _ => whole(values, at).is_some_and(|number| number > 0),
    }
}

/// A time of `allowed`; the error is what was found.
pub(in crate::read) fn time(
    values: &dyn Array,
    at: usize,
    format: TimeFormat,
    allowed: &RangeInclusive<Timestamp>,
) -> Result<Timestamp, String> {
    let stated = stated(values, at);
    let number = || whole(values, at).and_then(|whole| i64::try_from(whole).ok());
    let time = match stated {
        Some(time) => Some(time).filter(|time| allowed.contains(time)),
        None => number().and_then(|whole| format.of_whole(whole, allowed)),
    };
    time.ok_or_else(|| match (stated, whole(values, at)) {
        (_, Some(number)) => number.to_string(),
        (Some(time), None) => time.to_string(),
        (None, None) => "nothing".to_owned(),
    })
}

/// A time of a column of times; else the number or the text of the cell.
pub(in crate::read) fn moment(values: &dyn Array, at: usize) -> Result<Timestamp, Value> {
    if at >= values.len() || values.is_null(at) {
        return Err(Value::Null);
    }
    if let Some(time) = stated(values, at) {
        return Ok(time);
    }
    Err(match values.data_type() {
        DataType::Float16 => f64::from(values.as_primitive::<Float16Type>().value(at)).into(),
        DataType::Float32 => f64::from(values.as_primitive::<Float32Type>().value(at)).into(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(at).into(),
        DataType::Utf8 => values.as_string::<i32>().value(at).into(),
        _ => match whole(values, at).map(i64::try_from) {
            Some(Ok(whole)) => whole.into(),
            Some(Err(_)) | None => Value::Null,
        },
    })
}

/// A text, or the list of texts of the cell; null for nothing.
pub(in crate::read) fn texts(values: &dyn Array, at: usize) -> Value {
    if at >= values.len() || values.is_null(at) {
        return Value::Null;
    }
    if let Some(lists) = values.as_list_opt::<i32>() {
        let list = lists.value(at);
        return (0..list.len()).map(|at| texts(&list, at)).collect();
    }
    values.as_string_opt::<i32>().map_or(Value::Null, |texts| texts.value(at).into())
}

/// A point in time of a column of times; `None` for nothing, for another column and for one that
/// milliseconds cannot hold.
fn stated(values: &dyn Array, at: usize) -> Option<Timestamp> {
    if at >= values.len() || values.is_null(at) {
        return None;
    }
    match values.data_type() {
        DataType::Timestamp(Unit::Second, _) => {
            Timestamp::from_whole_seconds(values.as_primitive::<TimestampSecondType>().value(at))
        }
        DataType::Timestamp(Unit::Millisecond, _) => {
            Some(Timestamp(values.as_primitive::<TimestampMillisecondType>().value(at)))
        }
        DataType::Timestamp(Unit::Microsecond, _) => {
            let time = values.as_primitive::<TimestampMicrosecondType>().value(at);
            Some(Timestamp(time.div_euclid(1000)))
        }
        DataType::Timestamp(Unit::Nanosecond, _) => {
            let time = values.as_primitive::<TimestampNanosecondType>().value(at);
            Some(Timestamp(time.div_euclid(1_000_000)))
        }
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>().value(at);
            Some(Timestamp(i64::from(days) * 86_400_000))
        }
        DataType::Date64 => Some(Timestamp(values.as_primitive::<Date64Type>().value(at))),
        _ => None,
    }
}
