//! libFuzzer calls the body of the target `deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::deflate::run(data));
