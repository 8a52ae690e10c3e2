//! The reading of streams over one connection, as long as it holds. One round after the
//! other: take over what is newly wanted, look once a second at what does not tell of
//! itself, read what is there or wait a moment for it, and judge it before it is told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redcast_protocol::{Channel, Cursor};
use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::time::{sleep_until, timeout};

use super::appetite::Appetite;
use super::entry::{self, Entry, census, spell};
use super::followed::Followed;
use super::reader::Reader;
use super::tail::{Census, EntryId, Verdict};
use crate::clock;
use crate::redis::server::words;
use crate::redis::wish::Effect;
use crate::redis::wishes::Refusal;

/// The most streams that are asked about in one write: each answer may hold two entries.
const ASK_TOGETHER: usize = 64;
/// After a channel was taken over, the next one follows soon: a page joins several.
const SHORT_BLOCK: Duration = Duration::from_millis(20);
/// How long that is thought of.
const EAGER_FOR: Duration = Duration::from_secs(1);
/// A deadline that is met this much later says that we were paused, not Redis.
const OWN_LAG: Duration = Duration::from_millis(500);

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When anything was heard last.
    pub(crate) heard: Instant,
    /// Why the connection is of no more use; none if nothing is wanted any more.
    pub(crate) reason: Option<String>,
    /// Whether an answer was too long in coming.
    pub(crate) was_late: bool,
}

/// One connection that follows streams.
pub(crate) struct Session<'a> {
    reader: &'a Reader,
    /// Where the connection leads.
    place: ConnectionInfo,
    connection: MultiplexedConnection,
    followed: &'a mut Followed,
    appetite: Appetite,
    patience: Duration,
    heard: Instant,
    was_late: bool,
    next_look: Instant,
    eager_until: Instant,
    /// The history that the server continues (`master_replid`).
    history: Option<String>,
}

/// Why the connection is of no more use.
type Broken = String;
type Replies = std::vec::IntoIter<RedisResult<Value>>;

impl<'a> Session<'a> {
    /// Goes on with what was `followed` before, and gives an answer so much time.
    pub(crate) fn new(
        reader: &'a Reader,
        (place, connection): (ConnectionInfo, MultiplexedConnection),
        followed: &'a mut Followed,
        patience: Duration,
    ) -> Self {
        let now = Instant::now();
        followed.connection_is_new();
        Self {
            reader,
            place,
            connection,
            followed,
            appetite: Appetite::new(),
            patience,
            heard: now,
            was_late: false,
            next_look: now,
            eager_until: now,
            history: None,
        }
    }

    /// Reads until the connection is of no more use, or nothing is wanted.
    pub(crate) async fn run(mut self) -> Ended {
        let reason = self.follow().await.err();
        Ended { heard: self.heard, reason, was_late: self.was_late }
    }

    async fn follow(&mut self) -> Result<(), Broken> {
        loop {
            self.settle().await?;
            if self.next_look <= Instant::now() {
                self.look_around().await?;
            }
            if self.followed.live().next().is_some() {
                let read = self.read().await?;
                self.judge_and_tell(read).await?;
            } else if self.reader.wishes.is_empty() {
                return Ok(());
            } else {
                // What was refused waits for its turn.
                let next_look = self.next_look.into();
                tokio::select! {
                    () = self.reader.wishes.changed() => {}
                    () = sleep_until(next_look) => {}
                }
            }
        }
    }

    /// Lets go of what is not wanted any more and takes over what is.
    async fn settle(&mut self) -> Result<(), Broken> {
        let Reader { number, names, wishes, seats, outlet, .. } = self.reader;
        for channel in seats.renewed(*number) {
            let Some(stream) = self.followed.get_mut(&names.channel(&channel)) else { continue };
            match stream.tail.cursor() {
                Some(cursor) if stream.is_live => outlet.position(&channel, cursor, None).await,
                _ => stream.tail.forget(),
            }
        }
        let work = wishes.take_work(Instant::now());
        for channel in &work.unsubscribe {
            self.followed.remove(&names.channel(channel));
            wishes.unsubscribed(channel.as_str());
            seats.release(channel);
        }
        for channels in [work.subscribe, work.subscribe_singly].concat().chunks(ASK_TOGETHER) {
            self.take_over(channels).await?;
            self.eager_until = Instant::now() + EAGER_FOR;
        }
        Ok(())
    }

    /// Begins to read streams, or goes on with them where they were lost.
    async fn take_over(&mut self, channels: &[Channel]) -> Result<(), Broken> {
        let mut pipeline = redis::pipe();
        for channel in channels {
            let key = self.reader.names.channel(channel);
            let place = self.followed.follow(&key, channel).tail.cursor().unwrap_or_default_id();
            pipeline.cmd("XLEN").arg(&key);
            // Asks for nothing but the right to read.
            pipeline.cmd("XREAD").arg(&["COUNT", "1", "STREAMS", &key, "$"]);
            pipeline.add_command(entry_before(&key, place)).add_command(ask_census(&key));
        }
        let mut replies = self.ask(&mut pipeline, Duration::ZERO).await?;
        for channel in channels {
            match readable(&mut replies)? {
                Ok((before, census)) => self.begin(channel, before, &census).await,
                Err(error) => self.refused(channel, &error).await?,
            }
        }
        Ok(())
    }

    async fn begin(&mut self, channel: &Channel, before: Option<Cursor>, census: &Census) {
        let Reader { names, wishes, outlet, .. } = self.reader;
        let stream = self.followed.follow(&names.channel(channel), channel);
        let is_new = stream.tail.cursor().is_none();
        if is_new {
            let cursor = stream.tail.open(census);
            outlet.position(channel, cursor, None).await;
        } else {
            outlet.metrics().streams.verifications.inc();
            let verdict = stream.tail.judge(&[], before, Some(census));
            if let (Verdict::Reset(reason), Some(cursor)) = (verdict, stream.tail.cursor()) {
                outlet.position(channel, cursor, Some(reason)).await;
            }
        }
        stream.goes_on(census);
        // What goes on where it was has missed nothing.
        if let Some(gap) = wishes.subscribed(channel, clock::unix_ms()).filter(|_| is_new) {
            outlet.gap(gap).await;
        }
    }

    async fn refused(&mut self, channel: &Channel, error: &RedisError) -> Result<(), Broken> {
        let Reader { server, wishes, last_error, outlet, .. } = self.reader;
        let refusal = refusal(error).ok_or_else(|| words(error))?;
        last_error.set(server.refused(&format!("the subscription to {channel}"), &refusal.reason));
        let effect = wishes.refused(channel, &refusal);
        if effect != Effect::None {
            tracing::warn!(%channel, reason = refusal.reason, "Redis refused a stream");
        }
        if let Effect::BrokenPromise(error) = effect {
            outlet.refused(error).await;
        }
        Ok(())
    }

    /// Looks at what no read tells: streams that are gone or went back, and a server that
    /// goes on with another history than it had.
    async fn look_around(&mut self) -> Result<(), Broken> {
        let Reader { number, config, wishes, seats, .. } = self.reader;
        self.next_look = Instant::now() + config.ask_again_every;
        wishes.ask_again(Instant::now(), config.ask_again_every);
        seats.sweep(*number, |channel| wishes.knows(channel));
        self.followed.retain(|channel| wishes.knows(channel));
        let live: Vec<String> = self.followed.live().map(|(key, _)| key.to_owned()).collect();
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("replication");
        for key in &live {
            pipeline.cmd("XLEN").arg(key);
        }
        let mut replies = self.ask(&mut pipeline, Duration::ZERO).await?;
        // Without the right to it, the once-a-minute look at each stream has to do.
        let history = replies.next().and_then(Result::ok).and_then(history);
        let is_other = self.history.is_some() && history.is_some() && self.history != history;
        self.history = history.or(self.history.take());
        let mut doubtful = Vec::new();
        for key in live {
            let length = entry::number(&next(&mut replies)?).map_err(|error| words(&error))?;
            if let Some(stream) = self.followed.get_mut(&key)
                && (stream.tail.look(length) || is_other)
            {
                doubtful.push(key);
            }
        }
        for keys in doubtful.chunks(ASK_TOGETHER) {
            self.verify(keys).await?;
        }
        Ok(())
    }

    /// Judges the places of these streams.
    async fn verify(&mut self, keys: &[String]) -> Result<(), Broken> {
        let mut pipeline = redis::pipe();
        for key in keys {
            let place = self.place_of(key);
            pipeline.add_command(entry_before(key, place)).add_command(ask_census(key));
        }
        let mut replies = self.ask(&mut pipeline, Duration::ZERO).await?;
        let outlet = &self.reader.outlet;
        for key in keys {
            let before = newest(next(&mut replies)?)?;
            let census = census_in(&mut replies)?;
            let Some(stream) = self.followed.get_mut(key) else { continue };
            outlet.metrics().streams.verifications.inc();
            let verdict = stream.tail.judge(&[], before, Some(&census));
            if let (Verdict::Reset(reason), Some(cursor)) = (verdict, stream.tail.cursor()) {
                outlet.position(&stream.channel, cursor, Some(reason)).await;
            }
        }
        Ok(())
    }

    /// Reads what was added, or waits a moment for it.
    async fn read(&mut self) -> Result<Vec<(String, Vec<Entry>)>, Broken> {
        let is_eager = Instant::now() < self.eager_until;
        let block = self.reader.config.stream_block;
        let block = if is_eager { block.min(SHORT_BLOCK) } else { block };
        let (keys, places): (Vec<&str>, Vec<String>) =
            self.followed.live().map(|(key, place)| (key, spell(place.id()))).unzip();
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("XREAD")
            .arg("COUNT")
            .arg(self.appetite.count(keys.len()))
            .arg("BLOCK")
            .arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1))
            .arg("STREAMS")
            .arg(keys)
            .arg(places);
        let mut replies = self.ask(&mut pipeline, block).await?;
        let read = entry::streams(next(&mut replies)?).map_err(|error| words(&error))?;
        let entries = || read.iter().flat_map(|(_, entries)| entries);
        self.appetite.learn(entries().count(), entries().map(|entry| entry.size).sum());
        Ok(read)
    }

    /// Tells what was read, once it is certain that nothing is missing before it.
    async fn judge_and_tell(&mut self, read: Vec<(String, Vec<Entry>)>) -> Result<(), Broken> {
        let received = Instant::now();
        let verdicts = self.judge(&read).await?;
        let outlet = &self.reader.outlet;
        for ((key, entries), verdict) in read.into_iter().zip(verdicts) {
            let Some(stream) = self.followed.get_mut(&key) else { continue };
            match (verdict, entries.last().map(Entry::cursor)) {
                (Verdict::Intact, Some(last)) => {
                    outlet.metrics().streams.repaired.inc_by(stream.repaired(&entries));
                    let count = entries.len() as u64;
                    for entry in entries {
                        outlet.entry(&stream.channel, entry, received).await;
                    }
                    stream.tail.advance(last, count);
                }
                (Verdict::Reset(reason), _) => {
                    let cursor = stream.tail.cursor().unwrap_or(Cursor::BEGINNING);
                    outlet.position(&stream.channel, cursor, Some(reason)).await;
                }
                // It is read again.
                (Verdict::AskCensus, _) | (Verdict::Intact, None) => {}
            }
        }
        Ok(())
    }

    async fn judge(&mut self, read: &[(String, Vec<Entry>)]) -> Result<Vec<Verdict>, Broken> {
        let mut pipeline = redis::pipe();
        let mut with_census = Vec::with_capacity(read.len());
        for (key, _) in read {
            let needs_census =
                self.followed.get_mut(key).is_some_and(|stream| stream.tail.needs_census());
            pipeline.add_command(entry_before(key, self.place_of(key)));
            if needs_census {
                pipeline.add_command(ask_census(key));
            }
            with_census.push(needs_census);
        }
        let mut replies = match read.is_empty() {
            true => return Ok(Vec::new()),
            false => self.ask(&mut pipeline, Duration::ZERO).await?,
        };
        let mut verdicts = Vec::with_capacity(read.len());
        let mut befores = HashMap::new();
        let mut second = redis::pipe();
        for (at, (key, entries)) in read.iter().enumerate() {
            let before = newest(next(&mut replies)?)?;
            let census = if with_census[at] { Some(census_in(&mut replies)?) } else { None };
            let verdict = self.verdict(key, entries, before, census.as_ref());
            if verdict == Verdict::AskCensus {
                befores.insert(at, before);
                second.add_command(ask_census(key));
            }
            verdicts.push(verdict);
        }
        if befores.is_empty() {
            return Ok(verdicts);
        }
        let mut replies = self.ask(&mut second, Duration::ZERO).await?;
        for (at, (key, entries)) in read.iter().enumerate() {
            if let Some(before) = befores.get(&at) {
                let census = census_in(&mut replies)?;
                verdicts[at] = self.verdict(key, entries, *before, Some(&census));
            }
        }
        Ok(verdicts)
    }

    fn verdict(
        &mut self,
        key: &str,
        read: &[Entry],
        before: Option<Cursor>,
        census: Option<&Census>,
    ) -> Verdict {
        let ids: Vec<EntryId> = read.iter().map(|entry| entry.id).collect();
        let stream = self.followed.get_mut(key);
        stream.map_or(Verdict::AskCensus, |stream| stream.tail.judge(&ids, before, census))
    }

    fn place_of(&mut self, key: &str) -> EntryId {
        let cursor = self.followed.get_mut(key).and_then(|stream| stream.tail.cursor());
        cursor.unwrap_or_default_id()
    }

    /// Sends commands and waits for their answers; `block` is how long Redis was asked to
    /// keep them back.
    async fn ask(&mut self, pipeline: &mut Pipeline, block: Duration) -> Result<Replies, Broken> {
        let deadline = Instant::now() + self.patience + block;
        let mut connection = self.connection.clone();
        let asking = pipeline.ignore_errors().query_async(&mut connection);
        tokio::pin!(asking);
        // Only here, where nothing is told in part: elsewhere there is another primary.
        let mut answer = tokio::select! {
            answer = timeout(self.patience + block, &mut asking) => answer,
            reason = self.reader.locator.moved(&self.place) => return Err(reason),
        };
        if answer.is_err() && deadline.elapsed() > OWN_LAG {
            // The answer may have arrived while we were away.
            answer = timeout(OWN_LAG, &mut asking).await;
        }
        let replies: RedisResult<Vec<RedisResult<Value>>> = match answer {
            Ok(replies) => replies,
            Err(_) => {
                self.was_late = true;
                return Err("it did not answer in time".to_owned());
            }
        };
        self.heard = Instant::now();
        self.was_late = false;
        replies.map(Vec::into_iter).map_err(|error| words(&error))
    }
}

trait OrDefault {
    fn unwrap_or_default_id(self) -> EntryId;
}

impl OrDefault for Option<Cursor> {
    fn unwrap_or_default_id(self) -> EntryId {
        self.unwrap_or(Cursor::BEGINNING).id()
    }
}

fn entry_before(key: &str, place: EntryId) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg(spell(place)).arg("-").arg("COUNT").arg(1);
    command
}

fn ask_census(key: &str) -> Cmd {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(key);
    command
}

/// The answers about one stream that is taken over, or why it can't be read.
fn readable(replies: &mut Replies) -> Result<Result<(Option<Cursor>, Census), RedisError>, Broken> {
    let mut take = || replies.next().ok_or_else(too_few);
    let (length, right, before, state) = (take()?, take()?, take()?, take()?);
    if let Err(error) = length.and(right) {
        return Ok(Err(error));
    }
    let before = match before.map(newest) {
        Ok(before) => before?,
        Err(error) => return Ok(Err(error)),
    };
    Ok(census(state).map(|census| (before, census)))
}

fn next(replies: &mut Replies) -> Result<Value, Broken> {
    replies.next().ok_or_else(too_few)?.map_err(|error| words(&error))
}

fn census_in(replies: &mut Replies) -> Result<Census, Broken> {
    census(replies.next().ok_or_else(too_few)?).map_err(|error| words(&error))
}

fn newest(value: Value) -> Result<Option<Cursor>, Broken> {
    let entries = entry::entries(value).map_err(|error| words(&error))?;
    Ok(entries.first().map(Entry::cursor))
}

fn too_few() -> Broken {
    "it answered fewer commands than it was sent".to_owned()
}

/// What Redis said of one stream alone; none if it can't answer anything at this moment.
fn refusal(error: &RedisError) -> Option<Refusal> {
    let is_final = match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => false,
        _ if error.code() == Some("WRONGTYPE") => true,
        _ => return None,
    };
    Some(Refusal { is_final, reason: words(error) })
}

/// `master_replid` in the answer of `INFO replication`.
fn history(info: Value) -> Option<String> {
    let Value::BulkString(text) = info else { return None };
    let text = String::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("master_replid:")).map(str::to_owned)
}
