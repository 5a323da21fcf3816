//! Laws of the reader over files that are damaged at random. The fuzz target has the same laws.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::writer::Written;

#[path = "../../fuzz/src/readers.rs"]
#[allow(unreachable_pub, reason = "a library to the fuzz target")]
mod readers;

const FILE: &[u8] = include_bytes!("../parity/blocks.gguf");

proptest! {
    #[test]
    fn damaged_bytes_of_a_whole_file_are_refused_or_obey_the_laws(
        damage in vec((0..2000usize, any::<u8>()), 1..4),
        len in 0..FILE.len() + 1,
    ) {
        let mut bytes = FILE.to_vec();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        readers::gguf(&bytes);
        readers::gguf(&bytes[..len]);
    }

    #[test]
    fn numbers_of_a_small_file_may_be_anything(
        words in vec((0..40usize, prop_oneof![any::<u64>(), 0..70u64, Just(u64::MAX)]), 1..4),
    ) {
        let mut bytes = Written::small().bytes();
        for (word, value) in words {
            if let Some(place) = bytes.get_mut(4 * word..4 * word + 8) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
        readers::gguf(&bytes);
    }

    #[test]
    fn random_bytes_are_refused_or_obey_the_laws(bytes in vec(any::<u8>(), 0..200)) {
        let mut whole = Written::small().bytes();
        whole.truncate(24);
        whole.extend(&bytes);
        readers::gguf(&bytes);
        readers::gguf(&whole);
    }
}
