//! Files that the Python package `gguf` wrote (`tests/parity/blocks.py`).
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use sidereal_gguf::{ElementType, Gguf, GgufError, Scalar, Value};

const FILE: &[u8] = include_bytes!("parity/blocks.gguf");

#[test]
fn numbers_of_every_element_type_equal_those_of_the_reference_to_the_bit() {
    let file = Gguf::parse(FILE).unwrap();
    assert_eq!(file.tensors().len(), 2 * ElementType::ALL.len());
    for kind in ElementType::ALL {
        let tensor = &file.tensors()[kind.name()];
        assert_eq!((tensor.element_type(), tensor.shape()), (kind, [2, 512].as_slice()));
        let expected = &file.tensors()[format!("{}.expected", kind.name()).as_str()];
        assert_eq!(expected.element_type(), ElementType::F32);
        let bits =
            |numbers: Vec<f32>| -> Vec<u32> { numbers.into_iter().map(f32::to_bits).collect() };
        let (found, expected) = (bits(tensor.to_f32()), bits(expected.to_f32()));
        assert_eq!(found, expected, "{}", kind.name());
    }
}

#[test]
fn settings_of_every_kind_come_back_as_written() {
    let file = Gguf::parse(FILE).unwrap();
    let settings = file.metadata();
    for (kind, integer) in [
        ("UINT8", 200),
        ("INT8", -100),
        ("UINT16", 60_000),
        ("INT16", -30_000),
        ("UINT32", 4_000_000_000),
        ("INT32", -2_000_000_000),
        ("UINT64", i128::from(u64::MAX)),
        ("INT64", i128::from(i64::MIN)),
    ] {
        let found = settings.get(&format!("kind.{kind}"));
        assert_eq!(found, Some(Value::Scalar(Scalar::Integer(integer))), "{kind}");
    }
    assert_eq!(settings.number("kind.FLOAT32").unwrap(), Some(0.5));
    assert_eq!(settings.number("kind.FLOAT64").unwrap(), Some(0.1));
    assert_eq!(settings.flag("kind.BOOL").unwrap(), Some(true));
    assert_eq!(settings.text("kind.STRING").unwrap(), Some("é ▁ 語"));
    assert_eq!(settings.texts("list.texts").unwrap(), Some(vec!["", "a b", "語"]));
    assert_eq!(settings.integers("list.integers").unwrap(), Some(vec![3, -4, 5]));
    assert_eq!(settings.count("general.alignment").unwrap(), Some(64));
}

#[test]
fn a_setting_of_another_kind_is_an_error_that_names_both() {
    let file = Gguf::parse(FILE).unwrap();
    let settings = file.metadata();
    assert_eq!(settings.text("no such key").unwrap(), None);
    let errors = [
        settings.count("kind.INT8").unwrap_err(),
        settings.text("kind.BOOL").unwrap_err(),
        settings.texts("list.integers").unwrap_err(),
        settings.integers("list.texts").unwrap_err(),
    ];
    let texts = errors.map(|error| error.to_string());
    assert_eq!(
        texts,
        [
            "the setting `kind.INT8` is the integer -100; expected an integer from 0 on",
            "the setting `kind.BOOL` is the truth value true; expected a text",
            "the setting `list.integers` is a list of 3 values; expected a list of texts",
            "the setting `list.texts` is a list of 3 values; expected a list of integers",
        ]
    );
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let last = FILE.len() - 1;
    for len in (0..2000).chain([4000, 10_000, last]) {
        let error = Gguf::parse(&FILE[..len]).unwrap_err();
        let fits = matches!(
            error,
            GgufError::Magic { .. }
                | GgufError::Truncated { .. }
                | GgufError::Count { .. }
                | GgufError::OutOfFile { .. }
        );
        assert!(fits, "{len}: {error}");
    }
}
