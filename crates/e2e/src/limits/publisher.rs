//! Who publishes: a fixed number of events at a steady rate, in pipelines of one size
//! whatever the topology.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::{Feed, Payload};
use crate::limits::site::Site;
use crate::patience::unix_ms;

const TICK: Duration = Duration::from_millis(10);
/// Bytes of a payload.
pub(super) const SIZE: usize = 256;
/// What a stream keeps, about. It is full when the measurement begins, so that each entry
/// that is added pays for its share of trimming, as it will for ever after.
const MAX_LEN: usize = 1_000;
/// How many entries are added at once before the measurement.
const FILL: usize = 500;

/// Connections to all servers, and what waits for each.
pub(super) struct Publisher {
    feed: Arc<Feed>,
    command: &'static str,
    /// The server of each channel.
    places: Vec<usize>,
    links: Vec<MultiplexedConnection>,
    waiting: Vec<Pipeline>,
    /// How many commands are sent at once.
    batch: usize,
    /// The number of the last event in each channel.
    numbers: Vec<u64>,
}

impl Publisher {
    /// Connects, and fills the streams.
    pub(super) async fn open(site: &Site, feed: Arc<Feed>, batch: usize) -> Self {
        let (places, links) = (site.places(&feed).await, site.links().await);
        let waiting = vec![Pipeline::new(); links.len()];
        let numbers = vec![0; feed.len()];
        let command = site.publish();
        let mut publisher = Self { feed, command, places, links, waiting, batch, numbers };
        publisher.fill().await;
        publisher
    }

    async fn fill(&mut self) {
        for channel in self.feed.streams() {
            for _ in 0..MAX_LEN / FILL {
                let mut pipeline = Pipeline::new();
                (0..FILL).for_each(|_| {
                    pipeline.add_command(self.event(channel, 0));
                });
                send(&mut self.links[self.places[channel]], &pipeline).await;
            }
        }
    }

    /// Publishes so many events at so many a second, to the channels in turn. Returns how
    /// many Redis acknowledged, which are all.
    ///
    /// A server gets its events once `batch` of them wait for it, so that one of several
    /// reads as many at a time as one alone would.
    pub(super) async fn publish(&mut self, events: usize, rate: usize) -> usize {
        let mut ticks = interval(TICK);
        // A publisher that was held up does not make up for it with a flood.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut published, mut owed) = (0, 0);
        let mut channels = (0..self.feed.len()).cycle();
        while published < events {
            ticks.tick().await;
            owed += rate * TICK.as_millis() as usize;
            let share = (owed / 1000).min(events - published);
            owed %= 1000;
            for channel in channels.by_ref().take(share) {
                self.add(channel).await;
            }
            published += share;
        }
        for server in 0..self.links.len() {
            self.flush(server).await;
        }
        published
    }

    async fn add(&mut self, channel: usize) {
        self.numbers[channel] += 1;
        let event = self.event(channel, self.numbers[channel]);
        let server = self.places[channel];
        self.waiting[server].add_command(event);
        if self.waiting[server].len() >= self.batch {
            self.flush(server).await;
        }
    }

    async fn flush(&mut self, server: usize) {
        if !self.waiting[server].is_empty() {
            send(&mut self.links[server], &self.waiting[server]).await;
            self.waiting[server].clear();
        }
    }

    fn event(&self, channel: usize, number: u64) -> Cmd {
        let name = self.feed.name(channel);
        let payload = Payload { n: number, t: unix_ms() }.encode(name, SIZE);
        let mut command;
        if self.feed.is_stream(channel) {
            command = redis::cmd("XADD");
            command.arg(name).arg("MAXLEN").arg("~").arg(MAX_LEN).arg("*").arg("data");
        } else {
            command = redis::cmd(self.command);
            command.arg(name);
        }
        command.arg(payload);
        command
    }
}

async fn send(link: &mut MultiplexedConnection, pipeline: &Pipeline) {
    let answers: Vec<Value> = pipeline.query_async(link).await.expect("Redis takes the events");
    assert_eq!(answers.len(), pipeline.len(), "an answer for each event");
}
