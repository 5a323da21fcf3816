//! How the numbers of a tensor are stored.

/// How the numbers of a tensor are stored: one by one, or in blocks that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// Floats of 32 bits.
    F32,
    /// Floats of 16 bits, IEEE 754.
    F16,
    /// The upper 16 bits of floats of 32 bits.
    Bf16,
    /// 32 integers of 8 bits and a scale.
    Q8_0,
    /// 32 integers of 4 bits around zero and a scale.
    Q4_0,
    /// 32 integers of 4 bits, a scale and a minimum.
    Q4_1,
    /// 256 integers of 4 bits; every 32 have a scale and a minimum of 6 bits.
    Q4K,
    /// 256 integers of 6 bits; every 16 have a scale of 8 bits.
    Q6K,
}

impl ElementType {
    /// All types.
    pub const ALL: [Self; 8] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q4K,
        Self::Q6K,
    ];

    /// The names of all types, for messages.
    pub(crate) const NAMES: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K";

    /// Its number in the format.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q6K => 14,
            Self::Bf16 => 30,
        }
    }

    /// The type of a number of the format.
    pub(crate) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its name in llama.cpp.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q4K => "Q4_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Number of elements of a block.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Number of bytes of a block.
    #[must_use]
    pub const fn block_size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }
}

/// The name of a number of the format that is not read, for messages.
pub(crate) fn other_name(number: u32) -> String {
    let known = match number {
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        _ => return format!("the element type {number}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_all_types() {
        let names: Vec<&str> = ElementType::ALL.iter().map(|kind| kind.name()).collect();
        let (last, others) = names.split_last().unwrap();
        assert_eq!(ElementType::NAMES, format!("{} and {last}", others.join(", ")));
    }
}
