//! The producer: a steady number of events a second over all channels, XADD to the
//! streams and PUBLISH to the others, with every answer written down.
//!
//! An event whose answer is lost is never sent again: Redis may have it. One that could
//! not be sent at all keeps its number for the next attempt, so a ledger has no holes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Cmd;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::checker::{Fate, Ledger};
use crate::fleet::feed::{Feed, Payload};
use crate::fleet::store::{Failure, Links, Store, ask};
use crate::patience::unix_ms;

/// How often some channels get their next event.
const TICK: Duration = Duration::from_millis(20);
/// More than any run writes: nothing is trimmed behind the judge's back.
const MAX_LEN: usize = 1_000_000;

/// How much is published.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Events a second, over all channels together.
    pub rate: usize,
    /// Bytes of a payload.
    pub size: usize,
    /// Whether pub/sub channels are those of a cluster's shards (SPUBLISH).
    pub is_sharded: bool,
}

/// A running producer; it stops when dropped.
pub struct Producer {
    goes_on: watch::Sender<Pace>,
    is_quiet: watch::Receiver<bool>,
    rate: usize,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// So many events a second.
    Publish(usize),
    Pause,
    End,
}

impl Producer {
    /// Begins to publish.
    pub fn start(store: Store, feed: Arc<Feed>, ledger: Arc<Ledger>, load: Load) -> Self {
        let goes_on = watch::Sender::new(Pace::Publish(load.rate));
        let pace = goes_on.subscribe();
        let (says_quiet, is_quiet) = watch::channel(false);
        let work = Work { links: Links::new(store), feed, ledger, load, says_quiet, next: 0 };
        Self { goes_on, is_quiet, rate: load.rate, task: tokio::spawn(work.publish(pace)) }
    }

    /// Stops for a while; what is on its way still arrives.
    pub fn pause(&self) {
        self.goes_on.send_replace(Pace::Pause);
    }

    /// Stops for a while, once every answer is there or given up.
    pub async fn be_quiet(&self) {
        self.pause();
        let mut is_quiet = self.is_quiet.clone();
        is_quiet.wait_for(|is_quiet| *is_quiet).await.expect("the producer runs");
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&self) {
        self.goes_on.send_replace(Pace::Publish(self.rate));
    }

    /// Ends, once every answer is there or given up.
    pub async fn finish(mut self) {
        self.goes_on.send_replace(Pace::End);
        (&mut self.task).await.expect("the producer ends");
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    links: Links,
    feed: Arc<Feed>,
    ledger: Arc<Ledger>,
    load: Load,
    says_quiet: watch::Sender<bool>,
    /// Whose turn it is.
    next: usize,
}

impl Work {
    async fn publish(mut self, mut pace: watch::Receiver<Pace>) {
        let mut ticks = interval(TICK);
        // A producer that was held up does not make up for it with a flood.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticks_per_second = 1000 / TICK.as_millis() as usize;
        let mut owed = 0;
        loop {
            ticks.tick().await;
            let now = *pace.borrow_and_update();
            match now {
                Pace::Publish(rate) => {
                    owed += rate;
                    let share = owed / ticks_per_second;
                    owed %= ticks_per_second;
                    self.batch(share).await;
                }
                Pace::Pause => {
                    self.says_quiet.send_replace(true);
                    let _ = pace.changed().await;
                    self.says_quiet.send_replace(false);
                }
                Pace::End => return,
            }
        }
    }

    /// One event to each of the next channels, all on their way at once.
    async fn batch(&mut self, share: usize) {
        let mut waiting = Vec::with_capacity(share);
        for _ in 0..share {
            let channel = self.next;
            self.next = (channel + 1) % self.feed.len();
            let Some((place, mut link)) = self.links.to(self.feed.name(channel)).await else {
                continue;
            };
            let sent = unix_ms();
            let number = self.ledger.begin(channel, sent);
            let command = self.command(channel, Payload { n: number, t: sent });
            waiting.push(async move { (channel, number, place, ask(&mut link, &command).await) });
        }
        for (channel, number, place, answer) in join_all(waiting).await {
            let fate = match &answer {
                Ok(_) => Fate::Acknowledged(unix_ms()),
                Err(Failure::Unknown(_)) => Fate::Unknown,
                Err(Failure::Refused(_)) => Fate::Refused,
            };
            self.ledger.settle(channel, number, fate);
            if let Err(failure) = &answer {
                self.links.learn(&place, failure);
            }
        }
    }

    fn command(&self, channel: usize, payload: Payload) -> Cmd {
        let name = self.feed.name(channel);
        let payload = payload.encode(name, self.load.size);
        if self.feed.is_stream(channel) {
            let mut command = redis::cmd("XADD");
            command.arg(name).arg("MAXLEN").arg("~").arg(MAX_LEN).arg("*").arg("data");
            command.arg(payload);
            command
        } else {
            let publish = if self.load.is_sharded { "SPUBLISH" } else { "PUBLISH" };
            let mut command = redis::cmd(publish);
            command.arg(name).arg(payload);
            command
        }
    }
}
