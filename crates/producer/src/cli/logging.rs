//! Log lines on standard error, above the progress bar where there is one.

use std::env;
use std::io::{self, IsTerminal, Write, stderr};
use std::panic::{Location, PanicHookInfo, set_hook};

use anyhow::Result;
use clap::{Args, ValueEnum};
use indicatif::MultiProgress;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub(super) struct LogFlags {
    /// off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    #[arg(env = "REDCAST_PRODUCER_LOG_LEVEL", hide_env_values = true)]
    log_level: LevelFilter,
    /// Text on a terminal and JSON elsewhere, or always one of them
    #[arg(long, global = true, value_name = "FORMAT", default_value = "auto")]
    #[arg(env = "REDCAST_PRODUCER_LOG_FORMAT", hide_env_values = true)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Auto,
    Json,
    Pretty,
}

/// Starts logging.
pub(super) fn start(flags: &LogFlags, bars: MultiProgress) -> Result<()> {
    let is_terminal = stderr().is_terminal();
    let is_json = match flags.log_format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Json => true,
        LogFormat::Pretty => false,
    };
    let colours = is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().log_internal_errors(false).with_writer(move || Above(bars.clone()));
    let layer = match is_json {
        true => layer.json().flatten_event(true).boxed(),
        false => layer.with_ansi(colours).boxed(),
    };
    let registry = tracing_subscriber::registry();
    registry.with(flags.log_level).with(filter_fn(may_be_logged)).with(layer).try_init()?;
    Ok(())
}

/// Libraries log whole headers and commands at their lower levels, and with them what
/// visitors and operators want to keep to themselves.
fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || line.target().starts_with("redcast")
}

/// Standard error while no bar is drawn.
struct Above(MultiProgress);

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// From now on a panic is one log line with its place. What it says is left out, because
/// it may hold what a visitor sent.
pub(super) fn tell_of_panics() {
    set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let location = panic.location().map_or_else(|| "unknown".to_owned(), Location::to_string);
        if tracing::event_enabled!(Level::ERROR) {
            tracing::error!(location, "panic");
        } else {
            super::say(format_args!("panic at {location}; this is a fault of ours"));
        }
    }));
}
