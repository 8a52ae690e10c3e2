//! What one reader follows, brought into line with what is wanted of it. Without I/O, so
//! that every order of events can be played to it.

use std::sync::Arc;
use std::time::Instant;

use redcast_protocol::Channel;

use super::followed::Followed;
use super::seats::Seats;
use crate::redis::names::Names;
use crate::redis::wishes::Wishes;

/// What is wanted of one reader.
pub(crate) struct Desk {
    /// Which reader it is.
    pub(crate) number: usize,
    /// How streams are spelled.
    pub(crate) names: Names,
    /// What it is to follow.
    pub(crate) wishes: Arc<Wishes>,
    /// What it is told to follow again.
    pub(crate) seats: Arc<Seats>,
}

impl Desk {
    /// Lets go of what is not wanted any more, and answers what is to be taken over. The
    /// connection was heard last at `heard_ms`.
    pub(crate) fn settle(
        &self,
        followed: &mut Followed,
        now: Instant,
        heard_ms: u64,
    ) -> Vec<Channel> {
        for channel in followed.take_lost() {
            self.wishes.ended(channel.as_str(), heard_ms);
        }
        let work = self.wishes.take_work(now);
        for channel in &work.unsubscribe {
            followed.remove(&self.names.channel(channel));
            self.wishes.unsubscribed(channel.as_str());
            self.seats.release(channel);
        }
        // After the work was taken: whatever of it was renewed begins anew at once.
        for channel in self.seats.renewed(self.number) {
            followed.remove(&self.names.channel(&channel));
            self.wishes.renew(&channel);
        }
        [work.subscribe, work.subscribe_singly].concat()
    }

    /// Whether what was asked of Redis for `channel` still serves those who want it. If not,
    /// it is let go of; they will be asked for.
    pub(crate) fn still_serves(&self, followed: &mut Followed, channel: &Channel) -> bool {
        let is_renewed = self.seats.is_renewed(self.number, channel);
        if is_renewed {
            followed.remove(&self.names.channel(channel));
        }
        !is_renewed
    }

    /// Lets go of what was left without a word, as it is while there is no connection.
    pub(crate) fn sweep(&self, followed: &mut Followed) {
        // Whoever takes such a seat from now on must not go on where others left it.
        for channel in self.seats.sweep(self.number, |channel| self.wishes.knows(channel)) {
            followed.remove(&self.names.channel(&channel));
        }
        followed.retain(|channel| self.wishes.knows(channel));
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
