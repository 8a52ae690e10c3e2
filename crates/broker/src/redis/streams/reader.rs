//! The task that follows some of the streams over one connection: it makes the connection
//! when there is something to follow, and makes it again for ever. What it knows of each
//! stream outlives the connection, so that it goes on where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisResult};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::appetite::Appetite;
use super::desk::Desk;
use super::followed::Followed;
use super::link::{Line, Link};
use super::outlet::Outlet;
use super::patience::Patience;
use super::session::{Ended, Session};
use super::wrong::Wrong;
use crate::clock;
use crate::redis::backoff::Backoff;
use crate::redis::cluster::Scatter;
use crate::redis::config::RedisConfig;
use crate::redis::connect::open_reader;
use crate::redis::locator::Locator;
use crate::redis::server::Server;

/// A link that held this long was a good one: the next loss starts a new back-off.
const GOOD_LINK: Duration = Duration::from_secs(1);

/// One reader. It holds a way into the queue of deliveries.
pub(crate) struct Reader {
    /// What it is to follow.
    pub(crate) desk: Desk,
    /// How it waits for what is new.
    pub(crate) waiting: Waiting,
    /// Where Redis is.
    pub(crate) locator: Locator,
    /// How messages name it.
    pub(crate) server: Server,
    /// How patient to be.
    pub(crate) config: Arc<RedisConfig>,
    /// Where it tells what went wrong.
    pub(crate) wrong: Arc<Wrong>,
    /// Where events go.
    pub(crate) outlet: Outlet,
}

/// How a reader waits for what is new.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waiting {
    /// One read of all its streams, whose answer Redis keeps back for so long.
    Block(Duration),
    /// Reads that are answered at once, one for each slot of a cluster, so often.
    Poll {
        /// The time from one round to the next, unless there is more to be read at once.
        every: Duration,
        /// The slot of a key.
        slot_of: fn(&str) -> u16,
    },
}

impl Reader {
    /// Runs until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(Life::new(&self).run()).await;
    }

    async fn connect(&self) -> RedisResult<Line> {
        if let Some(topology) = self.locator.topology() {
            // Half of what a link may be silent for: one node must not use up what all have.
            let scatter = Scatter::new(Arc::clone(topology), self.config.dead_after / 2);
            return Ok(Line::Cluster(scatter));
        }
        let dial = |info| async move { open_reader(&info, &self.config).await };
        // The connection itself knows no deadline, because it waits for what is to come.
        match timeout(self.config.connect_timeout * 2, self.locator.reach(dial)).await {
            Ok(connected) => connected.map(|(place, connection)| {
                Line::One(self.locator.clone(), Box::new(place), connection)
            }),
            Err(_) => Err((ErrorKind::Io, "it did not answer in time").into()),
        }
    }
}

/// What lasts from one connection to the next.
struct Life<'a> {
    reader: &'a Reader,
    followed: Followed,
    appetite: Appetite,
    backoff: Backoff,
    /// How long an answer may take.
    patience: Patience,
    /// Whether there is a connection, or none is missed: whoever wants something first
    /// waits for it to be made.
    is_up: bool,
    outage_logged: bool,
}

impl<'a> Life<'a> {
    fn new(reader: &'a Reader) -> Self {
        let config = &reader.config;
        Self {
            reader,
            followed: Followed::default(),
            appetite: Appetite::new(),
            backoff: Backoff::new(config.backoff_first, config.backoff_cap),
            patience: Patience::new(config.dead_after),
            is_up: false,
            outage_logged: false,
        }
    }

    async fn run(mut self) {
        loop {
            if self.reader.desk.wishes.is_empty() {
                self.rest().await;
                continue;
            }
            let lost = match self.reader.connect().await {
                Ok(line) => self.serve(line).await,
                Err(error) => {
                    let reason = self.reader.server.trouble(&error);
                    // Several attempts a second: one line per outage is enough.
                    if !std::mem::replace(&mut self.outage_logged, true) {
                        tracing::warn!(reason, "no connection to follow streams, trying on");
                    }
                    Some((Instant::now(), reason))
                }
            };
            if let Some((heard, reason)) = lost {
                self.go_down(heard, reason);
                sleep(self.backoff.delay()).await;
            }
        }
    }

    /// Nothing is wanted, so there is no connection.
    async fn rest(&mut self) {
        self.reader.desk.sweep(&mut self.followed);
        self.go_up();
        self.reader.desk.wishes.changed().await;
    }

    /// Uses a connection until it is of no more use; answers when it was heard last and
    /// why, unless nothing is wanted any more.
    async fn serve(&mut self, line: Line) -> Option<(Instant, String)> {
        self.outage_logged = false;
        self.go_up();
        let since = Instant::now();
        let link = Link::new(line, self.patience);
        let session = Session::new(self.reader, link, &mut self.followed, &mut self.appetite);
        let Ended { heard, reason, was_late, patience } = session.run().await;
        self.patience = patience;
        if since.elapsed() >= GOOD_LINK {
            self.backoff.reset();
        }
        if was_late {
            self.appetite.was_too_much();
        }
        let reason = self.reader.server.away(&reason?);
        tracing::warn!(reason, "lost a connection that follows streams");
        Some((heard, reason))
    }

    fn go_up(&mut self) {
        self.reader.wrong.link_is_good();
        if !std::mem::replace(&mut self.is_up, true) {
            self.reader.desk.wishes.link_up();
        }
    }

    fn go_down(&mut self, heard: Instant, reason: String) {
        self.reader.wrong.with_link(reason);
        if std::mem::replace(&mut self.is_up, false) {
            self.reader.desk.wishes.link_lost(clock::unix_ms_of(heard));
        }
    }
}
