//! The store in Redis: one script counts, publishes and keeps the statistics, for any
//! number of collectors at once.
//!
//! A call that got no answer within a third of its time is made again under the same id,
//! over a new connection; the script knows the ids of the last minute, so nothing counts
//! twice.

mod call;
mod config;
mod link;
mod names;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use redis::RedisError;
use tokio::time::{Instant, sleep, timeout_at};

pub use self::config::{RedisStoreConfig, StoreTls};

use self::call::Call;
use self::link::{Link, is_answer, is_elsewhere};
use self::names::Names;
use crate::batch::Batch;
use crate::page_view::PageView;
use crate::salts::{Day, Salt};
use crate::store::{Store, StoreError};

/// Views of one call; Lua can pass on some 8,000 values at a time, and Redis serves
/// nobody else while a script runs.
const MAX_BATCH: usize = 512;
/// As in record.lua: between two calls that ask for the whole document, milliseconds.
const REFRESH_EVERY: u64 = 250;
/// Between two attempts of the same call.
const PAUSE: Duration = Duration::from_millis(50);
/// Attempts for which the time of a call has room when Redis is silent: a connection that
/// somebody on the way has forgotten is not heard of again, and a new one may work.
const ATTEMPTS: u32 = 3;
/// A clock that is an hour behind midnight still finds the day's salt.
const SALT_OUTLIVES_ITS_DAY: Duration = Duration::from_secs(60 * 60);

/// Page views counted and published in Redis.
pub struct RedisStore {
    link: Link,
    names: Names,
    own_hosts: Vec<String>,
    timeout: Duration,
    /// Of this store alone, so that no two stores' calls share an id.
    identity: String,
    calls: AtomicU64,
    started: Instant,
    /// When this store asked for the whole document last, milliseconds since `started`
    /// and one more; 0 for never.
    refreshed: AtomicU64,
}

/// What became of one attempt.
enum Attempt {
    Done,
    /// It was not sent, or Redis answered that it did nothing.
    No(RedisError),
    /// The connection was lost on the way.
    Lost,
}

impl RedisStore {
    /// Checks the settings. It connects when it first has something to say, so a Redis
    /// that is away is no error here.
    pub fn connect(config: RedisStoreConfig) -> Result<Self, StoreError> {
        config.check()?;
        let mut identity = [0; 8];
        getrandom::fill(&mut identity)
            .map_err(|error| StoreError::Unavailable(format!("no random bytes: {error}")))?;
        Ok(Self {
            link: Link::new(&config.url, config.tls, config.timeout)?,
            names: Names::new(&config.prefix, &config.namespace, &config.channel),
            own_hosts: config.own_hosts,
            timeout: config.timeout,
            identity: HEXLOWER.encode(&identity),
            calls: AtomicU64::new(0),
            started: Instant::now(),
            refreshed: AtomicU64::new(0),
        })
    }

    /// [`Store::record`] as if it were `now`; a test need not wait for the figures to
    /// leave their windows.
    pub async fn record_at(&self, views: &[PageView], now: SystemTime) -> Result<(), StoreError> {
        for (number, views) in views.chunks(MAX_BATCH).enumerate() {
            let batch = Batch::of(views, &self.own_hosts)?;
            let whole = self.is_refresh_due();
            self.call(&batch, whole, now).await.map_err(|error| match number {
                0 => error,
                _ => StoreError::Unknown(format!("some of the views are counted; {error}")),
            })?;
        }
        Ok(())
    }

    /// [`Store::refresh`] as if it were `now`.
    pub async fn refresh_at(&self, now: SystemTime) -> Result<(), StoreError> {
        self.call(&Batch::default(), true, now).await
    }

    /// Whether it is this call's turn to ask for the whole document.
    fn is_refresh_due(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.refreshed.load(Ordering::Relaxed);
        if last != 0 && now < last.saturating_add(REFRESH_EVERY) {
            return false;
        }
        let due = self.refreshed.compare_exchange(
            last,
            now.saturating_add(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        due.is_ok()
    }

    async fn call(
        &self,
        batch: &Batch<'_>,
        whole: bool,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.identity);
        let mut keys = self.names.keys(now, &id);
        if whole {
            keys.extend(self.names.refresh_keys(now));
        }
        self.insist(&Call { keys: &keys, channel: &self.names.channel, now, batch }).await
    }

    /// Makes a call until Redis has answered it, or its time is over.
    async fn insist(&self, call: &Call<'_>) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut may_have_run = false;
        loop {
            match self.attempt(call, deadline).await {
                Attempt::Done => return Ok(()),
                // What an answer says is of this attempt, not of the one before it.
                Attempt::No(error) if !may_have_run => return Err(self.link.said_no(&error)),
                Attempt::No(_) => {}
                Attempt::Lost => may_have_run = true,
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(self.link.silent());
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, call: &Call<'_>, deadline: Instant) -> Attempt {
        let mut lent = match timeout_at(deadline, self.link.get()).await {
            Ok(Ok(lent)) => lent,
            Ok(Err(error)) => return Attempt::No(error),
            Err(_) => return Attempt::No(io::Error::from(io::ErrorKind::TimedOut).into()),
        };
        let number = lent.number();
        let share = deadline.min(Instant::now() + self.timeout / ATTEMPTS);
        match timeout_at(share, call.run(&mut lent)).await {
            Ok(Ok(())) => Attempt::Done,
            Ok(Err(error)) if is_answer(&error) => {
                if is_elsewhere(&error) {
                    self.link.give_up(number);
                }
                Attempt::No(error)
            }
            Ok(Err(_)) | Err(_) => {
                self.link.give_up(number);
                Attempt::Lost
            }
        }
    }

    async fn fetch_salt(&self, day: Day, known: Option<&Salt>) -> Result<Salt, RedisError> {
        let key = self.names.salt(day);
        let offered = match known {
            Some(salt) => salt.clone(),
            None => Salt::random().map_err(|error| io::Error::other(error.to_string()))?,
        };
        let left = day.end().duration_since(SystemTime::now()).unwrap_or_default();
        let seconds = (left + SALT_OUTLIVES_ITS_DAY).as_secs().max(1);
        let mut lent = self.link.get().await?;
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&key).arg(offered.to_hex()).arg("NX").arg("EX").arg(seconds).ignore();
        pipe.cmd("GET").arg(&key);
        match pipe.query_async::<(String,)>(&mut lent.connection).await {
            Ok((text,)) => Salt::from_hex(&text).ok_or_else(|| {
                (redis::ErrorKind::UnexpectedReturnType, "the key of the day's salt holds none")
                    .into()
            }),
            Err(error) => {
                if !is_answer(&error) || is_elsewhere(&error) {
                    self.link.give_up(lent.number());
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        self.record_at(views, SystemTime::now()).await
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        self.refresh_at(SystemTime::now()).await
    }

    async fn salt(&self, day: Day, known: Option<&Salt>) -> Result<Salt, StoreError> {
        match tokio::time::timeout(self.timeout, self.fetch_salt(day, known)).await {
            Ok(Ok(salt)) => Ok(salt),
            Ok(Err(error)) => Err(self.link.said_no(&error)),
            Err(_) => Err(self.link.away("it did not answer in time")),
        }
    }
}
