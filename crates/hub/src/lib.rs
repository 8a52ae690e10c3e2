//! Who is here: connections, their subscriptions, and the way from an event to
//! every socket that wants it.
//!
//! Connections are spread over [shards](ShardTask). A shard's task takes all that
//! waits in its queue and writes each member's share with one call, so batches
//! form by themselves under load and nothing wakes per delivery. What a socket
//! does not take goes to that connection's own outbox, whose slow-consumer policy
//! decides what a slow client costs.
//!
//! This room never serialises JSON (invariant 2), and knows a socket only by the
//! small trait [`Socket`]. Flow: `hub.rs` → `shard.rs` → `turn.rs` →
//! `connection.rs` → `outbox.rs`; a channel with `flush_every` makes a stop in
//! `held.rs` before its turn.

#![forbid(unsafe_code)]

mod backlog;
mod broadcast;
mod config;
mod connection;
mod cursors;
mod held;
mod hub;
mod joined;
mod metrics;
mod outbox;
mod shard;
mod socket;
mod turn;
mod waiting;

#[cfg(test)]
mod testing;

pub use backlog::Loss;
pub use broadcast::{
    Broadcast, ChannelKey, Compressed, Encoding, Form, Frames, SlowConsumer, WHOLE_CHANNEL,
};
pub use config::HubConfig;
pub use connection::{Connection, Flush, Member};
pub use hub::{Applied, Hub, HubClosed, JoinPlace, Places, Seat};
pub use metrics::HubMetrics;
pub use outbox::Closing;
pub use shard::ShardTask;
pub use socket::Socket;
