//! What the node counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::stream::StreamMetrics;

/// The node's metrics; clones share the same counters.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// Open client connections: the gauge this product exists for.
    pub connections: IntGauge,
    /// The most connections this instance takes.
    pub connections_limit: IntGauge,
    /// Channels this instance is interested in, lingering ones included.
    pub channels: IntGauge,
    /// Subscriptions that the broker refused.
    pub subscriptions_refused: IntCounter,
    /// Bytes of the plain frames of events that were compressed, counted once per form
    /// and window.
    pub deflate_before: IntCounter,
    /// Bytes of the frames that were sent instead: the plain ones where nothing smaller
    /// was made.
    pub deflate_after: IntCounter,
    /// What is counted of stream channels.
    pub streams: StreamMetrics,
    /// Looks at the keys of snapshots, by what was found.
    pub snapshot_reads: SnapshotReads,
    /// Snapshots of which the last look found nothing that could be taken.
    pub snapshots_stale: IntGauge,
}

/// Looks at the keys of snapshots, by what was found.
#[derive(Clone, Debug)]
pub struct SnapshotReads {
    /// A document.
    pub ok: IntCounter,
    /// No such key.
    pub missing: IntCounter,
    /// Something that can't be taken for a document, or that the broker refused.
    pub malformed: IntCounter,
    /// Nothing: the broker is away.
    pub unavailable: IntCounter,
}

impl NodeMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let deflated = IntCounterVec::new(
            Opts::new(
                "redcast_deflate_bytes_total",
                "Bytes of events' frames before and after compression, once per form and window.",
            ),
            &["side"],
        )?;
        let reads = IntCounterVec::new(
            Opts::new(
                "redcast_snapshot_reads_total",
                "Looks at the keys of snapshots, by what was found.",
            ),
            &["outcome"],
        )?;
        let metrics = Self {
            connections: IntGauge::new("redcast_connections", "Open client connections.")?,
            connections_limit: IntGauge::new(
                "redcast_connections_limit",
                "The most client connections this instance takes.",
            )?,
            channels: IntGauge::new(
                "redcast_channels",
                "Channels this instance is interested in, lingering ones included.",
            )?,
            subscriptions_refused: IntCounter::new(
                "redcast_subscriptions_refused_total",
                "Subscriptions that the broker refused.",
            )?,
            deflate_before: deflated.with_label_values(&["before"]),
            deflate_after: deflated.with_label_values(&["after"]),
            streams: StreamMetrics::register(registry)?,
            snapshot_reads: SnapshotReads {
                ok: reads.with_label_values(&["ok"]),
                missing: reads.with_label_values(&["missing"]),
                malformed: reads.with_label_values(&["malformed"]),
                unavailable: reads.with_label_values(&["unavailable"]),
            },
            snapshots_stale: IntGauge::new(
                "redcast_snapshot_stale",
                "Snapshots of which the last look found nothing that could be taken.",
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_limit.clone()))?;
        registry.register(Box::new(metrics.channels.clone()))?;
        registry.register(Box::new(metrics.subscriptions_refused.clone()))?;
        registry.register(Box::new(deflated))?;
        registry.register(Box::new(reads))?;
        registry.register(Box::new(metrics.snapshots_stale.clone()))?;
        Ok(metrics)
    }
}
