//! The whole benchmark: the conditions checked, every scenario in interleaved
//! rounds, the report.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use redcast_e2e::RedisServer;

use crate::clients::Clients;
use crate::contender::Contender;
use crate::load::Timing;
use crate::machine::{Cpus, Interrupted, catch_interrupts, check_interrupt, describe, pin};
use crate::measure::{Setting, measure};
use crate::once;
use crate::preflight::{check_limits, check_redis_server};
use crate::progress::Progress;
use crate::report::{self, Conditions, Series};
use crate::report_file::ReportFile;
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::Server;
use crate::setup::Setup;

/// What `run` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// One round with short windows: shows that everything works, measures little
    #[arg(long)]
    quick: bool,
    /// Interleaved runs of each server [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Length of each measured window [default: 7, with --quick 2]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    window: Option<u32>,
    /// Run only these scenarios, e.g. a,b1
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    only: Vec<String>,
    /// The gateway's binary
    #[arg(
        long,
        value_name = "PATH",
        env = "GATEWAY_BIN",
        default_value = "target/release/redcast"
    )]
    gateway: PathBuf,
    /// Measure without the gateway
    #[arg(long)]
    without_gateway: bool,
    /// Measure another server too; {redis} and {channel} in the command are filled
    /// in, and it prints its ws:// URL
    #[arg(long, value_name = "NAME=COMMAND")]
    peer: Vec<String>,
    /// How long a server may take until it is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    ready_within: u32,
    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the benchmark and prints its table.
pub fn run(options: &Options) -> Result<()> {
    let scenarios = choose(options)?;
    let contenders = contenders(options)?;
    let json = options.json.as_deref().map(ReportFile::open).transpose()?;
    check_limits(&scenarios)?;
    check_redis_server()?;
    catch_interrupts();

    let (machine, cpus) = (describe(), Cpus::pick()?);
    let placement = place(cpus)?;
    let redis = RedisServer::start();
    let (rounds, window) = (rounds(options), window(options));
    let setting = Setting {
        redis: format!("127.0.0.1:{}", redis.port()),
        redis_pid: redis.pid(),
        cpus,
        timing: Timing { lead_in: Duration::from_millis(500), window },
        settle: Duration::from_millis(if options.quick { 300 } else { 1_000 }),
    };
    let (mut all, mut details) = (Vec::new(), String::new());
    let (single, often): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| once::is_one(scenario));
    let outcome = run_often(&often, &contenders, rounds, &setting, &mut all)
        .and_then(|()| run_once(&single, &contenders, &setting, &mut all, &mut details))
        .map_err(|error| explain(error, &setting.redis));
    let window_seconds = window.as_secs_f64();
    let conditions = Conditions { machine, placement, rounds, window_seconds };
    // What was measured before an error is not lost with it.
    if !all.is_empty() {
        print!("{}{details}", report::text(&conditions, &all));
    }
    outcome?;
    json.map_or(Ok(()), |file| file.write(&report::json(&conditions, &all)))
}

/// `error`, unless Redis is gone: then that, as the reason of it.
fn explain(error: anyhow::Error, redis: &str) -> anyhow::Error {
    if error.is::<Interrupted>() || TcpStream::connect(redis).is_ok() {
        return error;
    }
    anyhow!("Redis ended in the middle of the run")
}

fn rounds(options: &Options) -> u32 {
    options.rounds.unwrap_or(if options.quick { 1 } else { 5 })
}

fn window(options: &Options) -> Duration {
    let seconds = options.window.unwrap_or(if options.quick { 2 } else { 7 });
    Duration::from_secs(seconds.into())
}

fn choose(options: &Options) -> Result<Vec<&'static Scenario>> {
    let all: Vec<_> = SCENARIOS.iter().chain(once::scenarios(options.quick)).collect();
    for key in &options.only {
        if !all.iter().any(|scenario| scenario.key == key) {
            let keys: Vec<&str> = all.iter().map(|scenario| scenario.key).collect();
            bail!("there is no scenario {key:?}; there are {}", keys.join(", "));
        }
    }
    let chosen = |scenario: &&Scenario| match &options.only[..] {
        [] => !(options.without_gateway && once::is_one(scenario)),
        only => only.iter().any(|key| key == scenario.key),
    };
    let chosen: Vec<_> = all.into_iter().filter(chosen).collect();
    if let Some(scenario) = chosen.iter().find(|scenario| once::is_one(scenario))
        && options.without_gateway
    {
        let key = scenario.key;
        bail!("({key}) is about the gateway alone: it can't be run with --without-gateway");
    }
    Ok(chosen)
}

fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender::floor()];
    if !options.without_gateway {
        contenders.push(Contender::gateway(&options.gateway)?);
    }
    for peer in &options.peer {
        contenders.push(Contender::peer(peer)?);
    }
    for contender in &mut contenders {
        contender.patience = Duration::from_secs(options.ready_within.into());
    }
    Ok(contenders)
}

/// Pins this process, and with it Redis, which it starts later.
fn place(cpus: Option<Cpus>) -> Result<String> {
    let Some(Cpus { server, load }) = cpus else {
        return Ok("one CPU only: nothing is pinned, and the load disturbs the server".to_owned());
    };
    pin(load).with_context(|| format!("can't run on CPU {load}"))?;
    Ok(format!("server on CPU {server}, load generator and Redis on CPU {load}"))
}

/// A scenario and who is measured in it, the baseline first.
type Row = (&'static Scenario, Vec<Contender>);

/// A pair without the gateway is left out, or refused if it was asked for.
fn line_up(scenarios: &[&'static Scenario], contenders: &[Contender]) -> Result<Vec<Row>> {
    let rows = scenarios.iter().map(|&scenario| (scenario, scenario.lineup(contenders)));
    let rows: Vec<Row> = rows.filter(|(_, lineup)| !lineup.is_empty()).collect();
    if rows.is_empty() {
        let keys: Vec<&str> = scenarios.iter().map(|scenario| scenario.key).collect();
        bail!("({}) compares the gateway with itself: not without it", keys.join(", "));
    }
    Ok(rows)
}

fn run_often(
    scenarios: &[&'static Scenario],
    contenders: &[Contender],
    rounds: u32,
    setting: &Setting,
    all: &mut Vec<Series>,
) -> Result<()> {
    if scenarios.is_empty() {
        let mut gateways = contenders.iter().filter(|contender| contender.is_gateway());
        return gateways.try_for_each(|gateway| try_out(gateway, setting));
    }
    let rows = line_up(scenarios, contenders)?;
    try_out_all(&rows, setting)?;
    run_all(&rows, rounds, setting, all)
}

fn try_out_all(rows: &[Row], setting: &Setting) -> Result<()> {
    let mut tried: Vec<(&str, Setup)> = Vec::new();
    for (scenario, lineup) in rows {
        for contender in lineup {
            // Who was set up as now needs no second trial.
            let this = (contender.name.as_str(), contender.setup());
            if !tried.contains(&this) {
                tried.push(this);
                try_out(contender, setting)
                    .with_context(|| format!("({}), {}", scenario.key, contender.label))?;
            }
        }
    }
    Ok(())
}

/// Starts it once and connects, so that a server that can't be reached is told
/// before minutes are spent on the others.
fn try_out(contender: &Contender, setting: &Setting) -> Result<()> {
    let server = Server::start(contender, &setting.redis, setting.cpus.map(|cpus| cpus.server))?;
    let one = Clients::open_as(&server.target, 1, contender.setup());
    one.with_context(|| format!("the {} can't be reached", contender.name)).map(|_| ())
}

fn run_all(rows: &[Row], rounds: u32, setting: &Setting, all: &mut Vec<Series>) -> Result<()> {
    let runs = |(scenario, lineup): &Row| setting.estimate(scenario) * rounds * lineup.len() as u32;
    let mut progress = Progress::new(rows.iter().map(runs).sum());
    for (scenario, lineup) in rows {
        let named = |contender: &Contender| (contender.label.clone(), Vec::new());
        let mut series = Series { scenario, contenders: lineup.iter().map(named).collect() };
        for round in 0..rounds {
            for index in order(lineup.len(), round) {
                check_interrupt()?;
                let (contender, key) = (&lineup[index], scenario.key);
                let what = format!("({key}) round {} of {rounds}: {}", round + 1, contender.label);
                progress.begin(&what, setting.estimate(scenario));
                let measurement = measure(scenario, contender, setting)
                    .with_context(|| format!("({key}), {}", contender.label))?;
                series.contenders[index].1.push(measurement);
            }
        }
        all.push(series);
    }
    Ok(())
}

fn run_once(
    scenarios: &[&'static Scenario],
    contenders: &[Contender],
    setting: &Setting,
    all: &mut Vec<Series>,
    details: &mut String,
) -> Result<()> {
    let Some(gateway) = contenders.iter().find(|contender| contender.is_gateway()) else {
        return Ok(());
    };
    let progress = Progress::new(Duration::ZERO);
    for &scenario in scenarios {
        let once = once::measure(scenario, gateway, setting, &progress)?;
        all.push(once.series);
        details.push_str(&once.text);
    }
    Ok(())
}

/// Every second round backwards, so that nobody always runs on a warm or a tired
/// machine.
fn order(count: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}
