//! What a link makes of what Redis pushes: confirmations, events, silence, its end.

use prometheus::Registry;
use tokio::time::timeout;

use super::super::config::RedisConfig;
use super::super::wishes::Answer;
use super::*;
use crate::{BrokerMetrics, Deliveries, Delivery, QueueLimits, deliveries};

struct Rig {
    reader: PushReader,
    deliveries: Deliveries,
    metrics: BrokerMetrics,
}

/// A reader of a link that is up, with prefix `test:`.
fn rig() -> Rig {
    let metrics = BrokerMetrics::register(&Registry::new()).unwrap();
    let (sender, deliveries) = deliveries(QueueLimits::default());
    let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
    wishes.link_up();
    let (prefix, instance) = ("test:".to_owned(), "me".to_owned());
    let config = RedisConfig { prefix, instance, ..RedisConfig::default() };
    let reader = PushReader {
        link: Arc::new(Link::new()),
        wishes,
        streams: Arc::new([Arc::new(Wishes::new(metrics.channels.clone()))]),
        proof: Arc::new(Proof::new(&config)),
        intake: Intake::new(sender, metrics.clone(), 100),
        names: Names::new("test:"),
        shard: None,
    };
    Rig { reader, deliveries, metrics }
}

fn push(kind: PushKind, data: &[&[u8]]) -> PushInfo {
    PushInfo { kind, data: data.iter().map(|bytes| Value::BulkString(bytes.to_vec())).collect() }
}

fn message(name: &[u8], payload: &[u8]) -> PushInfo {
    push(PushKind::Message, &[name, payload])
}

impl Rig {
    fn subscribe(&self, name: &str) {
        let channel = Channel::parse(name).unwrap();
        assert!(matches!(self.reader.wishes.want(&channel, 1), Answer::Later(_)));
        self.reader.wishes.take_work(Instant::now());
        let redis_name = format!("test:{name}");
        self.reader.read(push(PushKind::Subscribe, &[redis_name.as_bytes()]));
    }

    /// Everything that was delivered, the payloads alone.
    async fn payloads(mut self) -> Vec<Bytes> {
        drop(self.reader);
        let mut all = Vec::new();
        while self.deliveries.recv_many(&mut all, 100).await > 0 {}
        let payloads = all.into_iter().filter_map(|delivery| match delivery {
            Delivery::Event(event) => Some(event.payload),
            _ => None,
        });
        payloads.collect()
    }
}

#[tokio::test]
async fn a_message_of_a_live_channel_is_an_event() {
    let rig = rig();
    rig.subscribe("a");
    rig.reader.read(message(b"test:a", b"\xff\x00payload"));
    assert_eq!(rig.payloads().await, [Bytes::from_static(b"\xff\x00payload")]);
}

#[tokio::test]
async fn names_that_are_no_channels_are_dropped_and_counted() {
    let rig = rig();
    rig.subscribe("a");
    for name in [&b"other:a"[..], b"test:", b"test:a b", b"test:\xff", b"test:a*"] {
        rig.reader.read(message(name, b"x"));
    }
    assert_eq!(rig.metrics.dropped_bad_channel.get(), 5);
    rig.reader.read(message(b"test:unwanted", b"x"));
    assert_eq!(rig.metrics.dropped_bad_channel.get(), 5, "a late event is nobody's loss");
    assert!(rig.payloads().await.is_empty());
}

#[tokio::test]
async fn nothing_of_a_closed_link_counts() {
    let rig = rig();
    rig.subscribe("a");
    rig.reader.link.close();
    rig.reader.read(message(b"test:a", b"too late"));
    rig.reader.read(push(PushKind::Unsubscribe, &[b"test:a"]));
    assert_eq!(rig.reader.wishes.tally().confirmed, 1, "that is for link_lost to say");
    assert!(rig.payloads().await.is_empty());
}

#[tokio::test]
async fn every_push_proves_the_link() {
    let rig = rig();
    let before = rig.reader.link.heard();
    rig.reader.read(push(PushKind::Other("news".to_owned()), &[]));
    assert!(rig.reader.link.heard() > before);
}

#[tokio::test]
async fn the_end_of_the_connection_is_told_once_and_no_proof_of_life() {
    let rig = rig();
    let before = rig.reader.link.heard();
    rig.reader.read(push(PushKind::Disconnection, &[]));
    rig.reader.link.break_off("a later reason");
    let reason = timeout(Duration::from_secs(1), rig.reader.link.broken()).await;
    assert_eq!(reason.as_deref(), Ok("it closed the connection"));
    assert_eq!(rig.reader.link.heard(), before);
}

#[tokio::test]
async fn an_unsubscribe_that_nobody_asked_for_breaks_the_link() {
    let rig = rig();
    rig.subscribe("a");
    rig.reader.read(push(PushKind::Unsubscribe, &[b"test:a"]));
    assert!(timeout(Duration::from_secs(1), rig.reader.link.broken()).await.is_ok());
}

#[tokio::test]
async fn the_canary_is_a_proof_and_no_event() {
    const CANARY: &[u8] = b"test:redcast:canary:me";
    let rig = rig();
    let proof = Arc::clone(&rig.reader.proof);
    rig.reader.read(push(PushKind::Subscribe, &[CANARY]));
    assert!(!proof.needs_subscription());
    let canary = proof.next(Instant::now()).unwrap();
    rig.reader.read(message(CANARY, canary.as_bytes()));
    let now = Instant::now();
    let verdict = proof.judge(now, Some(now), None);
    assert!(verdict.age.is_some(), "{verdict:?}");
    assert_eq!(rig.metrics.events_received.get(), 0);
    assert_eq!(rig.metrics.dropped_bad_channel.get(), 0);
    assert_eq!(rig.reader.wishes.tally().wanted, 0, "it is nobody's wish");
    assert_eq!(rig.payloads().await, Vec::<Bytes>::new());
}

#[tokio::test]
async fn a_canary_proves_nothing_while_streams_wait_for_a_link_of_their_own() {
    const CANARY: &[u8] = b"test:redcast:canary:me";
    let rig = rig();
    let (proof, streams) = (Arc::clone(&rig.reader.proof), Arc::clone(&rig.reader.streams[0]));
    let is_ready = || {
        let canary = proof.next(Instant::now()).unwrap();
        rig.reader.read(message(CANARY, canary.as_bytes()));
        let now = Instant::now();
        proof.judge(now, Some(now), None).readiness == crate::Readiness::Ready
    };
    rig.reader.read(push(PushKind::Subscribe, &[CANARY]));
    streams.link_lost(1);
    let a = Channel::parse("s:a").unwrap();
    assert!(matches!(streams.want(&a, 2), Answer::Now(_)));
    assert!(!is_ready(), "its wish is new, and will stay so");
    streams.link_up();
    streams.take_work(Instant::now());
    streams.subscribed(&a, 3);
    assert!(is_ready());
}

#[tokio::test]
async fn a_canary_that_redis_unsubscribes_by_itself_breaks_the_link() {
    let rig = rig();
    rig.reader.read(push(PushKind::Subscribe, &[b"test:redcast:canary:me"]));
    rig.reader.read(push(PushKind::Unsubscribe, &[b"test:redcast:canary:me"]));
    let broken = timeout(Duration::from_secs(5), rig.reader.link.broken()).await;
    assert!(broken.is_ok());
}
