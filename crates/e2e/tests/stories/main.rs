//! The stories, one per file: what users of Redcast rely on, told with whole
//! gateways and a real Redis.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with the test")]

mod gauge;
mod interest;
mod netns;
mod order;
mod two_instances;
