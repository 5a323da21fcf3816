//! Python's literals have the values that Python gives them.
#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

use serde_json::Value;
use sidereal_data::read::literal;

#[derive(serde::Deserialize)]
struct Case {
    text: String,
    value: Value,
}

#[derive(serde::Deserialize)]
struct Parity {
    cases: Vec<Case>,
}

#[test]
fn literals_have_pythons_values() {
    let parity: Parity = serde_json::from_str(include_str!("parity/literals.json")).unwrap();
    for case in &parity.cases {
        assert_eq!(literal::parse(&case.text).as_ref(), Ok(&case.value), "{}", case.text);
    }
    assert!(parity.cases.len() > 400);
}
