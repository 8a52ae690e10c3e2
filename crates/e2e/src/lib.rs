//! The proof: real servers and whole gateways, started by a test on free ports
//! and stopped by their pid.
//!
//! This room stands outside. It is linked into tests and benchmarks only, so it
//! may panic: a harness that can't do its work is a failed test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test harness fails by panicking")]

mod redis_server;

pub use redis_server::{RedisServer, free_port};
