//! The list of rows, in the order of the table.

use serde::Serialize;

use super::Scale;
use super::carry::{Carried, Carry};
use super::follow::{Follow, Followed};
use super::site::Topology;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// The name to choose it by.
    pub name: &'static str,
    /// What is measured, in words.
    pub what: &'static str,
    /// How.
    pub kind: Kind,
}

/// What kinds of rows there are.
#[derive(Debug)]
pub enum Kind {
    /// Events are published.
    Carry(Carry),
    /// Nothing happens.
    Follow(Follow),
}

/// What a round gave.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Of a row with events.
    Carried(Carried),
    /// Of an idle one.
    Followed(Followed),
}

/// Commands that a producer sends at once, where a row is not about that.
pub(super) const BATCH: usize = 20;

const fn pubsub(
    name: &'static str,
    what: &'static str,
    topology: Topology,
    gateways: usize,
) -> Row {
    let kind = Kind::Carry(Carry { topology, gateways, is_stream: false, batch: BATCH });
    Row { name, what, kind }
}

const fn stream(name: &'static str, what: &'static str, gateways: usize) -> Row {
    let topology = Topology::Durable;
    let kind = Kind::Carry(Carry { topology, gateways, is_stream: true, batch: BATCH });
    Row { name, what, kind }
}

const fn follow(name: &'static str, what: &'static str, channels: usize) -> Row {
    Row { name, what, kind: Kind::Follow(Follow { channels }) }
}

/// All rows.
pub const ROWS: &[Row] = &[
    pubsub("pubsub-1", "one server, pub/sub, 1 gateway", Topology::One, 1),
    pubsub("pubsub-2", "one server, pub/sub, 2 gateways", Topology::One, 2),
    pubsub("pubsub-4", "one server, pub/sub, 4 gateways", Topology::One, 4),
    Row {
        name: "pubsub-2-alone",
        what: "one server, pub/sub, 2 gateways, each `PUBLISH` sent alone",
        kind: Kind::Carry(Carry {
            topology: Topology::One,
            gateways: 2,
            is_stream: false,
            batch: 1,
        }),
    },
    pubsub("nodes-2", "`redis.nodes`: two servers, pub/sub, 2 gateways", Topology::Nodes, 2),
    pubsub("cluster-2", "Cluster of three, pub/sub, 2 gateways", Topology::Cluster, 2),
    pubsub(
        "sharded-2",
        "Cluster of three, pub/sub with `redis.sharded`, 2 gateways",
        Topology::Sharded,
        2,
    ),
    stream("streams-1", "one server, streams, 1 gateway", 1),
    stream("streams-2", "one server, streams, 2 gateways", 2),
    stream("streams-4", "one server, streams, 4 gateways", 4),
    follow("idle-40", "40 stream channels", 40),
    follow("idle-500", "500 stream channels", 500),
    follow("idle-5000", "5,000 stream channels", 5_000),
];

/// The row with this name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

impl Row {
    /// Measures it once, with servers of its own.
    pub async fn round(&self, scale: &Scale) -> Result<Figures, String> {
        match &self.kind {
            Kind::Carry(carry) => carry.round(scale).await.map(Figures::Carried),
            Kind::Follow(follow) => follow.round(scale).await.map(Figures::Followed),
        }
    }
}
