//! What the memory broker has of streams: a bounded log for each channel, gone at its end.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use redcast_protocol::{Channel, Cursor, ResetReason};

use crate::{Event, HistoryError, Page, ReadLimit};

/// Events that a channel keeps.
const MOST_EVENTS: usize = 1_000;
/// Bytes of payload that a channel keeps; its newest event is kept in any case.
const MOST_BYTES: usize = 1 << 20;
/// Channels that keep anything; of one more, the one that was published to longest ago goes.
const MOST_CHANNELS: usize = 1_024;

/// The logs of all stream channels.
#[derive(Debug)]
pub(crate) struct MemoryStreams {
    /// Before this, Unix milliseconds, there was nothing: an older cursor is another
    /// process's.
    born_ms: u64,
    logs: HashMap<Channel, Log>,
    /// The newest ID of all channels: a log that went and came again goes on behind it.
    last_id: (u64, u64),
    /// How often something was published.
    published: u64,
    /// Whether a log was given up: then a channel without one may have had events.
    has_evicted: bool,
}

#[derive(Debug, Default)]
struct Log {
    events: VecDeque<(Cursor, Bytes)>,
    bytes: usize,
    /// Whether nothing was trimmed yet.
    is_whole: bool,
    /// When it was published to last, as a number that grows.
    published: u64,
}

impl MemoryStreams {
    /// No logs.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            born_ms: now_ms,
            logs: HashMap::new(),
            last_id: (0, 0),
            published: 0,
            has_evicted: false,
        }
    }

    /// Where the channel stands.
    pub(crate) fn end(&self, channel: &Channel) -> Cursor {
        let last = self.logs.get(channel).and_then(|log| log.events.back());
        last.map_or(Cursor::BEGINNING, |(cursor, _)| *cursor)
    }

    /// Appends an event and answers its cursor.
    pub(crate) fn append(&mut self, channel: &Channel, payload: Bytes, now_ms: u64) -> Cursor {
        if !self.logs.contains_key(channel) && self.logs.len() >= MOST_CHANNELS {
            let oldest = self.logs.iter().min_by_key(|(_, log)| log.published);
            if let Some(oldest) = oldest.map(|(channel, _)| channel.clone()) {
                self.logs.remove(&oldest);
                self.has_evicted = true;
            }
        }
        let (millis, sequence) = self.last_id;
        // As in Redis, IDs grow even where the clock does not.
        self.last_id = if now_ms > millis { (now_ms, 0) } else { (millis, sequence + 1) };
        self.published += 1;
        let cursor = Cursor::of(self.last_id.0, self.last_id.1, &payload);
        let is_whole = !self.has_evicted;
        let new = || Log { is_whole, ..Log::default() };
        let log = self.logs.entry(channel.clone()).or_insert_with(new);
        log.published = self.published;
        log.push(cursor, payload);
        cursor
    }

    /// The events after `since`, see [`Broker::events_after`](crate::Broker::events_after).
    pub(crate) fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError> {
        let Some(log) = self.logs.get(channel) else {
            let empty = Page { events: Vec::new(), gaps: Vec::new(), cursor: since, is_last: true };
            let is_beginning = since == Cursor::BEGINNING && !self.has_evicted;
            return if is_beginning { Ok(empty) } else { reset(ResetReason::Unknown) };
        };
        let start = match log.find(since) {
            Some(at) => at + 1,
            None if since == Cursor::BEGINNING && log.is_whole => 0,
            None => return reset(self.lost(log, since)),
        };
        let received = Instant::now();
        let mut page = Page { events: Vec::new(), gaps: Vec::new(), cursor: since, is_last: true };
        let mut bytes = 0;
        for (cursor, payload) in log.events.range(start..) {
            bytes += payload.len();
            let is_full = bytes > limit.bytes || page.events.len() >= limit.events;
            if is_full && !page.events.is_empty() {
                page.is_last = false;
                break;
            }
            page.cursor = *cursor;
            page.events.push(event(channel, *cursor, payload, received));
        }
        Ok(page)
    }

    /// The last events, the oldest first.
    pub(crate) fn last_events(&self, channel: &Channel, count: usize) -> Vec<Event> {
        let Some(log) = self.logs.get(channel) else { return Vec::new() };
        let received = Instant::now();
        let start = log.events.len().saturating_sub(count);
        let last = log.events.range(start..);
        last.map(|(cursor, payload)| event(channel, *cursor, payload, received)).collect()
    }

    fn lost(&self, log: &Log, since: Cursor) -> ResetReason {
        let first = log.events.front().map_or((0, 0), |(cursor, _)| cursor.id());
        match since.id() < first {
            _ if since != Cursor::BEGINNING && since.millis < self.born_ms => ResetReason::Unknown,
            true if since == Cursor::BEGINNING && self.has_evicted => ResetReason::Unknown,
            true => ResetReason::Trimmed,
            false => ResetReason::Forked,
        }
    }
}

impl Log {
    fn push(&mut self, cursor: Cursor, payload: Bytes) {
        self.bytes += payload.len();
        self.events.push_back((cursor, payload));
        while self.events.len() > 1
            && (self.events.len() > MOST_EVENTS || self.bytes > MOST_BYTES)
            && let Some((_, oldest)) = self.events.pop_front()
        {
            self.bytes -= oldest.len();
            self.is_whole = false;
        }
    }

    fn find(&self, cursor: Cursor) -> Option<usize> {
        let at = self.events.binary_search_by_key(&cursor.id(), |(known, _)| known.id()).ok()?;
        (self.events[at].0 == cursor).then_some(at)
    }
}

fn reset<T>(reason: ResetReason) -> Result<T, HistoryError> {
    Err(HistoryError::Reset(reason))
}

fn event(channel: &Channel, cursor: Cursor, payload: &Bytes, received: Instant) -> Event {
    let (channel, payload) = (channel.clone(), payload.clone());
    Event { channel, payload, received, cursor: Some(cursor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ReadLimit = ReadLimit { events: 2_000, bytes: 8 << 20 };

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    fn after(streams: &MemoryStreams, since: Cursor) -> Result<Vec<Bytes>, HistoryError> {
        let page = streams.events_after(&channel("a"), since, ALL)?;
        Ok(page.events.into_iter().map(|event| event.payload).collect())
    }

    #[test]
    fn a_log_keeps_its_newest_thousand_events_or_mebibyte() {
        let mut streams = MemoryStreams::new(1_000);
        let a = channel("a");
        let cursors: Vec<Cursor> = (0..1_100)
            .map(|number: u32| streams.append(&a, Bytes::from(number.to_string()), 1_000))
            .collect();
        assert_eq!(after(&streams, cursors[1_097]).unwrap(), ["1098", "1099"]);
        assert_eq!(after(&streams, cursors[100]).unwrap().len(), 999);
        assert_eq!(after(&streams, cursors[99]), reset(ResetReason::Trimmed));
        assert_eq!(after(&streams, Cursor::BEGINNING), reset(ResetReason::Trimmed));
        let large = streams.append(&a, Bytes::from(vec![0; MOST_BYTES + 1]), 1_001);
        assert_eq!(streams.last_events(&a, 10).len(), 1);
        assert_eq!(streams.end(&a), large);
    }

    #[test]
    fn a_place_that_never_was_is_told_apart() {
        let mut streams = MemoryStreams::new(1_000);
        assert_eq!(after(&streams, Cursor::BEGINNING).unwrap(), Vec::<Bytes>::new());
        let first = streams.append(&channel("a"), Bytes::from("1"), 1_000);
        streams.append(&channel("a"), Bytes::from("2"), 990);
        assert_eq!(after(&streams, Cursor::BEGINNING).unwrap(), ["1", "2"]);
        let other = Cursor { hash: 1, ..first };
        assert_eq!(after(&streams, other), reset(ResetReason::Forked));
        let before_start = Cursor::of(999, 0, b"1");
        assert_eq!(after(&streams, before_start), reset(ResetReason::Unknown));
    }

    #[test]
    fn the_channel_that_was_published_to_longest_ago_makes_room() {
        let mut streams = MemoryStreams::new(1_000);
        for number in 0..=MOST_CHANNELS {
            streams.append(&channel(&number.to_string()), Bytes::from("x"), 1_000);
        }
        assert_eq!(streams.logs.len(), MOST_CHANNELS);
        assert!(streams.last_events(&channel("0"), 1).is_empty());
        // Whoever joined an empty channel and comes back: nobody knows what it missed.
        let from_beginning = |streams: &MemoryStreams, name| {
            let page = streams.events_after(&channel(name), Cursor::BEGINNING, ALL);
            page.map(|page| page.events.len())
        };
        assert_eq!(from_beginning(&streams, "0"), reset(ResetReason::Unknown));
        streams.append(&channel("0"), Bytes::from("y"), 1_000);
        assert_eq!(from_beginning(&streams, "0"), reset(ResetReason::Unknown));
        assert_eq!(from_beginning(&streams, "9"), Ok(1), "this one is whole");
    }
}
