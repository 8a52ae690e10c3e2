//! What the subscriber tells the outside about its link.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::link::Link;
use crate::BrokerMetrics;

/// The present link, if there is one, and what went wrong last.
#[derive(Debug)]
pub(super) struct Status {
    inner: Mutex<Inner>,
    metrics: BrokerMetrics,
}

#[derive(Debug, Default)]
struct Inner {
    link: Option<Arc<Link>>,
    was_up: bool,
    last_error: Option<String>,
}

impl Status {
    /// No link yet.
    pub(super) fn new(metrics: BrokerMetrics) -> Self {
        Self { inner: Mutex::default(), metrics }
    }

    /// A fresh link is up.
    pub(super) fn link_up(&self, link: &Arc<Link>) {
        let mut inner = self.inner.lock();
        inner.link = Some(Arc::clone(link));
        if std::mem::replace(&mut inner.was_up, true) {
            self.metrics.reconnects.inc();
        }
        self.metrics.up.set(1);
    }

    /// The link is gone, or an attempt to build one failed.
    pub(super) fn link_down(&self, reason: &str) {
        let mut inner = self.inner.lock();
        inner.link = None;
        inner.last_error = Some(reason.to_owned());
        self.metrics.up.set(0);
    }

    /// Something failed that did not cost the link.
    pub(super) fn error(&self, reason: &str) {
        self.inner.lock().last_error = Some(reason.to_owned());
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
