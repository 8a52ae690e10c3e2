//! `redcast publish`: events from the command line or from standard input to a channel,
//! in their order, byte for byte.

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use clap::Args;
use redcast_broker::{BatchError, RedisConfig, RedisPublisher};
use redcast_protocol::Channel;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::app::BadConfig;
use crate::lines::Lines;
use crate::redis_flags::RedisFlags;
use crate::terminal::{print, say};

/// Somebody waits at a terminal; a batch over a slow link may take longer than what a
/// gateway grants a request.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a long input shows how far it is.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Flags of `publish`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast publish analytics '{\"type\":\"page_view\",\"data\":{\"path\":\"/\"}}'\n  \
    redcast publish alerts - < alert.json\n  \
    tail -f events.ndjson | redcast publish analytics\n  \
    redis-cli -u \"$(redcast publish --where alerts)\" PUBLISH alerts '{\"level\":1}'\n\n\
    Bytes are sent as they are; of a line only the line feed is taken off, and an empty\n\
    line is an empty event. The channel is the gateway's: redis.prefix is put before it;\n\
    redis-cli wants it in the name. For sentinels and for a cluster --where prints their\n\
    own URL, which redis-cli can't read.\n\n\
    Exit codes: 0 all published, 1 failed, 2 wrong usage, 78 wrong configuration.")]
pub(crate) struct PublishFlags {
    /// The channel
    #[arg(value_parser = producers_channel)]
    channel: Channel,
    /// The event; `-` reads all of standard input as one event [default: each line of
    /// standard input is an event]
    #[arg(allow_negative_numbers = true)]
    payload: Option<OsString>,
    /// Print what was published as one JSON object
    #[arg(long)]
    json: bool,
    /// Publish nothing; print the URL of the Redis that has the channel, without user and
    /// password
    #[arg(long = "where", conflicts_with = "payload")]
    is_question: bool,
    #[command(flatten)]
    redis: RedisFlags,
}

/// A channel that somebody else than Redcast may publish to.
fn producers_channel(name: &str) -> Result<Channel, String> {
    match Channel::parse(name) {
        Ok(channel) if channel.is_reserved() => {
            Err("names that begin with redcast: are Redcast's own".to_owned())
        }
        read => read.map_err(|error| error.to_string()),
    }
}

/// Publishes what was asked for; answers the exit code.
pub(crate) async fn publish(flags: &PublishFlags) -> Result<u8> {
    let config = RedisConfig { publish_timeout: PATIENCE, ..flags.redis.redis("publish")? };
    if flags.is_question {
        return print_place(&config, flags);
    }
    let mut producer = Producer {
        redis: RedisPublisher::new(&config).map_err(|error| BadConfig(error.into()))?,
        channel: &flags.channel,
        limit: config.max_event_size,
        events: 0,
        bytes: 0,
    };
    let done = match &flags.payload {
        None => producer.publish_lines().await,
        Some(payload) if payload == "-" => producer.publish_input().await,
        Some(payload) => producer.publish_one(payload.clone().into_vec().into()).await,
    };
    if flags.json {
        let error = done.as_ref().err().map(|error| format!("{error:#}"));
        print(producer.as_json(error.as_deref()))?;
    } else if done.is_ok() {
        print(producer.as_sentence())?;
    }
    done.map(|()| 0)
}

/// Where a producer of its own has to publish, and under which name.
fn print_place(config: &RedisConfig, flags: &PublishFlags) -> Result<u8> {
    let url = config.place_of(&flags.channel);
    let redis_channel = config.redis_channel(&flags.channel);
    let object =
        json!({ "channel": flags.channel.as_str(), "redis_channel": redis_channel, "url": url });
    print(if flags.json { format!("{object}\n") } else { format!("{url}\n") })?;
    Ok(0)
}

/// Publishes to one channel and keeps count of what Redis acknowledged.
struct Producer<'a> {
    redis: RedisPublisher,
    channel: &'a Channel,
    /// The largest event, bytes.
    limit: usize,
    events: u64,
    bytes: u64,
}

impl Producer<'_> {
    async fn publish_one(&mut self, event: Bytes) -> Result<()> {
        self.send(&[event]).await.map_err(|error| anyhow!("{error}"))
    }

    /// All of standard input as one event.
    async fn publish_input(&mut self) -> Result<()> {
        hint("reading one event from the terminal; Ctrl-D ends it");
        let limit = self.limit;
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let mut event = Vec::new();
        let read = tokio::io::stdin().take(most).read_to_end(&mut event).await;
        read.context("standard input can't be read")?;
        ensure!(
            event.len() <= limit,
            "an event has at most {limit} bytes (limits.max_event_size), standard input has more"
        );
        self.publish_one(event.into()).await
    }

    /// Each line of standard input as an event.
    async fn publish_lines(&mut self) -> Result<()> {
        hint("reading events from the terminal, one per line; Ctrl-D ends");
        let mut input = Lines::new(tokio::io::stdin(), self.limit);
        let mut progress = Progress::new();
        let (line, reason) = loop {
            let before = self.events;
            let batch = match input.next_batch().await {
                Ok(batch) if batch.is_empty() => {
                    progress.clear();
                    return Ok(());
                }
                Ok(batch) => batch,
                Err(error) => break (before + 1, error.to_string()),
            };
            if let Err(error) = self.send(&batch).await {
                break (before + 1 + error.index as u64, error.to_string());
            }
            progress.show(self.events);
        };
        progress.clear();
        bail!("line {line}: {reason}; published so far: {}", self.events);
    }

    async fn send(&mut self, batch: &[Bytes]) -> Result<(), BatchError> {
        let sent = self.redis.publish_all(self.channel, batch).await;
        match &sent {
            Ok(()) => {
                self.events += batch.len() as u64;
                self.bytes += batch.iter().map(|event| event.len() as u64).sum::<u64>();
            }
            Err(error) => self.events += error.published as u64,
        }
        sent
    }

    fn as_sentence(&self) -> String {
        let s = if self.events == 1 { "" } else { "s" };
        format!("published {} event{s} to {}\n", self.events, self.channel)
    }

    fn as_json(&self, error: Option<&str>) -> String {
        let mut object = json!({ "channel": self.channel.as_str(), "published": self.events });
        match error {
            Some(error) => object["error"] = error.into(),
            None => object["bytes"] = self.bytes.into(),
        }
        format!("{object}\n")
    }
}

fn hint(text: &str) {
    if stdin().is_terminal() {
        say(text);
    }
}

/// How far a long input is, for somebody who looks at it.
struct Progress {
    /// When it was shown last; none where nobody looks.
    shown: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    fn new() -> Self {
        // Who types the lines knows how many there were.
        let watched = stderr().is_terminal() && !stdin().is_terminal();
        Self { shown: watched.then(Instant::now), is_shown: false }
    }

    fn show(&mut self, events: u64) {
        if let Some(shown) = self.shown.as_mut().filter(|shown| shown.elapsed() >= SHOW_EVERY) {
            *shown = Instant::now();
            self.is_shown = true;
            let _ = write!(stderr(), "\r{events} events");
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}
