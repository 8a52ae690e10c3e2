//! What it costs to follow stream channels in which nothing happens: one round of an
//! idle row.

use serde::Serialize;
use tokio::time::sleep;

use super::audience::joined;
use super::publisher::SIZE;
use super::site::{Site, Topology};
use super::watch::Watch;
use super::{SETTLE, Scale};
use crate::fleet::{Feed, Payload};
use crate::gateway::Gateway;
use crate::vitals::resident;

/// Channels of one client: less than `limits.max_subscriptions`, 128.
const EACH: usize = 100;

/// What is measured: one gateway over one server.
#[derive(Debug, Clone, Copy)]
pub struct Follow {
    /// How many streams, with one entry each.
    pub channels: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Followed {
    /// The share of one core that Redis uses, percent.
    pub redis_percent: f64,
    /// The share of one core that the gateway uses, percent.
    pub gateway_percent: f64,
    /// The gateway's resident memory, bytes.
    pub gateway_bytes: u64,
}

impl Follow {
    /// Starts everything, and watches it do nothing.
    pub async fn round(&self, scale: &Scale) -> Result<Followed, String> {
        let feed = Feed::new(self.channels, 0);
        let site = Site::start(Topology::Durable).await;
        add_one_entry_each(&site, &feed).await;
        let gateways = site.gateways(1).await;
        let names: Vec<&str> = feed.streams().map(|channel| feed.name(channel)).collect();
        let mut clients = Vec::new();
        for some in names.chunks(EACH) {
            clients.push(joined(&gateways[0], some).await.map_err(|error| error.to_string())?);
        }
        let followed = gateways[0].metrics().await.value("redcast_channels");
        if followed != self.channels as f64 {
            return Err(format!("{followed} channels are followed, not {}", self.channels));
        }
        sleep(SETTLE).await;
        let pids: Vec<u32> =
            site.pids().into_iter().chain(gateways.iter().map(Gateway::pid)).collect();
        let watch = Watch::begin(&pids);
        sleep(scale.window).await;
        let percent = watch.spent().percent();
        let gateway_bytes = resident(gateways[0].pid());
        Ok(Followed { redis_percent: percent[0], gateway_percent: percent[1], gateway_bytes })
    }
}

async fn add_one_entry_each(site: &Site, feed: &Feed) {
    let mut pipeline = redis::Pipeline::new();
    for channel in feed.streams() {
        let name = feed.name(channel);
        let payload = Payload { n: 0, t: 0 }.encode(name, SIZE);
        pipeline.cmd("XADD").arg(name).arg("*").arg("data").arg(payload).ignore();
    }
    let mut links = site.links().await;
    pipeline.query_async::<()>(&mut links[0]).await.expect("Redis takes the entries");
}
