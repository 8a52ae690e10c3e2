//! The judgements over all clients and channels, added up.

use super::{PubSubVerdict, StreamVerdict};

/// Sums over all clients and channels of one mode each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stream channels.
    pub streams: StreamVerdict,
    /// Pub/sub channels.
    pub pubsubs: PubSubVerdict,
}

impl Tally {
    /// Adds one client's stream channel.
    pub fn add_stream(&mut self, verdict: StreamVerdict) {
        let sum = &mut self.streams;
        sum.received += verdict.received;
        sum.lost += verdict.lost;
        sum.duplicated += verdict.duplicated;
        sum.reordered += verdict.reordered;
        sum.resets += verdict.resets;
        sum.forked += verdict.forked;
        sum.causeless += verdict.causeless;
        sum.gaps += verdict.gaps;
    }

    /// Adds one client's pub/sub channel.
    pub fn add_pubsub(&mut self, verdict: PubSubVerdict) {
        let sum = &mut self.pubsubs;
        sum.received += verdict.received;
        sum.told += verdict.told;
        sum.away += verdict.away;
        sum.silent += verdict.silent;
        sum.duplicated += verdict.duplicated;
        sum.reordered += verdict.reordered;
        sum.gaps += verdict.gaps;
    }
}
