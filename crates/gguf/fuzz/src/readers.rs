//! What the fuzz target does with its bytes. The replay of its corpus and the properties, tests of
//! `sidereal-gguf`, include this file: all do the same.

use sidereal_gguf::{Gguf, Value};

/// A file: every list has as many values as it says, every tensor lies in the file, no two share a byte, and each has
/// as many numbers as its shape says.
pub fn gguf(bytes: &[u8]) {
    let Ok(file) = Gguf::parse(bytes) else { return };
    for (key, value) in file.metadata().entries() {
        if let Value::Array(array) = value {
            assert_eq!(array.values().count(), array.len());
            assert!(array.len() <= bytes.len());
        }
        let kinds = [
            file.metadata().text(key).is_ok(),
            file.metadata().number(key).is_ok(),
            file.metadata().flag(key).is_ok(),
            file.metadata().texts(key).is_ok(),
            file.metadata().integers(key).is_ok(),
        ];
        // An empty list of integers is a list of any integers, but no list is of two kinds.
        assert!(
            kinds.iter().filter(|kind| **kind).count() <= 1
                || matches!(value, Value::Array(list) if list.is_empty())
        );
    }
    let mut places = Vec::new();
    for tensor in file.tensors().values() {
        let kind = tensor.element_type();
        assert_eq!(
            tensor.bytes().len(),
            tensor.num_elements() / kind.block_len() * kind.block_size()
        );
        assert_eq!(tensor.to_f32().len(), tensor.num_elements());
        let range = tensor.bytes().as_ptr_range();
        assert!(bytes.as_ptr_range().start <= range.start && range.end <= bytes.as_ptr_range().end);
        places.push(range);
    }
    places.sort_by_key(|range| range.start);
    assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
}
