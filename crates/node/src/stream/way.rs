//! One client's way into one stream channel: from where it is, step by step, to the join.
//! Pure, so that every order of events can be played to it.

use redcast_protocol::{ResetReason, Start};

use super::reader::What;
use super::replay::Replay;
use super::resume::{Next, Resume, Rules};
use super::ring::{Kept, Ring};

/// How far one client is on its way into one stream channel.
pub(crate) struct Way {
    place: Place,
    /// It asked to go on from a cursor.
    pub(super) resumes: bool,
    rules: Rules,
}

/// Where in the channel the client is.
enum Place {
    /// At its live end. `awaited`: the channel is about to say where that is.
    Live { awaited: bool },
    /// In front of the last events, so many of them. `kept`: Redis has none, so only what
    /// has come meanwhile.
    Before { count: usize, kept: bool },
    /// On its way.
    Between(Resume),
    /// Nowhere: it can't be gone on from.
    Lost(ResetReason),
}

/// What is to be done next.
pub(super) enum Step {
    /// The client is as far as the channel, but for these events.
    Join(Vec<Kept>),
    Send(Vec<Kept>),
    Read(What),
    Wait,
}

impl Way {
    /// `is_live`: the broker confirms the channel, so it will say where it is.
    pub(crate) fn new(start: Start, is_live: bool, rules: Rules) -> Self {
        let (place, resumes) = match start {
            Start::Now => (Place::Live { awaited: is_live }, false),
            Start::Since(cursor) => (Place::Between(Resume::new(cursor, rules)), true),
            Start::Recent(count) => (Place::Before { count, kept: false }, false),
        };
        Self { place, resumes, rules }
    }

    /// What is next, given what the channel's ring holds at this moment.
    pub(super) fn step(&mut self, ring: &Ring) -> Step {
        if ring.position().is_none() {
            let can_join = matches!(self.place, Place::Live { awaited: false });
            return if can_join { Step::Join(Vec::new()) } else { Step::Wait };
        }
        match &mut self.place {
            Place::Live { .. } | Place::Lost(_) => Step::Join(Vec::new()),
            Place::Before { count, kept } => {
                let count = if *kept { ring.len().min(*count) } else { *count };
                let Some(place) = ring.before_last(count, self.rules.bytes) else {
                    return Step::Read(What::Last(count));
                };
                self.place = Place::Between(Resume::new(place, self.rules.and_last(count)));
                self.step(ring)
            }
            Place::Between(resume) => match resume.next(ring) {
                Next::Join(rest) => Step::Join(rest),
                Next::Send(events) => Step::Send(events),
                Next::Read(since, limit) => Step::Read(What::After(since, limit)),
                Next::Wait => Step::Wait,
                Next::Reset(reason) => {
                    self.place = Place::Lost(reason);
                    Step::Join(Vec::new())
                }
            },
        }
    }

    /// These events were sent.
    pub(super) fn sent(&mut self, events: &[Kept]) {
        if let Place::Between(resume) = &mut self.place {
            resume.sent(events);
        }
    }

    /// Whether the channel has come nearer to where the client is, since the last call.
    pub(super) fn is_approached(&mut self, ring: &Ring) -> bool {
        match &mut self.place {
            Place::Between(resume) => resume.is_approached(ring),
            Place::Live { .. } | Place::Before { .. } | Place::Lost(_) => false,
        }
    }

    /// All of this was read, and is sent. Answers whether the client has come further by it.
    pub(super) fn read(&mut self, replay: &Replay) -> bool {
        match &mut self.place {
            Place::Before { count, .. } if replay.is_nothing() => {
                self.place = Place::Before { count: *count, kept: true };
            }
            Place::Before { count, .. } => {
                let rules = self.rules.and_last(*count);
                self.place = Place::Between(Resume::new(replay.cursor, rules));
            }
            Place::Between(resume) => {
                let before = resume.place();
                resume.sent(&replay.events);
                resume.read_to(replay.cursor, replay.is_last);
                return resume.place() != before;
            }
            Place::Live { .. } | Place::Lost(_) => {}
        }
        true
    }

    /// The place can't be gone on from.
    pub(super) fn lose(&mut self, reason: ResetReason) {
        self.place = Place::Lost(reason);
    }

    /// Why it was lost, if it was.
    pub(super) fn lost(&self) -> Option<ResetReason> {
        match self.place {
            Place::Lost(reason) => Some(reason),
            Place::Live { .. } | Place::Before { .. } | Place::Between(_) => None,
        }
    }

    /// Redis may be asked again.
    pub(super) fn ask_again(&mut self) {
        if let Place::Between(resume) = &mut self.place {
            resume.ask_again();
        }
    }

    /// Nothing has come of waiting. Whoever wanted no more than the live end joins without
    /// knowing where it is; whoever the channel does not come to meet has lost its place.
    /// Answers whether the client can join so.
    pub(super) fn give_up(&mut self, ring: &Ring, is_live: bool) -> bool {
        match &self.place {
            Place::Live { .. } => self.place = Place::Live { awaited: false },
            Place::Between(resume) if is_live && ring.position().is_some() => {
                self.place = Place::Lost(resume.given_up(ring));
            }
            Place::Lost(_) if ring.position().is_some() => {}
            Place::Before { .. } | Place::Between(_) | Place::Lost(_) => return false,
        }
        true
    }
}
