//! The task that follows some of the streams over one connection: it makes the connection
//! when there is something to follow, and makes it again for ever. What it knows of each
//! stream outlives the connection, so that it goes on where it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, ErrorKind, RedisResult};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::LastError;
use super::followed::Followed;
use super::outlet::Outlet;
use super::seats::Seats;
use super::session::{Ended, Session};
use crate::clock;
use crate::redis::backoff::Backoff;
use crate::redis::config::RedisConfig;
use crate::redis::connect::open_reader;
use crate::redis::locator::Locator;
use crate::redis::names::Names;
use crate::redis::server::Server;
use crate::redis::wishes::Wishes;

/// A link that held this long was a good one: the next loss starts a new back-off.
const GOOD_LINK: Duration = Duration::from_secs(1);

/// One reader. It holds a way into the queue of deliveries.
pub(crate) struct Reader {
    /// Which one it is.
    pub(crate) number: usize,
    /// Where Redis is.
    pub(crate) locator: Locator,
    /// How messages name it.
    pub(crate) server: Server,
    /// How patient to be.
    pub(crate) config: Arc<RedisConfig>,
    /// How streams are spelled.
    pub(crate) names: Names,
    /// What it is to follow.
    pub(crate) wishes: Arc<Wishes>,
    /// What it is told to follow again.
    pub(crate) seats: Arc<Seats>,
    /// Where it tells what went wrong.
    pub(crate) last_error: Arc<LastError>,
    /// Where events go.
    pub(crate) outlet: Outlet,
}

impl Reader {
    /// Runs until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let _ = cancel.run_until_cancelled(self.follow_for_ever()).await;
    }

    async fn follow_for_ever(self) {
        let mut followed = Followed::default();
        let mut backoff = Backoff::new(self.config.backoff_first, self.config.backoff_cap);
        // How long an answer may take: one that was too long in coming may just be large.
        let mut patience = self.config.dead_after;
        let mut outage_logged = false;
        self.wishes.link_up();
        // While nothing is wanted there is no connection, and none is missed: whoever wants
        // something waits for it to be made.
        let mut counts_as_up = true;
        loop {
            if self.wishes.is_empty() {
                self.seats.sweep(self.number, |_| false);
                if !std::mem::replace(&mut counts_as_up, true) {
                    self.wishes.link_up();
                }
                self.wishes.changed().await;
                continue;
            }
            let reason = match self.connect().await {
                Ok((place, connection)) => {
                    outage_logged = false;
                    if !std::mem::replace(&mut counts_as_up, true) {
                        self.wishes.link_up();
                    }
                    self.last_error.clear();
                    let since = Instant::now();
                    let session = Session::new(&self, (place, connection), &mut followed, patience);
                    let Ended { heard, reason, was_late } = session.run().await;
                    let Some(reason) = reason else { continue };
                    if since.elapsed() >= GOOD_LINK {
                        backoff.reset();
                    }
                    patience = match was_late {
                        true => (patience * 2).min(Duration::from_secs(60)),
                        false => self.config.dead_after,
                    };
                    let reason = self.server.away(&reason);
                    tracing::warn!(reason, "lost a connection that follows streams");
                    self.lose_link(heard, &reason, &mut counts_as_up);
                    reason
                }
                Err(error) => {
                    let reason = self.server.trouble(&error);
                    // Several attempts a second: one line per outage is enough.
                    if !std::mem::replace(&mut outage_logged, true) {
                        tracing::warn!(reason, "no connection to follow streams, trying on");
                    }
                    self.lose_link(Instant::now(), &reason, &mut counts_as_up);
                    reason
                }
            };
            self.last_error.set(reason);
            sleep(backoff.delay()).await;
        }
    }

    fn lose_link(&self, heard: Instant, reason: &str, counts_as_up: &mut bool) {
        self.last_error.set(reason.to_owned());
        if std::mem::replace(counts_as_up, false) {
            self.wishes.link_lost(clock::unix_ms_of(heard));
        }
    }

    async fn connect(&self) -> RedisResult<(ConnectionInfo, MultiplexedConnection)> {
        let dial = |info| async move { open_reader(&info, &self.config).await };
        // The connection itself knows no deadline, because it waits for what is to come.
        match timeout(self.config.connect_timeout * 2, self.locator.reach(dial)).await {
            Ok(connected) => connected,
            Err(_) => Err((ErrorKind::Io, "it did not answer in time").into()),
        }
    }
}
