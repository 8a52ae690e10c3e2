//! What the collector counts.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder, process_collector::ProcessCollector,
};

use super::refusal::Outcome;

/// From a call on the same machine to one that is given up.
const SECONDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// The collector's metrics; clones share the same counters.
#[derive(Clone, Debug)]
pub(super) struct CollectMetrics {
    registry: Registry,
    views: Vec<IntCounter>,
    pub(super) record_seconds: Histogram,
    pub(super) store_up: IntGauge,
}

impl CollectMetrics {
    /// Metrics with a registry of their own, so that two collectors of one process never
    /// meet.
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let views = IntCounterVec::new(
            Opts::new("redcast_producer_views_total", "Beacons by what became of them."),
            &["outcome"],
        )?;
        let record_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "redcast_producer_record_seconds",
                "Time in which the store took in what had waited; its count is that of calls.",
            )
            .buckets(SECONDS.to_vec()),
        )?;
        let store_up = IntGauge::new(
            "redcast_producer_store_up",
            "1 if the store did what it was last asked.",
        )?;
        registry.register(Box::new(views.clone()))?;
        registry.register(Box::new(record_seconds.clone()))?;
        registry.register(Box::new(store_up.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let views = Outcome::ALL.map(|outcome| views.with_label_values(&[outcome.label()]));
        Ok(Self { registry, views: views.into(), record_seconds, store_up })
    }

    /// Counts a beacon.
    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.views.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Prometheus' text format.
    pub(super) fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_counter_of_its_own() {
        let metrics = CollectMetrics::new().unwrap();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| metrics.count(outcome));
        }
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        for (times, outcome) in Outcome::ALL.into_iter().enumerate() {
            let label = outcome.label();
            let line =
                format!("redcast_producer_views_total{{outcome=\"{label}\"}} {}\n", times + 1);
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
