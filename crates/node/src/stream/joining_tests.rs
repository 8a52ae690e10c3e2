//! Tests of a client's way into stream channels, over running shards and a broker whose
//! history the test writes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redcast_broker::{Delivery, DeliverySender, Position, QueueLimits, deliveries};
use redcast_hub::Form;
use redcast_protocol::{Channel, Cursor, ResetReason, Start, Subscription};
use redcast_wire::text_frame;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::config::{NodeConfig, ReplayConfig};
use crate::participant::{JoinError, Participant};
use crate::testing::{ScriptedBroker, Sink, TestNode, channel, entry};

/// A node over a scripted broker; the test plays the stream's tail.
struct Rig {
    node: TestNode,
    broker: Arc<ScriptedBroker>,
    tail: DeliverySender,
}

impl Rig {
    fn new() -> Self {
        Self::with(NodeConfig::default())
    }

    fn with(config: NodeConfig) -> Self {
        let broker = ScriptedBroker::new();
        let (tail, deliveries) = deliveries(QueueLimits::default());
        let mut node = TestNode::new(config, (broker.clone(), deliveries));
        node.run_tasks();
        Self { node, broker, tail }
    }

    /// The tail says where it is.
    fn begin(&self, name: &str, cursor: Cursor) {
        self.position(name, cursor, None);
    }

    fn position(&self, name: &str, cursor: Cursor, reset: Option<ResetReason>) {
        self.tail.send(Delivery::Position(Position { channel: channel(name), cursor, reset }));
    }

    /// Adds an entry that the tail has read.
    fn publish(&self, name: &str, number: u64) {
        let event = self.broker.add(name, number, &number.to_string());
        self.tail.send(Delivery::Event(event));
    }

    /// Adds entries that the tail has not read.
    fn write(&self, name: &str, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.broker.add(name, number, &number.to_string());
        }
    }

    async fn client(&self, form: Form) -> Client {
        let sink = Sink::default();
        let participant = self.node.node.connect(sink.clone(), form.into()).await.unwrap();
        Client { participant, sink, read: 0 }
    }

    /// A member that has heard where the channel is.
    async fn member(&self, name: &str, cursor: Cursor) -> Client {
        let mut member = self.client(Form::Envelope).await;
        self.begin(name, cursor);
        let cursors = member.join(&[(name, Start::Now)]).await.unwrap();
        assert_eq!(cursors, [(channel(name), cursor)]);
        member
    }
}

struct Client {
    participant: Participant<Sink>,
    sink: Sink,
    read: usize,
}

impl Client {
    /// Joins, and answers the places from which events follow.
    async fn join(
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

    async fn resume(&mut self, name: &str, number: u64) -> Vec<(Channel, Cursor)> {
        self.join(&[(name, since(number))]).await.unwrap()
    }

    /// What came since the last call: events by their number, the rest as it is.
    async fn heard(&mut self, count: usize) -> Vec<String> {
        let waits = self.sink.wait_for(self.read + count);
        timeout(Duration::from_secs(60), waits).await.expect("it comes");
        let frames = self.sink.texts().split_off(self.read);
        self.read += frames.len();
        frames.iter().map(|frame| short(frame)).collect()
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

fn at(number: u64) -> Cursor {
    entry("s", number, &number.to_string()).cursor.unwrap()
}

fn since(number: u64) -> Start {
    Start::Since(at(number))
}

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn who_joins_anew_learns_the_place_from_which_events_follow() {
    let rig = Rig::new();
    let mut first = rig.member("s", Cursor::BEGINNING).await;
    rig.publish("s", 1);
    assert_eq!(first.heard(2).await, ["ack", "1"]);
    let mut second = rig.client(Form::Envelope).await;
    assert_eq!(second.join(&[("s", Start::Now)]).await.unwrap(), [(channel("s"), at(1))]);
    rig.publish("s", 2);
    assert_eq!(second.heard(2).await, ["ack", "2"]);
    // Once more: it is in it, and still learns where it is.
    assert_eq!(second.join(&[("s", since(1))]).await.unwrap(), [(channel("s"), at(2))]);
    assert_eq!(second.heard(1).await, ["ack"]);
}

#[tokio::test]
async fn who_was_away_for_a_moment_is_served_without_redis() {
    let rig = Rig::new();
    let mut member = rig.member("s", at(10)).await;
    (11..=14).for_each(|number| rig.publish("s", number));
    member.heard(5).await;
    rig.broker.take_log();
    for (last, missed) in [(10, 11..=14), (12, 13..=14), (14, 15..=14)] {
        let mut client = rig.client(Form::Envelope).await;
        assert_eq!(client.resume("s", last).await, [(channel("s"), at(14))]);
        let mut expected = numbers(missed);
        expected.push("ack".to_owned());
        assert_eq!(client.heard(expected.len()).await, expected, "since {last}");
    }
    assert_eq!(rig.broker.take_log(), Vec::<String>::new());
    assert_eq!(rig.node.metrics.streams.exact.get(), 3);
    assert_eq!(rig.node.metrics.streams.replayed.get(), 6);
}

#[tokio::test]
async fn what_the_ring_has_not_is_read_from_redis_once_for_all() {
    let rig = Rig::new();
    rig.write("s", 1..=1300);
    let mut member = rig.member("s", at(1300)).await;
    rig.publish("s", 1301);
    member.heard(2).await;
    rig.broker.take_log();
    let mut clients = Vec::new();
    for form in [Form::Envelope, Form::Raw, Form::Envelope, Form::Tracked, Form::Quiet] {
        clients.push((form, rig.client(form).await));
    }
    let joins = clients.iter_mut().map(|(_, client)| client.resume("s", 100));
    futures_util::future::join_all(joins).await;
    for (form, client) in &mut clients {
        let mut expected = numbers(101..=1301);
        if *form == Form::Tracked {
            expected.push(format!("cursor null {}", at(1301)));
        }
        expected.push("ack".to_owned());
        let heard = client.heard(expected.len()).await;
        assert!(heard == expected, "{form:?}: {heard:?}");
    }
    let reads: Vec<String> =
        [100, 612, 1124].map(|number| format!("s after {}", at(number))).into();
    assert_eq!(rig.broker.take_log(), reads);
    assert_eq!(rig.node.metrics.streams.reads_saved.get(), 4 * 3);
}
