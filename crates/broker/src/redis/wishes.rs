//! What is wanted from Redis against what Redis confirmed, channel by channel.
//!
//! Confirmations arrive in the read path of the link, wishes from any task, and the
//! subscriber asks for the difference. At most one command per channel is meant to be
//! on its way at a time: a subscribe right after an unsubscribe waits for the
//! unsubscribe's confirmation, so a confirmation never leaves open what it confirms.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntGauge;
use redcast_protocol::{Channel, GapReason};
use tokio::sync::{Notify, oneshot};

use super::wish::{Effect, Stage, Tally, Verdict, Wish};
use crate::{Gap, SubscribeError, Subscribed};

/// All wishes of this instance.
#[derive(Debug)]
pub(super) struct Wishes {
    inner: Mutex<Inner>,
    changed: Notify,
    confirmed_gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Inner {
    wishes: HashMap<Channel, Wish>,
    tally: Tally,
    link_up: bool,
    /// Channels that a command must be sent for.
    todo: HashSet<Channel>,
}

/// The answer to a wish.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is settled already.
    Now(Subscribed),
    /// The verdict will come.
    Later(oneshot::Receiver<Verdict>),
}

/// The commands that bring Redis closer to what is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// To subscribe, many at a time.
    pub(super) subscribe: Vec<Channel>,
    /// To subscribe one by one: Redis refused them before, and one refused channel
    /// fails a whole SUBSCRIBE.
    pub(super) subscribe_singly: Vec<Channel>,
    /// To unsubscribe.
    pub(super) unsubscribe: Vec<Channel>,
}

/// What Redis answered to a SUBSCRIBE that it did not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whether asking again is pointless until somebody changes Redis.
    pub(super) is_final: bool,
    /// Redis's own words.
    pub(super) reason: String,
}

impl Wishes {
    /// No wishes; `confirmed_gauge` follows the number of confirmed ones, beside those of
    /// other nodes.
    pub(super) fn new(confirmed_gauge: IntGauge) -> Self {
        Self { inner: Mutex::default(), changed: Notify::new(), confirmed_gauge }
    }

    /// Waits until there may be work. For one waiter at a time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Wants `channel` from `now_ms` on.
    pub(super) fn want(&self, channel: &Channel, now_ms: u64) -> Answer {
        self.locked(|inner| {
            let link_up = inner.link_up;
            inner.wishes.entry(channel.clone()).or_default();
            // Even if it was refused: the caller should not have to wait for the next round,
            // and the right may have been given since.
            let mut ask_at_once = false;
            let answer = inner
                .change(channel.as_str(), |wish| {
                    wish.want(now_ms);
                    if wish.stage == Stage::On {
                        wish.promised = true;
                        return Answer::Now(Subscribed::Live);
                    }
                    if !link_up {
                        return Answer::Now(wish.postpone(now_ms));
                    }
                    ask_at_once = wish.stage == Stage::Off;
                    let (waiter, verdict) = oneshot::channel();
                    wish.waiters.push(waiter);
                    Answer::Later(verdict)
                })
                .unwrap_or(Answer::Now(Subscribed::Pending));
            if ask_at_once {
                inner.todo.insert(channel.clone());
            }
            answer
        })
    }

    /// Whoever wants `channel` next gets a subscription of its own, even if Redis still has
    /// the one of before.
    pub(super) fn begin_anew(&self, channel: &Channel) {
        self.locked(|inner| {
            inner.change(channel.as_str(), |wish| {
                if !wish.wanted {
                    wish.stage = Stage::Off;
                }
            })
        });
    }

    /// A channel that was left and taken again is asked for, even if Redis has confirmed
    /// meanwhile what was asked for those who left.
    pub(super) fn renew(&self, channel: &Channel) {
        self.locked(|inner| {
            inner.change(channel.as_str(), |wish| {
                if wish.stage == Stage::On {
                    wish.stage = Stage::Off;
                }
            })
        });
    }

    /// No longer wants `channel`.
    pub(super) fn forget(&self, channel: &Channel) {
        self.locked(|inner| inner.change(channel.as_str(), Wish::forget));
    }

    /// The caller that asked at `asked_ms` waits no longer.
    pub(super) fn stop_waiting(&self, channel: &Channel, asked_ms: u64) -> Subscribed {
        self.locked(|inner| {
            inner
                .change(channel.as_str(), |wish| {
                    wish.waiters.retain(|waiter| !waiter.is_closed());
                    // The confirmation may have come in the same moment.
                    if wish.stage == Stage::On {
                        return Subscribed::Live;
                    }
                    wish.postpone(asked_ms)
                })
                .unwrap_or(Subscribed::Pending)
        })
    }

    /// The channel of this name, if it is wanted and live: an event for anything else
    /// is a late one that nobody waits for.
    pub(super) fn live_channel(&self, name: &str) -> Option<Channel> {
        let inner = self.inner.lock();
        let (channel, wish) = inner.wishes.get_key_value(name)?;
        wish.is_confirmed().then(|| channel.clone())
    }

    /// Redis confirmed a subscription at `now_ms`. Returns the gap to tell, which must
    /// be queued before any event that follows.
    pub(super) fn subscribed(&self, channel: &Channel, now_ms: u64) -> Option<Gap> {
        let from_ms = self.locked(|inner| {
            // A subscription that nobody asked for gets an entry too, so that it is ended.
            inner.wishes.entry(channel.clone()).or_default();
            inner.change(channel.as_str(), Wish::confirm).flatten()
        })?;
        Some(Gap {
            channel: channel.clone(),
            from_ms,
            to_ms: now_ms,
            reason: GapReason::RedisDisconnected,
            dropped: None,
        })
    }

    /// Redis confirmed the end of a subscription. Returns whether it was asked to.
    pub(super) fn unsubscribed(&self, name: &str) -> bool {
        let was_on = self.locked(|inner| {
            inner.change(name, |wish| {
                let was_on = wish.stage == Stage::On;
                if wish.stage == Stage::Unsubscribing {
                    wish.stage = Stage::Off;
                }
                was_on
            })
        });
        was_on != Some(true)
    }

    /// Redis ended a subscription that is wanted; its events may be missing from `from_ms`.
    pub(super) fn ended(&self, name: &str, from_ms: u64) {
        self.locked(|inner| inner.change(name, |wish| wish.be_ended(from_ms)));
    }

    /// The channels that are wanted.
    pub(super) fn wanted(&self) -> Vec<Channel> {
        let inner = self.inner.lock();
        let wanted = inner.wishes.iter().filter(|(_, wish)| wish.wanted);
        wanted.map(|(channel, _)| channel.clone()).collect()
    }

    /// Gives the wish for `channel` away; Redis is told to end what it has of it. If it was
    /// live, its events may be missing from `from_ms` on.
    pub(super) fn release(&self, channel: &Channel, from_ms: u64) -> Option<Wish> {
        self.locked(|inner| inner.change(channel.as_str(), |wish| wish.leave(from_ms)))
    }

    /// Goes on with a wish that others gave away.
    pub(super) fn adopt(&self, channel: &Channel, wish: Wish) {
        self.locked(|inner| {
            let link_up = inner.link_up;
            inner.wishes.entry(channel.clone()).or_default();
            inner.change(channel.as_str(), |here| here.arrive(wish, link_up));
        });
    }

    /// Redis refused a subscription. Returns who must hear of it.
    pub(super) fn refused(&self, channel: &Channel, refusal: &Refusal) -> Effect {
        let error = refusal
            .is_final
            .then(|| SubscribeError { channel: channel.clone(), reason: refusal.reason.clone() });
        let effect = self.locked(|inner| inner.change(channel.as_str(), |wish| wish.refuse(error)));
        effect.unwrap_or(Effect::None)
    }

    /// A fresh link is up: everything wanted must be asked for on it.
    pub(super) fn link_up(&self) {
        self.locked(|inner| {
            inner.link_up = true;
            inner.todo = inner.wishes.keys().cloned().collect();
            inner.wishes.values_mut().for_each(Wish::find_link);
            inner.tally = inner.wishes.values().map(Wish::tally).sum();
        });
    }

    /// The link is gone; it was proven for the last time at `heard_ms`.
    pub(super) fn link_lost(&self, heard_ms: u64) {
        self.locked(|inner| {
            inner.link_up = false;
            inner.todo.clear();
            inner.wishes.retain(|_, wish| wish.wanted);
            for wish in inner.wishes.values_mut() {
                wish.lose_link(heard_ms);
            }
            inner.tally = inner.wishes.values().map(Wish::tally).sum();
        });
    }

    /// A round, one each `patience`: puts back on the list whatever has waited for its
    /// confirmation for so long.
    pub(super) fn ask_again(&self, now: Instant, patience: Duration) {
        self.locked(|inner| {
            if !inner.link_up || inner.tally.is_settled() {
                return;
            }
            let Inner { wishes, todo, tally, .. } = inner;
            for (channel, wish) in wishes.iter_mut() {
                wish.meet_round();
                if wish.needs_another_try(now, patience) {
                    wish.stage = Stage::Off;
                    todo.insert(channel.clone());
                }
            }
            *tally = wishes.values().map(Wish::tally).sum();
        });
    }

    /// Takes the list: each channel on it counts as asked for at `now`.
    pub(super) fn take_work(&self, now: Instant) -> Work {
        let mut inner = self.inner.lock();
        let mut work = Work::default();
        for channel in std::mem::take(&mut inner.todo) {
            let Some(wish) = inner.wishes.get_mut(&channel) else { continue };
            match (wish.wanted, wish.stage) {
                (true, Stage::Off) => {
                    wish.stage = Stage::Subscribing { since: now };
                    let list =
                        if wish.refused { &mut work.subscribe_singly } else { &mut work.subscribe };
                    list.push(channel);
                }
                (false, Stage::On) => {
                    wish.stage = Stage::Unsubscribing;
                    work.unsubscribe.push(channel);
                }
                // A command is on its way already, or nothing is left to be done.
                (true, Stage::On) | (false, Stage::Off) => {}
                (_, Stage::Subscribing { .. } | Stage::Unsubscribing) => {}
            }
        }
        work
    }

    /// How many are wanted, and how far Redis has followed.
    pub(super) fn tally(&self) -> Tally {
        self.inner.lock().tally
    }

    /// Whether there is anything of this channel, here or at Redis.
    pub(super) fn knows(&self, channel: &Channel) -> bool {
        self.inner.lock().wishes.contains_key(channel)
    }

    /// The same, for those whose link nobody else looks after: what waits for it is overdue.
    pub(super) fn tally_of_link(&self) -> Tally {
        let inner = self.inner.lock();
        match inner.link_up {
            true => inner.tally,
            false => Tally { overdue: inner.tally.wanted, ..inner.tally },
        }
    }

    /// Whether nothing is wanted and nothing subscribed.
    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().wishes.is_empty()
    }

    /// Runs `edit` under the lock, then tells the gauge and the subscriber.
    fn locked<R>(&self, edit: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        let before = inner.tally.confirmed;
        let result = edit(&mut inner);
        // The gauge is shared with the wishes of other connections.
        let count = |confirmed: usize| i64::try_from(confirmed).unwrap_or(i64::MAX);
        self.confirmed_gauge.add(count(inner.tally.confirmed) - count(before));
        let has_work = !inner.todo.is_empty();
        drop(inner);
        if has_work {
            self.changed.notify_one();
        }
        result
    }
}

impl Inner {
    /// Edits one wish and keeps everything derived from it true: the tally, the list
    /// of work, and that a wish which is neither wanted nor subscribed does not stay.
    fn change<R>(&mut self, name: &str, edit: impl FnOnce(&mut Wish) -> R) -> Option<R> {
        let wish = self.wishes.get_mut(name)?;
        let before = wish.tally();
        let result = edit(wish);
        let (after, needs_command, is_over) = (wish.tally(), wish.needs_command(), wish.is_over());
        self.tally = self.tally + after - before;
        if is_over {
            self.wishes.remove(name);
        }
        if needs_command && self.link_up {
            let channel = self.wishes.get_key_value(name).map(|(channel, _)| channel.clone());
            self.todo.extend(channel);
        } else {
            self.todo.remove(name);
        }
        Some(result)
    }
}

#[cfg(test)]
#[path = "wishes_refused_tests.rs"]
mod refused_tests;
#[cfg(test)]
#[path = "wishes_tests.rs"]
mod tests;
