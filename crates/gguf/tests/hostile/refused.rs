//! What is refused, and in which words.

use sidereal_gguf::{Gguf, GgufError};

use crate::writer::{Stated, Written};

fn refusal(file: &Written) -> String {
    Gguf::parse(&file.bytes()).unwrap_err().to_string()
}

/// The file `small` with its tensor `t` changed.
fn with_t(change: impl FnOnce(&mut Stated)) -> Written {
    let mut file = Written::small();
    change(&mut file.tensors[0]);
    file
}

#[test]
fn the_file_that_the_others_are_made_of_is_accepted() {
    let bytes = Written::small().bytes();
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!(file.metadata().count("a").unwrap(), Some(7));
    assert_eq!(file.tensors()["t"].shape(), [2, 3]);
    assert_eq!(file.tensors()["t"].to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(file.tensors()["u"].to_f32(), [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]);
}

#[test]
fn other_formats_and_versions_are_refused() {
    assert!(matches!(Gguf::parse(b"PK\x03\x04"), Err(GgufError::Magic { .. })));
    assert!(matches!(Gguf::parse(b""), Err(GgufError::Magic { .. })));
    for version in [0, 1, 4, 3u32.swap_bytes()] {
        let text = refusal(&Written { version, ..Written::small() });
        assert!(text.contains(&format!("version {version}")), "{text}");
        assert_eq!(text.contains("big-endian"), version == 3u32.swap_bytes(), "{text}");
    }
}

#[test]
fn counts_without_room_are_refused_before_anything_is_read() {
    for huge in [100, 1 << 40, u64::MAX] {
        let text = refusal(&Written { num_tensors: huge, ..Written::small() });
        assert!(text.contains(&format!("states {huge} tensors")), "{text}");
        let text = refusal(&Written { num_settings: huge, ..Written::small() });
        assert!(text.contains(&format!("states {huge} settings")), "{text}");
        let list = [4u32.to_le_bytes().as_slice(), &huge.to_le_bytes()].concat();
        let text = refusal(&Written::small().with("list", 9, &list));
        assert!(text.contains(&format!("states {huge} elements")), "{text}");
        // The text ends with the file, or takes in so much that nothing is left for the tensors.
        refusal(&Written::small().with("text", 8, &huge.to_le_bytes()));
    }
}

#[test]
fn settings_that_are_none_are_refused_by_their_keys() {
    let array_of_arrays = [9u32.to_le_bytes().as_slice(), &1u64.to_le_bytes()].concat();
    let latin = [1u64.to_le_bytes().as_slice(), &[0xe9]].concat();
    for (kind, value, words) in [
        (13, &[0u8; 8][..], "`x` has the kind 13"),
        (9, &array_of_arrays, "`x` has the kind 9"),
        (7, &[2], "the byte 2"),
        (8, &latin, "is not UTF-8"),
    ] {
        let text = refusal(&Written::small().with("x", kind, value));
        assert!(text.contains(words), "{text}");
    }
    let text = refusal(&Written::small().with("a", 4, &[0; 4]));
    assert_eq!(text, "the setting `a` is there twice");
}

#[test]
fn an_alignment_that_is_none_is_refused() {
    for alignment in [0u32, 3, 1 << 17] {
        let file = Written::small().with("general.alignment", 4, &alignment.to_le_bytes());
        assert!(refusal(&file).starts_with(&format!("`general.alignment` is {alignment}")));
    }
    let text = refusal(&Written::small().with("general.alignment", 6, &8f32.to_le_bytes()));
    assert!(text.contains("expected an integer"), "{text}");
}

#[test]
fn tensors_of_wrong_shapes_are_refused_by_their_names() {
    for (axes, words) in [
        (vec![], "has 0 axes"),
        (vec![1; 5], "has 5 axes"),
        (vec![3, 0], "has the shape [0, 3]"),
        (vec![1 << 32, 1 << 32], "has the shape"),
        (vec![1 << 62, 2], "has the shape"),
        (vec![u64::MAX], "has the shape"),
        (vec![1 << 40], "has only 64 bytes of tensors"),
    ] {
        let file = with_t(|tensor| tensor.axes.clone_from(&axes));
        let text = refusal(&file);
        let whole = text.contains("`t`") && text.contains(words);
        // A large tensor at the beginning reaches into the next one.
        assert!(whole || text.contains("share bytes"), "{axes:?}: {text}");
    }
    let text = refusal(&with_t(|tensor| tensor.kind = 13));
    assert_eq!(
        text,
        "the tensor `t` is stored as Q5_K; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are read"
    );
    let text = refusal(&with_t(|tensor| tensor.kind = 12));
    assert_eq!(text, "the tensor `t` has rows of 3 elements, but its blocks hold 256 each");
}

#[test]
fn tensors_in_wrong_places_are_refused_by_their_names() {
    let text = refusal(&with_t(|tensor| tensor.offset = 8));
    assert!(text.contains("`t` begins at the offset 8; expected a multiple of 32"), "{text}");
    let text = refusal(&with_t(|tensor| tensor.offset = 32));
    assert!(text.contains("share bytes of the file"), "{text}");
    for offset in [64, 1 << 40, u64::MAX - 31] {
        let text = refusal(&with_t(|tensor| tensor.offset = offset));
        assert!(text.contains("`t`") || text.contains("share bytes"), "{text}");
    }
    let text = refusal(&with_t(|tensor| tensor.name = "u".to_owned()));
    assert_eq!(text, "the tensor `u` is there twice");
    let mut file = Written::small();
    file.data.pop();
    let text = refusal(&file);
    assert!(
        text.contains("`u` needs 32 bytes at the offset 32, but the file has only 63"),
        "{text}"
    );
}
