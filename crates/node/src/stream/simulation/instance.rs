//! One instance of a simulation: its tail, its queue and its ring. What is asked of Redis,
//! and in which order, is as the broker's session does it.

use std::collections::VecDeque;
use std::rc::Rc;

use redcast_broker::{Census, EntryId, Tail, Verdict};
use redcast_protocol::{Cursor, ResetReason};

use super::client::{Client, Frame};
use super::dice::{Dice, Trace};
use super::world::{Entry, Server, World};
use crate::stream::reader::What;
use crate::stream::replay::Replay;
use crate::stream::ring::{Kept, Ring};

/// Entries that are read at once.
const COUNT: usize = 4;
/// Reads that are kept for those who ask for the same soon.
const READS: usize = 4;

pub(super) struct Instance {
    number: usize,
    pub(super) ring: Ring,
    /// Who is in the channel, or on the way into it.
    holders: Vec<usize>,
    pub(super) members: Vec<usize>,
    /// Whether the channel counts as live.
    pub(super) is_live: bool,
    /// What was read and not told yet.
    queue: VecDeque<Told>,
    tail: Option<Tail>,
    /// The lineage before the tail was opened or judged by a census last. A real one is the
    /// set of a server's two names; of a single server, each set is the same or another one.
    known: Option<u64>,
    link: Option<Link>,
    links: u64,
    phase: Phase,
    reads: VecDeque<(What, Rc<Replay>)>,
}

struct Link {
    server: usize,
    connection: u64,
    /// Its own name, for a Redis that does not tell its lineage.
    name: u64,
    /// The lineage that was answered last.
    lineage: u64,
    /// The one that was answered when it was looked around last.
    looked: u64,
}

/// What the tail asks next.
enum Phase {
    /// What was added.
    Read,
    /// What stands at its place, after this was read; nothing, to judge the place alone.
    Before(Vec<Entry>),
    /// How many there are.
    Census(Vec<Entry>, Option<Cursor>),
    /// In which lineage that was.
    Lineage(Vec<Entry>, Option<Cursor>, Census),
}

/// What a stream is taken over with on a new connection.
const TAKE_OVER: Phase = Phase::Before(Vec::new());

enum Told {
    Event(Kept),
    Passed(Cursor),
    Position(Cursor, Option<ResetReason>),
}

impl Instance {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            ring: Ring::default(),
            holders: Vec::new(),
            members: Vec::new(),
            is_live: false,
            queue: VecDeque::new(),
            tail: None,
            known: None,
            link: None,
            links: 0,
            phase: TAKE_OVER,
            reads: VecDeque::new(),
        }
    }

    /// Somebody wants the channel.
    pub(super) fn hold(&mut self, client: usize) {
        self.holders.push(client);
        if self.tail.is_none() {
            self.tail = Some(Tail::new(0));
            self.known = None;
            self.phase = TAKE_OVER;
        }
    }

    pub(super) fn release(&mut self, client: usize) {
        self.holders.retain(|holder| *holder != client);
        self.members.retain(|member| *member != client);
    }

    /// What somebody else has read a moment ago.
    pub(super) fn read_before(&self, what: What) -> Option<Rc<Replay>> {
        self.reads.iter().find(|(read, _)| *read == what).map(|(_, replay)| Rc::clone(replay))
    }

    pub(super) fn keep_read(&mut self, what: What, replay: &Rc<Replay>) {
        if !replay.is_empty() {
            self.reads.push_front((what, Rc::clone(replay)));
            self.reads.truncate(READS);
        }
    }

    pub(super) fn step(
        &mut self,
        world: &World,
        clients: &mut [Client],
        dice: &mut Dice,
        trace: &mut Trace,
    ) {
        self.notice(world);
        match dice.below(40) {
            0 => self.lose_link(),
            1 => self.reads.clear(),
            // A place that is told too late ends what began meanwhile.
            2..4 if world.is_whole() && !self.queue.is_empty() => {}
            2..4 if self.holders.is_empty() => self.end_linger(),
            4..22 => self.tell(clients, trace),
            22..24 => self.look(world),
            _ => self.follow(world, dice, trace),
        }
    }

    /// Does what there is to do, as long as nothing else happens.
    pub(super) fn settle(
        &mut self,
        world: &World,
        clients: &mut [Client],
        dice: &mut Dice,
        trace: &mut Trace,
    ) {
        if self.link.as_ref().is_some_and(|link| link.server != world.primary) {
            self.lose_link();
        }
        self.notice(world);
        self.reads.clear();
        self.look(world);
        for _ in 0..6 {
            self.follow(world, dice, trace);
            self.tell(clients, trace);
        }
    }

    fn notice(&mut self, world: &World) {
        let link = self.link.as_ref();
        if link.is_some_and(|link| link.connection != world.servers[link.server].connections) {
            self.lose_link();
        }
    }

    fn lose_link(&mut self) {
        self.link = None;
        self.is_live = false;
        self.phase = TAKE_OVER;
    }

    /// Nobody has wanted the channel for a while. What was read of it is still in the queue;
    /// whoever wants it next gets a tail of its own.
    fn end_linger(&mut self) {
        self.ring.forget();
        self.tail = None;
        self.is_live = false;
    }

    /// Tells the members the next thing in the queue, and the ring under the same lock.
    fn tell(&mut self, clients: &mut [Client], trace: &mut Trace) {
        let Some(told) = self.queue.pop_front() else { return };
        let number = self.number;
        match told {
            Told::Event(event) => {
                if self.ring.push(event.clone()) {
                    trace.note(|| format!("instance {number} tells {}", event.cursor));
                    for member in &self.members {
                        clients[*member].inbox.push_back(Frame::Event(event.clone()));
                    }
                }
            }
            Told::Passed(cursor) => self.ring.pass(cursor),
            Told::Position(cursor, reset) => {
                trace.note(|| format!("instance {number} is at {cursor}, {reset:?}"));
                let has_moved = self.ring.position().is_some_and(|known| known != cursor);
                self.ring.begin(cursor);
                if reset.is_some() || has_moved {
                    for member in &self.members {
                        clients[*member].inbox.push_back(Frame::Reset(cursor));
                    }
                }
            }
        }
    }

    /// `XLEN`, once a second, and the lineage.
    fn look(&mut self, world: &World) {
        let (Some(link), Some(tail), Phase::Read) = (&mut self.link, &mut self.tail, &self.phase)
        else {
            return;
        };
        let (_, lineage) = link.lineages(world);
        let is_other = std::mem::replace(&mut link.looked, lineage) != lineage;
        if tail.look(world.servers[link.server].len()) || is_other {
            self.phase = Phase::Before(Vec::new());
        }
    }

    /// One question, and what its answer means.
    fn follow(&mut self, world: &World, dice: &mut Dice, trace: &mut Trace) {
        let Some(mut tail) = self.tail.take() else { return };
        let mut link = self.link.take().unwrap_or_else(|| self.connect(world, dice, trace));
        let server = &world.servers[link.server];
        let place = tail.cursor().unwrap_or(Cursor::BEGINNING).id();
        self.phase = match std::mem::replace(&mut self.phase, Phase::Read) {
            Phase::Read => match server.read(place, false, 1 + dice.below(COUNT)) {
                read if read.is_empty() => Phase::Read,
                read => Phase::Before(read),
            },
            Phase::Before(read) => {
                let before = server.before(place);
                if read.is_empty() || tail.needs_census() {
                    Phase::Census(read, before)
                } else if link.is_due(world, dice) && link.differs(world) {
                    Phase::Read
                } else {
                    match tail.judge(&ids(&read), before, None, false) {
                        Verdict::AskCensus => Phase::Census(read, before),
                        verdict => self.conclude(&mut tail, verdict, read),
                    }
                }
            }
            Phase::Census(read, before) => Phase::Lineage(read, before, server.census()),
            Phase::Lineage(read, before, census) => {
                let lineages = link.lineages(world);
                if !read.is_empty() && lineages.0 != lineages.1 {
                    Phase::Read
                } else {
                    self.judge(&mut tail, read, before, &census, lineages)
                }
            }
        };
        (self.tail, self.link) = (Some(tail), Some(link));
    }

    fn connect(&mut self, world: &World, dice: &mut Dice, trace: &mut Trace) -> Link {
        let server = world.any_primary(dice);
        trace.note(|| format!("instance {} reads {server}", self.number));
        self.links += 1;
        let name = u64::MAX - (self.links * super::INSTANCES as u64 + self.number as u64);
        let connection = world.servers[server].connections;
        let mut link = Link { server, connection, name, lineage: 0, looked: 0 };
        link.looked = link.lineages(world).1;
        link
    }

    fn judge(
        &mut self,
        tail: &mut Tail,
        read: Vec<Entry>,
        before: Option<Cursor>,
        census: &Census,
        (earlier, later): (u64, u64),
    ) -> Phase {
        let is_same = self.known == Some(later);
        self.known = Some(earlier);
        self.is_live = true;
        if tail.cursor().is_none() {
            self.queue.push_back(Told::Position(tail.open(census), None));
            return Phase::Read;
        }
        let verdict = tail.judge(&ids(&read), before, Some(census), is_same);
        self.conclude(tail, verdict, read)
    }

    fn conclude(&mut self, tail: &mut Tail, verdict: Verdict, read: Vec<Entry>) -> Phase {
        match (verdict, read.last().map(|entry| entry.cursor)) {
            (Verdict::Intact, Some(last)) => {
                tail.advance(last, read.len() as u64);
                let told = |entry: Entry| match entry.payload {
                    Some(payload) => Told::Event(Kept { cursor: entry.cursor, payload }),
                    None => Told::Passed(entry.cursor),
                };
                self.queue.extend(read.into_iter().map(told));
            }
            (Verdict::Reset(reason), _) => {
                let place = tail.cursor().unwrap();
                self.queue.push_back(Told::Position(place, Some(reason)));
            }
            (Verdict::Intact | Verdict::AskCensus, _) => {}
        }
        Phase::Read
    }
}

impl Link {
    /// The lineage that was answered before, and the one of now.
    fn lineages(&mut self, world: &World) -> (u64, u64) {
        let later = self.lineage_of(&world.servers[self.server], world);
        (std::mem::replace(&mut self.lineage, later), later)
    }

    fn differs(&mut self, world: &World) -> bool {
        let (earlier, later) = self.lineages(world);
        earlier != later
    }

    /// Whether the lineage is asked for although no census is. To begin another one takes
    /// longer than one is believed in.
    fn is_due(&self, world: &World, dice: &mut Dice) -> bool {
        self.lineage != self.lineage_of(&world.servers[self.server], world) || dice.once_in(4)
    }

    fn lineage_of(&self, server: &Server, world: &World) -> u64 {
        if world.is_mute { self.name } else { server.lineage }
    }
}

fn ids(read: &[Entry]) -> Vec<EntryId> {
    read.iter().map(|entry| entry.cursor.id()).collect()
}
