//! Why a file could not be read.

/// Errors of this crate. None of them names the file, which is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message names its fields")]
pub enum GgufError {
    /// The first four bytes are not those of a GGUF file.
    #[error("the file begins with the bytes {found:02x?}, but a GGUF file begins with `GGUF`")]
    Magic { found: Vec<u8> },
    /// A version that is not read, or a file in big-endian order.
    #[error(
        "the file has the version {found}{}; versions 2 and 3 in little-endian order are read",
        if (1..=3).contains(&found.swap_bytes()) { " (it is in big-endian order)" } else { "" }
    )]
    Version { found: u32 },
    /// The file ends too early.
    #[error(
        "the file ends within {what}: {needed} bytes are needed at byte {at}, and {left} are left; copy it again"
    )]
    Truncated { what: &'static str, at: usize, needed: u64, left: usize },
    /// A count for which the file has no room.
    #[error("the file states {found} {what}, but the rest of it has room for at most {room}")]
    Count { what: &'static str, found: u64, room: usize },
    /// A text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    Text { what: &'static str, at: usize },
    /// A setting of a kind that the format does not have, or an array of arrays.
    #[error(
        "the setting `{key}` has the kind {found}; expected 0 to 12, and no array within an array"
    )]
    Kind { key: String, found: u32 },
    /// A truth value that is neither 0 nor 1.
    #[error("the setting `{key}` is a truth value with the byte {found}; expected 0 or 1")]
    Bool { key: String, found: u8 },
    /// Two settings under one key.
    #[error("the setting `{key}` is there twice")]
    DuplicateKey { key: String },
    /// Two tensors of one name.
    #[error("the tensor `{name}` is there twice")]
    DuplicateTensor { name: String },
    /// A distance between tensors that is not a power of two.
    #[error("`general.alignment` is {found}; expected a power of two up to 65536")]
    Alignment { found: u64 },
    /// A tensor of too many or no axes.
    #[error("the tensor `{name}` has {found} axes; expected 1 to 4")]
    Axes { name: String, found: u32 },
    /// A tensor without elements, or with more than memory can hold.
    #[error(
        "the tensor `{name}` has the shape {shape:?}; every axis must be at least 1, and all elements must fit \
         into memory"
    )]
    Shape { name: String, shape: Vec<u64> },
    /// A tensor whose numbers are stored in a way that is not read.
    #[error("the tensor `{name}` is stored as {found}; {} are read", crate::ElementType::NAMES)]
    ElementType { name: String, found: String },
    /// A row that is not a whole number of blocks.
    #[error("the tensor `{name}` has rows of {row} elements, but its blocks hold {block} each")]
    Blocks { name: String, row: usize, block: usize },
    /// A tensor that does not begin where tensors may begin.
    #[error(
        "the tensor `{name}` begins at the offset {offset}; expected a multiple of {alignment}"
    )]
    Offset { name: String, offset: u64, alignment: u64 },
    /// A tensor that reaches beyond the end of the file.
    #[error(
        "the tensor `{name}` needs {size} bytes at the offset {offset}, but the file has only {left} bytes of \
         tensors; copy it again"
    )]
    OutOfFile { name: String, offset: u64, size: u64, left: usize },
    /// Two tensors with common bytes.
    #[error("the tensors `{first}` and `{second}` share bytes of the file")]
    Overlap { first: String, second: String },
    /// A setting that the caller needs.
    #[error("the file has no setting `{key}`")]
    MissingKey { key: String },
    /// A setting of another kind than the caller needs.
    #[error("the setting `{key}` is {found}; expected {expected}")]
    Value { key: String, found: String, expected: &'static str },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_where_and_what_was_expected() {
        insta::assert_snapshot!(
            GgufError::Version { found: 3u32.swap_bytes() }.to_string(),
            @"the file has the version 50331648 (it is in big-endian order); versions 2 and 3 in little-endian order are read"
        );
        insta::assert_snapshot!(
            GgufError::ElementType { name: "a".to_owned(), found: "Q5_K".to_owned() }.to_string(),
            @"the tensor `a` is stored as Q5_K; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are read"
        );
    }
}
