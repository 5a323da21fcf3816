//! Prints the settings and tensors of a GGUF file. Instant.
//! Run: `cargo run -p sidereal-gguf --example inspect_gguf -- MODEL.gguf`
#![allow(clippy::print_stdout, reason = "a program's stdout is its result")]

use std::error::Error;

use sidereal_gguf::{Gguf, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give the path of a GGUF file")?;
    let bytes = std::fs::read(&path)?;
    let file = Gguf::parse(&bytes).map_err(|error| format!("`{path}`: {error}"))?;
    for (key, value) in file.metadata().entries() {
        match value {
            Value::Array(array) => println!("{key}: {} values", array.len()),
            value => println!("{key}: {value:?}"),
        }
    }
    for (name, tensor) in file.tensors() {
        println!("{name}: {} {:?}", tensor.element_type().name(), tensor.shape());
    }
    Ok(())
}
