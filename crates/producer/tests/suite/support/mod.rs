//! What the producer's tests share: page views, a store of each kind, and what they
//! wrote.

#![allow(unreachable_pub, reason = "a test program exports nothing")]

pub mod cut;
pub mod door;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::StreamExt;
use redcast_e2e::RedisServer;
use redcast_producer::{
    MemoryStore, MemoryStoreConfig, Outlet, OutletError, PageView, RedisStore, RedisStoreConfig,
    StoreError,
};
use redis::AsyncCommands;
use serde_json::Value;
use tokio::time::timeout;

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(20);
/// The key of the statistics, as the gateway's documents have it.
pub const STATS: &str = "{analytics}:stats";

/// A moment, e.g. `2025-12-08T12:00:30Z`.
pub fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

/// A view of `path` by `visitor`.
pub fn view(visitor: &str, path: &str) -> PageView {
    PageView {
        visitor_id: visitor.to_owned(),
        at: at("2025-12-08T12:00:00.123Z"),
        path: path.to_owned().into(),
        referrer: None,
        country: None,
        device: "desktop",
    }
}

/// The same by a link from `referrer`.
pub fn referred(visitor: &str, referrer: &'static str) -> PageView {
    PageView { referrer: Some(referrer.into()), ..view(visitor, "/") }
}

/// Settings of a store on this server that is patient with a busy machine.
pub fn redis_config(server: &RedisServer) -> RedisStoreConfig {
    RedisStoreConfig {
        url: server.url(),
        own_hosts: vec!["acme.example".to_owned()],
        timeout: LIMIT,
        ..RedisStoreConfig::default()
    }
}

/// The channel's subscriber, for whoever looks at what is published.
pub async fn listen(server: &RedisServer, channel: &str) -> redis::aio::PubSub {
    let mut listener = server.client().get_async_pubsub().await.unwrap();
    listener.subscribe(channel).await.unwrap();
    listener
}

/// The next event on a channel.
pub async fn next_event(listener: &mut redis::aio::PubSub) -> Value {
    let mut messages = listener.on_message();
    let message = timeout(LIMIT, messages.next()).await.expect("an event comes").unwrap();
    serde_json::from_slice(message.get_payload_bytes()).unwrap()
}

/// The statistics in Redis.
pub async fn statistics(server: &RedisServer) -> HashMap<String, String> {
    server.connection().await.hgetall(STATS).await.unwrap()
}

/// Where a memory store writes to.
#[derive(Default)]
pub struct List {
    pub events: Mutex<Vec<(String, Value)>>,
    pub hashes: Mutex<HashMap<String, HashMap<String, String>>>,
    /// How many more events it takes; none is no limit.
    pub room: Mutex<Option<usize>>,
}

#[async_trait]
impl Outlet for List {
    async fn publish(&self, channel: &str, payload: Vec<u8>) -> Result<(), OutletError> {
        if let Some(room) = &mut *self.room.lock().unwrap() {
            *room = room.checked_sub(1).ok_or_else(|| OutletError("full".to_owned()))?;
        }
        let event = serde_json::from_slice(&payload).unwrap();
        self.events.lock().unwrap().push((channel.to_owned(), event));
        Ok(())
    }

    async fn store(&self, key: &str, fields: Vec<(String, String)>) {
        self.hashes.lock().unwrap().insert(key.to_owned(), fields.into_iter().collect());
    }
}

/// A store of either kind and what it has written.
pub enum Rig {
    Redis { store: Box<RedisStore>, server: RedisServer, listener: Box<redis::aio::PubSub> },
    Memory { store: Box<MemoryStore>, list: Arc<List>, read: usize },
}

impl Rig {
    pub async fn redis() -> Self {
        let server = RedisServer::start();
        let store = Box::new(RedisStore::connect(redis_config(&server)).unwrap());
        let listener = Box::new(listen(&server, "analytics").await);
        Self::Redis { store, server, listener }
    }

    pub async fn memory() -> Self {
        let list = Arc::new(List::default());
        let config = MemoryStoreConfig {
            own_hosts: vec!["acme.example".to_owned()],
            ..MemoryStoreConfig::default()
        };
        Self::Memory { store: Box::new(MemoryStore::new(config, list.clone())), list, read: 0 }
    }

    pub async fn record(&self, views: &[PageView], now: SystemTime) {
        let recorded: Result<(), StoreError> = match self {
            Self::Redis { store, .. } => store.record_at(views, now).await,
            Self::Memory { store, .. } => store.record_at(views, now).await,
        };
        recorded.unwrap();
    }

    /// The document as it is at this moment: each value read as the gateway reads it.
    pub async fn document(&self, now: SystemTime) -> Value {
        let fields = match self {
            Self::Redis { store, server, .. } => {
                store.refresh_at(now).await.unwrap();
                statistics(server).await
            }
            Self::Memory { store, list, .. } => {
                store.refresh_at(now).await.unwrap();
                list.hashes.lock().unwrap()[STATS].clone()
            }
        };
        fields
            .into_iter()
            .map(|(name, text)| (name, serde_json::from_str::<Value>(&text).unwrap()))
            .collect()
    }

    pub async fn next_event(&mut self) -> Value {
        match self {
            Self::Redis { listener, .. } => next_event(listener).await,
            Self::Memory { list, read, .. } => {
                let (channel, event) = list.events.lock().unwrap()[*read].clone();
                assert_eq!(channel, "analytics");
                *read += 1;
                event
            }
        }
    }
}
