//! One read of a stream's history, question by question, as the broker does it.

use std::time::Instant;

use redcast_broker::{Event, Follows, Page, ReadLimit, follow};
use redcast_protocol::{Channel, Cursor, ResetReason};

use super::dice::Dice;
use super::world::{Entry, Moment, World};
use crate::stream::reader::What;
use crate::stream::replay::Replay;

/// A broker may read less at once than it is asked for.
const PAGE: usize = 3;

/// What Redis was asked, and what it has answered so far.
pub(super) struct Reading {
    pub(super) what: What,
    answered: Answered,
}

enum Answered {
    Nothing,
    /// What stands from a place on, over a connection to this server. They may not be the
    /// entries that were expected: now for the census.
    After {
        server: usize,
        moment: Moment,
        read: Vec<Entry>,
        count: usize,
    },
    /// Some of the last entries, newest first.
    Last(Vec<Entry>),
}

/// How far a read has come.
pub(super) enum Progress {
    Asked(Reading),
    /// There was no answer.
    Away,
    Read(What, Replay),
    Lost(ResetReason),
}

impl Reading {
    pub(super) fn new(what: What) -> Self {
        Self { what, answered: Answered::Nothing }
    }

    /// The next question.
    pub(super) fn go_on(self, world: &World, dice: &mut Dice) -> Progress {
        match (self.what, self.answered) {
            (What::After(since, limit), Answered::After { server, moment, read, count }) => {
                if world.servers[server].moment() != moment {
                    return Progress::Away;
                }
                after(since, limit, read, count, world, server)
            }
            (What::After(since, limit), _) => {
                let server = world.any_server(dice);
                let count = limit.events.clamp(1, PAGE) + 1;
                let read = world.servers[server].read(since.id(), true, count);
                let moment = world.servers[server].moment();
                let answered = Answered::After { server, moment, read, count };
                Progress::Asked(Self { what: self.what, answered })
            }
            (What::Last(wanted), Answered::Last(read)) => last(wanted, read, world, dice),
            (What::Last(wanted), _) => last(wanted, Vec::new(), world, dice),
        }
    }
}

/// As the broker's `events_after`.
fn after(
    since: Cursor,
    limit: ReadLimit,
    mut read: Vec<Entry>,
    count: usize,
    world: &World,
    server: usize,
) -> Progress {
    let is_last = read.len() < count;
    let first = read.first().map(|entry| entry.cursor);
    match follow(since, first, &world.servers[server].census()) {
        Err(reason) => return Progress::Lost(reason),
        Ok(Follows::All) => {}
        Ok(Follows::AllButFirst) => drop(read.remove(0)),
        Ok(Follows::Nothing) => read.clear(),
    }
    let mut page = Page { events: Vec::new(), gaps: Vec::new(), cursor: since, is_last };
    let mut bytes = 0;
    for entry in read {
        bytes += entry.payload.as_ref().map_or(0, bytes::Bytes::len);
        let is_full = bytes > limit.bytes || page.events.len() >= limit.events;
        if is_full && page.cursor != since {
            page.is_last = false;
            break;
        }
        page.cursor = entry.cursor;
        page.events.extend(event(entry));
    }
    Progress::Read(What::After(since, limit), Replay::new(channel(), page))
}

/// As the broker's `last_events`: page after page, each over a connection of its own, from
/// the oldest entry on that was read before.
fn last(wanted: usize, mut read: Vec<Entry>, world: &World, dice: &mut Dice) -> Progress {
    let server = &world.servers[world.any_server(dice)];
    let events = |read: &[Entry]| read.iter().filter(|entry| entry.payload.is_some()).count();
    let count = (wanted - events(&read)).min(PAGE) + usize::from(!read.is_empty());
    let oldest = read.last().map(|entry| entry.cursor);
    let mut page = server.last(oldest.map(|oldest| oldest.id()), count);
    let is_all = page.len() < count;
    let goes_on = oldest.is_none_or(|oldest| page.first().is_some_and(|top| top.cursor == oldest));
    if goes_on {
        page.drain(..usize::from(oldest.is_some()));
        read.extend(page);
        if !is_all && events(&read) < wanted {
            return Progress::Asked(Reading {
                what: What::Last(wanted),
                answered: Answered::Last(read),
            });
        }
    }
    let mut events: Vec<Event> = read.into_iter().rev().filter_map(event).collect();
    // As if the first of them were as much as is sent at once.
    events.truncate(1 + wanted / 2);
    Progress::Read(What::Last(wanted), Replay::of_last(channel(), events, usize::MAX))
}

fn event(entry: Entry) -> Option<Event> {
    let (payload, cursor) = (entry.payload?, Some(entry.cursor));
    Some(Event { channel: channel(), payload, received: Instant::now(), cursor })
}

fn channel() -> Channel {
    Channel::parse("a").unwrap()
}
