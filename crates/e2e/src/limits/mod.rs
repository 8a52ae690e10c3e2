//! What each topology of Redis can carry: the cost of an event in CPU time of every
//! server and gateway, measured far from saturation.
//!
//! ```text
//! Publisher ── Site: redis-servers ── gateways ── Audience: one client a channel and gateway
//!                     └──────── Watch: CPU time ───────┘
//! ```
//!
//! A machine that is busy with other things makes a saturated server look slow; the CPU
//! time that it needs for an event stays the same. So the ceiling is reckoned, not reached.

mod audience;
mod carry;
mod follow;
mod publisher;
mod report;
mod rows;
mod site;
mod watch;

use std::time::Duration;

pub use carry::{Carried, Carry};
pub use follow::{Follow, Followed};
pub use report::{Measured, Setting, document, json, line, table};
pub use rows::{Figures, Kind, ROWS, Row, row};
pub use site::Topology;

/// How long a gateway and its Redis are left alone before they are measured: whatever
/// follows a start is over by then.
const SETTLE: Duration = Duration::from_secs(1);

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// How often each row is measured, each time with servers of its own.
    pub rounds: usize,
    /// Events a second, over all channels together.
    pub rate: usize,
    /// How long events are published, and how long idleness is watched.
    pub window: Duration,
}

impl Scale {
    /// As the document has it.
    pub fn full() -> Self {
        Self { rounds: 5, rate: 2_000, window: Duration::from_secs(5) }
    }

    /// One short round, which shows that all of it works and no more.
    pub fn quick() -> Self {
        Self { rounds: 1, window: Duration::from_secs(2), ..Self::full() }
    }

    /// How many events are published in a round.
    pub fn events(&self) -> usize {
        self.rate * self.window.as_secs() as usize
    }
}
