//! Parts for unit tests: a broker whose answers the test decides, and a socket that
//! keeps what it is given.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::Registry;
use redcast_broker::{
    Broker, BrokerMetrics, Deliveries, Event, Gap, Health, HistoryError, MemoryBroker,
    MemoryConfig, OnceKey, Page, PublishError, Published, QueueLimits, ReadLimit, SnapshotStore,
    Source, SubscribeError, Subscribed,
};
use redcast_hub::{Hub, HubConfig, HubMetrics, Socket};
use redcast_protocol::{Channel, Cursor, GapReason, ResetReason};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::NodeConfig;
use crate::metrics::NodeMetrics;
use crate::node::{Node, NodeTasks};

/// Answers when and what the test says, and writes down what it was asked. Like
/// the real one it holds a wish from the moment it is asked.
pub(crate) struct ScriptedBroker {
    log: Mutex<Vec<String>>,
    wanted: Mutex<HashSet<Channel>>,
    refused: Mutex<HashSet<Channel>>,
    away: AtomicBool,
    answers: watch::Sender<bool>,
    /// What each stream holds; every channel whose name begins with `s` is one.
    streams: Mutex<HashMap<Channel, Vec<Event>>>,
    /// Events larger than this, bytes, are told as gaps.
    max_event_size: AtomicUsize,
}

impl ScriptedBroker {
    pub(crate) fn new() -> Arc<Self> {
        let (log, wanted, refused, away, streams) = Default::default();
        let answers = watch::Sender::new(true);
        let max_event_size = AtomicUsize::new(usize::MAX);
        Arc::new(Self { log, wanted, refused, away, answers, streams, max_event_size })
    }

    /// Adds an entry to a stream, under this number as its ID.
    pub(crate) fn add(&self, name: &str, number: u64, payload: &str) -> Event {
        let event = entry(name, number, payload);
        self.streams.lock().entry(channel(name)).or_default().push(event.clone());
        event
    }

    /// Takes away the oldest entries, so many of them.
    pub(crate) fn trim(&self, name: &str, count: usize) {
        self.streams.lock().entry(channel(name)).or_default().drain(..count);
    }

    /// From now on events of more bytes are too large.
    pub(crate) fn limit_events(&self, bytes: usize) {
        self.max_event_size.store(bytes, Ordering::Relaxed);
    }

    fn history(&self, channel: &Channel) -> Result<Vec<Event>, HistoryError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(HistoryError::Unavailable("it is away".to_owned()));
        }
        Ok(self.streams.lock().get(channel).cloned().unwrap_or_default())
    }

    /// From now on nothing is answered, or all that waits is.
    pub(crate) fn answer(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    /// While it is away, it accepts everything as pending.
    pub(crate) fn be_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, name: &str) {
        self.refused.lock().insert(channel(name));
    }

    pub(crate) fn permit_all(&self) {
        self.refused.lock().clear();
    }

    /// What it was asked since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }

    pub(crate) fn wanted(&self) -> usize {
        self.wanted.lock().len()
    }

    async fn answered(&self) {
        self.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
    }
}

#[async_trait]
impl Broker for ScriptedBroker {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        self.log.lock().push(format!("subscribe {channel}"));
        self.wanted.lock().insert(channel.clone());
        self.answered().await;
        if self.away.load(Ordering::Relaxed) {
            return Ok(Subscribed::Pending);
        }
        if self.refused.lock().contains(channel) {
            self.wanted.lock().remove(channel);
            return Err(SubscribeError { channel: channel.clone(), reason: "no".to_owned() });
        }
        Ok(Subscribed::Live)
    }

    async fn unsubscribe(&self, channel: &Channel) {
        self.log.lock().push(format!("unsubscribe {channel}"));
        self.wanted.lock().remove(channel);
        self.answered().await;
    }

    async fn publish(&self, _: &Channel, _: Bytes) -> Result<(), PublishError> {
        Err(PublishError::Unavailable("this one only subscribes".to_owned()))
    }

    async fn publish_all(
        &self,
        _: &Channel,
        _: &[Bytes],
        _: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        Err(PublishError::Unavailable("this one only subscribes".to_owned()))
    }

    fn source(&self, channel: &Channel) -> Source {
        if channel.as_str().starts_with('s') { Source::Stream } else { Source::PubSub }
    }

    async fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError> {
        self.log.lock().push(format!("{channel} after {since}"));
        self.answered().await;
        let entries = self.history(channel)?;
        let first = match entries.iter().position(|event| event.cursor == Some(since)) {
            Some(index) => index + 1,
            None if since == Cursor::BEGINNING => 0,
            None => return Err(HistoryError::Reset(reason(&entries, since))),
        };
        let events: Vec<Event> = entries[first..].iter().take(limit.events).cloned().collect();
        let cursor = events.last().and_then(|event| event.cursor).unwrap_or(since);
        let is_last = first + events.len() == entries.len();
        let limit = self.max_event_size.load(Ordering::Relaxed);
        let (events, large): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| event.payload.len() <= limit);
        let gap = |event: Event| Some((event.cursor?, too_large(&event.channel)));
        let gaps = large.into_iter().filter_map(gap).collect();
        Ok(Page { events, gaps, cursor, is_last })
    }

    async fn last_events(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        self.log.lock().push(format!("{channel} last {count}"));
        self.answered().await;
        let entries = self.history(channel)?;
        Ok(entries[entries.len().saturating_sub(count)..].to_vec())
    }

    fn is_live(&self, channel: &Channel) -> bool {
        !self.away.load(Ordering::Relaxed) && self.wanted.lock().contains(channel)
    }

    fn health(&self) -> Health {
        Health::default()
    }
}

fn reason(entries: &[Event], since: Cursor) -> ResetReason {
    let ids: Vec<_> = entries.iter().filter_map(|event| event.cursor).map(|c| c.id()).collect();
    match ids.first() {
        None => ResetReason::Unknown,
        Some(oldest) if since.id() < *oldest => ResetReason::Trimmed,
        Some(_) => ResetReason::Forked,
    }
}

/// What members are told of an event that is too large.
pub(crate) fn too_large(channel: &Channel) -> Gap {
    let (channel, reason) = (channel.clone(), GapReason::TooLarge);
    Gap { channel, from_ms: 5, to_ms: 5, reason, dropped: Some(1) }
}

/// An event of a stream.
pub(crate) fn entry(name: &str, number: u64, payload: &str) -> Event {
    Event {
        channel: channel(name),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        received: Instant::now(),
        cursor: Some(Cursor::of(number, 0, payload.as_bytes())),
    }
}

/// A socket with room for everything. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// The payloads of all frames so far.
    pub(crate) fn payloads(&self) -> Vec<Bytes> {
        let written = Bytes::from(self.0.lock().clone());
        let (mut at, mut payloads) = (0, Vec::new());
        while at < written.len() {
            let (len, header) = match usize::from(written[at + 1]) {
                126 => (usize::from(u16::from_be_bytes([written[at + 2], written[at + 3]])), 4),
                short if short < 126 => (short, 2),
                _ => panic!("these tests send nothing so large"),
            };
            payloads.push(written.slice(at + header..at + header + len));
            at += header + len;
        }
        payloads
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let payloads = self.payloads().into_iter();
        payloads.map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
    }

    /// Waits until `count` frames have come.
    pub(crate) async fn wait_for(&self, count: usize) {
        while self.payloads().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Socket for Sink {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.try_write(slice)).sum()
    }
}

/// A node over two running shards. What it runs ends with it.
pub(crate) struct TestNode {
    pub(crate) node: Arc<Node>,
    pub(crate) hub_metrics: HubMetrics,
    pub(crate) metrics: NodeMetrics,
    /// The fan-out, until it is started.
    pub(crate) idle: Option<NodeTasks>,
    running: JoinSet<()>,
}

impl TestNode {
    pub(crate) fn new(config: NodeConfig, broker: (Arc<dyn Broker>, Deliveries)) -> Self {
        let store: Arc<dyn SnapshotStore> = memory(QueueLimits::default()).0;
        Self::with_store(config, broker, &store)
    }

    pub(crate) fn with_store(
        config: NodeConfig,
        broker: (Arc<dyn Broker>, Deliveries),
        store: &Arc<dyn SnapshotStore>,
    ) -> Self {
        let registry = Registry::new();
        let hub_metrics = HubMetrics::register(&registry).unwrap();
        let hub_config = HubConfig { shards: 2, ..HubConfig::default() };
        let (hub, shards) = Hub::new(hub_config, hub_metrics.clone());
        let metrics = NodeMetrics::register(&registry).unwrap();
        let (node, tasks) = Node::new(config, &metrics, broker, store, hub);
        let running = shards.into_iter().map(redcast_hub::ShardTask::run).collect();
        Self { node, hub_metrics, metrics, idle: Some(tasks), running }
    }

    /// Over the memory broker, all tasks running.
    pub(crate) fn start(config: NodeConfig) -> Self {
        let (broker, deliveries) = memory(QueueLimits::default());
        let mut node = Self::new(config, (broker, deliveries));
        node.run_tasks();
        node
    }

    pub(crate) fn run_tasks(&mut self) {
        let NodeTasks { fanout, reaper, snapshots } = self.idle.take().unwrap();
        self.running.spawn(fanout.run());
        self.running.spawn(reaper.run());
        self.running.spawn(snapshots.run());
    }

    pub(crate) async fn publish(&self, name: &str, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        self.node.publish(&channel(name), payload).await.unwrap();
    }

    pub(crate) fn wanted(&self) -> usize {
        self.node.broker().1.wanted
    }
}

pub(crate) fn memory(queue: QueueLimits) -> (Arc<MemoryBroker>, Deliveries) {
    let metrics = BrokerMetrics::register(&Registry::new()).unwrap();
    MemoryBroker::new(&MemoryConfig { queue, ..MemoryConfig::default() }, metrics)
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}
