//! Has the program look for libtorch where it was built with it, so that it starts from any folder.
#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::env::{var, var_os};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let (Ok(folder), Some(_)) = (var("LIBTORCH"), var_os("CARGO_CFG_UNIX")) {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{folder}/lib");
    }
}
