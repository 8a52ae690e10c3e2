//! libFuzzer calls the body of the target `commands`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| redcast_fuzz::commands::run(data));
