//! The product's verbs: admit, connect, publish; joining and leaving are verbs of
//! the [`Participant`] that connecting gives.

use std::mem::take;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use prometheus::IntGauge;
use redcast_broker::{
    Broker, Deliveries, Health, OnceKey, PublishError, Published, SnapshotStore, Source,
};
use redcast_hub::{Encoding, Hub, HubClosed, Socket};
use redcast_protocol::Channel;

use crate::config::NodeConfig;
use crate::encode::Encoder;
use crate::fanout::Fanout;
use crate::interest::{Interest, Reaper};
use crate::limits::{ConnectionPermit, Connections, NotAdmitted};
use crate::metrics::NodeMetrics;
use crate::participant::Participant;
use crate::snapshot::{SnapshotTasks, Snapshots};

/// One instance's rules over its hub and its broker.
pub struct Node {
    broker: Arc<dyn Broker>,
    hub: Hub,
    pub(crate) interest: Arc<Interest>,
    connections: Arc<Connections>,
    snapshots: Arc<Snapshots>,
}

/// The tasks a node needs; run each to the end of the process.
pub struct NodeTasks {
    /// From the broker to the hub.
    pub fanout: Fanout,
    /// Unsubscribes what nobody wants any more.
    pub reaper: Reaper,
    /// Reads snapshots and sends them.
    pub snapshots: SnapshotTasks,
}

impl Node {
    /// Joins a broker and a hub. Snapshots are read from `store`.
    pub fn new(
        mut config: NodeConfig,
        metrics: &NodeMetrics,
        (broker, deliveries): (Arc<dyn Broker>, Deliveries),
        store: &Arc<dyn SnapshotStore>,
        hub: Hub,
    ) -> (Arc<Self>, NodeTasks) {
        let limit = i64::try_from(config.max_connections).unwrap_or(i64::MAX);
        metrics.connections_limit.set(limit);
        let connections = Connections::new(&config, metrics.connections.clone());
        let encoder = Encoder::new(config.deflate, metrics.clone());
        let (wanted, instance) = (take(&mut config.snapshots), config.instance.clone());
        let interest = Interest::new(broker.clone(), config, metrics.clone(), hub.shards());
        let next_key = || interest.next_key();
        let (snapshots, snapshot_tasks) =
            Snapshots::new(wanted, (&instance, metrics), store, &hub, next_key);
        let fanout = Fanout { deliveries, interest: interest.clone(), hub: hub.clone(), encoder };
        let reaper = Reaper(interest.clone());
        let node = Self { broker, hub, interest, connections, snapshots };
        (Arc::new(node), NodeTasks { fanout, reaper, snapshots: snapshot_tasks })
    }

    /// Counts one more handshake, if they don't come too fast.
    pub fn admit_handshake(&self) -> Result<(), NotAdmitted> {
        self.connections.admit_handshake()
    }

    /// Whether there is room for one more connection of `address`; nobody has to decide
    /// about a client that would be turned away all the same.
    pub fn check_room(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        self.connections.check_room(address)
    }

    /// Counts one more connection of `address`, if there is room.
    pub fn admit(&self, address: IpAddr) -> Result<ConnectionPermit, NotAdmitted> {
        self.connections.admit(address)
    }

    /// The gauge of open connections.
    pub fn connections_gauge(&self) -> IntGauge {
        self.connections.gauge()
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.connections.open()
    }

    /// Seats a socket in the hub.
    pub async fn connect<S: Socket>(
        self: &Arc<Self>,
        socket: S,
        encoding: Encoding,
    ) -> Result<Participant<S>, HubClosed> {
        let seat = self.hub.enter(socket, encoding).await?;
        Ok(Participant::new(self.interest.clone(), seat))
    }

    /// Publishes through the broker; local members get it on its way back, like
    /// every other instance's.
    pub async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), PublishError> {
        self.broker.publish(channel, payload).await
    }

    /// Publishes all of `payloads` in their order or none, under a `key` at most once.
    pub async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        match (payloads, key) {
            // Nothing can be torn apart, so Redis needs no script.
            ([payload], None) => {
                self.broker.publish(channel, payload.clone()).await.map(|()| Published::Now)
            }
            _ => self.broker.publish_all(channel, payloads, key).await,
        }
    }

    /// Whether the broker confirmed the subscription to a channel.
    pub(crate) fn is_live(&self, channel: &Channel) -> bool {
        self.broker.is_live(channel)
    }

    /// In how many channels one connection may be.
    pub fn max_subscriptions(&self) -> usize {
        self.interest.max_subscriptions()
    }

    /// Whether a channel's events can be read again, so that they have cursors.
    pub fn has_history(&self, channel: &Channel) -> bool {
        self.broker.source(channel) == Source::Stream
    }

    /// Under which name a producer publishes to a channel.
    pub fn published_name(&self, channel: &Channel) -> String {
        self.broker.published_name(channel)
    }

    /// The documents that greet clients and beat.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// What kind of broker, and how it is.
    pub fn broker(&self) -> (&'static str, Health) {
        (self.broker.kind(), self.broker.health())
    }

    /// The hub, for the drain and for liveness.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }
}
