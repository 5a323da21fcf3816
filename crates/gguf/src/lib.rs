//! A reader of GGUF files that trusts nothing in them.
//!
//! A GGUF file holds the settings of a model, its tokenizer and its weights. [`Gguf::parse`] reads the bytes of
//! a file, which the caller may have mapped. It copies only names and places; texts, lists and tensors stay in the
//! bytes. [`Tensor::to_f32`] then computes the weights of one tensor.
//!
//! ```
//! use sidereal_gguf::{Gguf, GgufError};
//!
//! // Version 3, no tensors, one setting: the number 7 under the key `layers`.
//! let mut bytes = b"GGUF\x03\0\0\0".to_vec();
//! bytes.extend(0u64.to_le_bytes()); // tensors
//! bytes.extend(1u64.to_le_bytes()); // settings
//! bytes.extend(6u64.to_le_bytes());
//! bytes.extend(b"layers");
//! bytes.extend(4u32.to_le_bytes()); // an unsigned number of 32 bits
//! bytes.extend(7u32.to_le_bytes());
//!
//! let file = Gguf::parse(&bytes)?;
//! assert_eq!(file.metadata().count("layers")?, Some(7));
//! assert!(file.tensors().is_empty());
//! assert!(matches!(Gguf::parse(&bytes[..40]), Err(GgufError::Truncated { .. })));
//! # Ok::<(), GgufError>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `file` | [`Gguf`]: a whole file |
//! | `metadata` | [`Metadata`]: settings by their keys, with the kind that the caller needs |
//! | `value` | [`Value`], [`Array`], [`Scalar`]: what a setting may be |
//! | `tensor` | [`Tensor`]: name, shape, bytes and numbers |
//! | `element` | [`ElementType`]: how numbers are stored |
//! | `blocks` | numbers from stored blocks |
//!
//! # Conventions
//! Shapes are in the order of PyTorch, outermost axis first; the file has them the other way round. All numbers in a
//! file are in little-endian order.
//!
//! # References
//! The [specification](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3. We refuse what
//! it allows and no model has: arrays of arrays, and big-endian files.

mod blocks;
mod cursor;
mod element;
mod error;
mod file;
mod metadata;
mod tensor;
mod value;

pub use element::ElementType;
pub use error::GgufError;
pub use file::Gguf;
pub use metadata::Metadata;
pub use tensor::Tensor;
pub use value::{Array, Scalar, Value};
