//! Stream channels: whoever joins one may go on where it was.
//!
//! `ring.rs` keeps the last events of a channel, `resume.rs` decides what a client that
//! comes back needs next, and `way.rs` is one client's way into one channel; all are pure.
//! `joining.rs` goes that way for all channels of a command. `reader.rs` reads Redis once for
//! all who ask the same, and `replay.rs` makes frames of what was read.

mod joining;
mod metrics;
mod reader;
mod replay;
mod resume;
mod ring;
mod way;

pub(crate) use joining::{Joining, Plan};
pub use metrics::StreamMetrics;
pub(crate) use reader::Reader;
pub(crate) use replay::{cursor_frame, gap_frame};
pub(crate) use resume::Rules;
pub(crate) use ring::{Kept, Ring};
pub(crate) use way::Way;

#[cfg(test)]
mod joining_tests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod trouble_tests;
