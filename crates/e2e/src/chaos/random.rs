//! Many faults at random, one after the other, over a fleet that goes on for half an hour.
//! The seed decides which, for how long, and how clients come back.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;

use super::findings::Findings;
use super::kicked::{BUFFER_LIMIT, burst, rights};
use super::scene::{
    DURABLE, READY, Scale, first_pong, kill_connections, loopback, say, until_readyz,
};
use crate::fault_proxy::{Door, Fault, FaultProxy, Way};
use crate::fleet::{Crowd, CrowdOptions, Fleet, Order, Store};
use crate::gateway::Gateway;
use crate::patience::within;
use crate::raw_client::Dial;
use crate::redis_server::RedisServer;

pub(super) const BAR: &str =
    "lost = duplicated = reordered = 0 in S; descriptors, tasks, threads, memory flat";
/// A fault that leaves a channel deaf for longer is a miss, whatever it was.
const LIVE: Duration = Duration::from_secs(10);
/// The gateway that is never restarted: what it leaks shows.
const WITNESS: usize = 0;
/// Until all clients have gone, or come back.
const CALM: Duration = Duration::from_secs(60);
const MEMORY: u64 = 24 << 20;
/// Faults after which the witness has everything that it will ever need.
const WARM_UP: usize = 5;

const FAULTS: [&str; 17] = [
    "Redis killed",
    "Redis frozen",
    "subscribers killed",
    "all connections killed",
    "black hole, one way",
    "black hole, both ways",
    "half-open",
    "link stalled",
    "link slow",
    "cut mid-frame",
    "all cut, dials refused",
    "right taken and given back",
    "output buffers overflow",
    "poison",
    "clients stop reading",
    "a gateway killed",
    "a gateway told to end",
];
/// Clients that stop reading for a while.
const SLEEPERS: usize = 10;

struct Storm {
    redis: RedisServer,
    proxies: Vec<FaultProxy>,
    fleet: Fleet,
    sleepers: Crowd,
    random: Rng,
}

/// What must not grow.
#[derive(Debug, Clone, Copy)]
struct Size {
    descriptors: f64,
    threads: f64,
    tasks: f64,
    resident: f64,
}

pub(super) async fn random(scale: &Scale, findings: &mut Findings) {
    let mut storm = Storm::begin(scale).await;
    let end = Instant::now() + Duration::from_secs(60 * scale.minutes);
    let (mut faults, mut deaf, mut slowest) = (0, 0, 0);
    let (mut before, mut ready) = (storm.size().await, Duration::ZERO);
    while Instant::now() < end || faults < WARM_UP {
        let fault = FAULTS[storm.random.usize(..FAULTS.len())];
        storm.fault(fault).await;
        faults += 1;
        let again = storm.fleet.live_again(storm.fleet.crowd.mark(), LIVE).await;
        say(&format!("{faults}: {fault}, live after {} ms, deaf {}", again.slowest(), again.deaf));
        slowest = slowest.max(again.slowest());
        deaf += again.deaf;
        ready = until_readyz(storm.fleet.running(), 200, LIVE).await.max(ready);
        sleep(Duration::from_millis(storm.random.u64(500..3000))).await;
        if faults == WARM_UP {
            before = storm.size().await;
        }
    }
    let after = storm.size().await;
    findings.note("faults", faults);
    findings.exactly("deaf after any", deaf, 0);
    findings.within("slowest to be live again", Duration::from_millis(slowest), LIVE);
    findings.within("slowest to be ready, once live", ready, READY);
    findings.at_most("descriptors more", after.descriptors - before.descriptors, 16.0);
    findings.at_most("tasks more", after.tasks - before.tasks, 16.0);
    findings.at_most("threads more", after.threads - before.threads, 0.0);
    let grown = (after.resident - before.resident).max(0.0) as u64;
    findings.grown("memory", grown, MEMORY);
    storm.judge_sleepers(findings).await;
    findings.lossless(&storm.fleet.finish(true, LIVE).await);
}

impl Storm {
    async fn begin(scale: &Scale) -> Self {
        // In its configuration, so that the user is still there after a restart.
        let user = ["--user", "gateway", "on", ">chaos", "+@all", "~*", "&*"];
        let redis = RedisServer::start_with(&[&DURABLE[..], &BUFFER_LIMIT, &user].concat());
        let mut proxies = Vec::new();
        for _ in 0..3 {
            proxies.push(FaultProxy::before(loopback(redis.port())).await);
        }
        let url = |proxy: &FaultProxy| format!("redis://gateway:chaos@{}", proxy.address());
        let urls = proxies.iter().map(url).collect();
        let mut options = scale.fleet(urls, Store::Single(redis.url()));
        for (name, value) in [("ACCEPT_FOR", "1s"), ("WINDOW", "6s")] {
            options.env.push((format!("REDCAST_SHUTDOWN__{name}"), value.to_owned()));
        }
        let fleet = Fleet::start(options).await;
        let options = CrowdOptions {
            clients: SLEEPERS,
            jitter: Duration::from_millis(500),
            seed: scale.seed ^ 1,
            dial: Dial::silent(),
        };
        let sleepers = Crowd::start(&fleet.feed, &fleet.doors, &options, Order::Read);
        Self { redis, proxies, fleet, sleepers, random: Rng::with_seed(scale.seed) }
    }

    async fn fault(&mut self, fault: &str) {
        let length = Duration::from_millis(self.random.u64(500..6000));
        if self.of_redis(fault, length).await {
            return;
        }
        let proxy = self.random.usize(..self.proxies.len());
        if self.of_link(fault, proxy).await {
            sleep(length).await;
            self.proxies[proxy].mend();
            return;
        }
        // Not the witness.
        let number = self.random.usize(WITNESS + 1..self.fleet.gateways.len());
        match fault {
            "clients stop reading" => {
                self.sleepers.order(Order::Ignore);
                sleep(length).await;
                self.sleepers.order(Order::Read);
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

    /// What happens to Redis itself; false if this is none of it.
    async fn of_redis(&mut self, fault: &str, length: Duration) -> bool {
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
            "right taken and given back" => {
                rights(&self.redis, &["resetchannels", "resetkeys"]).await;
                sleep(length).await;
                rights(&self.redis, &["~*", "&*"]).await;
            }
            "output buffers overflow" => {
                let channel = self.fleet.feed.pubsubs().start;
                burst(&self.redis, self.fleet.feed.name(channel)).await;
            }
            "poison" => self.poison().await,
            _ => return false,
        }
        true
    }

    /// What happens on the way of one gateway, until it is mended; false if this is none
    /// of it.
    async fn of_link(&mut self, fault: &str, proxy: usize) -> bool {
        let proxy = &self.proxies[proxy];
        let way = if self.random.bool() { Way::ToServer } else { Way::ToClient };
        match fault {
            "black hole, one way" => {
                proxy.set(way, Fault::Drop);
            }
            "black hole, both ways" => {
                proxy.set_both(Fault::Drop);
            }
            "half-open" => {
                proxy.set(Way::ToClient, Fault::HalfOpen);
                kill_connections(&self.redis, "pubsub").await;
                kill_connections(&self.redis, "normal").await;
            }
            "link stalled" => {
                proxy.set_both(Fault::Stall);
            }
            "link slow" => {
                proxy.set(way, Fault::Delay(Duration::from_millis(self.random.u64(20..400))));
            }
            "cut mid-frame" => {
                proxy.set(way, Fault::CutAfter(self.random.u64(1..5000)));
            }
            "all cut, dials refused" => {
                proxy.set_door(Door::Refuse);
                proxy.cut();
            }
            _ => return false,
        }
        true
    }

    /// Entries that nobody meant, to each stream. One that is too large would be told as a
    /// gap, which is the poison row's to judge.
    async fn poison(&self) {
        let mut link = self.redis.connection().await;
        for channel in self.fleet.feed.streams() {
            for (field, payload) in
                [("other", &b"x"[..]), ("data", b"a\0b"), ("data", &[0xff, 0xfe]), ("data", b"")]
            {
                let mut command = redis::cmd("XADD");
                command.arg(self.fleet.feed.name(channel)).arg("*").arg(field).arg(payload);
                command.exec_async(&mut link).await.expect("Redis takes it");
            }
        }
    }

    /// Who stopped reading for a while has everything all the same.
    async fn judge_sleepers(&self, findings: &mut Findings) {
        self.fleet.producer.be_quiet().await;
        let truths = self.fleet.truths(true).await;
        let end = Instant::now() + LIVE;
        while self.sleepers.missing(&truths) > 0 && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
        }
        self.fleet.producer.resume();
        let streams = self.sleepers.judge(&truths, &self.fleet.ledger).streams;
        let wrong = streams.lost + streams.duplicated + streams.reordered + streams.causeless;
        findings.at_least("who stopped reading: S received", streams.received, 1);
        findings.exactly("who stopped reading: S lost, repeated, reordered, reset", wrong, 0);
        self.sleepers.order(Order::End);
    }

    /// What the witness has while it has no client. Those that have lost their gateway come
    /// to it and stay, so with clients no two moments are alike.
    async fn size(&self) -> Size {
        let crowds = [&self.fleet.crowd, &self.sleepers];
        crowds.iter().for_each(|crowd| crowd.order(Order::StayAway));
        let witness = self.fleet.gateway(WITNESS);
        within(CALM, "the witness has no client and no channel", async || {
            let metrics = Gateway::metrics(witness).await;
            ["redcast_connections", "redcast_channels"]
                .iter()
                .all(|name| metrics.value(name) == 0.0)
        })
        .await;
        let metrics = Gateway::metrics(witness).await;
        crowds.iter().for_each(|crowd| crowd.order(Order::Read));
        let mark = self.fleet.crowd.mark();
        within(CALM, "all are back", async || self.fleet.crowd.is_live_after(mark)).await;
        Size {
            descriptors: metrics.value("process_open_fds"),
            threads: metrics.value("process_threads"),
            tasks: metrics.value("redcast_tasks_alive"),
            resident: metrics.value("process_resident_memory_bytes"),
        }
    }
}
