//! Numbers in JSON, including those that are not finite.
//!
//! JSON has no `NaN` and no infinities. `serde_json` writes all of them as `null`, which cannot be read
//! as a number. Here they are the texts `"NaN"`, `"inf"` and `"-inf"`; the `null` of older files is read
//! as NaN.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float that a [`Number`] holds.
pub(crate) trait Float: Copy + Serialize {
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
}

impl Float for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }
}

impl Float for f32 {
    #[allow(clippy::cast_possible_truncation, reason = "written from f32")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

/// A number as it is in a file.
struct Number<T>(T);

impl<T: Float> Serialize for Number<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.to_f64();
        if value.is_finite() {
            self.0.serialize(serializer)
        } else {
            serializer.serialize_str(if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "inf"
            } else {
                "-inf"
            })
        }
    }
}

impl<'de, T: Float> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfAnyKind).map(|value| Self(T::from_f64(value)))
    }
}

struct OfAnyKind;

impl Visitor<'_> for OfAnyKind {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_unit<E: Error>(self) -> Result<f64, E> {
        Ok(f64::NAN)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

/// One number: `#[serde(with = "crate::number")]`.
pub(crate) fn serialize<T: Float, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

/// One number: `#[serde(with = "crate::number")]`.
pub(crate) fn deserialize<'de, T: Float, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

/// Numbers by name: `#[serde(with = "crate::number::map")]`.
pub(crate) mod map {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, Float, Number, Serializer};

    pub(crate) fn serialize<T: Float, S: Serializer>(
        values: &BTreeMap<String, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Number(*value))))
    }

    pub(crate) fn deserialize<'de, T: Float, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, T>, D::Error> {
        let found = BTreeMap::<String, Number<T>>::deserialize(deserializer)?;
        Ok(found.into_iter().map(|(name, Number(value))| (name, value)).collect())
    }
}

/// A list of numbers: `#[serde(with = "crate::number::list")]`.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, Float, Number, Serializer};

    pub(crate) fn serialize<T: Float, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| Number(*value)))
    }

    pub(crate) fn deserialize<'de, T: Float, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let found = Vec::<Number<T>>::deserialize(deserializer)?;
        Ok(found.into_iter().map(|Number(value)| value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Values {
        #[serde(with = "crate::number")]
        one: f64,
        #[serde(with = "list")]
        many: Vec<f32>,
    }

    #[test]
    fn finite_numbers_stand_as_they_always_did_and_others_as_texts() {
        let values =
            Values { one: f64::NAN, many: vec![0.1, -7.0, f32::INFINITY, f32::NEG_INFINITY] };
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, r#"{"one":"NaN","many":[0.1,-7.0,"inf","-inf"]}"#);
        let read: Values = serde_json::from_str(&text).unwrap();
        assert!(read.one.is_nan());
        assert!(read.many.iter().zip(&values.many).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn the_null_of_older_files_is_nan_and_other_texts_are_refused() {
        let read: Values = serde_json::from_str(r#"{"one":3,"many":[null,-1]}"#).unwrap();
        assert!(read.one.total_cmp(&3.0).is_eq() && read.many[0].is_nan());
        let refused = serde_json::from_str::<Values>(r#"{"one":"three","many":[]}"#).err().unwrap();
        assert!(refused.to_string().contains("\"-inf\""), "{refused}");
    }
}
