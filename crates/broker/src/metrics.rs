//! What the brokers count. Every label is resolved at start, so each series is
//! present at 0 and the read path never looks one up.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use redcast_protocol::GapReason;

use crate::delivery_metrics::DeliveryMetrics;
use crate::stream_metrics::StreamMetrics;

/// The brokers' metrics; clones count into the same series.
#[derive(Clone, Debug)]
pub struct BrokerMetrics {
    /// 1 while the subscription's link is up; always 1 for the memory broker.
    pub(crate) up: IntGauge,
    /// What is proven of delivery.
    pub(crate) delivery: DeliveryMetrics,
    /// Links that were built after the first.
    pub(crate) reconnects: IntCounter,
    /// Subscriptions that the broker confirmed on the present link.
    pub(crate) channels: IntGauge,
    /// Events that arrived, those that were dropped afterwards included.
    pub(crate) events_received: IntCounter,
    /// Their payloads, bytes.
    pub(crate) event_bytes_received: IntCounter,
    /// Events for which the queue of deliveries had no room.
    pub(crate) dropped_overflow: IntCounter,
    /// Events over `max_event_size`.
    pub(crate) dropped_too_large: IntCounter,
    /// Events under a name that is no channel's.
    pub(crate) dropped_bad_channel: IntCounter,
    /// Entries of streams without the field that holds an event.
    pub(crate) dropped_no_data: IntCounter,
    /// What concerns streams.
    pub(crate) streams: StreamMetrics,
    gaps_redis_disconnected: IntCounter,
    gaps_overflow: IntCounter,
    gaps_too_large: IntCounter,
}

impl BrokerMetrics {
    /// Makes the metrics known to `registry`. Fails if they already are.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let dropped = counters(
            registry,
            ("redcast_events_dropped_total", "Events dropped on the way in, by reason."),
        )?;
        let gaps = counters(
            registry,
            (
                "redcast_gaps_total",
                "Stretches in which events of a channel may be missing, by reason.",
            ),
        )?;
        Ok(Self {
            streams: StreamMetrics::register(registry)?,
            up: gauge(
                registry,
                (
                    "redcast_redis_up",
                    "1 while the link to Redis is up; always 1 with the memory broker.",
                ),
            )?,
            delivery: DeliveryMetrics::register(registry)?,
            reconnects: counter(
                registry,
                ("redcast_redis_reconnects_total", "Links to Redis built after the first."),
            )?,
            channels: gauge(
                registry,
                (
                    "redcast_redis_channels",
                    "Subscriptions confirmed by Redis, or by the memory broker.",
                ),
            )?,
            events_received: counter(
                registry,
                ("redcast_events_received_total", "Events that arrived from the broker."),
            )?,
            event_bytes_received: counter(
                registry,
                (
                    "redcast_event_bytes_received_total",
                    "Payload bytes that arrived from the broker.",
                ),
            )?,
            dropped_overflow: dropped.with_label_values(&["overflow"]),
            dropped_too_large: dropped.with_label_values(&["too_large"]),
            dropped_bad_channel: dropped.with_label_values(&["bad_channel"]),
            dropped_no_data: dropped.with_label_values(&["no_data"]),
            gaps_redis_disconnected: gaps
                .with_label_values(&[GapReason::RedisDisconnected.label()]),
            gaps_overflow: gaps.with_label_values(&[GapReason::Overflow.label()]),
            gaps_too_large: gaps.with_label_values(&[GapReason::TooLarge.label()]),
        })
    }

    /// The counter of the gaps with this reason.
    pub(crate) fn gaps(&self, reason: GapReason) -> &IntCounter {
        match reason {
            GapReason::RedisDisconnected => &self.gaps_redis_disconnected,
            GapReason::Overflow => &self.gaps_overflow,
            GapReason::TooLarge => &self.gaps_too_large,
        }
    }
}

pub(crate) type NameAndHelp = (&'static str, &'static str);

pub(crate) fn gauge(
    registry: &Registry,
    (name, help): NameAndHelp,
) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

pub(crate) fn counter(
    registry: &Registry,
    (name, help): NameAndHelp,
) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

pub(crate) fn counters(
    registry: &Registry,
    (name, help): NameAndHelp,
) -> Result<IntCounterVec, prometheus::Error> {
    let counters = IntCounterVec::new(Opts::new(name, help), &["reason"])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_present_at_zero() {
        let registry = Registry::new();
        BrokerMetrics::register(&registry).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for series in [
            "redcast_redis_up 0",
            "redcast_redis_delivery_ok 0",
            "redcast_redis_reconnects_total 0",
            "redcast_redis_channels 0",
            "redcast_events_received_total 0",
            "redcast_event_bytes_received_total 0",
            "redcast_events_dropped_total{reason=\"overflow\"} 0",
            "redcast_events_dropped_total{reason=\"too_large\"} 0",
            "redcast_events_dropped_total{reason=\"bad_channel\"} 0",
            "redcast_events_dropped_total{reason=\"no_data\"} 0",
            "redcast_stream_channels 0",
            "redcast_stream_verifications_total 0",
            "redcast_stream_entries_repaired_total 0",
            "redcast_stream_resets_total{reason=\"trimmed\"} 0",
            "redcast_stream_resets_total{reason=\"forked\"} 0",
            "redcast_stream_resets_total{reason=\"unknown\"} 0",
            "redcast_gaps_total{reason=\"redis_disconnected\"} 0",
            "redcast_gaps_total{reason=\"overflow\"} 0",
            "redcast_gaps_total{reason=\"too_large\"} 0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
        }
    }

    #[test]
    fn a_registry_takes_them_once() {
        let registry = Registry::new();
        assert!(BrokerMetrics::register(&registry).is_ok());
        assert!(BrokerMetrics::register(&registry).is_err());
    }
}
