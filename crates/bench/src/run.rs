//! The whole benchmark: the conditions checked, every scenario in interleaved
//! rounds, the report.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use redcast_e2e::RedisServer;

use crate::clients::Clients;
use crate::contender::Contender;
use crate::lineup::{LeftOut, Row, line_up};
use crate::load::Timing;
use crate::machine::{Cpus, Interrupted, catch_interrupts, check_interrupt, describe, pin};
use crate::measure::{Setting, measure};
use crate::once;
use crate::peers::Peer;
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
    /// Measure servers that make bench-peers installed: all, or axum, ws, socket.io,
    /// nchan, nats; one that can't take part is left out with a reason
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,
    /// Where they were installed
    #[arg(long, value_name = "FOLDER", default_value = ".tools/bench-peers")]
    peers_folder: PathBuf,
    /// How long a server may take until it is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    ready_within: u32,
    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a run has yielded so far.
#[derive(Default)]
struct Found {
    all: Vec<Series>,
    /// What scenarios that run once showed in detail, for people.
    details: String,
    left_out: LeftOut,
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
    let redis = RedisServer::try_start(&[]).map_err(|error| anyhow!("redis-server {error}"))?;
    let (rounds, window) = (rounds(options), window(options));
    let setting = Setting {
        redis: format!("127.0.0.1:{}", redis.port()),
        redis_pid: redis.pid(),
        cpus,
        timing: Timing { lead_in: Duration::from_millis(500), window },
        settle: Duration::from_millis(if options.quick { 300 } else { 1_000 }),
    };
    let mut found = Found::default();
    found.left_out.note_refusals(&scenarios, &contenders);
    let (single, often): (Vec<_>, Vec<_>) =
        scenarios.into_iter().partition(|scenario| once::runs_once(scenario));
    let outcome = run_often(&often, &contenders, rounds, &setting, &mut found)
        .and_then(|()| run_once(&single, &contenders, &setting, &mut found))
        .map_err(|error| explain(error, &setting.redis));
    let window_seconds = window.as_secs_f64();
    let Found { all, details, left_out } = found;
    let left_out = left_out.into_notes();
    let ended_early = outcome.as_ref().err().map(|error| format!("{error:#}"));
    let conditions = Conditions {
        machine,
        placement,
        command: "run",
        options: told(options),
        rounds,
        window_seconds,
        left_out,
        ended_early,
    };
    // What was measured before an error is not lost with it.
    let written = match json {
        Some(file) if !all.is_empty() => file.write(&report::json(&conditions, &all)),
        _ => Ok(()),
    };
    if !all.is_empty() {
        print!("{}{details}", report::text(&conditions, &all));
    }
    outcome.and(written)
}

/// The options that decide what was measured, as they are written. Of a peer its name
/// alone: its command holds paths of this machine.
fn told(options: &Options) -> String {
    let mut told = Vec::new();
    if options.quick {
        told.push("--quick".to_owned());
    }
    told.extend(options.rounds.map(|rounds| format!("--rounds {rounds}")));
    told.extend(options.window.map(|window| format!("--window {window}")));
    if !options.only.is_empty() {
        told.push(format!("--only {}", options.only.join(",")));
    }
    if options.without_gateway {
        told.push("--without-gateway".to_owned());
    }
    let names = options.peer.iter().map(|peer| peer.split('=').next().unwrap_or_default());
    told.extend(names.map(|name| format!("--peer {name}=...")));
    if !options.peers.is_empty() {
        told.push(format!("--peers {}", options.peers.join(",")));
    }
    told.join(" ")
}

/// `error`, unless Redis is gone: then that, as the reason of it.
pub(crate) fn explain(error: anyhow::Error, redis: &str) -> anyhow::Error {
    if error.is::<Interrupted>() || redis_answers(redis) {
        return error;
    }
    anyhow!("Redis ended in the middle of the run")
}

fn redis_answers(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
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
        [] => !(options.without_gateway && needs_gateway(scenario)),
        only => only.iter().any(|key| key == scenario.key),
    };
    let chosen: Vec<_> = all.into_iter().filter(chosen).collect();
    if options.without_gateway
        && let Some(scenario) = chosen.iter().find(|scenario| needs_gateway(scenario))
    {
        let (key, pair) = (scenario.key, scenario.pair.is_some());
        let why = if pair { "compares the gateway with itself" } else { "is about the gateway" };
        bail!("({key}) {why}: it can't be run with --without-gateway");
    }
    Ok(chosen)
}

fn needs_gateway(scenario: &Scenario) -> bool {
    scenario.pair.is_some() || once::runs_once(scenario)
}

fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender::floor()];
    if !options.without_gateway {
        contenders.push(Contender::gateway(&options.gateway)?);
    }
    for peer in &options.peer {
        contenders.push(Contender::peer(peer)?);
    }
    for peer in Peer::choose(&options.peers)? {
        contenders.push(Contender::packaged(peer, &options.peers_folder));
    }
    for contender in &mut contenders {
        contender.patience = Duration::from_secs(options.ready_within.into());
    }
    Ok(contenders)
}

/// Pins this process, and with it Redis, which it starts later.
pub(crate) fn place(cpus: Option<Cpus>) -> Result<String> {
    let Some(Cpus { server, load }) = cpus else {
        return Ok("one CPU only: nothing is pinned, and the load disturbs the server".to_owned());
    };
    pin(load).with_context(|| format!("can't run on CPU {load}"))?;
    Ok(format!("server on CPU {server}, load generator and Redis on CPU {load}"))
}

fn run_often(
    scenarios: &[&'static Scenario],
    contenders: &[Contender],
    rounds: u32,
    setting: &Setting,
    found: &mut Found,
) -> Result<()> {
    if scenarios.is_empty() {
        let mut gateways = contenders.iter().filter(|contender| contender.is_gateway());
        return gateways.try_for_each(|gateway| try_out(gateway, setting));
    }
    let mut rows = line_up(scenarios, contenders);
    try_out_all(&mut rows, setting, &mut found.left_out)?;
    run_all(&rows, rounds, setting, found)
}

/// Takes those out of `rows` that can't take part and need not.
fn try_out_all(rows: &mut [Row], setting: &Setting, left_out: &mut LeftOut) -> Result<()> {
    let mut tried: Vec<((String, Setup), bool)> = Vec::new();
    for (scenario, lineup) in rows {
        let mut able = Vec::new();
        for contender in std::mem::take(lineup) {
            let this = (contender.name.clone(), contender.setup());
            // Who was set up as now needs no second trial.
            let known = tried.iter().find(|(other, _)| *other == this).map(|(_, works)| *works);
            let works = match known {
                Some(works) => works,
                None => {
                    let has_redis = || redis_answers(&setting.redis);
                    let works = left_out
                        .unless(try_out(&contender, setting), &contender, "", has_redis)
                        .with_context(|| format!("({}), {}", scenario.key, contender.label))?
                        .is_some();
                    tried.push((this, works));
                    works
                }
            };
            if works {
                able.push(contender);
            }
        }
        *lineup = able;
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

fn run_all(rows: &[Row], rounds: u32, setting: &Setting, found: &mut Found) -> Result<()> {
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
                let measurement = measure(scenario, contender, setting);
                let place = format!(" of ({key}), round {}", round + 1);
                let has_redis = || redis_answers(&setting.redis);
                let measurement = found
                    .left_out
                    .unless(measurement, contender, &place, has_redis)
                    .with_context(|| format!("({key}), {}", contender.label))?;
                series.contenders[index].1.extend(measurement);
            }
        }
        found.all.push(series);
    }
    Ok(())
}

fn run_once(
    scenarios: &[&'static Scenario],
    contenders: &[Contender],
    setting: &Setting,
    found: &mut Found,
) -> Result<()> {
    let Some(gateway) = contenders.iter().find(|contender| contender.is_gateway()) else {
        return Ok(());
    };
    let progress = Progress::new(Duration::ZERO);
    for &scenario in scenarios {
        let once = once::measure(scenario, gateway, setting, &progress)?;
        found.all.push(once.series);
        found.details.push_str(&once.text);
    }
    Ok(())
}

/// Every second round backwards, so that nobody always runs on a warm or a tired
/// machine.
pub(crate) fn order(count: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}
