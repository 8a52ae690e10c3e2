//! `redcast subscribe`: prints the events of channels, from now on and until it is told
//! to stop. The broker's subscriber looks for a Redis that is away, as in a gateway.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use prometheus::Registry;
use redcast_broker::{Broker, BrokerMetrics, Deliveries, RedisBroker, RedisConfig, SubscribeError};
use redcast_protocol::{Channel, ErrorCode, Reply};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::BadConfig;
use crate::printer::{Printer, Stop, reader_gone};
use crate::redis_flags::RedisFlags;
use crate::terminal::{print, say};

/// How often the link is looked at; what it brings does not wait for that.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A first connection that takes longer is worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
/// More channels than this are told by their number.
const NAMED_CHANNELS: usize = 5;

/// Flags of `subscribe`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast subscribe analytics\n  \
    redcast subscribe orders:1 orders:2 --json\n  \
    redcast subscribe alerts --count 1 && echo alarm\n\n\
    Each event is a line: its payload as it came, with several channels behind the\n\
    channel and a tab. On a terminal control characters are shown escaped. --json prints\n\
    objects: {\"type\":\"event\",\"channel\":...,\"data\":...,\"received_at\":MILLISECONDS},\n\
    with \"encoding\":\"base64\" where the payload is not UTF-8 and \"id\" in a stream, and\n\
    {\"type\":\"gap\",...} or {\"type\":\"reset\",...} where events may be missing.\n\n\
    Exit codes: 0 stopped (Ctrl-C, --count, closed pipe), 1 failed or refused by Redis,\n\
    2 wrong usage, 78 wrong configuration.")]
pub(crate) struct SubscribeFlags {
    /// The channels
    #[arg(required = true, value_name = "CHANNEL", value_parser = Channel::parse)]
    channels: Vec<Channel>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    redis: RedisFlags,
}

/// Prints events until it is told to stop; answers the exit code.
pub(crate) async fn subscribe(flags: &SubscribeFlags) -> Result<u8> {
    // A listener is no instance: it needs no right to publish, and nobody asks whether it
    // is ready.
    let config = RedisConfig { canary: false, ..flags.redis.redis("subscribe")? };
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let metrics = BrokerMetrics::register(&Registry::new())?;
    let started = RedisBroker::start(config, metrics, &tracker, cancel.clone());
    let (broker, deliveries) = started.map_err(|error| BadConfig(error.into()))?;
    let stopped = until_stopped(flags, broker, deliveries).await;
    cancel.cancel();
    match stopped? {
        Stop::Asked => Ok(0),
        Stop::Refused(error) => {
            let message = error.to_string();
            if flags.json {
                let code = ErrorCode::Forbidden;
                let mut line = Reply::Error { code, message: &message, id: None }.encode();
                line.push(b'\n');
                print(line)?;
            }
            Err(anyhow!(message))
        }
    }
}

async fn until_stopped(
    flags: &SubscribeFlags,
    broker: Arc<RedisBroker>,
    deliveries: Deliveries,
) -> Result<Stop> {
    let mut seen = HashSet::new();
    let channels: Vec<Channel> =
        flags.channels.iter().filter(|channel| seen.insert(*channel)).cloned().collect();
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let printer = Printer::new(flags.json, channels.len() > 1, flags.count);
    tokio::select! {
        stopped = printer.run(deliveries) => stopped,
        refused = watch(broker, channels) => {
            let Err(error) = refused;
            Ok(Stop::Refused(error))
        }
        _ = interrupt.recv() => Ok(Stop::Asked),
        _ = terminate.recv() => Ok(Stop::Asked),
        () = reader_gone() => Ok(Stop::Asked),
    }
}

/// Asks for the channels, then says when they are live and when Redis is away. Ends only
/// when one is refused.
async fn watch(
    broker: Arc<RedisBroker>,
    channels: Vec<Channel>,
) -> Result<Infallible, SubscribeError> {
    let begun = Instant::now();
    let mut told = None;
    // A subscribe without a link would begin with a gap that nobody asked about.
    while !broker.health().connected {
        if begun.elapsed() >= PATIENCE || broker.health().last_error.is_some() {
            tell(&mut told, false, &broker, &channels);
        }
        sleep(LOOK_EVERY).await;
    }
    ask_for(&broker, &channels).await?;
    loop {
        let health = broker.health();
        if !health.connected {
            tell(&mut told, false, &broker, &channels);
        } else if health.confirmed == channels.len() {
            tell(&mut told, true, &broker, &channels);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// All at once: together they take one round trip.
async fn ask_for(broker: &Arc<RedisBroker>, channels: &[Channel]) -> Result<(), SubscribeError> {
    let mut asking = JoinSet::new();
    for channel in channels {
        let (broker, channel) = (Arc::clone(broker), channel.clone());
        asking.spawn(async move { broker.subscribe(&channel).await });
    }
    while let Some(asked) = asking.join_next().await {
        // What did not come true yet is told by the watch; a panic by its hook.
        if let Ok(Err(error)) = asked {
            return Err(error);
        }
    }
    Ok(())
}

/// Says what has changed, once.
fn tell(told: &mut Option<bool>, live: bool, broker: &RedisBroker, channels: &[Channel]) {
    if told.replace(live) == Some(live) {
        return;
    }
    if live {
        say(format_args!("listening to {}", named(channels)));
    } else {
        let reason = broker.health().last_error;
        say(format_args!("waiting: {}", reason.as_deref().unwrap_or("no answer of Redis yet")));
    }
}

fn named(channels: &[Channel]) -> String {
    if channels.len() > NAMED_CHANNELS {
        return format!("{} channels", channels.len());
    }
    channels.iter().map(Channel::as_str).collect::<Vec<_>>().join(", ")
}
