//! The world outside: where events come from and where a publish goes.
//!
//! [`Broker`] is what the rest of Redcast knows of it. Two implementations: the
//! memory broker (one process, no set-up) and Redis. This is the only room that
//! knows Redis.

#![forbid(unsafe_code)]

mod clock;
mod deliveries;
mod delivery_metrics;
mod intake;
mod memory;
mod memory_snapshots;
mod memory_streams;
mod metrics;
mod once;
mod redis;
mod snapshot;
mod sources;
mod stream_metrics;

pub use self::redis::{
    BatchError, BrokerConfigError, Census, EntryId, Follows, MAX_NODES, REDIS_DESCRIPTORS,
    RedisBroker, RedisConfig, RedisPublisher, RedisTls, RedisTlsError, RedisTlsPart, StreamState,
    Tail, Verdict, follow, install_tls_provider,
};
pub use deliveries::{Deliveries, DeliverySender, QueueLimits, SendOutcome, deliveries};
pub use memory::{MemoryBroker, MemoryConfig};
pub use metrics::BrokerMetrics;
pub use once::{OnceKey, OnceKeyError, Published};
pub use snapshot::{SnapshotError, SnapshotStore, Stored};
pub use sources::Sources;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use redcast_protocol::{Channel, Cursor, GapReason, ResetReason};

/// A source of events and a place to publish them.
///
/// Events and gaps of the subscribed channels arrive in the [`Deliveries`] that the
/// implementation's constructor returned beside itself, in the broker's order.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// `"memory"` or `"redis"`, for people.
    fn kind(&self) -> &'static str;

    /// Asks for the events of `channel`. Returns once the broker confirmed it, or
    /// at once with [`Subscribed::Pending`] while the broker is away: the wish
    /// stays, a gap tells when it came true, and [`Delivery::Refused`] if it will not.
    ///
    /// Subscribing twice is the same as once, except that a caller who was told
    /// `Pending`, or whose channel was refused since, learns the state of now.
    async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError>;

    /// Ends the interest in `channel`. Never fails: the wish is gone at once, and
    /// a broker that is away has forgotten it anyway.
    async fn unsubscribe(&self, channel: &Channel);

    /// Publishes; the event comes back through the subscription like any other
    /// (invariant 7: one order, one path).
    async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), PublishError>;

    /// Publishes all of `payloads` in their order, with nothing between them, or none.
    ///
    /// Under a `key`, the same channel and payloads are published once in 24 hours,
    /// however often it is asked for, and others are [`PublishError::KeyTaken`]. So
    /// whoever got [`PublishError::Unavailable`], after which the events may be out or
    /// not, can repeat the call with the same key.
    async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError>;

    /// Whether this channel's events are kept for a while or gone once they are told.
    fn source(&self, channel: &Channel) -> Source;

    /// Reads a stream channel's events after `since`, the oldest first, at most `limit`;
    /// verified: the entry of `since` itself is still there and has its payload.
    async fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError>;

    /// Reads the last `count` events of a stream channel, the oldest first.
    async fn last_events(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError>;

    /// Whether the subscription to `channel` is confirmed at this moment.
    fn is_live(&self, channel: &Channel) -> bool;

    /// Under which name a producer publishes to this channel.
    fn published_name(&self, channel: &Channel) -> String {
        channel.as_str().to_owned()
    }

    /// What readiness is made of.
    fn health(&self) -> Health;
}

/// How far a subscription has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    /// The broker confirmed it: every event from now on arrives or is a gap.
    Live,
    /// The broker is away; a gap will tell when it goes live, or a refusal that it
    /// does not.
    Pending,
}

/// Where a channel's events come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// `PUBLISH`: told once, kept nowhere.
    #[default]
    PubSub,
    /// `XADD`: kept until it is trimmed, and read from where one left off.
    Stream,
}

/// One thing that arrived for a channel.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An event.
    Event(Event),
    /// From where on a stream channel's events are told. It stands before the first of
    /// them, and again where the stream could not be followed without a break.
    Position(Position),
    /// An entry of a stream channel that is no event: everything up to it was told.
    Passed {
        /// The channel.
        channel: Channel,
        /// The entry.
        cursor: Cursor,
    },
    /// A stretch in which events may have been missed.
    Gap(Gap),
    /// A subscription that was live or pending is refused. Told once, however often it
    /// is asked for again; if that succeeds, a gap follows.
    Refused(SubscribeError),
}

/// One published payload.
#[derive(Debug, Clone)]
pub struct Event {
    /// Where it was published, without the prefix.
    pub channel: Channel,
    /// The bytes, as published.
    pub payload: Bytes,
    /// When this instance read it.
    pub received: Instant,
    /// Its place in its stream; none in a pub/sub channel.
    pub cursor: Option<Cursor>,
}

/// A place in a stream channel: every entry after it is told from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The channel.
    pub channel: Channel,
    /// The last entry that is not told any more.
    pub cursor: Cursor,
    /// Why those who followed the channel can't go on exactly; none where it begins.
    pub reset: Option<ResetReason>,
}

/// How much of a stream is read at once; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadLimit {
    /// Events.
    pub events: usize,
    /// Bytes of their payloads; the first event is read in any case.
    pub bytes: usize,
}

/// What was read of a stream.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events, the oldest first. Entries that are no events have been left out.
    pub events: Vec<Event>,
    /// Gaps that stand between them, each at the place of an entry that was left out because
    /// it is too large.
    pub gaps: Vec<(Cursor, Gap)>,
    /// The last entry that was read, event or not: where to read on.
    pub cursor: Cursor,
    /// Whether the stream had nothing newer at that moment.
    pub is_last: bool,
}

/// Why a stream was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// What follows the cursor can't be told exactly.
    #[error("the place in the channel is lost: {}", .0.label())]
    Reset(ResetReason),
    /// The broker is away or did not answer in time. The sentence names it.
    #[error("{0}")]
    Unavailable(String),
    /// The broker said no. The sentence names it, and has its words.
    #[error("{0}")]
    Refused(String),
}

/// A stretch in which this instance may have missed events of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The channel.
    pub channel: Channel,
    /// When the blind time began, Unix milliseconds.
    pub from_ms: u64,
    /// When it ended, Unix milliseconds.
    pub to_ms: u64,
    /// Why.
    pub reason: GapReason,
    /// How many events are known to be lost, where that is known.
    pub dropped: Option<u64>,
}

/// The broker would not have this subscription; asking again will not help until
/// somebody changes what it permits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the subscription to {channel} was refused: {reason}")]
pub struct SubscribeError {
    /// Which channel.
    pub channel: Channel,
    /// What the broker said.
    pub reason: String,
}

/// Why an event was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The payload is over `max_event_size`.
    #[error("an event has at most {limit} bytes, this one has {size}")]
    TooLarge {
        /// Size of the payload, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The broker is away or did not answer in time; nothing was acknowledged. The
    /// sentence names it.
    #[error("{0}")]
    Unavailable(String),
    /// The broker said no. The sentence names it, and has its words.
    #[error("{0}")]
    Refused(String),
    /// Something else was published under this key.
    #[error("other content was published under this idempotency key; take a new key for it")]
    KeyTaken,
}

/// Whether clients should be sent to this instance, as far as its broker goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It was proven lately that whatever is published arrives.
    Ready,
    /// It was ready, and since then the broker itself has not answered: other instances
    /// are hardly better off.
    Outage,
    /// It was not ready yet, or the broker answers and something is missing here all the
    /// same.
    #[default]
    Unready,
}

/// What readiness is made of; every field is a fact of this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The verdict.
    pub readiness: Readiness,
    /// The subscription's own link is up and answered lately.
    pub connected: bool,
    /// Channels asked for.
    pub wanted: usize,
    /// Channels the broker confirmed on the present link.
    pub confirmed: usize,
    /// Wanted channels that should have been confirmed by now: those the present link
    /// took over from the time before it, and those that have waited for longer than a
    /// confirmation takes. One that was refused and never live is not among them.
    pub overdue: usize,
    /// How long ago the last byte came over the subscription's link.
    pub last_heard: Option<Duration>,
    /// How long ago the newest event of our own was published that came back through the
    /// subscription.
    pub last_proof: Option<Duration>,
    /// Why there is no younger proof, for people.
    pub proof_error: Option<String>,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
}

impl Health {
    /// Whether it is proven that everything is heard that should be. A channel that was
    /// just asked for is no reason to send clients elsewhere: its confirmation takes a
    /// round trip.
    pub fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// Whether it was ready, and the broker itself is away since.
    pub fn is_outage(&self) -> bool {
        self.readiness == Readiness::Outage
    }

    /// Why it is not ready, in a sentence; none if it is.
    pub fn complaint(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        let told = |reason: &Option<String>| reason.clone();
        let unproven = || "what is published has not come back yet".to_owned();
        Some(if !self.connected {
            told(&self.last_error).unwrap_or_else(|| "no answer of the broker yet".to_owned())
        } else if let Some(reason) = told(&self.proof_error) {
            reason
        } else if self.overdue > 0 {
            let missing = format!("{} of {} channels are not live", self.overdue, self.wanted);
            told(&self.last_error).map_or(missing.clone(), |reason| format!("{missing}: {reason}"))
        } else {
            unproven()
        })
    }
}
