//! What forward auth counts.

use std::time::Instant;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

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
    /// Its time was over before there was a turn for it, or little was left by then.
    Crowded,
    Failed,
    /// The client went away before the hook had answered.
    ClientLeft,
}

impl Outcome {
    pub(super) const ALL: [Self; 9] = [
        Self::Admitted,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::BadStatus,
        Self::BadBody,
        Self::TimedOut,
        Self::Crowded,
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
            Self::Crowded => "crowded",
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
        assert_eq!(metrics.seconds.get_sample_count(), 10);
    }
}
