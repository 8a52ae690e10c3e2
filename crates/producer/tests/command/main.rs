//! The binary `redcast-producer` over a real Redis: one story per test, and the bad input
//! that it must name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with the test")]

mod collect;
mod demo;
mod log_file;
mod producer;
mod replay;
mod replay_broken;
mod replay_resumed;
mod usage;
