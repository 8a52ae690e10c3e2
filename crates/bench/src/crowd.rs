//! A crowd: more connections than the descriptors of one process allow, over several
//! instances of the gateway that share one Redis, all open at the same time.
//!
//! - [`words`]: what bench and load processes say to each other
//! - [`load`]: a load process, the clients of one instance
//! - [`process`]: the same, as the bench sees it
//! - [`outcome`]: what came of it, and its table

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::contender::Contender;
use crate::content::Content;
use crate::limits::Demand;
use crate::machine::{check_interrupt, wait};
use crate::measure::Setting;
use crate::payload::Kind;
use crate::process::{CpuSnapshot, resident_kb};
use crate::progress::Progress;
use crate::publisher::{Pace, Publisher};
use crate::scenario::Traffic;
use crate::server::{self, Server};

pub mod load;
pub mod outcome;
mod process;
pub mod words;

use outcome::{Instance, Outcome};
use process::{LoadProcess, Said};
use words::Order;

/// Instances that share the crowd, each with a load process of its own.
pub const INSTANCES: usize = 6;

/// Events that each client receives.
pub const EVENTS: u64 = 3;

/// From one event to the next.
const APART: Duration = Duration::from_millis(400);

/// The publisher is told each event; its pace is not used.
const TRAFFIC: Traffic =
    Traffic { pace: Pace { rate: 1, burst: 1 }, channels: 1, content: Content::Filler(200) };

/// How long all clients together may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(600);

/// How long a probe may take to reach all clients before another is sent.
const PROBE_INTERVAL: Duration = Duration::from_secs(3);

/// Probes that are sent before a client that got none counts as not served.
const PROBES: u32 = 5;

/// How long no event may arrive before the rest is lost, and how long a load process
/// or a gauge may take to tell what it has counted.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to look for an event that comes twice, once all have come.
const AFTERMATH: Duration = Duration::from_millis(500);

/// What a crowd of `clients` asks of the machine.
pub fn demand(clients: usize) -> Demand {
    Demand { connections: clients, per_process: clients.div_ceil(INSTANCES) }
}

/// Opens `clients` connections over six instances of `gateway`, sends each client the
/// events and counts.
pub fn run(
    gateway: &Contender,
    setting: &Setting,
    clients: usize,
    progress: &Progress,
) -> Result<Outcome> {
    let mut crowd = Crowd::start(gateway, setting, clients)?;
    let outcome = crowd.measure(setting, progress);
    outcome.map_err(|error| server::explain(&mut crowd.servers, error))
}

struct Crowd {
    // Dropped before the servers: a client's end is a reset and leaves no socket behind,
    // a server's leaves one in TIME_WAIT for a minute.
    loads: Vec<LoadProcess>,
    servers: Vec<Server>,
    /// Clients of each instance.
    shares: Vec<usize>,
}

impl Crowd {
    fn start(gateway: &Contender, setting: &Setting, clients: usize) -> Result<Self> {
        let cpu = setting.cpus.map(|cpus| cpus.server);
        let mut servers = Vec::new();
        for number in 1..=INSTANCES {
            let instance = gateway.named(format!("{} {number}", gateway.name));
            servers.push(Server::start(&instance, &setting.redis, cpu)?);
        }
        let share = |index| clients / INSTANCES + usize::from(index < clients % INSTANCES);
        Ok(Self { loads: Vec::new(), servers, shares: (0..INSTANCES).map(share).collect() })
    }

    fn measure(&mut self, setting: &Setting, progress: &Progress) -> Result<Outcome> {
        wait(setting.settle)?;
        let fresh_kb = self.resident_kb()?;
        let (start, idle) = (Instant::now(), self.cpu()?);
        self.connect(progress)?;
        let (connect_seconds, connected) = (start.elapsed().as_secs_f64(), self.cpu()?);
        progress.show("(h) counting the connections");
        self.count()?;
        let gauges = self.gauges()?;
        let mut publisher = Publisher::connect(&setting.redis, &TRAFFIC)?;
        progress.show("(h) probing the subscriptions");
        self.probe(&mut publisher)?;
        progress.show("(h) publishing");
        let probed = self.cpu()?;
        self.publish(&mut publisher)?;
        let (end_kb, end) = (self.resident_kb()?, self.cpu()?);
        let instances =
            self.loads.iter().zip(&self.shares).enumerate().map(|(index, (load, &clients))| {
                let said = &load.said;
                let result = said.result.clone().unwrap_or_default();
                Instance {
                    clients,
                    open: said.open.unwrap_or(0),
                    connect_seconds: said.ready.unwrap_or(f64::NAN),
                    fresh_kb: fresh_kb[index],
                    grown_kb: end_kb[index].saturating_sub(fresh_kb[index]),
                    gauge: gauges[index],
                    connect_cpu_seconds: connected[index].since(&idle[index]).as_secs_f64(),
                    publish_cpu_seconds: end[index].since(&probed[index]).as_secs_f64(),
                    result,
                }
            });
        Ok(Outcome { connect_seconds, instances: instances.collect() })
    }

    fn connect(&mut self, progress: &Progress) -> Result<()> {
        for (server, &share) in self.servers.iter().zip(&self.shares) {
            self.loads.push(LoadProcess::start(&server.target, share)?);
        }
        let all: usize = self.shares.iter().sum();
        let mut shown = Instant::now();
        let connected = self.watch(CONNECT_LIMIT, |loads| {
            if shown.elapsed() > progress.interval() {
                let connected: usize = loads.iter().map(|load| load.said.connected).sum();
                progress.show(&format!("(h) connected {connected} of {all}"));
                shown = Instant::now();
            }
            loads.iter().all(|load| load.said.ready.is_some())
        })?;
        ensure!(connected, "not all {all} clients were connected after {CONNECT_LIMIT:?}");
        Ok(())
    }

    /// How many are open now that all were opened.
    fn count(&mut self) -> Result<()> {
        self.order(Order::Count, |said| said.open.is_some())
    }

    /// What each instance counts itself, once that agrees or has had its time.
    fn gauges(&mut self) -> Result<Vec<u64>> {
        let end = Instant::now() + PATIENCE;
        loop {
            check_interrupt()?;
            let read = |server: &Server| Ok(server.metric("redcast_connections")? as u64);
            let gauges: Vec<u64> = self.servers.iter().map(read).collect::<Result<_>>()?;
            let open = self.loads.iter().map(|load| load.said.open.unwrap_or(0) as u64);
            if gauges.iter().copied().eq(open) || Instant::now() > end {
                return Ok(gauges);
            }
            wait(Duration::from_millis(100))?;
        }
    }

    /// A client may have its 101 before its subscription is live, and what is published
    /// before is not lost.
    fn probe(&mut self, publisher: &mut Publisher) -> Result<()> {
        for _ in 0..PROBES {
            publisher.publish(Kind::Probe, 0)?;
            let shares = self.shares.clone();
            let all = |loads: &[LoadProcess]| {
                loads.iter().zip(&shares).all(|(load, &share)| load.said.probed >= share)
            };
            if self.watch(PROBE_INTERVAL, all)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn publish(&mut self, publisher: &mut Publisher) -> Result<()> {
        for number in 0..EVENTS {
            publisher.publish(Kind::Event, number)?;
            self.watch(APART, |_| false)?;
        }
        let expected = EVENTS * self.shares.iter().sum::<usize>() as u64;
        let (mut last, mut since) = (0, Instant::now());
        self.watch(CONNECT_LIMIT, |loads| {
            let delivered: u64 = loads.iter().map(|load| load.said.delivered).sum();
            if delivered > last {
                (last, since) = (delivered, Instant::now());
            }
            delivered >= expected || since.elapsed() > PATIENCE
        })?;
        self.watch(AFTERMATH, |_| false)?;
        self.order(Order::Result(EVENTS), |said| said.result.is_some())
    }

    fn order(&mut self, order: Order, answered: impl Fn(&Said) -> bool) -> Result<()> {
        for load in &mut self.loads {
            load.order(order)?;
        }
        let all = self.watch(PATIENCE, |loads| loads.iter().all(|load| answered(&load.said)))?;
        ensure!(all, "a load process does not answer");
        Ok(())
    }

    /// Waits until `done` says so, with all processes alive. `Ok(false)` after `limit`.
    fn watch(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&[LoadProcess]) -> bool,
    ) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            for server in &mut self.servers {
                server.ended()?;
            }
            for load in &mut self.loads {
                load.refresh()?;
            }
            if done(&self.loads) {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            wait(Duration::from_millis(20))?;
        }
    }

    fn cpu(&self) -> Result<Vec<CpuSnapshot>> {
        self.servers.iter().map(|server| CpuSnapshot::take(server.pid())).collect()
    }

    fn resident_kb(&self) -> Result<Vec<u64>> {
        self.servers.iter().map(|server| resident_kb(server.pid())).collect()
    }
}
