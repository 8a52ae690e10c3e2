//! Tests of snapshots over running shards and a store whose answers the test decides.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use redcast_broker::{QueueLimits, SnapshotError, Stored};
use redcast_hub::Form;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::config::NodeConfig;
use crate::participant::Participant;
use crate::testing::{Sink, TestNode, channel, memory};

const EVERY: Duration = Duration::from_secs(5);

/// Answers what the test says, or never.
struct ScriptedStore {
    answer: Mutex<Option<Result<Option<Stored>, SnapshotError>>>,
    reads: AtomicUsize,
    /// Connections on other instances; none while shares fail.
    others: Mutex<Option<u64>>,
    shared: Mutex<Vec<u64>>,
    takes_ms: AtomicU64,
}

impl ScriptedStore {
    fn new() -> Arc<Self> {
        let (reads, shared, takes_ms) = Default::default();
        let others = Mutex::new(Some(0));
        let store = Self { answer: Mutex::new(None), reads, others, shared, takes_ms };
        store.holds(r#"{"visitors":1,"unique":2}"#);
        Arc::new(store)
    }

    fn answers(&self, answer: Result<Option<Stored>, SnapshotError>) {
        *self.answer.lock() = Some(answer);
    }

    fn holds(&self, text: &'static str) {
        self.answers(Ok(Some(Stored::Text(Bytes::from_static(text.as_bytes())))));
    }

    fn is_away(&self) {
        self.answers(Err(SnapshotError::Unavailable("away".to_owned())));
    }

    fn hangs(&self) {
        *self.answer.lock() = None;
    }

    fn take_reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    fn take_shared(&self) -> Vec<u64> {
        std::mem::take(&mut *self.shared.lock())
    }
}

#[async_trait]
impl SnapshotStore for ScriptedStore {
    async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        assert_eq!(key, "stats");
        self.reads.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(self.takes_ms.load(Ordering::Relaxed))).await;
        let answer = self.answer.lock().clone();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError> {
        assert_eq!((name, instance), ("analytics", "this"));
        self.shared.lock().push(count);
        let others = *self.others.lock();
        others.map(|others| others + count).ok_or(SnapshotError::Unavailable("away".to_owned()))
    }
}

fn snapshot_config(merge: &[(&str, MergeValue)]) -> SnapshotConfig {
    let merge = merge.iter().map(|(pointer, value)| Merge {
        pointer: MergePointer::parse(pointer).unwrap(),
        value: *value,
    });
    SnapshotConfig {
        name: SnapshotName::parse("analytics").unwrap(),
        key: "stats".to_owned(),
        every: EVERY,
        on_connect: "initial_stats".to_owned(),
        on_tick: "heartbeat".to_owned(),
        merge: merge.collect(),
    }
}

async fn start(merge: &[(&str, MergeValue)]) -> (TestNode, Arc<ScriptedStore>) {
    start_with(snapshot_config(merge)).await
}

async fn start_with(config: SnapshotConfig) -> (TestNode, Arc<ScriptedStore>) {
    let store = ScriptedStore::new();
    let config = NodeConfig {
        snapshots: vec![config],
        instance: "this".to_owned(),
        ..NodeConfig::default()
    };
    let (broker, deliveries) = memory(QueueLimits::default());
    let as_store: Arc<dyn SnapshotStore> = store.clone();
    let mut node = TestNode::with_store(config, (broker, deliveries), &as_store);
    node.run_tasks();
    // Past the first tick, at which nobody is here in a gateway that starts.
    sleep(Duration::from_millis(1)).await;
    (node, store)
}

async fn connect(node: &TestNode, form: Form) -> (Participant<Sink>, Sink) {
    let sink = Sink::default();
    let mut participant = node.node.connect(sink.clone(), form.into()).await.unwrap();
    participant.watch(snapshot(node)).await.unwrap();
    (participant, sink)
}

fn snapshot(node: &TestNode) -> &Arc<Snapshot> {
    node.node.snapshots().find("analytics").unwrap()
}

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// What came, but for the pings of the many seconds that pass here.
fn texts(sink: &Sink) -> Vec<String> {
    sink.texts().into_iter().filter(|text| !text.is_empty()).collect()
}

fn last(sink: &Sink) -> Value {
    json_of(texts(sink).last().unwrap().as_bytes())
}

/// Waits until `sink` has so many frames, which must come just after a tick.
async fn next_tick(sink: &Sink, count: usize) {
    let begun = Instant::now();
    while texts(sink).len() < count {
        sleep(Duration::from_millis(1)).await;
        assert!(begun.elapsed() <= EVERY + PATIENCE, "no beat");
    }
    assert_eq!(texts(sink).len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_greeted_before_its_events_and_then_beaten_to() {
    let (node, _store) = start(&[]).await;
    let (mut participant, sink) = connect(&node, Form::Raw).await;
    assert_eq!(texts(&sink), [r#"{"type":"initial_stats","data":{"visitors":1,"unique":2}}"#]);
    participant.join(&[channel("a")], None).await.unwrap();
    node.publish("a", b"event").await;
    sink.wait_for(2).await;
    next_tick(&sink, 3).await;
    assert_eq!(texts(&sink)[1], "event");
    assert_eq!(texts(&sink)[2], r#"{"type":"heartbeat","data":{"visitors":1,"unique":2}}"#);
    assert_eq!(node.hub_metrics.delivered.get(), 1, "a beat is no event");
}

#[tokio::test(start_paused = true)]
async fn one_read_per_tick_serves_clients_of_every_form() {
    let (node, store) = start(&[]).await;
    store.takes_ms.store(50, Ordering::Relaxed);
    let forms = [Form::Raw, Form::Quiet, Form::Envelope].into_iter().cycle().take(12);
    let clients = futures_util::future::join_all(forms.map(|form| connect(&node, form))).await;
    assert_eq!(store.take_reads(), 1, "they share the first read");
    for beat in 1..4 {
        for (_, sink) in &clients {
            next_tick(sink, 1 + beat).await;
            assert_eq!(last(sink)["type"], "heartbeat");
        }
        assert_eq!(store.take_reads(), 1);
    }
    drop(clients);
    sleep(EVERY * 10).await;
    assert_eq!(store.take_reads(), 0, "nobody watches");
    let (_client, sink) = connect(&node, Form::Raw).await;
    assert_eq!(store.take_reads(), 1, "what was read long ago is no greeting");
    assert_eq!(last(&sink)["stale"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_the_last_document_marked_as_stale_until_it_can() {
    let (node, store) = start(&[("/now", MergeValue::Now), ("/data/n", MergeValue::Now)]).await;
    let (_client, sink) = connect(&node, Form::Raw).await;
    assert_eq!(last(&sink)["stale"], Value::Null);
    let mut frames = 1;
    let stale = |frame: &Value| (frame["data"]["visitors"].clone(), frame["stale"].clone());
    let wrong: [&dyn Fn(); 6] = [
        &|| store.answers(Ok(None)),
        &|| store.holds("{\"visitors\":"),
        &|| store.holds("[1]"),
        &|| store.answers(Err(SnapshotError::Refused("WRONGTYPE".to_owned()))),
        &|| store.answers(Err(SnapshotError::TooLarge { size: 2, limit: 1 })),
        &|| store.is_away(),
    ];
    for break_it in wrong {
        break_it();
        for _ in 0..2 {
            frames += 1;
            next_tick(&sink, frames).await;
            let beat = last(&sink);
            assert_eq!(stale(&beat), (json!(1), json!(true)), "{beat}");
            assert!(beat["now"].is_u64() && beat["data"]["n"] == beat["now"], "{beat}");
        }
        assert_eq!(node.metrics.snapshots_stale.get(), 1);
    }
    store.hangs();
    frames += 1;
    next_tick(&sink, frames).await;
    assert_eq!(stale(&last(&sink)), (json!(1), json!(true)));
    store.holds(r#"{"visitors":3}"#);
    frames += 1;
    next_tick(&sink, frames).await;
    assert_eq!(stale(&last(&sink)), (json!(3), Value::Null));
    assert_eq!(node.metrics.snapshots_stale.get(), 0);
    let reads = &node.metrics.snapshot_reads;
    let counts = [&reads.ok, &reads.missing, &reads.malformed, &reads.unavailable];
    assert_eq!(counts.map(|count| count.get()), [2, 2, 8, 3]);
}

#[tokio::test(start_paused = true)]
async fn before_there_ever_was_a_document_there_is_an_empty_one() {
    let (node, store) = start(&[("/data/visitors", MergeValue::Connections)]).await;
    let empty = json!({"type":"initial_stats","data":{"visitors":1},"stale":true});
    store.hangs();
    let begun = Instant::now();
    let (client, sink) = connect(&node, Form::Raw).await;
    assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(10), "{:?}", begun.elapsed());
    assert_eq!(last(&sink), empty);
    drop(client);
    store.is_away();
    sleep(PATIENCE * 2).await;
    let (_client, sink) = connect(&node, Form::Raw).await;
    assert_eq!(last(&sink), empty);
    let state = snapshot(&node).state().await;
    assert!(json_of(&state.data)["visitors"].is_u64());
    assert!(state.stale && state.read_at.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_asks_gets_what_is_at_most_a_second_old_and_all_share_one_read() {
    let (node, store) = start(&[]).await;
    let (_client, sink) = connect(&node, Form::Raw).await;
    let snapshot = snapshot(&node);
    store.take_reads();
    store.holds(r#"{"visitors":2}"#);
    let young = snapshot.answer().await;
    assert_eq!(store.take_reads(), 0);
    assert_eq!(json_of(&young[2..])["data"]["visitors"], 1);
    sleep(FRESH + Duration::from_millis(1)).await;
    store.takes_ms.store(200, Ordering::Relaxed);
    let answers = futures_util::future::join_all((0..50).map(|_| snapshot.answer())).await;
    assert_eq!(store.take_reads(), 1);
    let expected = r#"{"type":"initial_stats","data":{"visitors":2}}"#;
    assert!(answers.iter().all(|answer| &answer[2..] == expected.as_bytes()), "{answers:?}");
    // One buffer for all of them.
    assert!(answers.iter().all(|answer| answer.as_ptr() == answers[0].as_ptr()));
    assert_eq!(texts(&sink).len(), 1, "nobody else gets it");
    // Also where it can't be read.
    sleep(FRESH * 2).await;
    store.hangs();
    let begun = Instant::now();
    let late = snapshot.answer().await;
    assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(10));
    assert_eq!(
        json_of(&late[2..]),
        json!({"type":"initial_stats","data":{"visitors":2},"stale":true})
    );
}

#[tokio::test(start_paused = true)]
async fn connections_are_told_while_there_are_any_and_summed_with_those_of_others() {
    let (node, store) = start(&[
        ("/data/all", MergeValue::Connections),
        ("/data/here", MergeValue::InstanceConnections),
    ])
    .await;
    sleep(EVERY * 2).await;
    store.take_shared();
    *store.others.lock() = Some(40);
    let counts = |sink: &Sink| {
        let frame = last(sink);
        (frame["data"]["all"].as_u64().unwrap(), frame["data"]["here"].as_u64().unwrap())
    };
    let (first, first_sink) = connect(&node, Form::Raw).await;
    assert_eq!(counts(&first_sink), (41, 1), "the greeting knows of the others");
    assert_eq!(store.take_shared(), [1]);
    let (second, second_sink) = connect(&node, Form::Quiet).await;
    assert_eq!(counts(&second_sink), (42, 2), "also between two shares");
    // While nobody can be asked, what was known of the others stays.
    *store.others.lock() = None;
    sleep(Duration::from_secs(60)).await;
    let shared = store.take_shared();
    assert!((29..=31).contains(&shared.len()) && shared.iter().all(|count| *count == 2));
    assert_eq!(counts(&first_sink), (42, 2));
    *store.others.lock() = Some(0);
    drop(first);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(counts(&second_sink), (1, 1));
    store.take_shared();
    drop(second);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(store.take_shared(), [0], "nobody is told once");
    // Not even where the document is young, and what is known of the others is not.
    snapshot(&node).state().await;
    sleep(EVERY).await;
    *store.others.lock() = Some(50);
    store.take_reads();
    let (_third, sink) = connect(&node, Form::Raw).await;
    assert_eq!((counts(&sink), store.take_reads()), ((51, 1), 0));
}

#[tokio::test(start_paused = true)]
async fn many_who_come_at_once_share_few_greetings_that_count_each_of_them() {
    let (node, store) =
        start(&[("/data/all", MergeValue::Connections), ("/ms", MergeValue::NowMs)]).await;
    *store.others.lock() = Some(40);
    let snapshot = snapshot(&node);
    let come = async |after: u64| {
        sleep(Duration::from_millis(after)).await;
        let watching = snapshot.watch(0);
        let (here, came) = (snapshot.audience.here(), Instant::now());
        let greeting = snapshot.greeting().await;
        assert!(came.elapsed() < 2 * reading::GREETING_EVERY, "{:?}", came.elapsed());
        assert!(json_of(&greeting[2..])["data"]["all"].as_u64().unwrap() >= 40 + here);
        (watching, greeting)
    };
    let greeted = futures_util::future::join_all((0..1_000).map(come)).await;
    let encodings = greeted.iter().map(|(_, frame)| frame.as_ptr()).collect::<HashSet<_>>().len();
    assert!((5..=13).contains(&encodings), "{encodings} encodings");
}

#[tokio::test(start_paused = true)]
async fn rare_ticks_make_no_old_greetings() {
    let every = Duration::from_secs(3_600);
    let (node, store) = start_with(SnapshotConfig { every, ..snapshot_config(&[]) }).await;
    drop(connect(&node, Form::Raw).await);
    store.holds(r#"{"visitors":2}"#);
    sleep(TOO_OLD + Duration::from_millis(1)).await;
    let (_client, sink) = connect(&node, Form::Raw).await;
    assert_eq!(last(&sink), json!({"type":"initial_stats","data":{"visitors":2}}));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_tells_that_nobody_is_here_and_waits_for_no_store_that_is_away() {
    let (node, store) = start(&[("/data/all", MergeValue::Connections)]).await;
    let (_client, _sink) = connect(&node, Form::Raw).await;
    sleep(Duration::from_secs(3)).await;
    store.take_shared();
    node.node.snapshots().leave().await;
    assert_eq!(store.take_shared(), [0]);
    sleep(Duration::from_secs(60)).await;
    assert!(store.take_shared().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_poller_gets_the_document_and_a_tag_that_changes_with_it() {
    let (node, store) = start(&[("/data/all", MergeValue::Connections)]).await;
    *store.others.lock() = Some(7);
    let snapshot = snapshot(&node);
    let one = snapshot.state().await;
    assert_eq!(one.data, r#"{"visitors":1,"unique":2,"all":7}"#);
    assert!(!one.stale && one.read_at.is_some());
    let reads = store.take_reads();
    assert_eq!((reads, snapshot.state().await), (1, one.clone()));
    assert_eq!(store.take_reads(), 0, "pollers share what was read");
    sleep(EVERY + PATIENCE * 2).await;
    assert_eq!(snapshot.state().await.tag, one.tag, "the same bytes, read again");
    assert_eq!(store.take_reads(), 1);
    sleep(EVERY + PATIENCE * 2).await;
    store.holds(r#"{"visitors":1,"unique":3}"#);
    let other = snapshot.state().await;
    assert_eq!(other.data, r#"{"visitors":1,"unique":3,"all":7}"#);
    assert_ne!(other.tag, one.tag);
    assert_eq!(store.take_shared().iter().sum::<u64>(), 0, "a poller is no connection");
}

#[tokio::test(start_paused = true)]
async fn a_shard_without_watchers_gets_no_beats() {
    let (node, _store) = start(&[]).await;
    let audience = &snapshot(&node).audience;
    let watched = || [0, 1].map(|shard| audience.in_shard(shard));
    assert_eq!(watched(), [false, false]);
    let (first, _sink) = connect(&node, Form::Raw).await;
    let first_shard = first.connection().shard();
    assert_eq!(watched(), [first_shard == 0, first_shard == 1]);
    let (_second, _sink) = connect(&node, Form::Raw).await;
    assert_eq!(watched(), [true, true]);
    drop(first);
    assert_eq!(watched(), [first_shard == 1, first_shard == 0]);
}
