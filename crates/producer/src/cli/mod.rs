//! The command line, and what its commands have in common: logs, signals, exit codes.

mod collect;
mod demo;
mod environment;
mod logging;
mod places;
mod progress;
mod redis;
mod replay;
mod serve;

use std::io::{Write, stderr};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::collect::CollectFlags;
use self::demo::DemoFlags;
use self::logging::LogFlags;
use self::redis::RedisFlags;
use self::replay::ReplayFlags;

/// EX_CONFIG of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Page views for Redcast: from browsers, from access logs, or invented.
#[derive(Debug, Parser)]
#[command(name = "redcast-producer", version)]
#[command(after_help = "Examples:\n  \
    redcast-producer --redis-url redis://127.0.0.1:6379 collect --site acme.example\n  \
    redcast-producer --redis-url redis://127.0.0.1:6379 replay /var/log/nginx/access.log.2.gz\n  \
    redcast-producer --redis-url redis://127.0.0.1:6379 demo\n\n\
    Where a flag has a variable, its help names it; the flag wins.\n\n\
    Exit codes: 0 done, or stopped as asked, 1 failed, 2 wrong usage, 78 wrong\nconfiguration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    redis: RedisFlags,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take page views from browsers: serve a tracker script and its beacon.
    Collect(CollectFlags),
    /// Publish the page views of an access log.
    Replay(ReplayFlags),
    /// Publish synthetic page views, until stopped.
    Demo(DemoFlags),
}

/// What was asked for can't be, whatever happens outside.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadConfig(String);

/// Runs the command line; the whole of the binary.
pub(crate) fn run() -> ExitCode {
    // A rediss:// URL would panic without; a second one would change nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    logging::tell_of_panics();
    // What clap finds wrong it says itself, and ends with 2.
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.redis.let_flags_win(&matches);
    match start(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("{error:#}"));
            ExitCode::from(if error.is::<BadConfig>() { EXIT_CONFIG } else { 1 })
        }
    }
}

/// A sentence for a person, on standard error.
fn say(text: impl std::fmt::Display) {
    // There is nowhere left to complain to. Control characters could steer a terminal.
    let text: String =
        text.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(stderr(), "redcast-producer: {text}");
}

fn start(cli: &Cli) -> Result<u8> {
    environment::check(&Cli::command()).map_err(BadConfig)?;
    let bars = indicatif::MultiProgress::new();
    logging::start(&cli.log, bars.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        match &cli.command {
            Command::Collect(flags) => collect::run(flags, &cli.redis, stop).await,
            Command::Replay(flags) => replay::run(flags, &cli.redis, bars, stop).await,
            Command::Demo(flags) => demo::run(flags, &cli.redis, stop).await,
        }
    });
    // A read of a pipe that nobody writes to is not waited for.
    runtime.shutdown_background();
    code
}

/// Cancels `stop` at the first SIGTERM or Ctrl-C. At a second one the process ends at
/// once, as it would have without us.
fn stop_at_signal(tasks: &TaskTracker, stop: &CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let stop = stop.clone();
    tasks.spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                std::process::exit(130);
            }
            tracing::info!("stopping");
            stop.cancel();
        }
    });
    Ok(())
}
