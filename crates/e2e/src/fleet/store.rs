//! The Redis that the producer and the judge talk to, past every gateway and proxy.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};

use crate::checker::{StreamId, Truth, stream_id};
use crate::fleet::feed::Payload;
use crate::fleet::place;

/// A producer that waits longer for an answer calls its event lost in transit.
const ANSWER: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_millis(500);
/// How long a server that could not be reached is left alone.
const AGAIN: Duration = Duration::from_millis(30);
/// A producer that listens to sentinels hears of a new primary within this time.
const ASK_SENTINELS_EVERY: Duration = Duration::from_millis(100);
/// How many entries are read at once.
const PAGE: usize = 2000;

/// Which server has a key.
#[derive(Debug, Clone)]
pub enum Store {
    /// One server, by URL (`redis://`, `unix://`).
    Single(String),
    /// The primary that sentinels name, by their URL, as long as they name it.
    Sentinel(String),
    /// The primary that sentinels named when it was asked for, until it refuses or fails: a
    /// producer that listens to no sentinel.
    SentinelOnce(String),
    /// The node that has the key's slot; any nodes as `HOST:PORT`.
    Cluster(Vec<String>),
}

/// Why a command has no answer.
#[derive(Debug)]
pub enum Failure {
    /// It was never sent, or Redis has refused it: it had no effect.
    Refused(String),
    /// It was sent, and may have had its effect.
    Unknown(String),
}

/// Open connections to a [`Store`].
pub struct Links {
    store: Store,
    /// The primary that sentinels named, until it fails, and when they were asked.
    primary: Option<String>,
    asked: Instant,
    /// Who has which slots of a cluster, until somebody says otherwise.
    slots: Vec<(u16, u16, String)>,
    open: HashMap<String, MultiplexedConnection>,
    /// Servers that could not be reached, and when that was.
    failed: HashMap<String, Instant>,
}

impl Links {
    /// No connection yet.
    pub fn new(store: Store) -> Self {
        let (open, failed) = (HashMap::new(), HashMap::new());
        let asked = Instant::now();
        Self { store, primary: None, asked, slots: Vec::new(), open, failed }
    }

    /// A connection to the server that has a key, or none at this moment.
    pub async fn to(&mut self, key: &str) -> Option<(String, MultiplexedConnection)> {
        let place = self.place(key).await?;
        if let Some(open) = self.open.get(&place) {
            return Some((place, open.clone()));
        }
        // Who has many keys to ask for does not wait for a dead server once for each.
        if self.failed.get(&place).is_some_and(|failed| failed.elapsed() < AGAIN) {
            return None;
        }
        let client = redis::Client::open(place.as_str()).expect("a Redis URL");
        let patience = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let Ok(link) = client.get_multiplexed_async_connection_with_config(&patience).await else {
            self.failed.insert(place, Instant::now());
            self.forget_places();
            return None;
        };
        self.open.insert(place.clone(), link.clone());
        Some((place, link))
    }

    async fn place(&mut self, key: &str) -> Option<String> {
        match &self.store {
            Store::Single(url) => Some(url.clone()),
            Store::Sentinel(url) | Store::SentinelOnce(url) => {
                let is_old = matches!(self.store, Store::Sentinel(_))
                    && self.asked.elapsed() > ASK_SENTINELS_EVERY;
                if self.primary.is_none() || is_old {
                    self.primary = place::primary(url).await;
                    self.asked = Instant::now();
                }
                self.primary.clone()
            }
            Store::Cluster(nodes) => {
                if self.slots.is_empty() {
                    self.slots = place::slots(nodes).await?;
                }
                let slot = place::slot(key);
                let mut ranges = self.slots.iter();
                let (.., node) = ranges.find(|(from, to, _)| (*from..=*to).contains(&slot))?;
                Some(format!("redis://{node}"))
            }
        }
    }

    /// Takes what a failed command says about the way to the server. Whoever refuses may
    /// no longer be the one to ask.
    pub fn learn(&mut self, place: &str, failure: &Failure) {
        if let Failure::Unknown(_) = failure {
            self.open.remove(place);
        }
        self.forget_places();
    }

    fn forget_places(&mut self) {
        self.primary = None;
        self.slots.clear();
    }

    /// Runs a command where the key is.
    pub async fn run(&mut self, key: &str, command: &Cmd) -> Result<Value, Failure> {
        let Some((place, mut link)) = self.to(key).await else {
            return Err(Failure::Refused("no connection".to_owned()));
        };
        let answer = ask(&mut link, command).await;
        if let Err(failure) = &answer {
            self.learn(&place, failure);
        }
        answer
    }

    /// What a stream holds, from its first entry to its last. Of entries that are no
    /// event of the producer's only the IDs are kept.
    pub async fn truth(&mut self, key: &str, is_whole: bool) -> Truth {
        let mut entries = Vec::new();
        let mut strangers = Vec::new();
        let mut from = "-".to_owned();
        loop {
            let mut command = redis::cmd("XRANGE");
            command.arg(key).arg(&from).arg("+").arg("COUNT").arg(PAGE);
            let page = self.run(key, &command).await.expect("Redis shows what it holds");
            let page: Vec<(String, HashMap<String, Vec<u8>>)> =
                redis::from_redis_value(page).expect("entries of a stream");
            let Some((last, _)) = page.last() else {
                return Truth::new(entries, is_whole).with_strangers(strangers);
            };
            from = format!("({last}");
            strangers.extend(page.iter().filter_map(|(id, _)| stream_id(id)));
            entries.extend(page.iter().filter_map(entry));
        }
    }
}

fn entry((id, fields): &(String, HashMap<String, Vec<u8>>)) -> Option<(StreamId, u64)> {
    let payload: Payload = serde_json::from_slice(fields.get("data")?).ok()?;
    Some((stream_id(id)?, payload.n))
}

/// Runs a command and judges its failure.
pub(super) async fn ask(link: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Failure> {
    match command.query_async(link).await {
        // A push or an error inside of an answer is none that we asked for.
        Ok(Value::ServerError(error)) => Err(Failure::Refused(format!("{error:?}"))),
        Ok(value) => Ok(value),
        Err(error) => Err(judge(&error)),
    }
}

fn judge(error: &RedisError) -> Failure {
    // An error with a code is one that the server said.
    match error.code() {
        Some(_) => Failure::Refused(error.to_string()),
        None => Failure::Unknown(error.to_string()),
    }
}
