//! Logs and the metrics registry.

use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result, ensure};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use crate::settings::{Log, LogFormat};

/// Starts logging to standard error.
pub(crate) fn start_logging(log: &Log) -> Result<()> {
    let wrong = || format!("log.level: {:?} is no level and no filter", log.level);
    // The library would take a misspelt level for a module's name, and log nothing.
    let levels = log.level.split(',').filter_map(|part| part.rsplit('=').next()).map(str::trim);
    for level in levels {
        ensure!(!level.is_empty() && level.parse::<LevelFilter>().is_ok(), wrong());
    }
    let filter = EnvFilter::try_new(&log.level).with_context(wrong)?;
    let terminal = stderr().is_terminal();
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !terminal,
    };
    let builder = fmt().with_env_filter(filter).with_writer(stderr).with_ansi(terminal);
    let started =
        if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
    started.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))
}

/// The registry with what the process itself tells; every room adds its own.
pub(crate) fn registry(version: &str) -> Result<Registry> {
    let registry = Registry::new();
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    let build = IntGaugeVec::new(
        Opts::new("redcast_build_info", "Always 1; the version is a label."),
        &["version"],
    )?;
    build.with_label_values(&[version]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

/// 1 from the signal to stop until the end.
pub(crate) fn draining_gauge(registry: &Registry) -> Result<IntGauge> {
    let gauge = IntGauge::new("redcast_draining", "1 while connections are given back.")?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}
