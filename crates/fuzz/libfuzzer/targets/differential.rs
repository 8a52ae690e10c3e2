//! libFuzzer calls the body of the target `differential`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::differential::run(data));
