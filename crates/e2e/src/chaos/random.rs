//! Many faults at random, one after the other, over a fleet that goes on for half an hour.
//! The seed decides which, for how long, and how clients come back.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, first_pong, kill_connections, loopback, say, until_readyz};
use crate::fault_proxy::{Door, Fault, FaultProxy, Way};
use crate::fleet::{Fleet, Store};
use crate::gateway::Gateway;
use crate::redis_server::RedisServer;

pub(super) const BAR: &str =
    "lost = duplicated = reordered = 0 in S; descriptors, threads, memory flat";
/// A fault that leaves a channel deaf for longer is a miss, whatever it was.
const LIVE: Duration = Duration::from_secs(10);
/// The gateway that is never restarted: what it leaks shows.
const WITNESS: usize = 0;
const MEMORY: u64 = 24 << 20;
/// Faults after which the witness has everything that it will ever need.
const WARM_UP: usize = 5;

const FAULTS: [&str; 9] = [
    "Redis killed",
    "Redis frozen",
    "subscribers killed",
    "all connections killed",
    "black hole, one way",
    "link stalled",
    "cut mid-frame",
    "a gateway killed",
    "a gateway told to end",
];

struct Storm {
    redis: RedisServer,
    proxies: Vec<FaultProxy>,
    fleet: Fleet,
    random: Rng,
}

/// What must not grow.
#[derive(Debug, Clone, Copy)]
struct Size {
    descriptors: f64,
    threads: f64,
    resident: f64,
}

pub(super) async fn random(scale: &Scale, findings: &mut Findings) {
    let mut storm = Storm::begin(scale).await;
    let end = Instant::now() + Duration::from_secs(60 * scale.minutes);
    let (mut faults, mut deaf, mut slowest) = (0, 0, 0);
    let mut before = storm.size().await;
    while Instant::now() < end || faults < WARM_UP {
        let fault = FAULTS[storm.random.usize(..FAULTS.len())];
        storm.fault(fault).await;
        faults += 1;
        let again = storm.fleet.live_again(storm.fleet.crowd.mark(), LIVE).await;
        let last = again.channels.last().copied().unwrap_or(0);
        say(&format!("{faults}: {fault}, live after {last} ms, deaf {}", again.deaf));
        slowest = slowest.max(last);
        deaf += again.deaf;
        until_readyz(storm.fleet.running(), 200, LIVE).await;
        sleep(Duration::from_millis(storm.random.u64(500..3000))).await;
        if faults == WARM_UP {
            before = storm.size().await;
        }
    }
    let after = storm.size().await;
    findings.note("faults", faults);
    findings.exactly("deaf after any", deaf, 0);
    findings.within("slowest to be live again", Duration::from_millis(slowest), LIVE);
    findings.at_most("descriptors more", after.descriptors - before.descriptors, 16.0);
    findings.at_most("threads more", after.threads - before.threads, 0.0);
    let grown = (after.resident - before.resident).max(0.0) as u64;
    findings.grown("memory", grown, MEMORY);
    findings.lossless(&storm.fleet.finish(true, LIVE).await);
}

impl Storm {
    async fn begin(scale: &Scale) -> Self {
        let redis = RedisServer::start_with(&DURABLE);
        let mut proxies = Vec::new();
        for _ in 0..3 {
            proxies.push(FaultProxy::before(loopback(redis.port())).await);
        }
        let urls = proxies.iter().map(FaultProxy::redis_url).collect();
        let mut options = scale.fleet(urls, Store::Single(redis.url()));
        for (name, value) in [("ACCEPT_FOR", "1s"), ("WINDOW", "6s")] {
            options.env.push((format!("REDCAST_SHUTDOWN__{name}"), value.to_owned()));
        }
        let fleet = Fleet::start(options).await;
        Self { redis, proxies, fleet, random: Rng::with_seed(scale.seed) }
    }

    async fn fault(&mut self, fault: &str) {
        let length = Duration::from_millis(self.random.u64(500..6000));
        let proxy = &self.proxies[self.random.usize(..self.proxies.len())];
        let way = if self.random.bool() { Way::ToServer } else { Way::ToClient };
        // Not the witness.
        let number = self.random.usize(WITNESS + 1..self.fleet.gateways.len());
        match fault {
            "Redis killed" => {
                self.redis.kill();
                sleep(length).await;
                self.redis.restart();
                first_pong(&self.redis).await;
            }
            "Redis frozen" => {
                self.redis.freeze();
                sleep(length).await;
                self.redis.thaw();
                first_pong(&self.redis).await;
            }
            "subscribers killed" => {
                kill_connections(&self.redis, "pubsub").await;
            }
            "all connections killed" => {
                kill_connections(&self.redis, "pubsub").await;
                kill_connections(&self.redis, "normal").await;
            }
            "black hole, one way" => {
                proxy.set(way, Fault::Drop);
                sleep(length).await;
                proxy.mend();
            }
            "link stalled" => {
                proxy.set_both(Fault::Stall);
                sleep(length).await;
                proxy.mend();
            }
            "cut mid-frame" => {
                proxy.set(way, Fault::CutAfter(self.random.u64(1..5000)));
                proxy.set_door(if self.random.bool() { Door::Refuse } else { Door::Open });
                sleep(length).await;
                proxy.mend();
                proxy.cut();
            }
            "a gateway killed" => {
                self.fleet.kill_gateway(number);
                sleep(length).await;
                self.fleet.start_gateway(number).await;
            }
            _ => {
                let mut gateway = self.fleet.take_gateway(number);
                gateway.terminate();
                sleep(Duration::from_millis(500)).await;
                self.fleet.close_door(number);
                gateway.exit().await;
                self.fleet.start_gateway(number).await;
            }
        }
    }

    async fn size(&self) -> Size {
        let metrics = Gateway::metrics(self.fleet.gateway(WITNESS)).await;
        // Clients that have lost their gateway come here, and stay.
        let sockets = ["redcast_connections", "redcast_http_connections"];
        let sockets: f64 = sockets.into_iter().map(|name| metrics.value(name)).sum();
        Size {
            descriptors: metrics.value("process_open_fds") - sockets,
            threads: metrics.value("process_threads"),
            resident: metrics.value("process_resident_memory_bytes"),
        }
    }
}
