//! Logs and the metrics registry.
//!
//! A log line is one line, whatever its fields hold, and no level makes a library log
//! what clients and Redis say to us.

use std::io::{self, IsTerminal, Write, stderr};
use std::{env, fmt};

use anyhow::{Context, Result};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use tokio::runtime::{Handle, RuntimeMetrics};
use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt as log_lines, layer::SubscriberExt};

use crate::escape::{Escaped, is_unsafe};
use crate::settings::{Log, LogFormat};
use crate::version::{COMMIT, VERSION};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    Json,
    Pretty { colours: bool },
}

/// Starts logging to standard error.
pub(crate) fn start_logging(log: &Log) -> Result<()> {
    // The settings have judged it already.
    let filter = EnvFilter::try_new(&log.level).context("log.level")?;
    let lines = match (log.format, stderr().is_terminal()) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Lines::Json,
        (_, terminal) => Lines::Pretty { colours: terminal && colours_wanted() },
    };
    let started = dispatch(lines, filter, stderr).try_init();
    started.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))
}

/// <https://no-color.org>: set to anything at all means none.
fn colours_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn dispatch<W>(lines: Lines, filter: EnvFilter, writer: W) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A reader that went away is no reason to write about it, least of all to the same
    // place.
    let layer = log_lines::layer().log_internal_errors(false);
    let layer = match lines {
        Lines::Json => layer.json().flatten_event(true).with_writer(JsonWriter(writer)).boxed(),
        Lines::Pretty { colours } => {
            let fields = debug_fn(write_field).delimited(" ");
            layer.with_ansi(colours).fmt_fields(fields).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged)).with(layer).into()
}

/// Libraries log whole headers, commands and frames at their lower levels, and with them
/// tokens and payloads. Whatever level was set, they get no further than "info"; the
/// lower levels are for our own rooms, which know what they must not write.
fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || line.target().starts_with("redcast")
}

/// A field on a line for people. A value that came from outside must not start a new
/// line or steer the terminal.
fn write_field(
    writer: &mut Writer<'_>,
    field: &tracing::field::Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    use fmt::Write;
    match field.name() {
        "message" => write!(Escaped(writer), "{value:?}"),
        // How the library marks what came by the `log` crate.
        name if name.starts_with("log.") => Ok(()),
        name => write!(Escaped(writer), "{name}={value:?}"),
    }
}

/// Makes writers of JSON lines that are harmless also as text: JSON lets some characters
/// through that other programs take for the end of a line.
struct JsonWriter<W>(W);

struct JsonLine<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for JsonWriter<W> {
    type Writer = JsonLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        JsonLine(self.0.make_writer())
    }
}

impl<W: Write> Write for JsonLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The library hands over each line whole.
        let harmless = |text: &str| !text.contains(|c| is_unsafe(c) && c != '\n');
        match str::from_utf8(line) {
            Ok(text) if !harmless(text) => self.0.write_all(escape_json(text).as_bytes())?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What is unsafe can only stand inside of strings. All of it is in Unicode's first
/// plane, so that four digits name it.
fn escape_json(line: &str) -> String {
    let escape = |c: char| match c {
        c if is_unsafe(c) && c != '\n' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    line.chars().map(escape).collect()
}

/// The registry with what the process itself tells; every room adds its own.
pub(crate) fn registry() -> Result<Registry> {
    let registry = Registry::new();
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    let build = IntGaugeVec::new(
        Opts::new("redcast_build_info", "Always 1; version and commit are labels."),
        &["version", "commit"],
    )?;
    build.with_label_values(&[VERSION, COMMIT]).set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(Tasks::new()?))?;
    Ok(registry)
}

/// How many tasks the runtime has, asked at the moment of a scrape: whatever is spawned for
/// a connection or a link and never ends shows here before it shows in memory.
struct Tasks {
    runtime: RuntimeMetrics,
    alive: IntGauge,
}

impl Tasks {
    /// Of the runtime that it is called in.
    fn new() -> Result<Self> {
        let alive = IntGauge::new("redcast_tasks_alive", "Tasks of the runtime that go on.")?;
        Ok(Self { runtime: Handle::try_current()?.metrics(), alive })
    }
}

impl Collector for Tasks {
    fn desc(&self) -> Vec<&Desc> {
        self.alive.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.alive.set(i64::try_from(self.runtime.num_alive_tasks()).unwrap_or(i64::MAX));
        self.alive.collect()
    }
}

/// 1 from the signal to stop until the end.
pub(crate) fn draining_gauge(registry: &Registry) -> Result<IntGauge> {
    let gauge = IntGauge::new("redcast_draining", "1 while connections are given back.")?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
