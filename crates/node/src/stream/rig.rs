//! Parts for tests of a client's way into stream channels: running shards, and a broker
//! whose history and tail the test writes.

use std::sync::Arc;

use redcast_broker::{Delivery, DeliverySender, Position, QueueLimits, deliveries};
use redcast_hub::Form;
use redcast_protocol::{Channel, Cursor, ResetReason, Start, Subscription};
use redcast_wire::text_frame;
use serde_json::Value;

use crate::config::NodeConfig;
use crate::participant::{JoinError, Participant};
use crate::testing::{ScriptedBroker, Sink, TestNode, channel, entry, too_large};

/// A node over a scripted broker; the test plays the stream's tail.
pub(super) struct Rig {
    pub(super) node: TestNode,
    pub(super) broker: Arc<ScriptedBroker>,
    pub(super) tail: DeliverySender,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(NodeConfig::default())
    }

    pub(super) fn with(config: NodeConfig) -> Self {
        let broker = ScriptedBroker::new();
        let (tail, deliveries) = deliveries(QueueLimits::default());
        let mut node = TestNode::new(config, (broker.clone(), deliveries));
        node.run_tasks();
        Self { node, broker, tail }
    }

    /// The tail says where it is.
    pub(super) fn begin(&self, name: &str, cursor: Cursor) {
        self.position(name, cursor, None);
    }

    pub(super) fn position(&self, name: &str, cursor: Cursor, reset: Option<ResetReason>) {
        self.tail.send(Delivery::Position(Position { channel: channel(name), cursor, reset }));
    }

    /// Adds an entry that the tail has read.
    pub(super) fn publish(&self, name: &str, number: u64) {
        let event = self.broker.add(name, number, &number.to_string());
        self.tail.send(Delivery::Event(event));
    }

    /// Adds an entry that the tail has read and passed by, because it is too large.
    pub(super) fn publish_too_large(&self, name: &str, number: u64) -> Cursor {
        self.broker.limit_events(9);
        let entry = self.broker.add(name, number, "more than nine bytes");
        let (channel, cursor) = (entry.channel, entry.cursor.unwrap());
        self.tail.send(Delivery::Gap(too_large(&channel)));
        self.tail.send(Delivery::Passed { channel, cursor });
        cursor
    }

    /// Adds entries that the tail has not read.
    pub(super) fn write(&self, name: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.broker.add(name, number, &number.to_string());
        }
    }

    pub(super) async fn client(&self, form: Form) -> Client {
        let sink = Sink::default();
        let participant = self.node.node.connect(sink.clone(), form.into()).await.unwrap();
        Client { participant, sink, read: 0 }
    }

    /// A member that has heard where the channel is.
    pub(super) async fn member(&self, name: &str, cursor: Cursor) -> Client {
        let mut member = self.client(Form::Envelope).await;
        self.begin(name, cursor);
        let cursors = member.join(&[(name, Start::Now)]).await.unwrap();
        assert_eq!(cursors, [(channel(name), cursor)]);
        member
    }
}

pub(super) struct Client {
    pub(super) participant: Participant<Sink>,
    pub(super) sink: Sink,
    read: usize,
}

impl Client {
    /// Joins, and answers the places from which events follow.
    pub(super) async fn join(
        &mut self,
        wanted: &[(&str, Start)],
    ) -> Result<Vec<(Channel, Cursor)>, JoinError> {
        let wanted: Vec<Subscription> = wanted
            .iter()
            .map(|(name, start)| Subscription { channel: channel(name), start: *start })
            .collect();
        let mut places = Vec::new();
        let ack = |cursors: &[(Channel, Cursor)]| {
            places = cursors.to_vec();
            Some(text_frame(b"\"ack\""))
        };
        self.participant.subscribe(&wanted, ack).await.map(|()| places)
    }

    pub(super) async fn resume(&mut self, name: &str, number: u64) -> Vec<(Channel, Cursor)> {
        self.join(&[(name, since(number))]).await.unwrap()
    }

    /// What came since the last call: events by their number, the rest as it is.
    pub(super) async fn heard(&mut self, count: usize) -> Vec<String> {
        // By turns and not by time, which some tests have stopped.
        for _ in 0..10_000 {
            if self.texts().len() >= self.read + count {
                break;
            }
            tokio::task::yield_now().await;
        }
        let heard = self.texts().split_off(self.read);
        assert!(heard.len() >= count, "only {heard:?}");
        self.read += heard.len();
        heard
    }

    /// All that came, but for pings.
    pub(super) fn texts(&self) -> Vec<String> {
        let frames = self.sink.texts().into_iter().filter(|frame| !frame.is_empty());
        frames.map(|frame| short(&frame)).collect()
    }
}

/// An event's number; of other frames their type, and what else matters.
fn short(frame: &str) -> String {
    let value: Value = serde_json::from_str(frame).unwrap();
    match value["type"].as_str() {
        Some("event") => {
            assert!(value["id"].as_str().unwrap().starts_with(&format!("{}-0.", value["data"])));
            value["data"].to_string()
        }
        Some(kind) => format!("{kind} {} {}", value["reason"], value["id"]).replace('"', ""),
        None => value.to_string().replace('"', ""),
    }
}

pub(super) fn at(number: u64) -> Cursor {
    entry("s", number, &number.to_string()).cursor.unwrap()
}

pub(super) fn since(number: u64) -> Start {
    Start::Since(at(number))
}

pub(super) fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}
