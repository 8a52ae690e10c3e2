//! Tests of one connection's joins and leaves, over running shards.

use std::io::{self, IoSlice};
use std::time::Duration;

use parking_lot::Mutex;
use redcast_broker::{QueueLimits, deliveries};
use redcast_hub::{Form, HubMetrics};
use redcast_wire::text_frame;
use tokio::time::sleep;

use super::*;
use crate::config::NodeConfig;
use crate::testing::{ScriptedBroker, Sink, TestNode, channel};

fn channels(names: &[&str]) -> Vec<Channel> {
    names.iter().map(|name| channel(name)).collect()
}

async fn participant(node: &TestNode) -> (Participant<Sink>, Sink) {
    let sink = Sink::default();
    (node.node.connect(sink.clone(), Form::Raw.into()).await.unwrap(), sink)
}

fn past_the_linger() -> Duration {
    2 * NodeConfig::default().linger
}

#[tokio::test]
async fn a_participant_gets_the_events_of_its_channels_while_it_is_in_them() {
    let node = TestNode::start(NodeConfig::default());
    let (mut participant, sink) = participant(&node).await;
    participant.join(&channels(&["a", "b"]), None).await.unwrap();
    node.publish("a", b"1").await;
    node.publish("c", b"not ours").await;
    node.publish("b", b"2").await;
    sink.wait_for(2).await;
    assert_eq!(participant.leave(&channel("a"), None).await, Ok(true));
    assert_eq!(participant.leave(&channel("a"), None).await, Ok(false));
    node.publish("a", b"3").await;
    node.publish("b", b"4").await;
    sink.wait_for(3).await;
    assert_eq!(sink.texts(), ["1", "2", "4"]);
}

#[tokio::test]
async fn what_follows_a_join_comes_once_and_after_the_last_join() {
    let node = TestNode::start(NodeConfig::default());
    let (mut participant, sink) = participant(&node).await;
    let then = |text: &str| Some(text_frame(text.as_bytes()));
    participant.join(&channels(&["a", "b", "c"]), then("first")).await.unwrap();
    assert_eq!(sink.texts(), ["first"]);
    assert_eq!(node.hub_metrics.subscriptions.get(), 3);
    // Nothing is left to join, and the answer comes all the same.
    participant.join(&channels(&["c", "a"]), then("second")).await.unwrap();
    assert_eq!(sink.texts(), ["first", "second"]);
    assert_eq!(node.hub_metrics.subscriptions.get(), 3);
}

/// Notes at each write how many memberships the hub has.
struct Witness(HubMetrics, Arc<Mutex<Vec<i64>>>);

impl Socket for Witness {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.1.lock().push(self.0.subscriptions.get());
        Ok(bytes.len())
    }

    fn try_write_vectored(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[tokio::test]
async fn what_follows_a_join_is_written_when_all_of_it_is_applied() {
    let node = TestNode::start(NodeConfig::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let witness = Witness(node.hub_metrics.clone(), seen.clone());
    let mut participant = node.node.connect(witness, Form::Raw.into()).await.unwrap();
    participant.join(&channels(&["a", "b", "c"]), Some(text_frame(b"then"))).await.unwrap();
    assert_eq!(*seen.lock(), [3]);
}

#[tokio::test(start_paused = true)]
async fn all_channels_are_joined_or_none() {
    let broker = ScriptedBroker::new();
    let (_sender, deliveries) = deliveries(QueueLimits::default());
    let mut node = TestNode::new(NodeConfig::default(), (broker.clone(), deliveries));
    node.run_tasks();
    let (mut participant, sink) = participant(&node).await;
    participant.join(&channels(&["before"]), None).await.unwrap();
    broker.refuse("b");
    let then = Some(text_frame(b"never"));
    let wanted = channels(&["before", "a", "b", "c"]);
    let error = participant.join(&wanted, then.clone()).await.unwrap_err();
    assert!(matches!(error, JoinError::Refused(refused) if refused.channel == channel("b")));
    assert_eq!(participant.memberships.len(), 1);
    assert_eq!(node.hub_metrics.subscriptions.get(), 1);
    sleep(past_the_linger()).await;
    assert_eq!((broker.wanted(), node.metrics.channels.get()), (1, 1));
    assert!(sink.texts().is_empty());
    broker.permit_all();
    participant.join(&wanted, then).await.unwrap();
    assert_eq!((broker.wanted(), node.hub_metrics.subscriptions.get()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_back_what_the_broker_has_not_answered_yet() {
    let broker = ScriptedBroker::new();
    let (_sender, deliveries) = deliveries(QueueLimits::default());
    let mut node = TestNode::new(NodeConfig::default(), (broker.clone(), deliveries));
    node.run_tasks();
    let (mut first, _sink) = participant(&node).await;
    broker.refuse("b");
    broker.answer(false);
    let wanted = channels(&["a", "b", "c"]);
    let (joined, ()) = tokio::join!(first.join(&wanted, None), async {
        assert_eq!(broker.wanted(), 3);
        broker.answer(true);
    });
    assert!(joined.is_err());
    sleep(past_the_linger()).await;
    assert_eq!((broker.wanted(), node.metrics.channels.get()), (0, 0));
}

#[tokio::test]
async fn the_limit_of_channels_is_exact() {
    let node = TestNode::start(NodeConfig { max_subscriptions: 3, ..NodeConfig::default() });
    let (mut participant, _sink) = participant(&node).await;
    let too_many = Err(JoinError::TooMany(3));
    assert_eq!(participant.join(&channels(&["a", "b", "c", "d"]), None).await, too_many);
    assert_eq!((node.wanted(), node.metrics.channels.get()), (0, 0), "nobody was asked");
    participant.join(&channels(&["a", "b", "a", "c", "b"]), None).await.unwrap();
    assert_eq!(participant.join(&channels(&["d"]), None).await, too_many);
    participant.join(&channels(&["c", "b", "a"]), None).await.unwrap();
    participant.leave(&channel("b"), None).await.unwrap();
    participant.join(&channels(&["a", "d"]), None).await.unwrap();
    assert_eq!(participant.join(&channels(&["b"]), None).await, too_many);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_is_dropped_leaves_everything() {
    let node = TestNode::start(NodeConfig::default());
    let (mut first, _sink) = participant(&node).await;
    let (mut second, sink) = participant(&node).await;
    first.join(&channels(&["a", "b", "c"]), None).await.unwrap();
    second.join(&channels(&["a"]), None).await.unwrap();
    drop(first);
    sleep(past_the_linger()).await;
    assert_eq!((node.wanted(), node.metrics.channels.get()), (1, 1));
    assert_eq!(node.hub_metrics.subscriptions.get(), 1);
    node.publish("a", b"for the other").await;
    sink.wait_for(1).await;
    drop(second);
    sleep(past_the_linger()).await;
    assert_eq!((node.wanted(), node.metrics.channels.get()), (0, 0));
    assert_eq!(node.hub_metrics.subscriptions.get(), 0);
}

#[tokio::test]
async fn a_channel_is_known_by_its_key_while_it_is_joined() {
    let node = TestNode::start(NodeConfig::default());
    let (mut participant, _sink) = participant(&node).await;
    participant.join(&channels(&["a", "b"]), None).await.unwrap();
    let key = participant.memberships[1].key();
    assert_eq!(participant.channel(key), Some(&channel("b")));
    participant.leave(&channel("b"), None).await.unwrap();
    assert_eq!(participant.channel(key), None);
}
