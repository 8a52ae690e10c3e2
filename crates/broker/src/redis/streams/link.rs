//! What streams are read over, one connection or those to the nodes of a cluster: questions
//! in one write, answers in one read, under a deadline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redcast_protocol::Cursor;
use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::time::timeout;

use super::entry::{self, Entry, census, spell};
use super::patience::Patience;
use super::tail::{Census, EntryId};
use crate::redis::cluster::{Scatter, SlotMap};
use crate::redis::locator::Locator;
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

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// There will be none to any question.
    Link(Broken),
    /// There is none about this stream at this moment.
    Stream,
}

/// Whom to ask.
pub(crate) enum Line {
    /// One server, to which this connection leads.
    One(Locator, Box<ConnectionInfo>, MultiplexedConnection),
    /// Whoever has the stream.
    Cluster(Scatter),
}

/// Who answers and which histories of writes they go on with: each `run_id` and
/// `master_replid`, of one server or of all primaries of a cluster. After a restart or a
/// failover there are others among them.
pub(crate) type Lineage = Arc<BTreeSet<String>>;

/// The lineages before and after some questions. No history comes back, so if nothing is new
/// among them, it was so in between.
#[derive(Debug)]
pub(crate) struct Lineages {
    /// What was answered before.
    pub(crate) earlier: Lineage,
    /// What was answered after.
    pub(crate) later: Lineage,
}

impl Lineages {
    /// Whether another history began in between. A node of a cluster that says nothing
    /// begins none.
    pub(crate) fn differ(&self) -> bool {
        !self.later.is_subset(&self.earlier)
    }

    /// Whether what answered later is what was `known`. Who says nothing about itself may be
    /// anybody.
    pub(crate) fn go_on(&self, known: &Lineage) -> bool {
        !self.later.is_empty() && self.later.is_subset(known)
    }
}

/// The way to streams, and how it fares.
pub(crate) struct Link {
    line: Line,
    number: u64,
    /// How long an answer may take.
    pub(crate) patience: Patience,
    /// The last answer to [`ask_lineage`].
    lineage: Lineage,
    lineage_read: Instant,
    /// Who had which slot when something was read last.
    read_of: Option<Arc<SlotMap>>,
    /// When anything was heard last.
    pub(crate) heard: Instant,
    /// Whether an answer was too long in coming.
    pub(crate) was_late: bool,
}

impl Link {
    /// A fresh one, on which an answer may take so long.
    pub(crate) fn new(line: Line, patience: Patience) -> Self {
        let number = LINKS.fetch_add(1, Ordering::Relaxed);
        let (lineage, heard) = (Lineage::default(), Instant::now());
        let (lineage_read, read_of, was_late) = (heard, None, false);
        Self { line, number, patience, lineage, lineage_read, read_of, heard, was_late }
    }

    /// Asks and waits for the answers; `block` is how long Redis was asked to keep one back.
    pub(crate) async fn ask(
        &mut self,
        mut questions: Pipeline,
        block: Duration,
    ) -> Result<Answers, Broken> {
        if questions.is_empty() {
            return Ok(Answers { answers: Vec::new().into_iter(), of_one: false });
        }
        let (locator, place, connection) = match &mut self.line {
            Line::One(locator, place, connection) => (locator, place, connection),
            Line::Cluster(scatter) => {
                let questions: Vec<&Cmd> = questions.cmd_iter().collect();
                let answers = scatter.ask(&questions).await;
                if answers.iter().any(Result::is_ok) {
                    self.heard = Instant::now();
                }
                return Ok(Answers { answers: answers.into_iter(), of_one: false });
            }
        };
        let (asked, longest) = (Instant::now(), self.patience.get() + block);
        let asking = questions.ignore_errors().query_async(connection);
        tokio::pin!(asking);
        // Only here, where nothing is told in part: another primary may have taken over.
        let mut answers = tokio::select! {
            answers = timeout(longest, &mut asking) => answers,
            reason = locator.moved(place) => return Err(reason),
        };
        if answers.is_err() && asked.elapsed() > longest + OWN_LAG {
            // They may have arrived while we were away.
            answers = timeout(OWN_LAG, &mut asking).await;
        }
        let Ok(answers): Result<RedisResult<Vec<_>>, _> = answers else {
            self.was_late = true;
            return Err("it did not answer in time".to_owned());
        };
        self.heard = Instant::now();
        // What Redis was asked to keep back is no answer that is long in coming.
        self.patience.answered(asked + block.min(asked.elapsed()), self.heard);
        let answers: Vec<_> = answers.map_err(|error| words(&error))?;
        Ok(Answers { answers: answers.into_iter(), of_one: true })
    }

    /// Whether an error is about its stream alone.
    pub(crate) fn is_of_many(&self) -> bool {
        matches!(self.line, Line::Cluster(_))
    }

    /// Something is about to be read.
    pub(crate) fn begins_to_read(&mut self) {
        if let Line::Cluster(scatter) = &self.line {
            self.read_of = Some(scatter.map());
        }
    }

    /// Whether somebody else may have answered what was asked since the last read began. Over
    /// one connection nobody else does.
    pub(crate) fn has_moved(&self) -> bool {
        match (&self.line, &self.read_of) {
            (Line::Cluster(scatter), Some(map)) => !Arc::ptr_eq(&scatter.map(), map),
            _ => false,
        }
    }

    /// Whether another lineage may have begun since it was asked for: it takes a failover,
    /// and so some time.
    pub(crate) fn lineage_is_old(&self) -> bool {
        self.lineage_read.elapsed() > ASK_LINEAGE_EVERY
    }

    /// Reads the answers to [`ask_lineage`], which stand next. Without the right to ask, a
    /// connection counts as a lineage of its own, because over one connection the server is
    /// the same. To a cluster there are many, which come and go: then nothing is known.
    pub(crate) fn lineages(&mut self, answers: &mut Answers) -> Result<Lineages, Broken> {
        let mut names = BTreeSet::new();
        for name in ["run_id:", "master_replid:"] {
            if let Ok(Value::BulkString(text)) = answers.any()? {
                let text = String::from_utf8_lossy(&text);
                names.extend(text.lines().filter(|line| line.starts_with(name)).map(str::to_owned));
            }
        }
        let later = lineage(names, (!self.is_of_many()).then_some(self.number));
        self.lineage_read = Instant::now();
        let earlier = std::mem::replace(&mut self.lineage, later.clone());
        Ok(Lineages { earlier, later })
    }
}

/// The answers to the questions of one write, in their order.
pub(crate) struct Answers {
    answers: std::vec::IntoIter<RedisResult<Value>>,
    /// Whether one server gave them all, and an error says that it can't give any.
    of_one: bool,
}

impl Answers {
    /// The next one, whatever it is.
    pub(crate) fn any(&mut self) -> Result<RedisResult<Value>, Broken> {
        self.answers.next().ok_or_else(|| "it answered less than it was asked".to_owned())
    }

    /// The next one, which must not be an error.
    pub(crate) fn value(&mut self) -> Result<Value, NoAnswer> {
        self.read(Ok)
    }

    /// The answer to [`ask_census`].
    pub(crate) fn census(&mut self) -> Result<Census, NoAnswer> {
        let answer = self.any().map_err(NoAnswer::Link)?;
        census(answer).map_err(|error| self.no_answer(&error))
    }

    /// The answer to [`ask_before`].
    pub(crate) fn before(&mut self) -> Result<Option<Cursor>, NoAnswer> {
        self.read(newest)
    }

    fn read<T>(&mut self, read: impl FnOnce(Value) -> RedisResult<T>) -> Result<T, NoAnswer> {
        let answer = self.any().map_err(NoAnswer::Link)?;
        answer.and_then(read).map_err(|error| self.no_answer(&error))
    }

    fn no_answer(&self, error: &RedisError) -> NoAnswer {
        if self.of_one { NoAnswer::Link(words(error)) } else { NoAnswer::Stream }
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

/// The lineage of these names, or of a connection of this number, if there is one alone.
fn lineage(mut names: BTreeSet<String>, connection: Option<u64>) -> Lineage {
    if let (true, Some(number)) = (names.is_empty(), connection) {
        names.insert(format!("connection {number}"));
    }
    Lineage::new(names)
}

fn newest(value: Value) -> RedisResult<Option<Cursor>> {
    Ok(entry::entries(value)?.first().map(Entry::cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_leads_to_one_server_and_a_cluster_that_names_nobody_to_anybody() {
        let between = |earlier: &Lineage, later: &Lineage| Lineages {
            earlier: Arc::clone(earlier),
            later: Arc::clone(later),
        };
        let goes_on = |lineage: &Lineage| between(lineage, lineage).go_on(lineage);
        let named = lineage(BTreeSet::from(["run_id:1".to_owned()]), None);
        let (one, other) = (lineage(BTreeSet::new(), Some(1)), lineage(BTreeSet::new(), Some(2)));
        assert!(goes_on(&named) && goes_on(&one));
        assert!(between(&one, &other).differ());
        let unknown = lineage(BTreeSet::new(), None);
        assert!(!goes_on(&unknown));
        assert!(!between(&named, &unknown).go_on(&named));
        assert!(!between(&unknown, &named).go_on(&unknown));
    }
}
