//! What is counted of stream channels.

use prometheus::{IntCounter, IntGauge, Registry};
use redcast_protocol::ResetReason;

use crate::metrics::{counter, counters, gauge};

/// The metrics of streams; clones count into the same series.
#[derive(Clone, Debug)]
pub(crate) struct StreamMetrics {
    /// Streams that are followed.
    pub(crate) channels: IntGauge,
    /// Places in streams that were compared with what Redis has.
    pub(crate) verifications: IntCounter,
    /// Entries that were added while there was no connection, and read after it.
    pub(crate) repaired: IntCounter,
    resets: [IntCounter; ResetReason::ALL.len()],
}

impl StreamMetrics {
    /// Makes the metrics known to `registry`. Fails if they already are.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let resets = counters(
            registry,
            (
                "redcast_stream_resets_total",
                "Streams that could not be followed without a break, by reason.",
            ),
        )?;
        Ok(Self {
            channels: gauge(
                registry,
                ("redcast_stream_channels", "Stream channels that are followed in Redis."),
            )?,
            verifications: counter(
                registry,
                (
                    "redcast_stream_verifications_total",
                    "Places in streams that were compared with what Redis has.",
                ),
            )?,
            repaired: counter(
                registry,
                (
                    "redcast_stream_entries_repaired_total",
                    "Entries that were added during an outage and read after it.",
                ),
            )?,
            resets: ResetReason::ALL.map(|reason| resets.with_label_values(&[reason.label()])),
        })
    }

    /// The counter of the resets with this reason.
    pub(crate) fn resets(&self, reason: ResetReason) -> &IntCounter {
        let [trimmed, forked, unknown] = &self.resets;
        match reason {
            ResetReason::Trimmed => trimmed,
            ResetReason::Forked => forked,
            ResetReason::Unknown => unknown,
        }
    }
}
