//! The Redis of a simulation: a primary and a replica with one stream, and the history of
//! every entry that was ever added.

use std::collections::VecDeque;

use bytes::Bytes;
use redcast_broker::{Census, EntryId, StreamState};
use redcast_protocol::Cursor;

use super::dice::{Dice, Trace};

/// One server, and what its stream holds.
#[derive(Clone, Default)]
pub(super) struct Server {
    stream: Option<Stream>,
    /// Its clock, in milliseconds: small, so that two servers often give the same IDs.
    clock: u64,
    /// Under which name its history is known (`run_id` and `master_replid`).
    pub(super) lineage: u64,
    /// Grows when its connections end: when it crashes, and often when it is made a replica,
    /// after which Sentinel ends them and a cluster's node refuses to be read.
    pub(super) connections: u64,
}

/// Between two of these a server may hold other history over the same connection. That takes
/// it longer than one question of a read takes after the other.
pub(super) type Moment = (u64, u64);

/// What goes wrong in a schedule.
#[derive(PartialEq)]
enum Trouble {
    /// Nothing but that clients come and go and links break: nobody may lose its place.
    Clients,
    /// Beside that a stream is trimmed.
    TrimsAlone,
    /// Servers fail, and the stream is deleted.
    Deletions,
    /// Servers fail, and the stream is trimmed. Not both, because a stream that is deleted,
    /// made again and trimmed to the same count, all between two reads, can't be told from
    /// the one it was.
    Trims,
}

#[derive(Clone, Default)]
struct Stream {
    entries: VecDeque<Entry>,
    last_id: EntryId,
    added: u64,
    /// The entry that was added last.
    tip: Option<usize>,
}

/// An entry as it is read.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) cursor: Cursor,
    /// None: it is no event.
    pub(super) payload: Option<Bytes>,
}

/// An entry that was added once: all of them are a tree, as after a failover two may follow
/// the same one.
struct Node {
    cursor: Cursor,
    is_event: bool,
    /// The entry before it.
    before: Option<usize>,
}

pub(super) struct World {
    pub(super) servers: [Server; 2],
    pub(super) primary: usize,
    /// The former primary has not heard of the new one, and takes writes.
    pub(super) is_split: bool,
    /// The former primary follows the new one, over whose connections it is still read.
    is_read: bool,
    /// No server tells its lineage.
    pub(super) is_mute: bool,
    trouble: Trouble,
    /// How many entries producers let the stream keep.
    max_len: Option<usize>,
    /// What the primary would have after a crash.
    saved: Option<Stream>,
    nodes: Vec<Node>,
    lineages: u64,
    /// The lineage that the replica has got from its primary.
    replicated: u64,
}

impl World {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let (servers, nodes) = Default::default();
        let trouble = match dice.below(8) {
            0 => Trouble::Clients,
            1 => Trouble::TrimsAlone,
            2..4 => Trouble::Deletions,
            _ => Trouble::Trims,
        };
        let is_mute = dice.once_in(4);
        let has_trims = matches!(trouble, Trouble::TrimsAlone | Trouble::Trims);
        let is_short = has_trims && dice.once_in(4);
        let max_len = is_short.then(|| 1 + dice.below(4));
        Self {
            servers,
            primary: 0,
            is_split: false,
            is_read: false,
            is_mute,
            trouble,
            max_len,
            saved: None,
            nodes,
            lineages: 1,
            replicated: 0,
        }
    }

    pub(super) fn step(&mut self, dice: &mut Dice, trace: &mut Trace) {
        let server = match self.is_split && dice.once_in(2) {
            true => 1 - self.primary,
            false => self.primary,
        };
        let what = match self.trouble {
            Trouble::Clients => 11,
            Trouble::TrimsAlone => 14,
            Trouble::Deletions | Trouble::Trims => 22,
        };
        match dice.below(what) {
            0..11 => self.add(server, dice, trace),
            11..14 if self.trouble == Trouble::Deletions => {
                trace.note(|| format!("{server} deletes the stream"));
                self.servers[server].stream = None;
            }
            11..14 => self.trim(server, dice, trace),
            14..17 => self.replicate(),
            17..19 => self.fail_over(dice, trace),
            19 => {
                trace.note(|| "the former primary follows the new one".to_owned());
                self.heal(self.is_mute || dice.once_in(2));
            }
            20 => self.saved = self.servers[self.primary].stream.clone(),
            _ => {
                trace.note(|| format!("{} crashes and is back", self.primary));
                let lineage = self.new_lineage();
                let primary = &mut self.servers[self.primary];
                primary.stream = self.saved.clone();
                primary.lineage = lineage;
                primary.connections += 1;
            }
        }
    }

    /// Whether there is no reason to tell anybody that a place is lost.
    pub(super) fn is_whole(&self) -> bool {
        self.trouble == Trouble::Clients
    }

    /// A server that says it is a primary.
    pub(super) fn any_primary(&self, dice: &mut Dice) -> usize {
        let is_late = self.is_split && dice.once_in(2);
        if is_late { 1 - self.primary } else { self.primary }
    }

    /// A server to which somebody may have a connection.
    pub(super) fn any_server(&self, dice: &mut Dice) -> usize {
        let is_late = (self.is_split || self.is_read) && dice.once_in(2);
        if is_late { 1 - self.primary } else { self.primary }
    }

    fn add(&mut self, server: usize, dice: &mut Dice, trace: &mut Trace) {
        let Server { stream, clock, .. } = &mut self.servers[server];
        *clock += [0, 0, 1, 2][dice.below(4)];
        let stream = stream.get_or_insert_default();
        let (millis, sequence) = stream.last_id;
        let id = if *clock > millis { (*clock, 0) } else { (millis, sequence + 1) };
        let node = self.nodes.len();
        let is_event = !dice.once_in(12);
        // Some are so large that not many of them go along with a join.
        let payload = format!("{node:08}{}", "x".repeat(if dice.once_in(3) { 1500 } else { 0 }));
        let payload = is_event.then(|| Bytes::from(payload));
        let cursor = match &payload {
            Some(payload) => Cursor::of(id.0, id.1, payload),
            // The broker hashes its fields.
            None => Cursor::of(id.0, id.1, format!("{node} is no event").as_bytes()),
        };
        trace.note(|| format!("{server} adds {node} {cursor}"));
        self.nodes.push(Node { cursor, is_event, before: stream.tip });
        stream.entries.push_back(Entry { cursor, payload });
        stream.last_id = id;
        stream.added += 1;
        stream.tip = Some(node);
        let keep = self.max_len.unwrap_or(usize::MAX);
        while stream.entries.len() > keep {
            stream.entries.pop_front();
        }
    }

    fn trim(&mut self, server: usize, dice: &mut Dice, trace: &mut Trace) {
        let Some(stream) = &mut self.servers[server].stream else { return };
        let keep = dice.below(10);
        while stream.entries.len() > keep {
            stream.entries.pop_front();
        }
        trace.note(|| format!("{server} keeps {keep} entries"));
    }

    fn replicate(&mut self) {
        if self.is_split {
            return;
        }
        let (primary, replica) = (self.primary, 1 - self.primary);
        self.servers[replica].stream = self.servers[primary].stream.clone();
        // A primary that was started anew has a name that its replica takes over.
        let lineage = self.servers[primary].lineage;
        if std::mem::replace(&mut self.replicated, lineage) != lineage {
            self.servers[replica].lineage = self.new_lineage();
        }
    }

    /// The replica takes over, with what it has.
    fn fail_over(&mut self, dice: &mut Dice, trace: &mut Trace) {
        if self.is_split {
            return;
        }
        self.primary = 1 - self.primary;
        self.is_split = dice.once_in(2);
        self.is_read = false;
        self.saved = self.servers[self.primary].stream.clone();
        self.servers[self.primary].lineage = self.new_lineage();
        let (primary, is_split) = (self.primary, self.is_split);
        trace.note(|| format!("{primary} takes over; split: {is_split}"));
        if !is_split {
            self.heal(self.is_mute || dice.once_in(2));
        }
    }

    /// The other server has what the primary has.
    pub(super) fn heal(&mut self, ends_connections: bool) {
        self.is_split = false;
        self.is_read = !ends_connections;
        // It goes on with the primary's history, under its own `run_id`.
        self.replicated = 0;
        self.replicate();
        self.servers[1 - self.primary].connections += u64::from(ends_connections);
    }

    fn new_lineage(&mut self) -> u64 {
        self.lineages += 1;
        self.lineages
    }

    /// Whether `event` is what a client gets next that stands at `place`, and why not.
    pub(super) fn follows(&self, event: usize, place: Cursor) -> Result<(), String> {
        let mut node = event;
        loop {
            let Some(before) = self.nodes[node].before else {
                let is_first = place == Cursor::BEGINNING;
                return is_first.then_some(()).ok_or_else(|| "it is the first one".to_owned());
            };
            let known = &self.nodes[before];
            if self.is_at(before, place) {
                return Ok(());
            }
            if known.is_event {
                return Err(format!("before it comes {before} {}", known.cursor));
            }
            node = before;
        }
    }

    /// Whether this is the last entry that is not after a place. Without a hash, a place is
    /// known by its ID alone.
    fn is_at(&self, node: usize, place: Cursor) -> bool {
        let cursor = self.nodes[node].cursor;
        cursor == place || (place.hash == 0 && cursor.id() <= place.id())
    }

    pub(super) fn cursor(&self, node: usize) -> Cursor {
        self.nodes[node].cursor
    }

    /// Whether nothing follows `place`: it is where the primary's stream ends.
    pub(super) fn is_end(&self, place: Cursor) -> bool {
        let Some(stream) = &self.servers[self.primary].stream else {
            return place == Cursor::BEGINNING;
        };
        let mut node = stream.tip;
        while let Some(known) = node {
            if self.is_at(known, place) {
                return true;
            }
            if self.nodes[known].is_event {
                return false;
            }
            node = self.nodes[known].before;
        }
        place == Cursor::BEGINNING
    }
}

impl Server {
    pub(super) fn moment(&self) -> Moment {
        (self.connections, self.lineage)
    }

    /// `XREAD` and `XRANGE`: the entries whose ID is after `id`, or `id` itself, too.
    pub(super) fn read(&self, id: EntryId, inclusive: bool, count: usize) -> Vec<Entry> {
        let entries = self.stream.iter().flat_map(|stream| &stream.entries);
        let wanted = entries
            .filter(|entry| entry.cursor.id() > id || (inclusive && entry.cursor.id() == id));
        wanted.take(count).cloned().collect()
    }

    /// `XREVRANGE id - COUNT 1`.
    pub(super) fn before(&self, id: EntryId) -> Option<Cursor> {
        let entries = self.stream.iter().flat_map(|stream| stream.entries.iter().rev());
        entries.map(|entry| entry.cursor).find(|cursor| cursor.id() <= id)
    }

    /// `XREVRANGE`: the last entries, newest first, up to `id` where there is one.
    pub(super) fn last(&self, id: Option<EntryId>, count: usize) -> Vec<Entry> {
        let entries = self.stream.iter().flat_map(|stream| stream.entries.iter().rev());
        let wanted = entries.filter(|entry| id.is_none_or(|id| entry.cursor.id() <= id));
        wanted.take(count).cloned().collect()
    }

    /// `XLEN`.
    pub(super) fn len(&self) -> u64 {
        self.stream.as_ref().map_or(0, |stream| stream.entries.len() as u64)
    }

    /// `XINFO STREAM`.
    pub(super) fn census(&self) -> Census {
        let Some(stream) = &self.stream else { return Census::Absent };
        Census::Present(StreamState {
            length: stream.entries.len() as u64,
            last_id: stream.last_id,
            first: stream.entries.front().map(|entry| entry.cursor.id()),
            last: stream.entries.back().map(|entry| entry.cursor),
            added: Some(stream.added),
        })
    }
}

impl Entry {
    /// Its number among all that were ever added.
    pub(super) fn node(payload: &Bytes) -> usize {
        std::str::from_utf8(&payload[..8]).unwrap().parse().unwrap()
    }
}
