//! One connection on which streams are read: questions in one write, answers in one read,
//! under a deadline.

use std::time::{Duration, Instant};

use redcast_protocol::Cursor;
use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::time::timeout;

use super::entry::{self, Entry, census, spell};
use super::tail::{Census, EntryId};
use crate::redis::locator::Locator;
use crate::redis::server::words;
use crate::redis::wishes::Refusal;

/// A deadline that is met this much later says that we were paused, not Redis.
const OWN_LAG: Duration = Duration::from_millis(500);

/// Why the connection is of no more use, in a few words.
pub(crate) type Broken = String;

/// The connection, and how it fares.
pub(crate) struct Link {
    locator: Locator,
    /// Where the connection leads.
    place: ConnectionInfo,
    connection: MultiplexedConnection,
    patience: Duration,
    /// When anything was heard last.
    pub(crate) heard: Instant,
    /// Whether an answer was too long in coming.
    pub(crate) was_late: bool,
}

impl Link {
    /// A fresh connection, on which an answer may take so long.
    pub(crate) fn new(
        locator: Locator,
        (place, connection): (ConnectionInfo, MultiplexedConnection),
        patience: Duration,
    ) -> Self {
        Self { locator, place, connection, patience, heard: Instant::now(), was_late: false }
    }

    /// Asks and waits for the answers; `block` is how long Redis was asked to keep one back.
    pub(crate) async fn ask(
        &mut self,
        mut questions: Pipeline,
        block: Duration,
    ) -> Result<Answers, Broken> {
        if questions.is_empty() {
            return Ok(Answers(Vec::new().into_iter()));
        }
        let deadline = Instant::now() + self.patience + block;
        let asking = questions.ignore_errors().query_async(&mut self.connection);
        tokio::pin!(asking);
        // Only here, where nothing is told in part: another primary may have taken over.
        let mut answers = tokio::select! {
            answers = timeout(self.patience + block, &mut asking) => answers,
            reason = self.locator.moved(&self.place) => return Err(reason),
        };
        if answers.is_err() && deadline.elapsed() > OWN_LAG {
            // They may have arrived while we were away.
            answers = timeout(OWN_LAG, &mut asking).await;
        }
        let Ok(answers): Result<RedisResult<Vec<_>>, _> = answers else {
            self.was_late = true;
            return Err("it did not answer in time".to_owned());
        };
        self.heard = Instant::now();
        answers.map(|answers| Answers(answers.into_iter())).map_err(|error| words(&error))
    }
}

/// The answers to the questions of one write, in their order.
pub(crate) struct Answers(std::vec::IntoIter<RedisResult<Value>>);

impl Answers {
    /// The next one, whatever it is.
    pub(crate) fn any(&mut self) -> Result<RedisResult<Value>, Broken> {
        self.0.next().ok_or_else(|| "it answered less than it was asked".to_owned())
    }

    /// The next one, which must not be an error.
    pub(crate) fn value(&mut self) -> Result<Value, Broken> {
        self.any()?.map_err(|error| words(&error))
    }

    /// The answer to [`ask_census`].
    pub(crate) fn census(&mut self) -> Result<Census, Broken> {
        census(self.any()?).map_err(|error| words(&error))
    }

    /// The answer to [`ask_before`].
    pub(crate) fn before(&mut self) -> Result<Option<Cursor>, Broken> {
        newest(self.value()?).map_err(|error| words(&error))
    }

    /// The answers to [`ask_all`], or why this stream can't be read.
    pub(crate) fn all(&mut self) -> Result<RedisResult<(Option<Cursor>, Census)>, Broken> {
        let (length, right, before, state) = (self.any()?, self.any()?, self.any()?, self.any()?);
        Ok(length
            .and(right)
            .and(before)
            .and_then(newest)
            .and_then(|before| Ok((before, census(state)?))))
    }
}

/// Asks for the newest entry that is not after the place.
pub(crate) fn ask_before(key: &str, place: EntryId) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg(spell(place)).arg("-").arg("COUNT").arg(1);
    command
}

/// Asks for the state of the stream.
pub(crate) fn ask_census(key: &str) -> Cmd {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(key);
    command
}

/// Asks for all that is needed to follow a stream, the rights to it included: what Redis
/// will refuse is refused for this stream alone, before it is read with others.
pub(crate) fn ask_all(questions: &mut Pipeline, key: &str, place: EntryId) {
    questions.cmd("XLEN").arg(key);
    questions.cmd("XREAD").arg(&["COUNT", "1", "STREAMS", key, "$"]);
    questions.add_command(ask_before(key, place)).add_command(ask_census(key));
}

/// What Redis said of one stream alone; none if it can't answer anything at this moment.
pub(crate) fn refusal(error: &RedisError) -> Option<Refusal> {
    let is_final = match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => false,
        _ if error.code() == Some("WRONGTYPE") => true,
        _ => return None,
    };
    Some(Refusal { is_final, reason: words(error) })
}

/// `master_replid` in the answer of `INFO replication`: which history the server goes on
/// with.
pub(crate) fn history(info: Value) -> Option<String> {
    let Value::BulkString(text) = info else { return None };
    let text = String::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("master_replid:")).map(str::to_owned)
}

fn newest(value: Value) -> RedisResult<Option<Cursor>> {
    Ok(entry::entries(value)?.first().map(Entry::cursor))
}
