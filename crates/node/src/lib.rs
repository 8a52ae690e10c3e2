//! The rules: who may be here, which channels this instance listens to, and how
//! an event becomes frames.
//!
//! The node joins the two rooms that never meet: the broker (where events come
//! from) and the hub (who gets them). It knows no HTTP and no Redis.
//! `node.rs` has the product's verbs; `interest.rs` decides when to subscribe and
//! unsubscribe; `fanout.rs` is an event's way through, `item.rs` finds what it is about;
//! `snapshot/` has the documents that greet clients and beat, `stream/` a client's way
//! back into channels that keep their events.

#![forbid(unsafe_code)]

mod access;
mod config;
mod encode;
mod encodings;
mod fanout;
mod interest;
mod item;
mod limits;
mod listing;
mod metrics;
mod node;
mod participant;
mod rate;
mod snapshot;
mod stream;
#[cfg(test)]
mod testing;

pub use access::{Access, AccessError, ChannelAccess, ConnectionRequest, Grant};
pub use config::{ChannelRule, DeflateConfig, NodeConfig, ReplayConfig};
pub use fanout::Fanout;
pub use interest::Reaper;
pub use item::{ItemPointer, ItemPointerError};
pub use limits::{ConnectionPermit, NotAdmitted};
pub use listing::{ChannelState, ChannelStatus};
pub use metrics::NodeMetrics;
pub use node::{Node, NodeTasks};
pub use participant::{JoinError, Participant};
pub use rate::{Bucket, Rate};
pub use redcast_broker::{Health, OnceKey, PublishError, Published};
pub use snapshot::{
    Merge, MergePointer, MergePointerError, MergeValue, Snapshot, SnapshotConfig, SnapshotName,
    SnapshotNameError, SnapshotState, SnapshotTasks, Snapshots,
};
pub use stream::StreamMetrics;
