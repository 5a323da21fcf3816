//! The settings of a file, by their keys.

use std::collections::BTreeMap;

use crate::error::GgufError;
use crate::value::{Array, Scalar, Value};

/// The settings of a file.
///
/// The methods with a kind return `None` if there is no such setting, and [`GgufError::Value`] if the setting is of
/// another kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata<'a>(pub(crate) BTreeMap<&'a str, Value<'a>>);

impl<'a> Metadata<'a> {
    /// All settings, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + '_ {
        self.0.iter().map(|(key, value)| (*key, *value))
    }

    /// A setting of any kind.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0.get(key).copied()
    }

    /// A text.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, GgufError> {
        self.of_kind(key, "a text", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// An integer from 0 on, of any width.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn count(&self, key: &str) -> Result<Option<usize>, GgufError> {
        self.of_kind(key, "an integer from 0 on", |value| match value {
            Value::Scalar(Scalar::Integer(value)) => usize::try_from(value).ok(),
            _ => None,
        })
    }

    /// A finite float, or an integer as one.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.of_kind(key, "a finite number", |value| match value {
            Value::Scalar(Scalar::Float(value)) => Some(value).filter(|value| value.is_finite()),
            Value::Scalar(Scalar::Integer(value)) => Some(value as f64),
            _ => None,
        })
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.of_kind(key, "a truth value", |value| match value {
            Value::Scalar(Scalar::Bool(value)) => Some(value),
            _ => None,
        })
    }

    /// A list of texts.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, GgufError> {
        let array = self.of_kind(key, "a list of texts", |value| match value {
            Value::Array(array) => Some(array).filter(Array::holds_texts),
            _ => None,
        })?;
        let text = |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        };
        Ok(array.map(|array| array.values().filter_map(text).collect()))
    }

    /// A list of integers, of any width.
    ///
    /// # Errors
    /// [`GgufError::Value`].
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i128>>, GgufError> {
        self.of_kind(key, "a list of integers", |value| match value {
            Value::Array(array) => array
                .values()
                .map(|value| match value {
                    Value::Scalar(Scalar::Integer(value)) => Some(value),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// A setting as `convert` takes it.
    fn of_kind<T>(
        &self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| GgufError::Value {
            key: key.to_owned(),
            found: value.describe(),
            expected,
        })
    }
}
