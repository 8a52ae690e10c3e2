//! One scenario against one server, from its start to its end.

use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::clients::Clients;
use crate::contender::Contender;
use crate::figure::Measurement;
use crate::load::{self, Outcome, Processes, Timing};
use crate::machine::{Cpus, wait};
use crate::process::{CpuSnapshot, resident_kb};
use crate::publisher::Publisher;
use crate::scenario::Scenario;
use crate::server::{self, Server};
use crate::setup::Setup;
use crate::silent::{Backlog, SilentClient};

/// What all runs share.
#[derive(Debug)]
pub struct Setting {
    /// Redis, `HOST:PORT`.
    pub redis: String,
    /// The process id of Redis.
    pub redis_pid: u32,
    /// Who runs where; none on a machine with one CPU.
    pub cpus: Option<Cpus>,
    /// The window of a scenario with traffic.
    pub timing: Timing,
    /// How long a server rests before its memory is read.
    pub settle: Duration,
}

impl Setting {
    /// About how long one run of `scenario` takes, for the progress line.
    pub fn estimate(&self, scenario: &Scenario) -> Duration {
        let connecting = Duration::from_millis(500 + scenario.clients as u64 / 5);
        let traffic = match scenario.traffic {
            Some(_) => self.timing.lead_in + self.timing.window + Duration::from_millis(300),
            None => Duration::ZERO,
        };
        self.settle * 2 + connecting + traffic
    }
}

/// Starts `contender`, runs `scenario` against it and stops it.
pub fn measure(
    scenario: &Scenario,
    contender: &Contender,
    setting: &Setting,
) -> Result<Measurement> {
    let cpu = setting.cpus.map(|cpus| cpus.server);
    let mut server = Server::start(contender, &setting.redis, cpu)?;
    let mut measurement = watch(&mut server, scenario, contender.setup(), setting)
        .map_err(|error| server::explain(slice::from_mut(&mut server), error))?;
    measurement.short_sends = server.stop()?;
    Ok(measurement)
}

fn watch(
    server: &mut Server,
    scenario: &Scenario,
    setup: Setup,
    setting: &Setting,
) -> Result<Measurement> {
    wait(setting.settle)?;
    let fresh_kb = resident_kb(server.pid())? as f64;
    let mut measurement = Measurement { fresh_memory_mb: fresh_kb / 1024.0, ..Default::default() };

    let silent = setup.silent.then(|| SilentClient::connect(&server.target)).transpose()?;
    let mut clients = connect(server, scenario.clients, setup, &mut measurement)?;
    match &scenario.traffic {
        Some(traffic) => {
            let mut publisher = Publisher::open(server.feed.clone(), traffic)?;
            let processes = Processes { server: server.pid(), redis: setting.redis_pid };
            let outcome = load::run(&mut clients, &mut publisher, processes, setting.timing)?;
            let lateness = publisher.lateness();
            note_traffic(&mut measurement, &outcome, &clients);
            measurement.publish_late_p50_ms = ms(lateness.quantile(0.5));
            measurement.publish_late_max_ms = ms(lateness.max());
        }
        None => rest(&mut clients, setting.settle)?,
    }
    // A process that has ended still answers with its last figures.
    server.ended()?;
    if silent.is_some() {
        let backlog = Backlog::of(server)?;
        measurement.silent_backlog_kb = Some(backlog.waiting_kb);
        measurement.silent_closed = Some(backlog.closed);
    }
    ensure!(
        !setup.deflate || clients.tally.compressed > 0,
        "the server agreed to compress and then sent no compressed message"
    );
    let end_kb = resident_kb(server.pid())? as f64;
    measurement.memory_kb_per_connection = (end_kb - fresh_kb) / scenario.clients as f64;
    measurement.closed = clients.tally.closed;
    measurement.other_frames = clients.tally.other;
    Ok(measurement)
}

fn connect(
    server: &Server,
    count: usize,
    setup: Setup,
    measurement: &mut Measurement,
) -> Result<Clients> {
    let (before, start) = (CpuSnapshot::take(server.pid())?, Instant::now());
    let clients = Clients::open_as(&server.target, count, setup)?;
    let (cpu, took) = (CpuSnapshot::take(server.pid())?.since(&before), start.elapsed());
    measurement.cpu_us_per_handshake = micros(cpu) / count as f64;
    measurement.connects_per_second = count as f64 / took.as_secs_f64();
    Ok(clients)
}

fn note_traffic(measurement: &mut Measurement, outcome: &Outcome, clients: &Clients) {
    let seconds = outcome.window.as_secs_f64();
    let latency = &clients.tally.latency;
    let per_delivery = |sum: f64| (outcome.delivered > 0).then(|| sum / outcome.delivered as f64);
    measurement.cpu_us_per_delivery = per_delivery(micros(outcome.cpu));
    measurement.wire_bytes_per_delivery = per_delivery(outcome.wire_bytes as f64);
    measurement.cpu_percent = Some(outcome.cpu.as_secs_f64() / seconds * 100.0);
    measurement.load_cpu_percent = Some(outcome.load_cpu.as_secs_f64() / seconds * 100.0);
    measurement.deliveries_per_second = Some(outcome.delivered as f64 / seconds);
    measurement.published_per_second = Some(outcome.published as f64 / seconds);
    measurement.lost = Some(outcome.verdict.lost);
    measurement.duplicated = Some(outcome.verdict.duplicated);
    measurement.reordered = Some(outcome.verdict.reordered);
    measurement.p50_ms = ms(latency.quantile(0.5));
    measurement.p99_ms = ms(latency.quantile(0.99));
    measurement.max_ms = ms(latency.max());
}

/// Idle clients: nothing may close them, and pings are answered.
pub(crate) fn rest(clients: &mut Clients, duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        clients.poll(Duration::from_millis(50))?;
        crate::machine::check_interrupt()?;
    }
    let closed = clients.tally.closed;
    ensure!(closed == 0, "the server closed {closed} idle clients");
    Ok(())
}

fn ms(ns: Option<u64>) -> Option<f64> {
    ns.map(|ns| ns as f64 / 1e6)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
