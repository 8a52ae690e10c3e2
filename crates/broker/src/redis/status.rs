//! What the subscriber tells the outside about its link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::link::Link;
use super::proof::{Proof, Verdict};
use crate::BrokerMetrics;

/// How many of the links that there should be are up: the gauge has one value for all.
#[derive(Debug)]
pub(super) struct Links {
    count: Mutex<Count>,
    metrics: BrokerMetrics,
}

#[derive(Debug, Default)]
struct Count {
    wanted: usize,
    up: usize,
}

impl Links {
    /// None of `wanted` links is up yet.
    pub(super) fn new(wanted: usize, metrics: BrokerMetrics) -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(Count { wanted, up: 0 }), metrics })
    }

    /// There should be one more.
    pub(super) fn one_more(&self) {
        self.change(|count| count.wanted += 1);
    }

    /// There should be one less.
    pub(super) fn one_less(&self) {
        self.change(|count| count.wanted -= 1);
    }

    /// What the links' lanes count.
    pub(super) fn metrics(&self) -> &BrokerMetrics {
        &self.metrics
    }

    fn change(&self, change: impl FnOnce(&mut Count)) {
        let mut count = self.count.lock();
        change(&mut count);
        self.metrics.up.set(i64::from(count.up == count.wanted));
    }
}

/// The present link, if there is one, and what went wrong last.
#[derive(Debug)]
pub(super) struct Status {
    inner: Mutex<Inner>,
    links: Arc<Links>,
}

#[derive(Debug, Default)]
struct Inner {
    link: Option<Arc<Link>>,
    was_up: bool,
    /// When a link that is gone was last heard.
    heard_before: Option<Instant>,
    /// Since when Redis answers, if only that it does not let us in.
    answering: Option<Instant>,
    last_error: Option<String>,
}

impl Status {
    /// No link yet; `links` counts it with those to other nodes.
    pub(super) fn new(links: Arc<Links>) -> Self {
        Self { inner: Mutex::default(), links }
    }

    /// A fresh link is up.
    pub(super) fn link_up(&self, link: &Arc<Link>) {
        let mut inner = self.inner.lock();
        if inner.link.replace(Arc::clone(link)).is_none() {
            self.links.change(|count| count.up += 1);
        }
        if std::mem::replace(&mut inner.was_up, true) {
            self.links.metrics.reconnects.inc();
        }
        inner.answering.get_or_insert_with(Instant::now);
    }

    /// The link is gone, or an attempt to build one failed.
    pub(super) fn link_down(&self, reason: &str) {
        let mut inner = self.inner.lock();
        let heard = inner.link.take().map(|link| link.heard());
        if heard.is_some() {
            self.links.change(|count| count.up -= 1);
        }
        inner.heard_before = inner.heard_before.max(heard);
        inner.answering = None;
        inner.last_error = Some(reason.to_owned());
    }

    /// Redis answered an attempt to build a link, and does not let us in.
    pub(super) fn not_let_in(&self, reason: &str) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.heard_before = Some(now);
        inner.answering.get_or_insert(now);
        inner.last_error = Some(reason.to_owned());
    }

    /// Something failed that did not cost the link.
    pub(super) fn error(&self, reason: &str) {
        self.inner.lock().last_error = Some(reason.to_owned());
    }

    /// Judges what `proof` knows by what is known of the link at `now`.
    pub(super) fn judge(&self, proof: &Proof, now: Instant) -> Verdict {
        let inner = self.inner.lock();
        let heard = inner.link.as_ref().map(|link| link.heard()).max(inner.heard_before);
        let answering = inner.answering;
        drop(inner);
        proof.judge(now, heard, answering)
    }

    /// How long the present link has been silent.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.inner.lock().link.as_ref().map(|link| link.heard().elapsed())
    }

    /// What went wrong last.
    pub(super) fn last_error(&self) -> Option<String> {
        self.inner.lock().last_error.clone()
    }
}
