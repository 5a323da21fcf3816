#![no_main]

// Panics of the decoder are caught by the reader; the fuzzer's own hook would end the run before.
libfuzzer_sys::fuzz_target!(
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| readers::recif(bytes)
);
