//! The whole benchmark: the conditions checked, every scenario in interleaved
//! rounds, the report.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use redcast_e2e::RedisServer;

use crate::clients::Clients;
use crate::contender::Contender;
use crate::load::Timing;
use crate::machine::{
    Cpus, Interrupted, catch_interrupts, check_interrupt, describe, pin, reserve_descriptors,
};
use crate::measure::{Setting, measure};
use crate::peers::Peer;
use crate::progress::Progress;
use crate::report::{self, Conditions, Series};
use crate::scenario::{SCENARIOS, Scenario};
use crate::server::Server;

/// What `run` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// One round with short windows: shows that everything works, measures little
    #[arg(long)]
    quick: bool,
    /// Interleaved runs of each server [default: 5, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Length of each measured window [default: 8, with --quick 2]
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
    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the benchmark and prints its table.
pub fn run(options: &Options) -> Result<()> {
    let scenarios = choose(&options.only)?;
    let contenders = contenders(options)?;
    let most_clients = scenarios.iter().map(|scenario| scenario.clients).max().unwrap_or(0);
    reserve_descriptors(most_clients)?;
    ensure!(
        is_installed("redis-server"),
        "redis-server is not installed: apt-get install redis-server"
    );
    catch_interrupts();

    let (machine, cpus) = (describe(), Cpus::pick()?);
    let placement = place(cpus)?;
    let redis = RedisServer::start();
    let (rounds, window) = (rounds(options), window(options));
    let setting = Setting {
        redis: format!("127.0.0.1:{}", redis.port()),
        cpus,
        timing: Timing { lead_in: Duration::from_millis(500), window },
        settle: Duration::from_millis(if options.quick { 300 } else { 1_000 }),
    };
    let mut left_out = Vec::new();
    let mut able = Vec::new();
    for contender in contenders {
        let tried = try_out(&contender, &setting);
        if or_leave_out(tried, &contender, "", &mut left_out)?.is_some() {
            able.push(contender);
        }
    }
    let all = run_all(&scenarios, &able, rounds, &setting, &mut left_out)?;
    let window_seconds = window.as_secs_f64();
    let conditions = Conditions { machine, placement, rounds, window_seconds, left_out };
    print!("{}", report::text(&conditions, &all));
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report::json(&conditions, &all))?;
        std::fs::write(path, json).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn rounds(options: &Options) -> u32 {
    options.rounds.unwrap_or(if options.quick { 1 } else { 5 })
}

fn window(options: &Options) -> Duration {
    let seconds = options.window.unwrap_or(if options.quick { 2 } else { 8 });
    Duration::from_secs(seconds.into())
}

fn choose(only: &[String]) -> Result<Vec<&'static Scenario>> {
    for key in only {
        if !SCENARIOS.iter().any(|scenario| scenario.key == key) {
            let keys: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.key).collect();
            bail!("there is no scenario {key:?}; there are {}", keys.join(", "));
        }
    }
    let chosen =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|key| key == scenario.key);
    Ok(SCENARIOS.iter().filter(chosen).collect())
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
    Ok(contenders)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Pins this process, and with it Redis, which it starts later.
fn place(cpus: Option<Cpus>) -> Result<String> {
    let Some(Cpus { server, load }) = cpus else {
        return Ok("one CPU only: nothing is pinned, and the load disturbs the server".to_owned());
    };
    pin(load).with_context(|| format!("can't run on CPU {load}"))?;
    Ok(format!("server on CPU {server}, load generator and Redis on CPU {load}"))
}

/// Starts it once and connects, so that a server that can't be reached is told
/// before minutes are spent on the others.
fn try_out(contender: &Contender, setting: &Setting) -> Result<()> {
    let server = Server::start(contender, &setting.redis, setting.cpus.map(|cpus| cpus.server))?;
    let one = Clients::open(&server.target, 1);
    one.with_context(|| format!("the {} can't be reached", contender.name)).map(|_| ())
}

/// None if `result` failed and the run goes on without it, which is noted at once and
/// in the report.
fn or_leave_out<T>(
    result: Result<T>,
    contender: &Contender,
    place: &str,
    left_out: &mut Vec<String>,
) -> Result<Option<T>> {
    match result {
        Err(error) if contender.is_optional() && !error.is::<Interrupted>() => {
            let note = format!("{} was left out{place}: {error:#}", contender.name);
            eprintln!("note: {note}");
            left_out.push(note);
            Ok(None)
        }
        result => result.map(Some),
    }
}

fn run_all(
    scenarios: &[&'static Scenario],
    contenders: &[Contender],
    rounds: u32,
    setting: &Setting,
    left_out: &mut Vec<String>,
) -> Result<Vec<Series>> {
    let runs_of_each = rounds * contenders.len() as u32;
    let total = scenarios.iter().map(|scenario| setting.estimate(scenario) * runs_of_each).sum();
    let mut progress = Progress::new(total);
    let mut all = Vec::new();
    for &scenario in scenarios {
        let named = |contender: &Contender| (contender.name.clone(), Vec::new());
        let mut series = Series { scenario, contenders: contenders.iter().map(named).collect() };
        for round in 0..rounds {
            for index in order(contenders.len(), round) {
                check_interrupt()?;
                let (contender, key) = (&contenders[index], scenario.key);
                let what = format!("({key}) round {} of {rounds}: {}", round + 1, contender.name);
                progress.begin(&what, setting.estimate(scenario));
                let measurement = measure(scenario, contender, setting)
                    .with_context(|| format!("({key}) against the {}", contender.name));
                let place = format!(" of ({key}), round {}", round + 1);
                let measurement = or_leave_out(measurement, contender, &place, left_out)?;
                series.contenders[index].1.extend(measurement);
            }
        }
        all.push(series);
    }
    Ok(all)
}

/// Every second round backwards, so that nobody always runs on a warm or a tired
/// machine.
fn order(count: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}
