//! Asks sentinels which Redis is the primary (redis.io, Sentinel client guidelines).
//!
//! All of them at once, and not the first that answers: one that was cut off together
//! with the old primary goes on to name that one. Of those that answer, the one with the
//! newest configuration is believed, and no more than a majority is waited for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, RedisResult, Value,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long a sentinel may take to connect and to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much longer the others may take once a majority has answered.
const GRACE: Duration = Duration::from_millis(50);

/// The sentinels that watch one primary.
pub(super) struct Sentinels {
    master: Arc<str>,
    lookouts: Vec<Arc<Lookout>>,
}

/// What they say, of whom one at least answered.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// What each of them says.
    pub(super) answers: Vec<Answer>,
    /// Whether most of them answered.
    pub(super) by_majority: bool,
}

/// What one says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Where the primary is.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// How new the configuration is; each failover has a larger number.
    pub(super) epoch: u64,
}

impl Answers {
    /// The one to believe: the newest, of those what most say, and if that is no one thing,
    /// what `is_known`. Sentinels may spell the same place in two ways, and nobody should
    /// move to and fro between them.
    pub(super) fn best(&self, is_known: impl Fn(&Answer) -> bool) -> Option<&Answer> {
        let votes = |one: &Answer| self.answers.iter().filter(|other| *other == one).count();
        self.answers.iter().max_by_key(|answer| (answer.epoch, votes(answer), is_known(answer)))
    }
}

/// One sentinel, and the connection on which it was asked last.
struct Lookout {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    /// Those at `places`, about the primary that they call `master`; connects to nothing.
    pub(super) fn new(places: &[ConnectionInfo], master: &str) -> RedisResult<Self> {
        let lookouts = places.iter().map(|place| {
            let client = Client::open(place.clone())?;
            Ok(Arc::new(Lookout { client, connection: Mutex::default() }))
        });
        Ok(Self { master: master.into(), lookouts: lookouts.collect::<RedisResult<_>>()? })
    }

    /// Where the primary is, or within [`PATIENCE`] why nobody says.
    pub(super) async fn ask(&self) -> RedisResult<Answers> {
        let majority = self.lookouts.len() / 2 + 1;
        let mut asking = JoinSet::new();
        for lookout in &self.lookouts {
            asking.spawn(Arc::clone(lookout).ask(Arc::clone(&self.master)));
        }
        let mut deadline = Instant::now() + PATIENCE;
        let (mut answers, mut trouble) = (Vec::new(), None);
        while let Ok(Some(asked)) = timeout_at(deadline, asking.join_next()).await {
            match asked {
                Ok(Ok(answer)) => {
                    answers.push(answer);
                    if answers.len() == majority {
                        deadline = deadline.min(Instant::now() + GRACE);
                    }
                }
                Ok(Err(error)) => trouble = Some(error),
                // It panicked, which its hook has told.
                Err(_) => {}
            }
        }
        match answers.len() {
            0 => Err(nobody(trouble)),
            count => Ok(Answers { answers, by_majority: count >= majority }),
        }
    }
}

fn nobody(trouble: Option<RedisError>) -> RedisError {
    match trouble {
        // An error of theirs says more than that there was one.
        Some(error) if error.code().is_some() => error,
        Some(error) => {
            RedisError::from((ErrorKind::Io, "no sentinel answers", super::server::words(&error)))
        }
        None => RedisError::from((ErrorKind::Io, "no sentinel answers in time")),
    }
}

impl Lookout {
    async fn ask(self: Arc<Self>, master: Arc<str>) -> RedisResult<Answer> {
        let mut connection = self.connection().await?;
        let answer = named_on(&mut connection, &master).await;
        // An error that it wrote says nothing against the connection.
        let is_sound = answer.as_ref().err().is_none_or(|error| error.code().is_some());
        *self.connection.lock() = is_sound.then_some(connection);
        answer
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let kept = self.connection.lock().take();
        if let Some(connection) = kept {
            return Ok(connection);
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        self.client.get_multiplexed_async_connection_with_config(&settings).await
    }
}

/// One asks for the address: only this command names the successor from the moment of its
/// promotion. The other knows the number of the configuration, and who may not call it
/// takes the answer for the oldest.
async fn named_on(connection: &mut MultiplexedConnection, master: &str) -> RedisResult<Answer> {
    let (which, what) = (command("GET-MASTER-ADDR-BY-NAME", master), command("MASTER", master));
    let mut second = connection.clone();
    let (address, details) =
        tokio::join!(which.query_async(connection), what.query_async::<Value>(&mut second));
    let address: Option<(String, u16)> = address?;
    let (host, port) = address.ok_or_else(|| {
        let why = "the sentinels know no primary of this name";
        RedisError::from((ErrorKind::Client, why, master.to_owned()))
    })?;
    let epoch = details.ok().and_then(epoch).unwrap_or_default();
    Ok(Answer { host, port, epoch })
}

fn command(what: &str, master: &str) -> redis::Cmd {
    let mut command = redis::cmd("SENTINEL");
    command.arg(what).arg(master);
    command
}

/// The number of the configuration among the pairs of names and values.
fn epoch(details: Value) -> Option<u64> {
    let pairs: Vec<(String, String)> = redis::from_redis_value(details).ok()?;
    pairs.iter().find(|(name, _)| name == "config-epoch")?.1.parse().ok()
}
