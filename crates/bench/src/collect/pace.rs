//! The pace: which view is due when, and what came of those of the window.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::histogram::Histogram;
use crate::payload::now_ns;

/// How long after the last view was due an answer may come.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// The status of a view that was accepted.
pub(super) const NO_CONTENT: u16 = 204;

/// How views are spread over time.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Views per second, evenly spread, the visitors taking turns.
    pub rate: u32,
    /// Views before the window opens, which are only counted in the ledger.
    pub lead_in: Duration,
    /// The window.
    pub window: Duration,
    /// How far behind the answers may be before the rest is not sent at all.
    pub patience: Duration,
}

impl Plan {
    fn views(&self, time: Duration) -> u64 {
        (time.as_secs_f64() * f64::from(self.rate)).round() as u64
    }
}

/// What came of the views that were due in the window.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Due.
    pub asked: u64,
    /// Answered with 204.
    pub accepted: u64,
    /// From when a view was due to its answer; for one without, to when it was given up. ns.
    pub latency: Histogram,
    /// From when a view was due to when the load generator came to it, ns.
    pub lateness: Histogram,
    /// Other answers than 204, by status.
    pub refusals: BTreeMap<u16, u64>,
    /// Connections that the collector closed, each with a view under way or not.
    pub closed: u64,
}

impl Outcome {
    /// Whether every view was accepted, and 99 of 100 within `limit`.
    pub fn kept_up(&self, limit: Duration) -> bool {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.asked > 0
            && self.accepted == self.asked
            && self.latency.quantile(0.99).is_some_and(|p99| p99 <= limit)
    }
}

/// A view that is to be sent or was.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// By [`now_ns`].
    pub(super) due_ns: u64,
    /// Over all plans.
    pub(super) number: u64,
    /// Whether it is due in the window.
    pub(super) timed: bool,
}

/// One plan being carried out.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    start_ns: u64,
    total: u64,
    untimed: u64,
    issued: u64,
    ended: u64,
    accepted: &'a AtomicU64,
    pub(super) outcome: Outcome,
}

impl<'a> Run<'a> {
    /// Starts now.
    pub(super) fn new(plan: &'a Plan, accepted: &'a AtomicU64) -> Self {
        let (untimed, asked) = (plan.views(plan.lead_in), plan.views(plan.window));
        let outcome = Outcome { asked, ..Outcome::default() };
        let (start_ns, total) = (now_ns(), untimed + asked);
        Self { plan, start_ns, total, untimed, issued: 0, ended: 0, accepted, outcome }
    }

    /// When the next view is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.due_ns(self.issued)
    }

    fn due_ns(&self, view: u64) -> u64 {
        self.start_ns + view * 1_000_000_000 / u64::from(self.plan.rate)
    }

    /// Whether all is answered, or no more is to be waited for.
    pub(super) fn is_over(&self) -> bool {
        let open = self.issued - self.ended;
        let last_ns = self.due_ns(self.total) + DRAIN.as_nanos() as u64;
        let all = self.issued == self.total && open == 0;
        all || open > self.plan.views(self.plan.patience) || now_ns() > last_ns
    }

    /// The next view if it is due, to be numbered `number`, and whose turn it is.
    pub(super) fn issue(&mut self, number: u64, now_ns: u64) -> Option<(u64, View)> {
        let (due_ns, timed) = (self.next_ns(), self.issued >= self.untimed);
        if self.issued == self.total || due_ns > now_ns {
            return None;
        }
        if timed {
            self.outcome.lateness.record(now_ns - due_ns);
        }
        self.issued += 1;
        Some((self.issued - 1, View { due_ns, number, timed }))
    }

    /// Ends one view; `status` is that of its answer, if it has one.
    pub(super) fn end(&mut self, view: View, status: Option<u16>) {
        self.ended += 1;
        if status == Some(NO_CONTENT) {
            self.accepted.fetch_add(1, Relaxed);
        }
        if view.timed {
            self.outcome.latency.record(now_ns().saturating_sub(view.due_ns));
            match status {
                Some(NO_CONTENT) => self.outcome.accepted += 1,
                Some(other) => *self.outcome.refusals.entry(other).or_default() += 1,
                None => {}
            }
        }
    }
}
