//! Tests of an event's way through the node, over the memory broker and a real hub.

use std::time::Instant;

use bytes::Bytes;
use redcast_broker::QueueLimits;
use redcast_hub::{Encoding, Form, SlowConsumer};
use redcast_protocol::Pattern;
use serde_json::{Value, json};

use super::*;
use crate::config::{ChannelRule, NodeConfig};
use crate::participant::Participant;
use crate::testing::{ScriptedBroker, Sink, TestNode, channel, memory};

const FORMS: [Form; 3] = [Form::Raw, Form::Quiet, Form::Envelope];

async fn members(
    node: &TestNode,
    encoding: impl Into<Encoding>,
    name: &str,
) -> (Participant<Sink>, Sink) {
    let sink = Sink::default();
    let mut participant = node.node.connect(sink.clone(), encoding.into()).await.unwrap();
    participant.join(&[channel(name)], None).await.unwrap();
    (participant, sink)
}

fn parse(payload: &Bytes) -> Value {
    serde_json::from_slice(payload).unwrap()
}

#[tokio::test]
async fn every_member_gets_each_event_in_its_form_and_in_order() {
    let node = TestNode::start(NodeConfig::default());
    let mut all = Vec::new();
    for form in FORMS.into_iter().cycle().take(9) {
        all.push((form, members(&node, form, "a").await));
    }
    let payloads: [&[u8]; 4] = [b"{\"n\": 1}", b"", b"\xff\x00", b"plain"];
    for payload in payloads {
        node.publish("a", payload).await;
    }
    let data = [json!({"n": 1}), json!(""), json!("/wA="), json!("plain")];
    for (form, (_participant, sink)) in &all {
        sink.wait_for(4).await;
        let received = sink.payloads();
        if *form == Form::Envelope {
            let received: Vec<_> = received.iter().map(parse).collect();
            assert!(received.iter().all(|event| event["channel"] == "a"));
            assert_eq!(
                received.iter().map(|event| event["data"].clone()).collect::<Vec<_>>(),
                data
            );
        } else {
            assert_eq!(received, payloads);
        }
    }
    assert_eq!(node.hub_metrics.delivered.get(), 36);
}

#[tokio::test]
async fn a_burst_stays_in_order_and_complete() {
    let node = TestNode::start(NodeConfig::default());
    let (_raw, sink) = members(&node, Form::Raw, "a").await;
    for number in 0..5000 {
        node.publish("a", number.to_string().as_bytes()).await;
    }
    while node.hub_metrics.delivered.get() < 5000 {
        tokio::task::yield_now().await;
    }
    let expected: Vec<_> = (0..5000).map(|number| number.to_string()).collect();
    assert_eq!(sink.texts(), expected);
}

#[tokio::test]
async fn a_gap_reaches_raw_and_envelope_members_but_no_quiet_ones() {
    let (broker, deliveries) = memory(QueueLimits { events: 1, bytes: 1000 });
    let mut node = TestNode::new(NodeConfig::default(), (broker, deliveries));
    let (_raw, raw) = members(&node, Form::Raw, "a").await;
    let (_quiet, quiet) = members(&node, Form::Quiet, "a").await;
    let (_envelope, envelope) = members(&node, Form::Envelope, "a").await;
    let (_other, other) = members(&node, Form::Raw, "b").await;
    for payload in [b"1", b"2", b"3"] {
        node.publish("a", payload).await;
    }
    node.run_tasks();
    raw.wait_for(2).await;
    envelope.wait_for(2).await;
    node.publish("a", b"4").await;
    quiet.wait_for(2).await;
    node.publish("b", b"5").await;
    other.wait_for(1).await;
    raw.wait_for(3).await;
    let gap = parse(&raw.payloads()[1]);
    let expected = json!({
        "type": "gap", "channel": "a", "reason": "overflow", "dropped": 2,
        "from": gap["from"], "to": gap["to"],
    });
    assert_eq!(gap, expected);
    assert!(gap["from"].as_u64() > Some(1_600_000_000_000) && gap["from"].is_u64());
    assert_eq!(parse(&envelope.payloads()[1]), gap);
    assert_eq!(quiet.texts(), ["1", "4"]);
    assert_eq!(other.texts(), ["5"]);
}

#[tokio::test]
async fn a_late_refusal_reaches_raw_and_envelope_members_and_makes_newcomers_ask() {
    let broker = ScriptedBroker::new();
    let (sender, deliveries) = redcast_broker::deliveries(QueueLimits::default());
    let mut node = TestNode::new(NodeConfig::default(), (broker.clone(), deliveries));
    let (_raw, raw) = members(&node, Form::Raw, "a").await;
    let (_quiet, quiet) = members(&node, Form::Quiet, "a").await;
    let (_envelope, envelope) = members(&node, Form::Envelope, "a").await;
    let (_other, other) = members(&node, Form::Raw, "b").await;
    node.run_tasks();
    let error = SubscribeError { channel: channel("a"), reason: "NOPERM no".to_owned() };
    sender.send(Delivery::Refused(error.clone()));
    for name in ["a", "b"] {
        let payload = Bytes::from_static(b"1");
        let received = Instant::now();
        sender.send(Delivery::Event(Event {
            channel: channel(name),
            payload,
            received,
            cursor: None,
        }));
    }
    raw.wait_for(2).await;
    envelope.wait_for(2).await;
    quiet.wait_for(1).await;
    other.wait_for(1).await;
    let message = "the subscription to a was refused";
    let expected = json!({"type": "error", "code": "forbidden", "message": message});
    assert_eq!(parse(&raw.payloads()[0]), expected);
    assert_eq!(parse(&envelope.payloads()[0]), expected);
    assert_eq!((quiet.texts(), other.texts()), (vec!["1".to_owned()], vec!["1".to_owned()]));

    broker.take_log();
    broker.refuse("a");
    let mut late = node.node.connect(Sink::default(), Form::Raw.into()).await.unwrap();
    assert_eq!(late.join(&[channel("b")], None).await, Ok(()));
    assert!(late.join(&[channel("a")], None).await.is_err());
    assert_eq!(broker.take_log(), ["subscribe a"]);
}

#[tokio::test]
async fn an_event_carries_the_policy_of_its_channel() {
    let pattern = Pattern::parse("prices:*").unwrap();
    let slow_consumer = SlowConsumer::KeepLatest;
    let rules = vec![ChannelRule { pattern, slow_consumer, flush_every: None, latest_by: None }];
    let node = TestNode::start(NodeConfig { rules, ..NodeConfig::default() });
    let (_a, _sink) = members(&node, Form::Raw, "prices:1").await;
    let (_b, _sink) = members(&node, Form::Raw, "orders").await;
    let policy = |name: &str| node.node.interest.find(&channel(name)).unwrap().policy;
    assert_eq!(policy("prices:1"), SlowConsumer::KeepLatest);
    assert_eq!(policy("orders"), SlowConsumer::Disconnect);
}
