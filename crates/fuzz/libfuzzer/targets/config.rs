//! libFuzzer calls the body of the target `config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::config::run(data));
