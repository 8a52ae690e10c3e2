//! One connection on which streams are read: questions in one write, answers in one read,
//! under a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redcast_protocol::Cursor;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

use super::entry::{self, Entry, census, spell};
use super::tail::{Census, EntryId};
use crate::redis::server::words;
use crate::redis::wishes::Refusal;

/// A deadline that is met this much later says that we were paused, not Redis.
const OWN_LAG: Duration = Duration::from_millis(500);

/// How long a lineage is believed in while something is read; to ask each time would cost
/// Redis more than to read.
const ASK_LINEAGE_EVERY: Duration = Duration::from_millis(100);

/// Tells connections apart.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// Why the connection is of no more use, in a few words.
pub(crate) type Broken = String;

/// A server and the history of writes that it goes on with: its `run_id` and
/// `master_replid`. After a restart or a failover it is another one.
pub(crate) type Lineage = Arc<str>;

/// The lineages before and after some questions. No lineage comes back, so if they are the
/// same one, it was the same in between.
#[derive(Debug)]
pub(crate) struct Lineages {
    /// What was answered before.
    pub(crate) earlier: Lineage,
    /// What was answered after.
    pub(crate) later: Lineage,
}

impl Lineages {
    /// Whether another one began in between.
    pub(crate) fn differ(&self) -> bool {
        self.earlier != self.later
    }
}

/// The connection, and how it fares.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    number: u64,
    patience: Duration,
    /// The last answer to [`ask_lineage`].
    lineage: Lineage,
    lineage_read: Instant,
    /// When anything was heard last.
    pub(crate) heard: Instant,
    /// Whether an answer was too long in coming.
    pub(crate) was_late: bool,
}

impl Link {
    /// A fresh connection, on which an answer may take so long.
    pub(crate) fn new(connection: MultiplexedConnection, patience: Duration) -> Self {
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let lineage = format!("not asked {number}").into();
        let (heard, was_late) = (Instant::now(), false);
        Self { connection, number, patience, lineage, lineage_read: heard, heard, was_late }
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
        let mut answers = timeout(self.patience + block, &mut asking).await;
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

    /// Whether another lineage may have begun since it was asked for: it takes a failover,
    /// and so some time.
    pub(crate) fn lineage_is_old(&self) -> bool {
        self.lineage_read.elapsed() > ASK_LINEAGE_EVERY
    }

    /// Reads the answers to [`ask_lineage`], which stand next. Without the right to ask, a
    /// connection counts as a lineage of its own: over one connection the server is the same.
    pub(crate) fn lineages(&mut self, answers: &mut Answers) -> Result<Lineages, Broken> {
        let mut field = |name: &str| -> Result<Option<String>, Broken> {
            Ok(answers.any()?.ok().and_then(|info| field_of(info, name)))
        };
        let (server, history) = (field("run_id:")?, field("master_replid:")?);
        let later: Lineage = match (server, history) {
            (Some(server), Some(history)) => format!("{server} {history}").into(),
            _ => format!("connection {}", self.number).into(),
        };
        self.lineage_read = Instant::now();
        let earlier = std::mem::replace(&mut self.lineage, later.clone());
        Ok(Lineages { earlier, later })
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

/// Asks who answers and which history it goes on with.
pub(crate) fn ask_lineage(questions: &mut Pipeline) {
    questions.cmd("INFO").arg("server").cmd("INFO").arg("replication");
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

fn field_of(info: Value, name: &str) -> Option<String> {
    let Value::BulkString(text) = info else { return None };
    let text = String::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

fn newest(value: Value) -> RedisResult<Option<Cursor>> {
    Ok(entry::entries(value)?.first().map(Entry::cursor))
}
