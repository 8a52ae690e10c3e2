//! The proof of delivery: a canary that this instance publishes to itself through the
//! subscription that its events take, and what its coming back, or not, says.
//!
//! A link that is up proves little: a subscription can be deaf while its connection
//! answers every PING. Only what was published and arrived is proven.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::config::RedisConfig;
use super::names::Names;
use super::pool::Trouble;
use super::readiness::{Facts, Judge};
use crate::Readiness;

/// How often a canary is published.
const EVERY: Duration = Duration::from_secs(1);
/// How often while there is something to heal.
const EVERY_WHEN_UNREADY: Duration = Duration::from_millis(250);
/// How long canaries that Redis took may stay away before the subscription counts as
/// deaf and is built anew. Longer than a proof lives: under a flood they come late.
const DEAF_AFTER: Duration = Duration::from_secs(5);

/// How many names are tried for one that belongs to a shard; of a thousand shards each has
/// every thousandth.
const MOST_NAMES: u32 = 16_384;

/// What one instance knows of its canaries. Its methods never wait for each other long.
#[derive(Debug)]
pub(super) struct Proof {
    /// The Redis channel of the canary.
    channel: RwLock<String>,
    /// What its name begins with.
    stem: String,
    /// Whether there is to be one.
    is_wanted: bool,
    /// What no other publisher to the channel would write.
    nonce: String,
    /// What the times in the payloads count from.
    epoch: Instant,
    inner: Mutex<Inner>,
    /// Whether the canary's subscription stands, for the read path of events.
    confirmed: AtomicBool,
    due: Notify,
}

#[derive(Debug)]
struct Inner {
    /// When the newest canary was sent that came back.
    last: Option<Instant>,
    /// The same of those that came back while every channel was confirmed.
    whole: Option<Instant>,
    /// When Redis took the first canary that has not come back, nor any after it.
    missed_since: Option<Instant>,
    /// Since when Redis answers each publish; none before the first, and while it does not.
    publishing: Option<Instant>,
    /// Why there is no proof, in a sentence.
    trouble: Option<String>,
    judge: Judge,
    verdict: Readiness,
}

/// The verdict of a moment, and what it is made of.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Whether clients should be sent here.
    pub(super) readiness: Readiness,
    /// How long ago the newest canary was sent that came back.
    pub(super) age: Option<Duration>,
    /// Why there is no proof, in a sentence.
    pub(super) trouble: Option<String>,
}

impl Proof {
    /// Nothing is proven yet.
    pub(super) fn new(config: &RedisConfig) -> Self {
        let inner = Inner {
            last: None,
            whole: None,
            missed_since: None,
            publishing: None,
            trouble: None,
            judge: Judge::new(config.dead_after),
            verdict: Readiness::Unready,
        };
        let channel = Names::new(&config.prefix).canary(&config.instance);
        Self {
            stem: channel.clone(),
            channel: RwLock::new(channel),
            is_wanted: config.canary,
            nonce: format!("{:016x}", fastrand::u64(..)),
            epoch: Instant::now(),
            inner: Mutex::new(inner),
            confirmed: AtomicBool::new(false),
            due: Notify::new(),
        }
    }

    /// The Redis channel of the canary.
    pub(super) fn channel(&self) -> String {
        self.channel.read().clone()
    }

    /// Gives the canary a channel that is `right`, unless it has one: a shard's must be in
    /// one of the shard's slots.
    pub(super) fn move_to(&self, right: impl Fn(&str) -> bool) {
        if right(&self.channel.read()) {
            return;
        }
        let names = (0..MOST_NAMES).map(|number| format!("{}:{number}", self.stem));
        if let Some(name) = names.into_iter().find(|name| right(name)) {
            *self.channel.write() = name;
        }
    }

    /// Whether a Redis channel is the canary's.
    pub(super) fn is_canary(&self, redis_channel: &[u8]) -> bool {
        self.channel.read().as_bytes() == redis_channel
    }

    /// Whether the present link has to be asked for the canary.
    pub(super) fn needs_subscription(&self) -> bool {
        self.is_wanted && !self.confirmed.load(Ordering::Relaxed)
    }

    /// Redis confirmed the canary's subscription; the first one is due at once.
    pub(super) fn subscribed(&self) {
        let mut inner = self.inner.lock();
        inner.missed_since = None;
        self.confirmed.store(true, Ordering::Relaxed);
        drop(inner);
        self.due.notify_one();
    }

    /// Redis refused the canary's subscription; `why` is a sentence. Returns whether that
    /// is news.
    pub(super) fn refused(&self, why: String) -> bool {
        let mut inner = self.inner.lock();
        inner.trouble.replace(why) != inner.trouble
    }

    /// Redis ended the canary's subscription.
    pub(super) fn ended(&self) {
        self.link_lost();
    }

    /// The link is gone, and with it the subscription.
    pub(super) fn link_lost(&self) {
        let mut inner = self.inner.lock();
        inner.missed_since = None;
        self.confirmed.store(false, Ordering::Relaxed);
    }

    /// Something arrived in the canary's channel at `now`; `all_confirmed` says whether
    /// every channel was that should be.
    pub(super) fn hear(&self, payload: &[u8], now: Instant, all_confirmed: bool) {
        // One from the future would prove everything to come.
        let sent = self.sent(payload).filter(|sent| *sent <= now);
        let Some(sent) = sent else { return };
        let mut inner = self.inner.lock();
        inner.last = inner.last.max(Some(sent));
        if all_confirmed {
            inner.whole = inner.whole.max(Some(sent));
        }
        inner.missed_since = None;
        inner.trouble = None;
    }

    /// Waits until a canary is due.
    pub(super) async fn due(&self) {
        let every = match self.inner.lock().verdict {
            Readiness::Ready => EVERY,
            Readiness::Outage | Readiness::Unready => EVERY_WHEN_UNREADY,
        };
        // Whichever comes first: its turn, or a subscription to be proven.
        let _ = timeout(every, self.due.notified()).await;
    }

    /// The payload to publish at `now`; none while nobody would hear it.
    pub(super) fn next(&self, now: Instant) -> Option<String> {
        let us = now.saturating_duration_since(self.epoch).as_micros();
        let is_heard = self.confirmed.load(Ordering::Relaxed);
        is_heard.then(|| format!("{}-{us}", self.nonce))
    }

    /// What became of the canary that was sent at `sent`.
    pub(super) fn published(&self, sent: Instant, outcome: Result<(), Trouble>) {
        let mut inner = self.inner.lock();
        match outcome {
            Ok(()) => {
                inner.publishing.get_or_insert(sent);
                // It may have come back before its own acknowledgement.
                let is_back = inner.last >= Some(self.to_microseconds(sent));
                if !is_back && self.confirmed.load(Ordering::Relaxed) {
                    inner.missed_since.get_or_insert(sent);
                }
            }
            Err(Trouble::Refused(why)) => {
                inner.publishing.get_or_insert(sent);
                inner.trouble = Some(why);
            }
            Err(Trouble::Unavailable(why)) => {
                inner.publishing = None;
                inner.trouble = Some(why);
            }
        }
    }

    /// Whether the subscription says it stands and brings nothing.
    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        let since = self.inner.lock().missed_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= DEAF_AFTER)
    }

    /// Judges by what is known here and by what the link says: when it was last heard, and
    /// since when Redis answers on it.
    pub(super) fn judge(
        &self,
        now: Instant,
        heard: Option<Instant>,
        answering: Option<Instant>,
    ) -> Verdict {
        let mut inner = self.inner.lock();
        let answering = match (answering, inner.publishing) {
            (Some(link), Some(publishing)) => Some(link.max(publishing)),
            _ => None,
        };
        let facts = Facts { proven: inner.whole, heard, answering };
        inner.verdict = inner.judge.judge(now, &facts);
        Verdict {
            readiness: inner.verdict,
            age: inner.last.map(|last| now.saturating_duration_since(last)),
            trouble: inner.trouble.clone(),
        }
    }

    /// When a canary of ours was sent; none for anything else.
    fn sent(&self, payload: &[u8]) -> Option<Instant> {
        let text = std::str::from_utf8(payload).ok()?;
        let us = text.strip_prefix(&self.nonce)?.strip_prefix('-')?.parse().ok()?;
        self.epoch.checked_add(Duration::from_micros(us))
    }

    /// A moment as its canary tells it.
    fn to_microseconds(&self, moment: Instant) -> Instant {
        let us = moment.saturating_duration_since(self.epoch).as_micros();
        self.epoch + Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
