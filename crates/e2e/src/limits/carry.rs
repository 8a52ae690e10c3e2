//! What an event costs: one round of a row with events.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::audience::Audience;
use super::publisher::Publisher;
use super::site::{Site, Topology};
use super::watch::Watch;
use super::{SETTLE, Scale};
use crate::fleet::Feed;
use crate::gateway::Gateway;

/// How long the last events may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Every gateway wants each of them.
pub(super) const CHANNELS: usize = 40;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Carry {
    /// The servers.
    pub topology: Topology,
    /// How many gateways.
    pub gateways: usize,
    /// Whether channels are streams.
    pub is_stream: bool,
    /// How many commands the producer sends at once.
    pub batch: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Carried {
    /// Events that Redis acknowledged.
    pub published: u64,
    /// Events that clients got, by gateway.
    pub delivered: Vec<u64>,
    /// From the first event to the last delivery.
    pub seconds: f64,
    /// CPU time of each server for an event, microseconds; replicas last.
    pub servers_us: Vec<f64>,
    /// CPU time of a gateway for an event, microseconds, by gateway.
    pub gateways_us: Vec<f64>,
}

impl Carried {
    /// CPU time of all servers for an event, microseconds.
    pub fn redis_us(&self) -> f64 {
        self.servers_us.iter().sum()
    }

    /// CPU time for an event of the server that has most to do, microseconds.
    pub fn busiest_us(&self) -> f64 {
        self.servers_us.iter().copied().fold(0.0, f64::max)
    }

    /// CPU time of a gateway for an event, microseconds.
    pub fn gateway_us(&self) -> f64 {
        self.gateways_us.iter().sum::<f64>() / self.gateways_us.len() as f64
    }
}

impl Carry {
    /// Starts everything, publishes, and reckons what an event cost beyond idleness. An
    /// error tells what was lost.
    pub async fn round(&self, scale: &Scale) -> Result<Carried, String> {
        let feed = if self.is_stream { Feed::new(CHANNELS, 0) } else { Feed::new(0, CHANNELS) };
        let feed = Arc::new(feed);
        let site = Site::start(self.topology).await;
        let mut publisher = Publisher::open(&site, Arc::clone(&feed), self.batch).await;
        let gateways = site.gateways(self.gateways).await;
        let audience = Audience::join(&gateways, &feed).await;
        sleep(SETTLE).await;
        let mut pids = site.pids();
        let servers = pids.len();
        pids.extend(gateways.iter().map(Gateway::pid));
        let watch = Watch::begin(&pids);
        sleep(scale.window).await;
        let idle = watch.spent();
        let watch = Watch::begin(&pids);
        let published = publisher.publish(scale.events(), scale.rate).await as u64;
        audience.until_all(published, PATIENCE).await?;
        let spent = watch.spent();
        let each = |cpu: f64| 1e6 * cpu / published as f64;
        let mut servers_us: Vec<f64> = spent.beyond(&idle).into_iter().map(each).collect();
        let gateways_us = servers_us.split_off(servers);
        let (delivered, seconds) = (audience.received(), spent.wall);
        Ok(Carried { published, delivered, seconds, servers_us, gateways_us })
    }
}
