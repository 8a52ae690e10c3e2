//! What the hub counts. Labels are resolved here, once: a look-up by label takes
//! a lock and a hash, which the fan-out path can't afford.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    exponential_buckets,
};

/// The hub's metrics; clones share the same counters.
#[derive(Clone, Debug)]
pub struct HubMetrics {
    /// Events handed to connections (an event to ten clients counts ten).
    pub delivered: IntCounter,
    /// Deliveries that went out with an earlier one of the same connection, because
    /// their channel's `flush_every` had them wait for each other.
    pub coalesced: IntCounter,
    /// Bytes written to sockets by the hub, frame headers included.
    pub bytes_out: IntCounter,
    /// Memberships of connections in channels.
    pub subscriptions: IntGauge,
    /// Bytes that wait in the outboxes of slow connections.
    pub outbox_bytes: IntGauge,
    /// From reading an event to having offered it to the last member of one shard;
    /// an event is observed once for each shard that has members.
    pub delivery_latency: Histogram,
    /// Deliveries a `drop_oldest` channel gave up for a slow client.
    pub dropped_oldest: IntCounter,
    /// Deliveries replaced by a newer one of the same item of a `keep_latest` channel, and
    /// beats replaced by the next.
    pub conflated: IntCounter,
    /// Deliveries given up because the connection was closed as a slow consumer.
    pub dropped_slow: IntCounter,
    /// Deliveries that waited for a connection that ended for another reason.
    pub dropped_closed: IntCounter,
}

impl HubMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let dropped = IntCounterVec::new(
            Opts::new(
                "redcast_deliveries_dropped_total",
                "Deliveries to single connections that were given up, by reason.",
            ),
            &["reason"],
        )?;
        let metrics = Self {
            delivered: IntCounter::new(
                "redcast_events_delivered_total",
                "Events handed to connections; an event to ten clients counts ten.",
            )?,
            coalesced: IntCounter::new(
                "redcast_deliveries_coalesced_total",
                "Deliveries that shared a write with an earlier one because of flush_every.",
            )?,
            bytes_out: IntCounter::new(
                "redcast_bytes_out_total",
                "Bytes written to client sockets, frame headers included.",
            )?,
            subscriptions: IntGauge::new(
                "redcast_subscriptions",
                "Memberships of connections in channels.",
            )?,
            outbox_bytes: IntGauge::new(
                "redcast_outbox_bytes",
                "Bytes that wait in the outboxes of slow connections.",
            )?,
            delivery_latency: Histogram::with_opts(
                HistogramOpts::new(
                    "redcast_delivery_latency_seconds",
                    "From reading an event to having offered it to every member's socket.",
                )
                .buckets(exponential_buckets(0.000_25, 2.0, 14)?),
            )?,
            dropped_oldest: dropped.with_label_values(&["drop_oldest"]),
            conflated: dropped.with_label_values(&["conflated"]),
            dropped_slow: dropped.with_label_values(&["slow_consumer"]),
            dropped_closed: dropped.with_label_values(&["closed"]),
        };
        registry.register(Box::new(metrics.delivered.clone()))?;
        registry.register(Box::new(metrics.coalesced.clone()))?;
        registry.register(Box::new(metrics.bytes_out.clone()))?;
        registry.register(Box::new(metrics.subscriptions.clone()))?;
        registry.register(Box::new(metrics.outbox_bytes.clone()))?;
        registry.register(Box::new(metrics.delivery_latency.clone()))?;
        registry.register(Box::new(dropped))?;
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_present_at_zero_and_registered_once() {
        let registry = Registry::new();
        HubMetrics::register(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for series in [
            "redcast_events_delivered_total 0",
            "redcast_deliveries_coalesced_total 0",
            "redcast_bytes_out_total 0",
            "redcast_subscriptions 0",
            "redcast_outbox_bytes 0",
            "redcast_delivery_latency_seconds_count 0",
            "redcast_delivery_latency_seconds_bucket{le=\"0.00025\"} 0",
            "redcast_delivery_latency_seconds_bucket{le=\"2.048\"} 0",
            "redcast_deliveries_dropped_total{reason=\"drop_oldest\"} 0",
            "redcast_deliveries_dropped_total{reason=\"conflated\"} 0",
            "redcast_deliveries_dropped_total{reason=\"slow_consumer\"} 0",
            "redcast_deliveries_dropped_total{reason=\"closed\"} 0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
        }
        assert!(HubMetrics::register(&registry).is_err());
    }
}
