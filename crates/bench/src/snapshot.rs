//! `redcast-bench snapshot`: what a snapshot's heartbeat to many clients costs the gateway,
//! beside the same clients without one.

use std::fmt::Write;
use std::path::PathBuf;
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use redcast_e2e::RedisServer;

use crate::clients::Clients;
use crate::contender::Contender;
use crate::figure::Measurement;
use crate::live::{self, QUICK_SNAPSHOT, SNAPSHOT};
use crate::machine::{Cpus, catch_interrupts, check_interrupt, describe};
use crate::preflight::{check_limits, check_redis_server};
use crate::process::{CpuSnapshot, own_cpu, resident_kb};
use crate::progress::Progress;
use crate::report::{Conditions, Series};
use crate::report_file::ReportFile;
use crate::resp;
use crate::run::{explain, order, place};
use crate::scenario::Scenario;
use crate::server::{self, Server};
use crate::setup::{SNAPSHOT_KEY, Setup};

/// How many heartbeats may fail to come before the run is given up.
const BEATS_OF_PATIENCE: u32 = 4;

/// What `snapshot` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// One short round with 500 clients and a beat each second, deadlines of three times
    /// the bars
    #[arg(long)]
    quick: bool,
    /// Pairs of runs, without and with a snapshot [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Length of each measured window, in heartbeats [default: 6 of 5 s, with --quick 3 of 1 s]
    #[arg(long, value_name = "BEATS", value_parser = clap::value_parser!(u32).range(1..=100))]
    window: Option<u32>,
    /// The gateway's binary
    #[arg(
        long,
        value_name = "PATH",
        env = "GATEWAY_BIN",
        default_value = "target/release/redcast"
    )]
    gateway: PathBuf,
    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How one run goes.
#[derive(Debug, Clone)]
struct Course {
    clients: usize,
    every: Duration,
    /// The window, in heartbeats: each client's ping comes once in six of five seconds.
    beats: u32,
    redis: String,
    redis_pid: u32,
    cpu: Option<usize>,
}

impl Course {
    fn window(&self) -> Duration {
        self.every * self.beats
    }

    fn estimate(&self) -> Duration {
        let connecting = Duration::from_millis(500 + self.clients as u64 / 5);
        connecting + self.every * 2 + self.window()
    }
}

/// Runs the benchmark and prints its table; an error if a bar is missed.
pub fn run(options: &Options) -> Result<()> {
    let scenario = if options.quick { &QUICK_SNAPSHOT } else { &SNAPSHOT };
    let gateway = Contender::gateway(&options.gateway)?;
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    check_limits(&[scenario])?;
    check_redis_server()?;
    catch_interrupts();
    let (machine, cpus) = (describe(), Cpus::pick()?);
    let placement = place(cpus)?;
    let redis = RedisServer::try_start(&[]).map_err(|error| anyhow!("redis-server {error}"))?;
    let every = if options.quick { live::QUICK_EVERY } else { live::EVERY };
    let course = Course {
        clients: scenario.clients,
        every: Duration::from_secs(every.into()),
        beats: options.window.unwrap_or(if options.quick { 3 } else { 6 }),
        redis: format!("127.0.0.1:{}", redis.port()),
        redis_pid: redis.pid(),
        cpu: cpus.map(|cpus| cpus.server),
    };
    write_statistics(&course.redis)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 5 });
    let mut pairs = Pairs::new(scenario, &gateway);
    let outcome = pairs.run(&course, rounds).map_err(|error| explain(error, &course.redis));
    let conditions = Conditions {
        machine,
        placement,
        command: "snapshot",
        options: live::told(options.quick, options.rounds, options.window),
        rounds,
        window_seconds: course.window().as_secs_f64(),
        left_out: Vec::new(),
        ended_early: None,
    };
    let details = pairs.details();
    let Pairs { labelled, runs, .. } = pairs;
    let contenders = labelled.into_iter().map(|gateway| gateway.label).zip(runs).collect();
    live::conclude(conditions, Series { scenario, contenders }, &details, json, outcome)
}

/// The gateway without and with a snapshot, and the runs of each.
struct Pairs {
    labelled: [Contender; 2],
    runs: [Vec<Measurement>; 2],
}

impl Pairs {
    fn new(scenario: &Scenario, gateway: &Contender) -> Self {
        let labelled = match scenario.pair {
            Some(pair) => {
                let [without, with] = pair.names.map(|name| gateway.labelled(name));
                [without, with.set_up(pair.changed)]
            }
            None => [gateway.clone(), gateway.clone()],
        };
        Self { labelled, runs: [Vec::new(), Vec::new()] }
    }

    fn run(&mut self, course: &Course, rounds: u32) -> Result<()> {
        let mut progress = Progress::new(course.estimate() * rounds * 2);
        for round in 0..rounds {
            let mut pair = [None, None];
            for index in order(2, round) {
                check_interrupt()?;
                let (gateway, number) = (&self.labelled[index], round + 1);
                let what = format!("(snapshot) round {number} of {rounds}: {}", gateway.label);
                progress.begin(&what, course.estimate());
                pair[index] = Some(measure(gateway, course).context(what)?);
            }
            // Only whole pairs are compared.
            let [Some(without), Some(mut with)] = pair else { continue };
            with.cpu_percent_more = with.cpu_percent.zip(without.cpu_percent).map(|(a, b)| a - b);
            self.runs[0].push(without);
            self.runs[1].push(with);
        }
        Ok(())
    }

    fn details(&self) -> String {
        let mut text = String::new();
        for (round, (without, with)) in self.runs[0].iter().zip(&self.runs[1]).enumerate() {
            let percent = |run: &Measurement| run.cpu_percent.unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "round {}: {:.2} % of a core without, {:.2} % with; {} beats to each client",
                round + 1,
                percent(without),
                percent(with),
                with.beats.unwrap_or(0),
            );
        }
        text
    }
}

fn measure(gateway: &Contender, course: &Course) -> Result<Measurement> {
    let mut server = Server::start(gateway, &course.redis, course.cpu)?;
    let measured = watch(&server, gateway.setup(), course)
        .map_err(|error| server::explain(slice::from_mut(&mut server), error))?;
    server.ended()?;
    server.stop()?;
    Ok(measured)
}

fn watch(server: &Server, setup: Setup, course: &Course) -> Result<Measurement> {
    let fresh_kb = resident_kb(server.pid())? as f64;
    let (before, start) = (CpuSnapshot::take(server.pid())?, Instant::now());
    let mut clients = Clients::open_as(&server.target, course.clients, setup)?;
    let (cpu, took) = (CpuSnapshot::take(server.pid())?.since(&before), start.elapsed());
    let count = course.clients as f64;
    let mut measurement = Measurement {
        fresh_memory_mb: fresh_kb / 1024.0,
        connects_per_second: count / took.as_secs_f64(),
        cpu_us_per_handshake: cpu.as_secs_f64() * 1e6 / count,
        ..Measurement::default()
    };
    let beating = setup.snapshot.is_some();
    reach_the_middle(&mut clients, course.every, beating)?;
    watch_window(&mut clients, server, course, &mut measurement)?;
    let end_kb = resident_kb(server.pid())? as f64;
    measurement.memory_kb_per_connection = (end_kb - fresh_kb) / count;
    if beating {
        let beats = &clients.tally.beats;
        ensure!(beats.stale == 0, "the gateway could not read the statistics");
        let greeted = beats.greetings;
        ensure!(greeted == course.clients as u64, "{greeted} of {count} clients were greeted");
        // A beat that nobody got was lost by everybody.
        let verdict = clients.verdict(beats.count().max(course.beats.into()));
        measurement.beats = Some(beats.count());
        measurement.lost = Some(verdict.lost);
        measurement.duplicated = Some(verdict.duplicated);
        measurement.reordered = Some(verdict.reordered);
    }
    Ok(measurement)
}

/// Waits for the middle between two beats, so that no beat is half inside the window.
/// Without beats as long as that takes at the longest.
fn reach_the_middle(clients: &mut Clients, every: Duration, beating: bool) -> Result<()> {
    if !beating {
        return rest(clients, every + every / 2);
    }
    let end = Instant::now() + every * BEATS_OF_PATIENCE;
    let seen = loop {
        rest(clients, Duration::ZERO)?;
        if let Some(seen) = clients.tally.beats.last_seen() {
            break seen;
        }
        ensure!(Instant::now() < end, "no heartbeat came");
    };
    rest(clients, (seen + every / 2).saturating_duration_since(Instant::now()))
}

fn watch_window(
    clients: &mut Clients,
    server: &Server,
    course: &Course,
    measurement: &mut Measurement,
) -> Result<()> {
    let take = || -> Result<_> {
        Ok((CpuSnapshot::take(server.pid())?, CpuSnapshot::take(course.redis_pid)?, own_cpu()))
    };
    let (before, start) = (take()?, Instant::now());
    clients.tally.beats.counting = true;
    rest(clients, course.window())?;
    clients.tally.beats.counting = false;
    let (after, window) = (take()?, start.elapsed());
    let percent = |cpu: Duration| Some(cpu.as_secs_f64() / window.as_secs_f64() * 100.0);
    let of_redis = after.1.since(&before.1);
    measurement.cpu_percent = percent(after.0.since(&before.0));
    measurement.redis_cpu_percent = percent(of_redis);
    measurement.load_cpu_percent = percent(of_redis + after.2.saturating_sub(before.2));
    Ok(())
}

/// Reads what comes, once at least; nothing may be closed.
fn rest(clients: &mut Clients, duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        check_interrupt()?;
        let left = end.saturating_duration_since(Instant::now());
        clients.poll(left.clamp(Duration::from_millis(1), Duration::from_millis(50)))?;
        if Instant::now() >= end {
            break;
        }
    }
    let closed = clients.tally.closed;
    ensure!(closed == 0, "the server closed {closed} clients");
    Ok(())
}

/// What a store of page views keeps: a hash of the shape that producers document.
fn write_statistics(redis: &str) -> Result<()> {
    let list = |key: &str, names: &[&str]| {
        let entry = |(rank, name): (usize, &&str)| {
            format!(r#"{{"{key}":"{name}","views":{}}}"#, 5_000 / (rank + 1))
        };
        let entries: Vec<String> = names.iter().enumerate().map(entry).collect();
        format!("[{}]", entries.join(","))
    };
    let pages = ["/", "/docs/1", "/docs/2", "/blog/3", "/blog/4", "/pricing", "/about", "/news/5"];
    let referrers = ["search.example", "news.example", "social.example", "partner.example"];
    let minutes: Vec<String> = (0..30).map(|minute| (1_000 + minute * 7).to_string()).collect();
    let (top_pages, top_referrers) = (list("path", &pages), list("referrer", &referrers));
    let minutes = format!("[{}]", minutes.join(","));
    let fields = [
        ("current_visitors", "812"),
        ("unique_today", "14512"),
        ("total_events", "23404711"),
        ("events_today", "98231"),
        ("views_last_minute", "1203"),
        ("last_30_minutes", &minutes),
        ("top_pages", &top_pages),
        ("top_referrers", &top_referrers),
        ("timestamp", "1733683200"),
    ];
    let fields = fields.iter().flat_map(|(name, value)| [*name, *value]);
    let command: Vec<&str> = ["HSET", SNAPSHOT_KEY].into_iter().chain(fields).collect();
    resp::ask(redis, &command).context("the statistics can't be written").map(|_| ())
}
