//! `redcast-producer replay`.

use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::MultiProgress;
use redcast_producer::collect::CollectConfig;
use redcast_producer::{
    Replay, ReplayConfig, ReplayInput, Replayed, Skipped, Speed, Store, Summary, keep_fresh,
};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::redis::RedisFlags;
use super::{BadConfig, progress, say, stop_at_signal};

/// The store makes the costly figures of the statistics at most four times a second.
const FIGURES_OLD: Duration = Duration::from_millis(300);

/// Flags of `replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast-producer replay /var/log/nginx/access.log.2.gz --speed 60\n  \
    redcast-producer replay access.log --speed max --resume access.state\n  \
    tail -F /var/log/nginx/access.log | redcast-producer replay -\n  \
    zcat -f access.log.3.gz access.log.2.gz access.log.1 | redcast-producer replay -\n\n\
    A page view is a GET of what is no asset, answered with 2xx or 304, by what calls\n\
    itself a browser. Addresses are never published.\n\n\
    Exit codes: 0 all of it is published, or it was stopped as asked, 1 failed, 2 wrong\n\
    usage, 78 wrong configuration.")]
pub(super) struct ReplayFlags {
    /// The log, in the common or combined format, plain or gzip; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many times as fast as it was written; 0 or max: as fast as Redis takes it
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        env = "REDCAST_PRODUCER_SPEED",
        hide_env_values = true
    )]
    speed: Speed,
    /// Every GET is a page view, also of bots, of assets, and with errors for an answer
    #[arg(long)]
    all: bool,
    /// Events have the time of their line, not of their publishing
    #[arg(long)]
    keep_time: bool,
    /// Keep in this file how far it went, and go on from there; a last line that does not
    /// end yet is left for the next run
    #[arg(long, value_name = "STATE")]
    resume: Option<PathBuf>,
    /// A host of the site itself, which is no referrer: acme.example or *.acme.example;
    /// repeatable
    #[arg(
        long = "site",
        value_name = "HOST",
        env = "REDCAST_PRODUCER_SITE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    sites: Vec<String>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
}

/// Publishes the log; answers the exit code.
pub(super) async fn run(
    flags: &ReplayFlags,
    redis: &RedisFlags,
    bars: MultiProgress,
    stop: CancellationToken,
) -> Result<u8> {
    let sites = CollectConfig { sites: flags.sites.clone(), ..CollectConfig::default() };
    sites.check().map_err(BadConfig)?;
    let store = redis.store(sites.sites)?;
    let input = match flags.file.to_str() {
        Some("-") => ReplayInput::Stdin,
        _ => ReplayInput::File(flags.file.clone()),
    };
    let name = input.to_string();
    let config = ReplayConfig {
        speed: flags.speed,
        all: flags.all,
        keep_time: flags.keep_time,
        resume: flags.resume.clone(),
        ..ReplayConfig::new(input)
    };
    // Until it is open a signal ends the process, which has nothing to give back.
    let opening = tokio::task::spawn_blocking(move || Replay::open(config));
    let replay = opening.await.context("the log could not be opened")??;
    // A Redis that goes away later is waited for. One that is not there, or does not know
    // us, is rather a mistake in the URL.
    store.refresh().await?;
    let tasks = TaskTracker::new();
    stop_at_signal(&tasks, &stop)?;
    tasks.spawn(keep_fresh(store.clone(), stop.clone()));
    let showing = progress::Showing::begin(&tasks, bars, replay.progress());
    let replayed = replay.run(store.clone(), stop).await;
    showing.end().await;
    if replayed.summary.views > 0 {
        settle(&*store).await;
    }
    Ok(report(flags, &name, &replayed)?)
}

/// Waits until the statistics tell of the last views too, as far as that is our part.
async fn settle(store: &dyn Store) {
    sleep(FIGURES_OLD).await;
    // If Redis is away by now, the views are counted all the same.
    let _ = store.refresh().await;
}

fn report(flags: &ReplayFlags, name: &str, replayed: &Replayed) -> io::Result<u8> {
    let Replayed { summary, end } = replayed;
    let printed = match flags.json {
        true => as_json(name, replayed),
        false => as_sentences(name, replayed),
    };
    match stdout().lock().write_all(printed.as_bytes()) {
        // A pipe that was closed has had enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    match end {
        Ok(_) => Ok(0),
        Err(error) => {
            let hint = match (&flags.resume, summary.views > 0) {
                (Some(_), _) => "; the same command goes on from there",
                (None, true) => "; with --resume another run could go on from there",
                (None, false) => "",
            };
            say(format_args!("{error}{hint}"));
            Ok(1)
        }
    }
}

fn as_json(name: &str, Replayed { summary, end }: &Replayed) -> String {
    let mut object = json!({ "log": name, "complete": matches!(end, Ok(true)) });
    if let (Some(object), Ok(serde_json::Value::Object(figures))) =
        (object.as_object_mut(), serde_json::to_value(summary))
    {
        object.extend(figures);
    }
    if let Err(error) = end {
        object["error"] = error.to_string().into();
    }
    format!("{object}\n")
}

fn as_sentences(name: &str, Replayed { summary, end }: &Replayed) -> String {
    let Summary { views, lines, unreadable, resumed_behind, .. } = summary;
    let mut text = format!("{name}: {views} page views in {lines} lines");
    if *resumed_behind > 0 {
        text += &format!(", behind the {resumed_behind} of before");
    }
    if let Ok(false) = end {
        text += &format!("; stopped behind line {}", resumed_behind + lines);
    }
    let skipped = reasons(&summary.skipped);
    if !skipped.is_empty() {
        text += &format!("\n  skipped: {skipped}");
    }
    if *unreadable > 0 {
        let numbers: Vec<_> = summary.unreadable_lines.iter().map(u64::to_string).collect();
        let more = if *unreadable > numbers.len() as u64 { ", …" } else { "" };
        text += &format!("\n  unreadable: {unreadable} (line {}{more})", numbers.join(", "));
    }
    text + "\n"
}

fn reasons(skipped: &Skipped) -> String {
    let reasons = [
        (skipped.assets, "assets"),
        (skipped.bots, "bots"),
        (skipped.statuses, "redirects and errors"),
        (skipped.methods, "other methods than GET"),
        (skipped.no_request, "no requests"),
    ];
    let told = reasons.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, reason)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}
