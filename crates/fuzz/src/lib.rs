//! What must hold for whatever arrives: one body per fuzz target.
//!
//! A body takes any bytes and panics if a promise is broken. The fuzzer
//! (libfuzzer/) calls it with what it makes up, the tests (tests/replay.rs) with
//! the committed corpus, with changed copies of that, and with malformed frames.
//!
//! - `wire`, `deflate`, `commands`, `cursor`, `config`, `differential`: the bodies.
//! - `frames`: frames by hand, sharing no code with what is tested; compressed
//!   messages are read by crates/inflate, likewise.
//! - `malformed`: legal streams with one broken frame and the code it deserves.
//! - `mutate`: a changed copy of an input.

#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod cursor;
pub mod deflate;
pub mod differential;
pub mod frames;
pub mod malformed;
pub mod mutate;
pub mod wire;

/// A fuzz target: its name, which is that of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("wire", wire::run),
    ("deflate", deflate::run),
    ("commands", commands::run),
    ("cursor", cursor::run),
    ("config", config::run),
    ("differential", differential::run),
];
