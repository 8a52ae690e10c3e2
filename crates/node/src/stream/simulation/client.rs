//! One client of a simulation, which checks what it gets.

use std::collections::VecDeque;
use std::rc::Rc;

use redcast_protocol::{Cursor, Start};

use super::INSTANCES;
use super::dice::{Dice, Trace};
use super::instance::Instance;
use super::outcomes::Outcomes;
use super::reading::{Progress, Reading};
use super::world::{Entry, World};
use crate::config::ReplayConfig;
use crate::stream::replay::Replay;
use crate::stream::resume::Rules;
use crate::stream::ring::Kept;
use crate::stream::way::{Step, Way};

/// Few, so that some clients miss more.
const REPLAY: ReplayConfig = ReplayConfig { events: 12, bytes: 12 << 10 };
/// More than there will ever be.
const REPLAY_ALL: ReplayConfig = ReplayConfig { events: 1 << 10, bytes: 1 << 20 };
/// The most of the last events that a client asks for.
const RECENT: usize = 6;

pub(super) struct Client {
    number: usize,
    /// What was sent and has not arrived.
    pub(super) inbox: VecDeque<Frame>,
    state: State,
    /// What it would go on from.
    place: Option<Cursor>,
    /// What the next event must follow.
    follows: Option<Cursor>,
}

/// What a client gets.
#[derive(Debug)]
pub(super) enum Frame {
    Event(Kept),
    Reset(Cursor),
    Ack(Cursor),
}

enum State {
    Away,
    Joining(Box<Joining>),
    Member { at: usize },
}

/// How far a join is.
struct Joining {
    at: usize,
    way: Way,
    reading: Option<Reading>,
    /// Whether it waits for as long as it takes.
    is_patient: bool,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self { number, inbox: VecDeque::new(), state: State::Away, place: None, follows: None }
    }

    pub(super) fn step(
        &mut self,
        world: &World,
        instances: &mut [Instance],
        dice: &mut Dice,
        trace: &mut Trace,
        outcomes: &mut Outcomes,
    ) {
        match dice.below(20) {
            0 => self.leave(instances, trace),
            1..8 => self.hear(world, dice, trace, outcomes),
            _ => self.go_on(world, instances, dice, trace, outcomes),
        }
    }

    /// Does what there is to do, as long as nothing else happens.
    pub(super) fn settle(
        &mut self,
        world: &World,
        instances: &mut [Instance],
        dice: &mut Dice,
        trace: &mut Trace,
        outcomes: &mut Outcomes,
    ) {
        self.go_on(world, instances, dice, trace, outcomes);
        while !self.inbox.is_empty() {
            self.hear(world, dice, trace, outcomes);
        }
    }

    /// The connection breaks: what has not arrived is lost.
    fn leave(&mut self, instances: &mut [Instance], trace: &mut Trace) {
        let at = match &self.state {
            State::Away => return,
            State::Joining(joining) => joining.at,
            State::Member { at } => *at,
        };
        trace.note(|| format!("client {} leaves", self.number));
        instances[at].release(self.number);
        self.state = State::Away;
        self.inbox.clear();
    }

    fn hear(&mut self, world: &World, dice: &mut Dice, trace: &mut Trace, outcomes: &mut Outcomes) {
        let Some(frame) = self.inbox.pop_front() else { return };
        let number = self.number;
        match frame {
            Frame::Event(event) => {
                let node = Entry::node(&event.payload);
                trace.note(|| format!("client {number} gets {node} {}", event.cursor));
                assert_eq!(world.cursor(node), event.cursor);
                if let Some(place) = self.follows
                    && let Err(why) = world.follows(node, place)
                {
                    panic!("client {number} at {place} got {node} {}: {why}", event.cursor);
                }
                self.place = Some(event.cursor);
                self.follows = self.place;
            }
            Frame::Reset(place) => {
                trace.note(|| format!("client {number} is reset to {place}"));
                outcomes.told_resets += 1;
                assert!(!world.is_whole(), "client {number} is reset without a reason");
                self.place = Some(place);
                self.follows = self.place;
            }
            Frame::Ack(place) => {
                trace.note(|| format!("client {number} has joined at {place}"));
                // Whoever has a place may keep it, too.
                if self.place.is_none() {
                    self.follows = Some(place);
                    self.place = Some(place);
                } else if dice.once_in(2) {
                    self.place = Some(place);
                }
            }
        }
    }

    /// One step on the way into the channel.
    fn go_on(
        &mut self,
        world: &World,
        instances: &mut [Instance],
        dice: &mut Dice,
        trace: &mut Trace,
        outcomes: &mut Outcomes,
    ) {
        self.state = match std::mem::replace(&mut self.state, State::Away) {
            State::Away => self.come(world, instances, dice, trace),
            State::Joining(mut joining) => {
                let instance = &mut instances[joining.at];
                match joining.reading.take() {
                    Some(reading) => {
                        let progress = reading.go_on(world, dice);
                        self.read(joining, progress, instance, dice, outcomes)
                    }
                    None => self.look(joining, instance, dice, outcomes),
                }
            }
            member @ State::Member { .. } => member,
        };
        if matches!(self.state, State::Away) {
            outcomes.refused += 1;
        }
    }

    fn come(
        &self,
        world: &World,
        instances: &mut [Instance],
        dice: &mut Dice,
        trace: &mut Trace,
    ) -> State {
        let at = dice.below(INSTANCES);
        let start = match self.place {
            Some(place) => Start::Since(place),
            None if dice.once_in(2) => Start::Recent(1 + dice.below(RECENT)),
            None => Start::Now,
        };
        trace.note(|| format!("client {} comes to {at}, {start:?}", self.number));
        let instance = &mut instances[at];
        instance.hold(self.number);
        // Where Redis is away it is told that it has to wait.
        let is_live = instance.is_live || !dice.once_in(4);
        let replay = if world.is_whole() { REPLAY_ALL } else { REPLAY };
        // Beside fifteen others, so that not much goes along with the join.
        let way = Way::new(start, is_live, Rules::new(replay, 16));
        let is_patient = world.is_whole();
        State::Joining(Box::new(Joining { at, way, reading: None, is_patient }))
    }

    /// Looks at what the channel's ring holds.
    fn look(
        &mut self,
        mut joining: Box<Joining>,
        instance: &mut Instance,
        dice: &mut Dice,
        outcomes: &mut Outcomes,
    ) -> State {
        let Joining { at, way, reading, is_patient } = &mut *joining;
        match way.step(&instance.ring) {
            Step::Join(rest) => {
                self.join(way, rest, instance, outcomes);
                return State::Member { at: *at };
            }
            Step::Send(events) => {
                outcomes.from_ring += 1;
                way.sent(&events);
                self.inbox.extend(events.into_iter().map(Frame::Event));
            }
            Step::Read(what) => match instance.read_before(what).filter(|_| dice.once_in(2)) {
                Some(replay) => {
                    outcomes.shared += 1;
                    self.get(way, &replay);
                }
                None => *reading = Some(Reading::new(what)),
            },
            Step::Wait => {
                outcomes.waits += 1;
                match dice.below(8) {
                    0 => way.ask_again(),
                    1 if !*is_patient => return self.give_up(joining, instance),
                    _ => {}
                }
            }
        }
        State::Joining(joining)
    }

    /// Takes what Redis answered.
    fn read(
        &mut self,
        mut joining: Box<Joining>,
        progress: Progress,
        instance: &mut Instance,
        dice: &mut Dice,
        outcomes: &mut Outcomes,
    ) -> State {
        let Joining { way, reading, is_patient, .. } = &mut *joining;
        match progress {
            Progress::Asked(further) => *reading = Some(further),
            Progress::Away => {}
            Progress::Lost(reason) => way.lose(reason),
            Progress::Read(what, replay) => {
                outcomes.from_redis += u64::from(!replay.is_empty());
                let replay = Rc::new(replay);
                instance.keep_read(what, &replay);
                if !self.get(way, &replay) && dice.once_in(8) && !*is_patient {
                    return self.give_up(joining, instance);
                }
            }
        }
        State::Joining(joining)
    }

    /// Gets what was read; answers whether it has come further by it.
    fn get(&mut self, way: &mut Way, replay: &Replay) -> bool {
        self.inbox.extend(replay.events.iter().cloned().map(Frame::Event));
        way.read(replay)
    }

    /// It has waited for long enough, without any progress.
    fn give_up(&mut self, mut joining: Box<Joining>, instance: &mut Instance) -> State {
        if joining.way.give_up(&instance.ring, instance.is_live) {
            return State::Joining(joining);
        }
        // What it was sent before it was refused arrives, or not.
        instance.release(self.number);
        self.inbox.clear();
        State::Away
    }

    fn join(
        &mut self,
        way: &Way,
        rest: Vec<Kept>,
        instance: &mut Instance,
        outcomes: &mut Outcomes,
    ) {
        outcomes.from_ring += u64::from(!rest.is_empty());
        self.inbox.extend(rest.into_iter().map(Frame::Event));
        let position = instance.ring.position();
        match way.lost() {
            Some(reason) => {
                outcomes.count(reason);
                self.inbox.push_back(Frame::Reset(position.unwrap()));
            }
            None if way.resumes => outcomes.exact += 1,
            None => outcomes.recent += u64::from(!self.inbox.is_empty()),
        }
        self.inbox.extend(position.map(Frame::Ack));
        instance.members.push(self.number);
    }

    /// When nothing more happens, it has all there is.
    pub(super) fn assert_arrived(&self, world: &World, instances: &[Instance]) {
        let number = self.number;
        let State::Member { at } = self.state else { panic!("client {number} is stuck") };
        let position = instances[at].ring.position().unwrap();
        assert!(world.is_end(position), "instance {at} is left at {position}");
        // Who joined while Redis was away may not have a place.
        for place in [self.place, self.follows].into_iter().flatten() {
            assert!(world.is_end(place), "client {number} is left at {place}");
        }
    }
}
