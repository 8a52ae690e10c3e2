//! What is counted of stream channels.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use redcast_protocol::ResetReason;

/// The metrics of stream channels; clones share the same counters.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    /// Clients that went on in a channel and missed nothing.
    pub exact: IntCounter,
    /// Clients that were told to try again later.
    pub unavailable: IntCounter,
    /// Events of the past that were sent.
    pub replayed: IntCounter,
    /// Reads of streams for clients that came back.
    pub reads: IntCounter,
    /// Reads that were spared because another client's was the same.
    pub reads_saved: IntCounter,
    resumes_reset: [(ResetReason, IntCounter); REASONS],
}

const REASONS: usize = ResetReason::ALL.len();

impl StreamMetrics {
    /// Makes the metrics and registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let resumes = IntCounterVec::new(
            Opts::new(
                "redcast_resumes_total",
                "Clients that wanted to go on in a channel, by what became of it.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(resumes.clone()))?;
        let outcome = |reason: ResetReason| format!("reset_{}", reason.label());
        let resumes_reset = |reason| (reason, resumes.with_label_values(&[&outcome(reason)]));
        Ok(Self {
            exact: resumes.with_label_values(&["exact"]),
            unavailable: resumes.with_label_values(&["unavailable"]),
            replayed: counter(
                registry,
                "redcast_replayed_events_total",
                "Events of the past sent to clients that came back to a stream channel.",
            )?,
            reads: counter(
                registry,
                "redcast_stream_reads_total",
                "Reads of streams for clients that came back.",
            )?,
            reads_saved: counter(
                registry,
                "redcast_stream_reads_saved_total",
                "Reads of streams that were spared because another client's was the same.",
            )?,
            resumes_reset: ResetReason::ALL.map(resumes_reset),
        })
    }

    /// One client went on, exactly or after this reset.
    pub(crate) fn count_resume(&self, lost: Option<ResetReason>) {
        match lost {
            None => self.exact.inc(),
            Some(reason) => {
                let found = self.resumes_reset.iter().find(|(known, _)| *known == reason);
                found.inspect(|(_, counter)| counter.inc());
            }
        }
    }
}

#[cfg(test)]
impl StreamMetrics {
    /// How many clients were reset for this reason when they came back.
    pub(crate) fn resets(&self, reason: ResetReason) -> u64 {
        let found = self.resumes_reset.iter().find(|(known, _)| *known == reason);
        found.map_or(0, |(_, counter)| counter.get())
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}
