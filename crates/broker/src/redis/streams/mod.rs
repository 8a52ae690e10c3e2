//! Streams: channels whose entries are read from where one left off. A few
//! [readers](reader) follow them over connections of their own, each a share of them; a
//! pool reads what lies further back.

mod appetite;
mod appetites;
mod desk;
mod entry;
mod followed;
mod history;
mod judge;
mod link;
mod outlet;
mod patience;
mod reader;
mod seats;
mod session;
mod tail;
mod turns;
mod wrong;

use std::sync::Arc;
use std::time::Duration;

use redcast_protocol::Channel;

pub use self::history::{Follows, follow};
pub use self::tail::{Census, EntryId, StreamState, Tail, Verdict};

pub(super) use self::entry::DATA;
pub(super) use self::history::History;
pub(super) use self::outlet::Outlet;
pub(super) use self::reader::Reader;

use self::desk::Desk;
use self::reader::Waiting;
use self::seats::Seats;
use self::wrong::Wrong;
use super::cluster::slot_of;
use super::config::RedisConfig;
use super::locator::Locator;
use super::names::Names;
use super::server::Server;
use super::wish::Tally;
use super::wishes::Wishes;

/// How often a cluster's streams are read: a command that waits would hold up those behind
/// it, and each slot has one of its own.
const POLL: Duration = Duration::from_millis(30);
/// Streams of one reader: with more, each read takes Redis noticeably longer.
const STREAMS_EACH: usize = 500;
/// Readers, and so connections, of one Redis; over that many times [`STREAMS_EACH`], they
/// share what is more.
pub(super) const READERS: usize = 6;

/// The streams of one Redis, as the broker sees them.
pub(super) struct Streams {
    wishes: Arc<[Arc<Wishes>]>,
    seats: Arc<Seats>,
    wrong: Vec<Arc<Wrong>>,
}

impl Streams {
    /// Makes the handle, and the readers that have to be run for it.
    pub(super) fn new(
        config: &Arc<RedisConfig>,
        locator: &Locator,
        server: &Server,
        outlet: &Outlet,
    ) -> (Self, Vec<Reader>) {
        let seats = Arc::new(Seats::new(READERS, STREAMS_EACH));
        let desk = |number| Desk {
            number,
            names: Names::new(&config.prefix),
            wishes: Arc::new(Wishes::new(outlet.metrics().streams.channels.clone())),
            seats: Arc::clone(&seats),
        };
        let reader = |number| Reader {
            desk: desk(number),
            waiting: match locator.topology() {
                None => Waiting::Block(config.stream_block),
                Some(_) => Waiting::Poll { every: POLL.min(config.stream_block), slot_of },
            },
            locator: locator.clone(),
            server: server.clone(),
            config: Arc::clone(config),
            wrong: Arc::default(),
            outlet: outlet.clone(),
        };
        let readers: Vec<Reader> = (0..READERS).map(reader).collect();
        let wishes = readers.iter().map(|reader| Arc::clone(&reader.desk.wishes)).collect();
        let wrong = readers.iter().map(|reader| Arc::clone(&reader.wrong)).collect();
        (Self { wishes, seats, wrong }, readers)
    }

    /// What is wanted of each reader.
    pub(super) fn wishes(&self) -> Arc<[Arc<Wishes>]> {
        Arc::clone(&self.wishes)
    }

    /// Finds a reader for `channel`; what it comes to is asked of its wishes.
    pub(super) fn want(&self, channel: &Channel) -> &Wishes {
        let (reader, is_renewed) = self.seats.take(channel);
        if is_renewed {
            self.wishes[reader].begin_anew(channel);
        }
        &self.wishes[reader]
    }

    /// Ends the interest in a channel.
    pub(super) fn forget(&self, channel: &Channel) {
        if let Some(reader) = self.seats.leave(channel) {
            self.wishes[reader].forget(channel);
        }
    }

    /// A caller was refused `channel`: unless others were promised it, its seat is free.
    pub(super) fn refused(&self, channel: &Channel) {
        let reader = self.seats.reader(channel);
        if reader.is_some_and(|reader| !self.wishes[reader].knows(channel)) {
            self.seats.leave(channel);
        }
    }

    /// Whether a channel's events arrive.
    pub(super) fn is_live(&self, channel: &Channel) -> bool {
        let reader = self.seats.reader(channel);
        reader.is_some_and(|reader| self.wishes[reader].live_channel(channel.as_str()).is_some())
    }

    /// How many are wanted, and how far Redis has followed.
    pub(super) fn tally(&self) -> Tally {
        self.wishes.iter().map(|wishes| wishes.tally_of_link()).sum()
    }

    /// What went wrong last, as long as it is not made good.
    pub(super) fn last_error(&self) -> Option<String> {
        self.wrong.iter().find_map(|wrong| wrong.sentence())
    }
}
