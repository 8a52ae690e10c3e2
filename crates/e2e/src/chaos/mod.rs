//! The rows of the fault matrix: each lets one fault loose on a [`Fleet`], measures,
//! and holds what it found against its bar.
//!
//! `make chaos` runs them at full size and prints the table; the stories run some of
//! them smaller, with deadlines three times as long, because other tests share the
//! machine with them.

mod cluster;
mod crowds;
mod failover;
mod findings;
mod gateways;
mod haproxy;
mod kicked;
mod kill;
mod link;
mod poison;
mod random;
mod remote_redis;
mod report;
mod row;
mod scene;
mod simulation;
mod taken;
mod witness;

pub use findings::{Finding, Findings};
pub use haproxy::HaProxy;
pub use report::{Judged, Report, day, table};
pub use row::{ROWS, Row, Run, row, story};
pub use scene::Scale;
