//! Whether delivery is proven, as metrics: looked up when they are read, so that they
//! can't lag behind what `/readyz` says.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGauge, Registry};

use crate::Broker;

/// The two metrics; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryMetrics {
    broker: Arc<OnceLock<Weak<dyn Broker>>>,
    start: Instant,
    ok: IntGauge,
    last_proof: Gauge,
}

impl DeliveryMetrics {
    /// Makes them known to `registry`.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            broker: Arc::default(),
            start: Instant::now(),
            ok: IntGauge::new(
                "redcast_redis_delivery_ok",
                "1 while it is proven that what is published arrives.",
            )?,
            last_proof: Gauge::new(
                "redcast_redis_last_proof_seconds",
                "Time since the last proof of delivery; before the first, since the start.",
            )?,
        };
        registry.register(Box::new(metrics.clone()))?;
        Ok(metrics)
    }

    /// From now on they are this broker's.
    pub(crate) fn follow(&self, broker: &Arc<dyn Broker>) {
        // A second broker that counts into the same series would not be one that is read.
        let _ = self.broker.set(Arc::downgrade(broker));
    }

    fn look(&self) {
        let broker = self.broker.get().and_then(Weak::upgrade);
        let health = broker.map(|broker| broker.health()).unwrap_or_default();
        self.ok.set(i64::from(health.is_ready()));
        let age = health.last_proof.unwrap_or_else(|| self.start.elapsed());
        self.last_proof.set(age.as_secs_f64());
    }
}

impl Collector for DeliveryMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.ok.desc(), self.last_proof.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look();
        [self.ok.collect(), self.last_proof.collect()].concat()
    }
}
