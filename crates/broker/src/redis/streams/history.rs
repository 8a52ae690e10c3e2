//! What lies further back in a stream than anybody follows it, read over a pool of
//! connections and verified: a page that can't follow its cursor exactly is refused.

use std::time::Instant;

use redcast_protocol::{Channel, Cursor, GapReason, ResetReason};
use redis::{RedisError, RedisResult, Value};

use super::appetite::Appetite;
use super::appetites::Appetites;
use super::entry::{self, Entry, census, spell};
use super::tail::{Census, StreamState};
use crate::redis::config::RedisConfig;
use crate::redis::names::Names;
use crate::redis::pool::{Pool, Trouble};
use crate::{Event, Gap, HistoryError, Page, ReadLimit, clock};

/// What a read that was not answered in time has come to.
const TOO_LATE: &str = "it did not answer in time";
/// What the last events of a channel may have together, bytes.
const LAST_EVENTS_BYTES: usize = 8 << 20;
/// Entries that are no events may stand between the last events; so many times the events
/// that are asked for are looked through.
const LOOK_THROUGH: usize = 4;

/// Reads streams backwards and from a cursor on.
pub(crate) struct History {
    pool: Pool,
    names: Names,
    max_event_size: usize,
    appetites: Appetites,
}

impl From<Trouble> for HistoryError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable(sentence) => Self::Unavailable(sentence),
            Trouble::Refused(sentence) => Self::Refused(sentence),
        }
    }
}

impl History {
    /// Reads over `pool`.
    pub(crate) fn new(pool: Pool, config: &RedisConfig) -> Self {
        Self {
            pool,
            names: Names::new(&config.prefix),
            max_event_size: config.max_event_size,
            appetites: Appetites::default(),
        }
    }

    /// The events after `since`, see [`Broker::events_after`](crate::Broker::events_after).
    pub(crate) async fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError> {
        let within = self.appetites.of(channel).count_within(limit.bytes);
        // The entry of the cursor itself is read, too.
        let count = limit.events.min(within).max(1) + 1;
        let (mut read, census) = self.in_time(channel, self.ask(channel, since, count)).await?;
        let is_last = read.len() < count;
        let first = read.first().map(Entry::cursor);
        let follows = match follow(since, first, &census).map_err(HistoryError::Reset)? {
            Follows::All => read,
            Follows::AllButFirst => read.split_off(1),
            Follows::Nothing => Vec::new(),
        };
        Ok(self.page(channel, since, follows, limit, is_last))
    }

    /// The last events, see [`Broker::last_events`](crate::Broker::last_events). They have
    /// at most 8 MiB together.
    pub(crate) async fn last_events(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        let received = Instant::now();
        let (mut events, mut bytes, mut seen) = (Vec::new(), 0, 0);
        let mut oldest: Option<Cursor> = None;
        'pages: while events.len() < count && seen < count.saturating_mul(LOOK_THROUGH) {
            let within = self.appetites.of(channel).count_within(LAST_EVENTS_BYTES - bytes);
            let wanted = (count - events.len()).min(within);
            let asking = self.ask_backwards(channel, oldest, wanted);
            let Some(entries) = self.in_time(channel, asking).await? else { break };
            self.learn(channel, &entries);
            let is_all = entries.len() < wanted;
            seen += entries.len();
            for entry in entries {
                oldest = Some(entry.cursor());
                let Some(event) = self.event(channel, entry, received) else { continue };
                bytes += event.payload.len();
                if bytes > LAST_EVENTS_BYTES && !events.is_empty() {
                    break 'pages;
                }
                events.push(event);
            }
            if is_all || bytes >= LAST_EVENTS_BYTES {
                break;
            }
        }
        events.reverse();
        Ok(events)
    }

    /// The entries from `since` on, and the state of the stream after they were read.
    async fn ask(
        &self,
        channel: &Channel,
        since: Cursor,
        count: usize,
    ) -> Result<(Vec<Entry>, Census), HistoryError> {
        let key = self.names.channel(channel);
        let mut connection = self.pool.get_for(&key).await?;
        let mut pipeline = redis::pipe();
        pipeline.cmd("XRANGE").arg(&key).arg(spell(since.id())).arg("+").arg("COUNT").arg(count);
        let asked: RedisResult<(Value,)> = pipeline.query_async(&mut connection).await;
        let (read,) = asked.map_err(|error| self.failed(channel, &error))?;
        let read = entry::entries(read).map_err(|error| self.failed(channel, &error))?;
        self.learn(channel, &read);
        // Only where the cursor's entry is not there, it takes a second question.
        if read.first().is_some_and(|first| first.cursor() == since) {
            return Ok((read, Census::Absent));
        }
        let mut question = redis::cmd("XINFO");
        let state = question.arg("STREAM").arg(&key).query_async(&mut connection).await;
        let state = census(state).map_err(|error| self.failed(channel, &error))?;
        Ok((read, state))
    }

    /// The newest entries, newest first, or those before the `oldest` of which it is known
    /// already; none if it is not there: what stands before it is another history's, or trimmed.
    async fn ask_backwards(
        &self,
        channel: &Channel,
        oldest: Option<Cursor>,
        count: usize,
    ) -> Result<Option<Vec<Entry>>, HistoryError> {
        let key = self.names.channel(channel);
        let mut connection = self.pool.get_for(&key).await?;
        let from = oldest.map_or_else(|| "+".to_owned(), |oldest| spell(oldest.id()));
        let mut question = redis::cmd("XREVRANGE");
        question
            .arg(key)
            .arg(from)
            .arg("-")
            .arg("COUNT")
            .arg(count + usize::from(oldest.is_some()));
        let read = question.query_async(&mut connection).await.and_then(entry::entries);
        let mut read = read.map_err(|error| self.failed(channel, &error))?;
        let Some(oldest) = oldest else { return Ok(Some(read)) };
        if read.first().is_none_or(|first| first.cursor() != oldest) {
            return Ok(None);
        }
        read.remove(0);
        Ok(Some(read))
    }

    fn page(
        &self,
        channel: &Channel,
        since: Cursor,
        entries: Vec<Entry>,
        limit: ReadLimit,
        is_last: bool,
    ) -> Page {
        let received = Instant::now();
        let mut page = Page { events: Vec::new(), gaps: Vec::new(), cursor: since, is_last };
        let mut bytes = 0;
        for entry in entries {
            bytes += entry.data.as_ref().map_or(0, bytes::Bytes::len);
            let is_full = bytes > limit.bytes || page.events.len() >= limit.events;
            if is_full && page.cursor != since {
                page.is_last = false;
                break;
            }
            page.cursor = entry.cursor();
            if self.is_too_large(&entry) {
                page.gaps.push((page.cursor, too_large(channel)));
            }
            page.events.extend(self.event(channel, entry, received));
        }
        page
    }

    /// The event of an entry, if it is one. What is none was counted when it was followed,
    /// and may be read any number of times.
    fn event(&self, channel: &Channel, entry: Entry, received: Instant) -> Option<Event> {
        let cursor = Some(entry.cursor());
        if self.is_too_large(&entry) {
            return None;
        }
        Some(Event { channel: channel.clone(), payload: entry.data?, received, cursor })
    }

    fn is_too_large(&self, entry: &Entry) -> bool {
        entry.data.as_ref().is_some_and(|data| data.len() > self.max_event_size)
    }

    fn learn(&self, channel: &Channel, entries: &[Entry]) {
        let bytes = entries.iter().map(|entry| entry.size).sum();
        self.appetites.change(channel, |appetite| appetite.learn(entries.len(), bytes));
    }

    async fn in_time<T>(
        &self,
        channel: &Channel,
        asking: impl Future<Output = Result<T, HistoryError>>,
    ) -> Result<T, HistoryError> {
        let answer = self.pool.in_time(TOO_LATE, asking).await;
        if matches!(answer, Err(HistoryError::Unavailable(_))) {
            self.appetites.change(channel, Appetite::was_too_much);
        }
        answer
    }

    fn failed(&self, channel: &Channel, error: &RedisError) -> Trouble {
        self.pool.failed(&format!("to read {channel}"), error)
    }
}

fn too_large(channel: &Channel) -> Gap {
    let now = clock::unix_ms();
    let (channel, reason) = (channel.clone(), GapReason::TooLarge);
    Gap { channel, from_ms: now, to_ms: now, reason, dropped: Some(1) }
}

/// What of the entries that were read from a place on follows that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// All of them.
    All,
    /// All but the first, which is the place itself.
    AllButFirst,
    /// None.
    Nothing,
}

/// What follows `since` of the entries that were read from there on, the `first` of which is
/// this; or why that can't be told. `census` counts where the first is another one, and was
/// asked for after them. Pure, as [`Tail`](super::Tail) is.
pub fn follow(
    since: Cursor,
    first: Option<Cursor>,
    census: &Census,
) -> Result<Follows, ResetReason> {
    match first {
        Some(first) if first == since => return Ok(Follows::AllButFirst),
        Some(first) if first.id() == since.id() => return Err(ResetReason::Forked),
        _ => {}
    }
    let state = match census {
        Census::Absent if since == Cursor::BEGINNING => return Ok(Follows::Nothing),
        Census::Absent => return Err(ResetReason::Unknown),
        Census::Present(state) => state,
    };
    if since == Cursor::BEGINNING {
        let is_whole = state.added == Some(state.length);
        return if is_whole { Ok(Follows::All) } else { Err(ResetReason::Trimmed) };
    }
    // Whoever joined a stream without entries got a place without one.
    if since.hash == 0 && state.last_id == since.id() {
        return Ok(Follows::Nothing);
    }
    Err(lost(since, state))
}

/// Why the entry of `since` is not there.
fn lost(since: Cursor, state: &StreamState) -> ResetReason {
    let has_older = state.first.is_some_and(|first| first < since.id());
    if state.last_id < since.id() || has_older { ResetReason::Forked } else { ResetReason::Trimmed }
}
