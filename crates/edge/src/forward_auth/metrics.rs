//! What forward auth counts, and how seldom it complains.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// Complaints of one kind that come faster than this are left out; the counter has
/// them all.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// Seconds: from a hook on the same host to one that is about to time out.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];

/// How a question to the hook ended: the closed set of the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Unauthenticated,
    Forbidden,
    BadStatus,
    BadBody,
    TimedOut,
    Failed,
    /// The client went away before the hook had answered.
    ClientLeft,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Admitted,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::BadStatus,
        Self::BadBody,
        Self::TimedOut,
        Self::Failed,
        Self::ClientLeft,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::BadStatus => "bad_status",
            Self::BadBody => "bad_body",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::ClientLeft => "client_left",
        }
    }
}

/// The metrics of forward auth; clones share the same counters.
#[derive(Clone, Debug)]
pub(crate) struct ForwardAuthMetrics {
    outcomes: [IntCounter; Outcome::ALL.len()],
    seconds: Histogram,
}

/// A question on its way. A guard, because a client that leaves drops the question
/// wherever it stands.
pub(crate) struct Question<'a> {
    metrics: &'a ForwardAuthMetrics,
    begun: Instant,
    /// How it ended, as far as it has.
    pub(crate) outcome: Outcome,
}

impl ForwardAuthMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Questions to the forward-auth hook, by how they ended.";
        let opts = Opts::new("redcast_forward_auth_requests_total", help);
        let requests = IntCounterVec::new(opts, &["outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        let help = "From a question to the forward-auth hook to the end of its answer.";
        let opts = HistogramOpts::new("redcast_forward_auth_seconds", help);
        let seconds = Histogram::with_opts(opts.buckets(BUCKETS.to_vec()))?;
        registry.register(Box::new(seconds.clone()))?;
        let by_outcome = |outcome: Outcome| requests.with_label_values(&[outcome.label()]);
        Ok(Self { outcomes: Outcome::ALL.map(by_outcome), seconds })
    }

    pub(crate) fn begin(&self) -> Question<'_> {
        Question { metrics: self, begun: Instant::now(), outcome: Outcome::ClientLeft }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.metrics.outcomes[self.outcome as usize].inc();
        self.metrics.seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Says of each outcome whether it is time to complain about it again: each handshake
/// can bring one, and a broken hook must not fill the disk.
#[derive(Debug)]
pub(crate) struct Complaints {
    started: Instant,
    /// Milliseconds after the start before which nothing more is said.
    quiet_until: [AtomicU64; Outcome::ALL.len()],
}

impl Complaints {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), quiet_until: Default::default() }
    }

    pub(crate) fn is_due(&self, outcome: Outcome) -> bool {
        self.is_due_at(outcome, self.started.elapsed())
    }

    fn is_due_at(&self, outcome: Outcome, now: Duration) -> bool {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (ms(now), ms(now.saturating_add(COMPLAIN_EVERY)));
        let quiet = &self.quiet_until[outcome as usize];
        let claim = |until: u64| (until <= now).then_some(next);
        quiet.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_there_from_the_start_and_counted_by_its_own_label() {
        let registry = Registry::new();
        let metrics = ForwardAuthMetrics::register(&registry).unwrap();
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            metrics.begin().outcome = outcome;
        }
        drop(metrics.begin());
        let families = registry.gather();
        let requests = families.iter().find(|family| family.name().ends_with("requests_total"));
        for metric in requests.unwrap().get_metric() {
            let label = metric.get_label()[0].value();
            let expected = if label == "client_left" { 2.0 } else { 1.0 };
            assert_eq!(metric.get_counter().get_value(), expected, "{label}");
        }
        assert_eq!(metrics.seconds.get_sample_count(), 9);
    }

    #[test]
    fn each_kind_of_complaint_is_heard_once_in_a_while() {
        let complaints = Complaints::new();
        let due = |outcome, seconds| complaints.is_due_at(outcome, Duration::from_secs(seconds));
        assert!(due(Outcome::TimedOut, 0));
        assert!(!due(Outcome::TimedOut, 0));
        assert!(due(Outcome::BadBody, 1));
        assert!(!due(Outcome::TimedOut, 9));
        assert!(due(Outcome::TimedOut, 10));
        assert!(!due(Outcome::TimedOut, 19));
    }
}
