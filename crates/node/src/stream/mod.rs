//! Stream channels: whoever joins one may go on where it was.
//!
//! `ring.rs` keeps the last events of a channel, `resume.rs` decides what a client that
//! comes back needs next; both are pure. `plan.rs` is one client's way into one channel,
//! and `joining.rs` goes it for all channels of a command. `reader.rs` reads Redis once for
//! all who ask the same, and `replay.rs` makes frames of what was read.

mod joining;
mod metrics;
mod plan;
mod reader;
mod replay;
mod resume;
mod ring;

pub(crate) use joining::Joining;
pub use metrics::StreamMetrics;
pub(crate) use plan::Plan;
pub(crate) use reader::Reader;
pub(crate) use replay::cursor_frame;
pub(crate) use resume::Rules;
pub(crate) use ring::{Kept, Ring};

#[cfg(test)]
mod joining_tests;
