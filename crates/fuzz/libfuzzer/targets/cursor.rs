//! libFuzzer calls the body of the target `cursor`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::cursor::run(data));
