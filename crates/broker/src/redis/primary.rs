//! What is known of the primary that sentinels watch, shared by all who connect to it, and
//! the one watch that keeps it true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError,
    RedisResult, Role,
};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::sentinel::{Answer, Answers, Sentinels};
use super::url::elsewhere;

/// How often sentinels are asked while nothing seems wrong.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon they are asked again where something does.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long the primary may take to connect to and to say what it is.
const ROLE_WITHIN: Duration = Duration::from_millis(500);

/// The primary of one set of sentinels.
pub(super) struct Primary {
    sentinels: Sentinels,
    /// As whom to connect to it.
    template: ConnectionInfo,
    /// Where it is; none before the first answer, and while it says that it is none.
    place: watch::Sender<Option<Place>>,
    looks: Mutex<Looks>,
    doubted: AtomicBool,
    doubt: Notify,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    addr: ConnectionAddr,
    epoch: u64,
}

/// When the sentinels named an address last: the present one, and the one before it.
#[derive(Debug, Default)]
struct Looks {
    /// When they were asked last because of a doubt.
    asked: Option<Instant>,
    present: Option<(ConnectionAddr, Instant)>,
    /// The epoch of the last place that was accepted, even if it has said since that it is
    /// no primary: then those who name an older one know even less.
    epoch: u64,
    former: Option<(ConnectionAddr, Instant)>,
}

impl Looks {
    fn named(&mut self, addr: &ConnectionAddr, at: Instant) {
        match &mut self.present {
            Some((present, last)) if present == addr => *last = at,
            present => self.former = present.replace((addr.clone(), at)),
        }
    }

    fn is_before_last(&self, moment: Instant) -> bool {
        self.present.as_ref().is_some_and(|(_, last)| moment < *last)
    }

    fn last_named(&self, addr: &ConnectionAddr) -> Option<Instant> {
        let looks = [&self.present, &self.former].into_iter().flatten();
        looks.filter(|(named, _)| named == addr).map(|(_, at)| *at).next()
    }
}

impl Primary {
    /// The one that `sentinels` watch, to be reached in the way of `template`.
    pub(super) fn new(sentinels: Sentinels, template: ConnectionInfo) -> Self {
        Self {
            sentinels,
            template,
            place: watch::Sender::new(None),
            looks: Mutex::default(),
            doubted: AtomicBool::new(false),
            doubt: Notify::new(),
        }
    }

    /// Asks where it is.
    pub(super) async fn find(&self) -> RedisResult<ConnectionInfo> {
        let begun = Instant::now();
        let answers = self.sentinels.ask().await?;
        self.learn(&answers, begun)
    }

    /// Where it was when somebody looked last.
    pub(super) async fn last_found(&self) -> RedisResult<ConnectionInfo> {
        let place = self.place.borrow().clone();
        match place {
            Some(place) if !self.is_look_due() => Ok(self.template.clone().set_addr(place.addr)),
            _ => self.find().await,
        }
    }

    /// Whether somebody doubts what is known and nobody has asked for a while: when it is
    /// away, each of a thousand publishes doubts.
    fn is_look_due(&self) -> bool {
        if !self.doubted.load(Ordering::Relaxed) {
            return false;
        }
        let mut looks = self.looks.lock();
        let is_due = looks.asked.is_none_or(|asked| asked.elapsed() > LOOK_AGAIN_AFTER);
        if is_due {
            looks.asked = Some(Instant::now());
            self.doubted.store(false, Ordering::Relaxed);
        }
        is_due
    }

    /// Waits until it is known to be elsewhere than at `info`; the answer says why.
    pub(super) async fn moved(&self, info: &ConnectionInfo) -> String {
        let mut place = self.place.subscribe();
        let is_elsewhere =
            |place: &Option<Place>| place.as_ref().is_none_or(|place| place.addr != *info.addr());
        // The sender is this object's own, and so never gone.
        match place.wait_for(is_elsewhere).await.ok().and_then(|place| place.clone()) {
            Some(place) => format!("the sentinels have replaced it by {}", place.addr),
            None => "it is no longer a primary".to_owned(),
        }
    }

    /// When the sentinels named the address of `info` last.
    pub(super) fn right_until(&self, info: &ConnectionInfo) -> Option<Instant> {
        self.looks.lock().last_named(info.addr())
    }

    /// Whether the last answer came longer than `age` ago.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        self.looks.lock().present.as_ref().is_none_or(|(_, at)| at.elapsed() > age)
    }

    /// Says that something failed: the next who needs to know asks, and the watch now.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.doubt.notify_one();
    }

    /// Takes the answers to a question of `asked`.
    fn learn(&self, answers: &Answers, asked: Instant) -> RedisResult<ConnectionInfo> {
        let at = |answer: &Answer| elsewhere(&self.template, &answer.host, answer.port);
        let known = self.place.borrow().as_ref().map(|place| place.addr.clone());
        let best = answers.best(|answer| known.as_ref() == Some(at(answer).addr()));
        let Some(best) = best else {
            return Err(RedisError::from((ErrorKind::Io, "no sentinel answers")));
        };
        let info = at(best);
        let place = Place { addr: info.addr().clone(), epoch: best.epoch };
        if self.accept(place, answers.by_majority, asked) {
            return Ok(info);
        }
        Err(RedisError::from((ErrorKind::Io, "the sentinels that answer are behind what is known")))
    }

    /// Whether `new` is the place from now on.
    fn accept(&self, new: Place, by_majority: bool, asked: Instant) -> bool {
        let mut is_behind = false;
        self.place.send_if_modified(|place| {
            let mut looks = self.looks.lock();
            // Sentinels that were cut off name the old primary, and so does an answer that
            // was overtaken. But all sentinels may have been set up anew, and then they
            // count from the beginning.
            let is_older = looks.epoch > new.epoch;
            is_behind = is_older && (!by_majority || looks.is_before_last(asked));
            if is_behind {
                return false;
            }
            looks.named(&new.addr, asked);
            looks.epoch = new.epoch;
            let changed = place.as_ref().is_none_or(|known| known.addr != new.addr);
            if changed {
                tracing::info!(primary = %new.addr, epoch = new.epoch, "a primary is named");
            }
            *place = Some(new);
            changed
        });
        !is_behind
    }

    /// Keeps looking until `cancel`: whether the sentinels name another one, and whether
    /// the one they named is a primary yet. Sentinels that are all away change nothing.
    pub(super) async fn watch(self: Arc<Self>, cancel: CancellationToken) {
        let mut role = RoleWatch::default();
        while cancel.run_until_cancelled(self.pause()).await.is_some() {
            let looking = async {
                // Who connects tells what is wrong with the sentinels.
                let _ = self.find().await;
                role.look(&self).await;
            };
            if cancel.run_until_cancelled(looking).await.is_none() {
                break;
            }
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            // Each of a thousand publishes may doubt; one look serves them all.
            () = self.doubt.notified() => sleep(LOOK_AGAIN_AFTER).await,
        }
    }

    /// What was at `addr` is no primary.
    fn demoted(&self, addr: &ConnectionAddr) {
        self.place.send_if_modified(|place| {
            let is_here = place.as_ref().is_some_and(|place| place.addr == *addr);
            if is_here {
                *place = None;
            }
            is_here
        });
    }
}

/// A connection of the watch's own to the primary, over which nothing is asked but what it
/// is: sentinels that can't be reached can't tell that it was replaced.
#[derive(Default)]
struct RoleWatch(Option<(ConnectionAddr, MultiplexedConnection)>);

impl RoleWatch {
    async fn look(&mut self, primary: &Primary) {
        let Some(place) = primary.place.borrow().clone() else { return };
        let kept = self.0.take().filter(|(addr, _)| *addr == place.addr);
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => match connect(primary.template.clone().set_addr(place.addr.clone())).await {
                Ok(connection) => connection,
                // A primary that is away is the business of those who use it.
                Err(_) => return,
            },
        };
        match role_on(&mut connection, ROLE_WITHIN).await {
            Ok(Role::Primary { .. }) => self.0 = Some((place.addr, connection)),
            Ok(_) => primary.demoted(&place.addr),
            Err(_) => {}
        }
    }
}

async fn connect(info: ConnectionInfo) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ROLE_WITHIN))
        .set_response_timeout(Some(ROLE_WITHIN));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&settings).await
}

async fn role_on(connection: &mut MultiplexedConnection, limit: Duration) -> RedisResult<Role> {
    let asking = redis::cmd("ROLE");
    match timeout(limit, asking.query_async(connection)).await {
        Ok(role) => role,
        Err(_) => Err(RedisError::from((ErrorKind::Io, "it did not say in time what it is"))),
    }
}

/// An error unless this is a primary.
pub(super) async fn must_be_primary(
    connection: &mut MultiplexedConnection,
    limit: Duration,
) -> RedisResult<()> {
    match role_on(connection, limit).await? {
        Role::Primary { .. } => Ok(()),
        _ => Err(RedisError::from((ErrorKind::Io, "it is no primary"))),
    }
}

#[cfg(test)]
#[path = "primary_tests.rs"]
mod tests;
