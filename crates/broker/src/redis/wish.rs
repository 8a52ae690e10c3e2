//! One channel's wish: what is wanted, how far Redis has followed, who waits for it
//! and since when its events may be missing.

use std::iter::Sum;
use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{SubscribeError, Subscribed};

/// What a waiting caller is told.
pub(super) type Verdict = Result<Subscribed, SubscribeError>;

/// How far the present link has come with a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not subscribed, no command on its way.
    #[default]
    Off,
    /// SUBSCRIBE is on its way.
    Subscribing {
        /// When it was sent.
        since: Instant,
    },
    /// Confirmed.
    On,
    /// UNSUBSCRIBE is on its way.
    Unsubscribing,
}

/// How much it matters when a wish is not confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    /// It was just made: a confirmation takes a round trip.
    #[default]
    New,
    /// One round of asking again has met it unconfirmed.
    Waiting,
    /// So have two rounds, or the link found it waiting when it came up.
    Due,
    /// It was live once: from then on its events are missed.
    Missed,
}

/// What a refusal changes for others than the callers that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: it was refused before, or the reply is out of date.
    None,
    /// It is worth a line in the log.
    News,
    /// So it is, and callers that count on the channel must be told.
    BrokenPromise(SubscribeError),
}

/// What is known of one channel.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Whether anybody wants its events.
    pub(super) wanted: bool,
    /// How far the link has come.
    pub(super) stage: Stage,
    /// Whether some caller was told `Live` or `Pending`: from then on a refusal is
    /// retried, not handed out.
    pub(super) promised: bool,
    /// Whether Redis refused it last time.
    pub(super) refused: bool,
    /// Whether that was for good, and everybody it was promised to was told.
    denied: bool,
    standing: Standing,
    /// Callers that wait for the confirmation.
    pub(super) waiters: Vec<oneshot::Sender<Verdict>>,
    asked_ms: u64,
    /// Since when events may be missing, if somebody counts on them.
    blind_from: Option<u64>,
}

impl Wish {
    /// Somebody wants it. After a `forget` this is a new wish: what was missed before
    /// it concerns nobody.
    pub(super) fn want(&mut self, now_ms: u64) {
        if !self.wanted {
            self.wanted = true;
            self.asked_ms = now_ms;
            self.standing = Standing::New;
        }
    }

    /// Nobody wants it any more.
    pub(super) fn forget(&mut self) {
        self.wanted = false;
        self.promised = false;
        self.refused = false;
        self.denied = false;
        self.blind_from = None;
        self.waiters.clear();
    }

    /// Promises a caller that asked at `asked_ms` a gap instead of an answer.
    pub(super) fn postpone(&mut self, asked_ms: u64) -> Subscribed {
        self.promised = true;
        // Whoever was told of an earlier refusal, this caller was not.
        self.denied = false;
        self.blind_from.get_or_insert(asked_ms);
        Subscribed::Pending
    }

    /// Redis confirmed it. Returns the beginning of the gap that must be told, if any.
    pub(super) fn confirm(&mut self) -> Option<u64> {
        self.stage = match self.stage {
            // The confirmation of a SUBSCRIBE that was sent before the UNSUBSCRIBE.
            Stage::Unsubscribing => return None,
            Stage::Off | Stage::Subscribing { .. } | Stage::On => Stage::On,
        };
        self.refused = false;
        self.denied = false;
        if !self.wanted {
            return None;
        }
        self.standing = Standing::Missed;
        let mut heard_live = self.promised;
        for waiter in self.waiters.drain(..) {
            heard_live |= waiter.send(Ok(Subscribed::Live)).is_ok();
        }
        // A caller that went away while it waited does not know since when it is live.
        let unheard = (!heard_live).then_some(self.asked_ms);
        self.promised = true;
        self.blind_from.take().or(unheard)
    }

    /// Redis refused it; with `error` for good, as far as new callers are concerned.
    pub(super) fn refuse(&mut self, error: Option<SubscribeError>) -> Effect {
        // A later command may have been confirmed before this reply was read.
        if !matches!(self.stage, Stage::Subscribing { .. }) {
            return Effect::None;
        }
        self.stage = Stage::Off;
        let is_news = !std::mem::replace(&mut self.refused, true);
        let Some(error) = error else {
            return if is_news { Effect::News } else { Effect::None };
        };
        let is_untold = !std::mem::replace(&mut self.denied, true);
        for waiter in self.waiters.drain(..) {
            // A caller that went away needs no answer.
            let _ = waiter.send(Err(error.clone()));
        }
        if !self.promised {
            self.forget();
            return Effect::News;
        }
        if is_untold { Effect::BrokenPromise(error) } else { Effect::None }
    }

    /// A link is up and has yet to be asked for this.
    pub(super) fn find_link(&mut self) {
        if self.standing != Standing::Missed {
            self.standing = Standing::Due;
        }
    }

    /// A round of asking again has come to it.
    pub(super) fn meet_round(&mut self) {
        if self.stage != Stage::On {
            self.standing = match self.standing {
                Standing::New => Standing::Waiting,
                Standing::Waiting | Standing::Due => Standing::Due,
                Standing::Missed => Standing::Missed,
            };
        }
    }

    /// The link is gone; it was proven for the last time at `heard_ms`.
    pub(super) fn lose_link(&mut self, heard_ms: u64) {
        if self.is_confirmed() {
            self.blind_from.get_or_insert(heard_ms);
        }
        self.stage = Stage::Off;
        self.hand_out_pending();
    }

    fn hand_out_pending(&mut self) {
        if !self.waiters.is_empty() {
            self.postpone(self.asked_ms);
        }
        for waiter in self.waiters.drain(..) {
            // A caller that went away needs no answer.
            let _ = waiter.send(Ok(Subscribed::Pending));
        }
    }

    /// Redis ended the subscription by itself; its events may be missing from `from_ms` on.
    /// It waits for its turn, because who has the channel now must be found out first.
    pub(super) fn be_ended(&mut self, from_ms: u64) {
        if self.is_confirmed() {
            self.blind_from.get_or_insert(from_ms);
        }
        self.stage = Stage::Off;
        self.refused = true;
    }

    /// Goes on elsewhere, with everybody who waits for it; what is left here is only what
    /// Redis must be told. If it was live, its events may be missing from `from_ms` on.
    pub(super) fn leave(&mut self, from_ms: u64) -> Self {
        let left = Self { stage: self.stage, ..Self::default() };
        let mut going = std::mem::replace(self, left);
        if going.is_confirmed() {
            going.blind_from.get_or_insert(from_ms);
        }
        going.stage = Stage::Off;
        going.refused = false;
        going
    }

    /// Goes on with a wish that comes from elsewhere.
    pub(super) fn arrive(&mut self, coming: Self, link_up: bool) {
        // What Redis holds of an earlier time is asked for once more: whatever came since
        // then was dropped, so only a new confirmation may tell that it is live.
        let stage = match self.stage {
            Stage::Off | Stage::On => Stage::Off,
            on_its_way => on_its_way,
        };
        *self = Self { stage, ..coming };
        if link_up {
            self.find_link();
        } else {
            self.hand_out_pending();
        }
    }

    /// Whether it is wanted and its events arrive.
    pub(super) fn is_confirmed(&self) -> bool {
        self.wanted && self.stage == Stage::On
    }

    /// Whether Redis should be told something now. What was refused waits for its turn.
    pub(super) fn needs_command(&self) -> bool {
        match self.stage {
            Stage::Off => self.wanted && !self.refused,
            Stage::On => !self.wanted,
            Stage::Subscribing { .. } | Stage::Unsubscribing => false,
        }
    }

    /// Whether it should be asked for once more.
    pub(super) fn needs_another_try(&self, now: Instant, patience: Duration) -> bool {
        match self.stage {
            Stage::Off => self.wanted,
            Stage::Subscribing { since } => {
                self.wanted && now.saturating_duration_since(since) >= patience
            }
            Stage::On | Stage::Unsubscribing => false,
        }
    }

    /// Whether nothing is left of it, neither here nor at Redis.
    pub(super) fn is_over(&self) -> bool {
        !self.wanted && self.stage == Stage::Off
    }

    /// Whether its events should arrive by now and do not. A refusal is an answer, unless
    /// the channel was live: then its members had a right to it.
    fn is_overdue(&self) -> bool {
        let is_due = match self.standing {
            Standing::New | Standing::Waiting => false,
            Standing::Due => !self.denied,
            Standing::Missed => true,
        };
        is_due && self.wanted && self.stage != Stage::On
    }

    /// What it adds to the totals.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            wanted: usize::from(self.wanted),
            confirmed: usize::from(self.is_confirmed()),
            overdue: usize::from(self.is_overdue()),
        }
    }
}

/// How many channels are wanted, and how far Redis has followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Wanted channels.
    pub(super) wanted: usize,
    /// Wanted channels whose events arrive.
    pub(super) confirmed: usize,
    /// Wanted channels whose events should arrive by now and do not.
    pub(super) overdue: usize,
}

impl Tally {
    /// Whether every wanted channel is confirmed.
    pub(super) fn is_settled(self) -> bool {
        self.confirmed >= self.wanted
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            wanted: self.wanted + other.wanted,
            confirmed: self.confirmed + other.confirmed,
            overdue: self.overdue + other.overdue,
        }
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            wanted: self.wanted - other.wanted,
            confirmed: self.confirmed - other.confirmed,
            overdue: self.overdue - other.overdue,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), Add::add)
    }
}
