//! One connection's life as its readers and its owner see it, and what is done with
//! each push that arrives on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use redcast_protocol::Channel;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::cluster::Shard;
use super::names::Names;
use super::proof::Proof;
use super::wishes::Wishes;
use crate::clock;
use crate::intake::Intake;

/// The state of one link. A new link is a new `Link`.
#[derive(Debug)]
pub(super) struct Link {
    opened: Instant,
    /// When anything was heard last, nanoseconds after `opened`.
    heard_ns: AtomicU64,
    /// Up to when everything that Redis had for us has arrived, nanoseconds after `opened`.
    proven_ns: AtomicU64,
    /// Whether pushes still count. Its lock spans the handling of each push, so that
    /// after `close` nothing of this link can overtake the next one.
    open: Mutex<bool>,
    /// Why the link is of no more use.
    broken: Mutex<Option<String>>,
    broke: Notify,
    /// Commands whose answer has not been read.
    unanswered: AtomicUsize,
}

/// A command that is on its way, from before it is sent until its answer was read.
#[derive(Debug)]
pub(super) struct OnItsWay(Arc<Link>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// A link that is being opened.
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            heard_ns: AtomicU64::new(0),
            proven_ns: AtomicU64::new(0),
            open: Mutex::new(true),
            broken: Mutex::default(),
            broke: Notify::new(),
            unanswered: AtomicUsize::new(0),
        }
    }

    /// Counts a command that is about to be sent.
    pub(super) fn sends(self: &Arc<Self>) -> OnItsWay {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        OnItsWay(Arc::clone(self))
    }

    fn awaits_answers(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
    }

    /// Something arrived at `now`.
    pub(super) fn hear(&self, now: Instant) {
        self.heard_ns.fetch_max(self.ns(now), Ordering::Relaxed);
    }

    /// A PING that was sent at `asked` has been answered.
    pub(super) fn prove(&self, asked: Instant) {
        self.proven_ns.fetch_max(self.ns(asked), Ordering::Relaxed);
    }

    /// When the last PING that was answered was sent: what Redis published before that
    /// stands in front of the answer. What arrived last proves less, as it may have been
    /// on its way while something later was published that was lost behind it.
    pub(super) fn proven(&self) -> Instant {
        self.opened + Duration::from_nanos(self.proven_ns.load(Ordering::Relaxed))
    }

    fn ns(&self, at: Instant) -> u64 {
        let ns = at.saturating_duration_since(self.opened).as_nanos();
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// When anything arrived last.
    pub(super) fn heard(&self) -> Instant {
        self.opened + Duration::from_nanos(self.heard_ns.load(Ordering::Relaxed))
    }

    /// Says that the link is of no more use; the first reason stays.
    pub(super) fn break_off(&self, reason: &str) {
        self.broken.lock().get_or_insert_with(|| reason.to_owned());
        self.broke.notify_one();
    }

    /// Waits until the link is of no more use and tells why. For one waiter.
    pub(super) async fn broken(&self) -> String {
        loop {
            if let Some(reason) = self.broken.lock().clone() {
                return reason;
            }
            self.broke.notified().await;
        }
    }

    /// Does something between two pushes: what it queues stands in the order in which it
    /// became true. It must not wait.
    pub(super) fn between_pushes(&self, work: impl FnOnce()) {
        let _open = self.open.lock();
        work();
    }

    /// From now on nothing that arrives counts. A push that is being handled is
    /// waited for; that takes microseconds.
    pub(super) fn close(&self) {
        *self.open.lock() = false;
    }
}

/// Handles the pushes of one link, in the client library's read path: it must not wait.
#[derive(Debug)]
pub(super) struct PushReader {
    /// The link that is read.
    pub(super) link: Arc<Link>,
    /// Where confirmations go.
    pub(super) wishes: Arc<Wishes>,
    /// What is wanted of streams, which are read elsewhere.
    pub(super) streams: Arc<[Arc<Wishes>]>,
    /// Where canaries go.
    pub(super) proof: Arc<Proof>,
    /// Where events and gaps go.
    pub(super) intake: Intake,
    /// How Redis channels are spelled.
    pub(super) names: Names,
    /// The primary whose shard channels are read, if it is not for plain channels.
    pub(super) shard: Option<Shard>,
}

impl PushReader {
    /// Takes one push. Confirmations and the end of the link never enter the queue of
    /// events, which may be full.
    pub(super) fn read(&self, push: PushInfo) {
        let open = self.link.open.lock();
        if !*open {
            return;
        }
        let now = Instant::now();
        match push.kind {
            PushKind::Disconnection => return self.link.break_off("it closed the connection"),
            PushKind::Message | PushKind::SMessage => self.message(push.data, now),
            PushKind::Subscribe | PushKind::SSubscribe => self.subscribed(&push.data),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => self.unsubscribed(&push.data, now),
            // Nothing else was asked for, and whatever it is proves the link.
            _ => {}
        }
        self.link.hear(now);
    }

    fn message(&self, data: Vec<Value>, now: Instant) {
        let mut data = data.into_iter();
        let (Some(Value::BulkString(name)), Some(Value::BulkString(payload))) =
            (data.next(), data.next())
        else {
            return self.intake.bad_channel();
        };
        if self.proof.is_canary(&name) {
            // Nobody else says of a reader of streams that it has no link.
            let mut streams = self.streams.iter().map(|wishes| wishes.tally_of_link());
            let all_confirmed =
                streams.all(|tally| tally.overdue == 0) && self.wishes.tally().overdue == 0;
            return self.proof.hear(&payload, now, all_confirmed);
        }
        let name = self.names.channel_name(&name);
        match name.and_then(|name| self.wishes.live_channel(name)) {
            Some(channel) => self.intake.event(channel, Bytes::from(payload), now),
            None if name.is_none_or(|name| Channel::parse(name).is_err()) => {
                self.intake.bad_channel();
            }
            // Unsubscribed while it was on its way: nobody misses it.
            None => {}
        }
    }

    fn subscribed(&self, data: &[Value]) {
        if self.is_canary(data) {
            return self.proof.subscribed();
        }
        let Some(channel) = self.name(data).and_then(|name| Channel::parse(name).ok()) else {
            return;
        };
        if let Some(gap) = self.wishes.subscribed(&channel, clock::unix_ms()) {
            self.intake.gap(gap);
        }
    }

    fn unsubscribed(&self, data: &[Value], now: Instant) {
        let Some(name) = self.name(data) else { return };
        if self.is_canary(data) {
            self.proof.ended();
        } else if self.wishes.unsubscribed(name) {
            return;
        }
        let Some(shard) = self.shard.as_ref().filter(|_| !self.link.awaits_answers()) else {
            // The client library takes this push for the reply to the oldest command, so
            // every later reply is off by one. Where none is awaited, it takes it for none.
            return self.link.break_off("it ended a subscription that was wanted");
        };
        // The slot has gone to somebody else, and this node knows to whom.
        shard.suspect();
        if !self.is_canary(data) {
            // Before it heard of the move, the new node may have been published to.
            let until = shard.right_until().map_or(now, |until| until.min(now));
            self.wishes.ended(name, clock::unix_ms_of(until));
        }
    }

    fn is_canary(&self, data: &[Value]) -> bool {
        matches!(data.first(), Some(Value::BulkString(name)) if self.proof.is_canary(name))
    }

    fn name<'a>(&self, data: &'a [Value]) -> Option<&'a str> {
        match data.first() {
            Some(Value::BulkString(name)) => self.names.channel_name(name),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
