//! `redcast-bench collect`: page views over HTTP, as browsers report them, at a pace that
//! does not wait for the collector, and the highest rate that it keeps up with.
//!
//! - [`beacons`]: what is sent
//! - [`answers`]: what comes back
//! - [`load`], [`pace`]: the visitors, who send it, and when
//! - [`subscriber`]: what comes out as events
//! - [`ledger`]: whether that is what was accepted
//! - [`search`]: the highest rate

use std::fmt::Write;
use std::path::PathBuf;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use redcast_e2e::RedisServer;

use crate::compare::BAR;
use crate::contender::Contender;
use crate::figure::Measurement;
use crate::live::{self, COLLECT, P99_MS, QUICK_COLLECT, QUICK_RATE, RATE};
use crate::machine::{Cpus, catch_interrupts, check_interrupt, describe, wait, wait_until};
use crate::preflight::{check_limits, check_redis_server};
use crate::process::{CpuSnapshot, own_cpu, resident_kb};
use crate::progress::Progress;
use crate::report::{Conditions, Series};
use crate::report_file::ReportFile;
use crate::resp;
use crate::run::{explain, place};
use crate::scenario::Scenario;
use crate::server::{self, Server};
use crate::setup::SNAPSHOT_KEY;

pub mod answers;
pub mod beacons;
pub mod ledger;
pub mod load;
pub mod pace;
pub mod search;
pub mod subscriber;

use ledger::Books;
use load::Visitors;
use pace::{Outcome, Plan};
use subscriber::Subscriber;

/// The field of the statistics that counts every view.
const TOTAL: &str = "total_events";

/// How far behind the answers may be until a rate is given up: its 99th percentile is
/// beyond the bar long before.
const BEHIND: Duration = Duration::from_millis(500);

/// How often the highest rate is halved, and between which multiples of the pace it is
/// looked for if that is kept up with.
const STEPS: u32 = 6;
const MOST: u32 = 4;

/// How long what was accepted may take to come out as events and in the total.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to look for an event that comes twice.
const AFTERMATH: Duration = Duration::from_millis(300);

/// What `collect` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// One short round at a twentieth of the pace, deadlines of three times the bars
    #[arg(long)]
    quick: bool,
    /// Runs, each with a Redis and a collector of its own [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Length of each measured window [default: 10, with --quick 2]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    window: Option<u32>,
    /// The producer's binary
    #[arg(
        long,
        value_name = "PATH",
        env = "PRODUCER_BIN",
        default_value = "target/release/redcast-producer"
    )]
    producer: PathBuf,
    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How one run goes.
#[derive(Debug, Clone, Copy)]
struct Course {
    visitors: usize,
    plan: Plan,
    /// A trial of a rate takes so long.
    trial: Duration,
    steps: u32,
    cpu: Option<usize>,
}

impl Course {
    fn new(options: &Options, scenario: &Scenario, cpu: Option<usize>) -> Self {
        let (rate, seconds, trial, steps) = match options.quick {
            false => (RATE, 10, 2_000, STEPS),
            true => (QUICK_RATE, 2, 300, 2),
        };
        let window = Duration::from_secs(options.window.unwrap_or(seconds).into());
        let lead_in = Duration::from_millis(1_000);
        // The pace itself is measured to its end, however late the answers are.
        let patience = window + lead_in;
        let plan = Plan { rate, lead_in, window, patience };
        let trial = Duration::from_millis(trial);
        Self { visitors: scenario.clients, plan, trial, steps, cpu }
    }

    fn estimate(&self) -> Duration {
        let around = Duration::from_secs(3);
        around + self.plan.lead_in + self.plan.window + (self.trial + BEHIND) * self.steps
    }
}

/// Runs the benchmark and prints its table; an error if a bar is missed.
pub fn run(options: &Options) -> Result<()> {
    let scenario = if options.quick { &QUICK_COLLECT } else { &COLLECT };
    let collector = Contender::collector(&options.producer)?;
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    check_limits(&[scenario])?;
    check_redis_server()?;
    catch_interrupts();
    let (machine, cpus) = (describe(), Cpus::pick()?);
    let placement = place(cpus)?;
    let course = Course::new(options, scenario, cpus.map(|cpus| cpus.server));
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 5 });
    let (mut runs, mut details) = (Vec::new(), String::new());
    let mut progress = Progress::new(course.estimate() * rounds);
    let outcome = (1..=rounds).try_for_each(|round| {
        check_interrupt()?;
        progress.begin(&format!("(collect) round {round} of {rounds}"), course.estimate());
        let (measurement, line) = measure(&collector, &course)?;
        let _ = writeln!(details, "round {round}: {line}");
        runs.push(measurement);
        Ok(())
    });
    drop(progress);
    let conditions = Conditions {
        machine,
        placement,
        command: "collect",
        options: live::told(options.quick, options.rounds, options.window),
        rounds,
        window_seconds: course.plan.window.as_secs_f64(),
        left_out: Vec::new(),
        ended_early: None,
    };
    let contenders = vec![(BAR.to_owned(), Vec::new()), (collector.name, runs)];
    live::conclude(conditions, Series { scenario, contenders }, &details, json, outcome)
}

/// One run from the start of its Redis to the end of its accounts, and a line about it.
fn measure(collector: &Contender, course: &Course) -> Result<(Measurement, String)> {
    // A Redis of its own, so that no run counts on what the one before has left.
    let redis = RedisServer::try_start(&[]).map_err(|error| anyhow!("redis-server {error}"))?;
    let address = format!("127.0.0.1:{}", redis.port());
    let mut server = Server::start(collector, &address, course.cpu)?;
    let measured = watch(&mut server, &redis, &address, course);
    let measured = measured.map_err(|error| server::explain(slice::from_mut(&mut server), error));
    let measured = measured.map_err(|error| explain(error, &address))?;
    server.stop()?;
    Ok(measured)
}

fn watch(
    server: &mut Server,
    redis: &RedisServer,
    address: &str,
    course: &Course,
) -> Result<(Measurement, String)> {
    let subscriber = Subscriber::start(address)?;
    let fresh_kb = resident_kb(server.pid())?;
    let mut visitors = Visitors::open(server.target.address, course.visitors)?;
    let (paced, mut measurement) = pace(&mut visitors, server, redis.pid(), &course.plan)?;
    measurement.fresh_memory_mb = fresh_kb as f64 / 1024.0;
    let highest = find_highest(&mut visitors, &paced, course)?;
    server.ended()?;
    let (books, events, total) = settle(&visitors, subscriber, address)?;
    measurement.highest_per_second = Some(highest.into());
    measurement.lost = Some(books.lost);
    measurement.duplicated = Some(books.duplicated);
    measurement.miscounted = Some(books.miscounted);
    let line = format!(
        "{} accepted in all, {events} received as events, {TOTAL} {total}{}",
        visitors.ledger.accepted.sum(),
        told(&paced)
    );
    Ok((measurement, line))
}

/// What was not as it should be, in words.
fn told(paced: &Outcome) -> String {
    let mut told = String::new();
    for (status, count) in &paced.refusals {
        let _ = write!(told, "; {count} answered {status}");
    }
    if paced.closed > 0 {
        let _ = write!(told, "; {} connections closed", paced.closed);
    }
    told
}

/// Views at the pace, and what everybody used meanwhile.
fn pace(
    visitors: &mut Visitors,
    server: &Server,
    redis: u32,
    plan: &Plan,
) -> Result<(Outcome, Measurement)> {
    let (accepted, collector) = (AtomicU64::new(0), server.pid());
    let take = || -> Result<_> {
        let cpu = (CpuSnapshot::take(collector)?, CpuSnapshot::take(redis)?);
        Ok((cpu, own_cpu(), accepted.load(Relaxed)))
    };
    let (outcome, before, after) = thread::scope(|scope| {
        let load = scope.spawn(|| visitors.run(plan, &accepted));
        let over = || load.is_finished();
        wait_until(plan.lead_in, over)?;
        let before = take()?;
        wait_until(plan.window, over)?;
        let after = take()?;
        let outcome = load.join().map_err(|_| anyhow!("the load generator panicked"))?;
        Ok::<_, anyhow::Error>((outcome.context("load")?, before, after))
    })?;
    let seconds = plan.window.as_secs_f64();
    let percent = |cpu: Duration| Some(cpu.as_secs_f64() / seconds * 100.0);
    let cpu = after.0.0.since(&before.0.0);
    let of_redis = after.0.1.since(&before.0.1);
    let own = after.1.saturating_sub(before.1);
    let views = after.2 - before.2;
    let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
    let measurement = Measurement {
        accepted_per_second: Some(outcome.accepted as f64 / seconds),
        refused: Some(outcome.asked - outcome.accepted),
        cpu_us_per_view: (views > 0).then(|| cpu.as_secs_f64() * 1e6 / views as f64),
        cpu_percent: percent(cpu),
        redis_cpu_percent: percent(of_redis),
        load_cpu_percent: percent(of_redis + own),
        p50_ms: ms(outcome.latency.quantile(0.5)),
        p99_ms: ms(outcome.latency.quantile(0.99)),
        max_ms: ms(outcome.latency.max()),
        publish_late_p50_ms: ms(outcome.lateness.quantile(0.5)),
        publish_late_max_ms: ms(outcome.lateness.max()),
        ..Measurement::unknown()
    };
    Ok((outcome, measurement))
}

/// The highest rate at which every view is accepted within the bar of the pace.
fn find_highest(visitors: &mut Visitors, paced: &Outcome, course: &Course) -> Result<u32> {
    let (rate, limit) = (course.plan.rate, Duration::from_secs_f64(P99_MS / 1e3));
    let (low, high) = if paced.kept_up(limit) { (rate, rate * MOST) } else { (0, rate) };
    search::highest(low, high, course.steps, |rate| {
        let lead_in = course.trial / 10;
        let plan = Plan { rate, lead_in, window: course.trial, patience: BEHIND };
        Ok(visitors.run(&plan, &AtomicU64::new(0))?.kept_up(limit))
    })
}

/// The accounts, once everything had its time; with the events and the total as they are.
fn settle(visitors: &Visitors, subscriber: Subscriber, redis: &str) -> Result<(Books, u64, u64)> {
    let accepted = visitors.ledger.accepted.sum();
    wait_until(PATIENCE, || subscriber.count() >= accepted)?;
    let mut total = Ok(0);
    wait_until(PATIENCE, || {
        total = total_events(redis);
        total.as_ref().map_or(true, |&total| total >= accepted)
    })?;
    wait(AFTERMATH)?;
    // Whatever was counted late has been by now.
    let total = total.and_then(|_| total_events(redis))?;
    let received = subscriber.stop()?;
    let events = received.pages.sum() + received.strays;
    Ok((visitors.ledger.compare(&received, total), events, total))
}

fn total_events(redis: &str) -> Result<u64> {
    let Some(total) = resp::ask(redis, &["HGET", SNAPSHOT_KEY, TOTAL])? else { return Ok(0) };
    let text = String::from_utf8_lossy(&total);
    text.parse().with_context(|| format!("{TOTAL} of {SNAPSHOT_KEY} is {text:?}"))
}
