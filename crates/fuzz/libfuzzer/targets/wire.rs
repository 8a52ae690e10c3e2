//! libFuzzer calls the body of the target `wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::wire::run(data));
