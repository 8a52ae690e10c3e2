//! The store and the collector, as a library: over the memory store, over sockets and over
//! a real Redis, one concern per file. One program, as each more would cost every build some
//! seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod collector;
mod collector_redis;
mod redis_store;
mod store_contract;
mod support;
