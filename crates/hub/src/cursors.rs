//! How far tracked members have come, told at most once a second.
//!
//! Only what has not been told is kept, so a shard without tracked members holds nothing
//! and its timer does not wake for this.

use std::collections::HashMap;
use std::mem::take;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::broadcast::ChannelKey;

/// From one telling to the next.
const EVERY: Duration = Duration::from_secs(1);

/// What the tracked members of a shard are to be told.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    due: HashMap<ChannelKey, Bytes>,
    last_told: Option<Instant>,
}

impl Cursors {
    /// A message of this channel was delivered. One without a cursor had no tracked
    /// members: what is due is then too old for whoever has come meanwhile.
    pub(crate) fn note(&mut self, channel: ChannelKey, cursor: Option<Bytes>) {
        match cursor {
            Some(frame) => {
                self.due.insert(channel, frame);
            }
            None if !self.due.is_empty() => {
                self.due.remove(&channel);
            }
            None => {}
        }
    }

    /// When the next telling is; none while there is nothing to tell.
    pub(crate) fn next_moment(&self) -> Option<Instant> {
        let moment = || self.last_told.map_or_else(Instant::now, |last| last + EVERY);
        (!self.due.is_empty()).then(moment)
    }

    /// Everything there is to tell, at this moment.
    pub(crate) fn take(&mut self) -> HashMap<ChannelKey, Bytes> {
        self.last_told = Some(Instant::now());
        take(&mut self.due)
    }

    /// Nobody is left in this channel: whoever comes learns a newer place.
    pub(crate) fn forget(&mut self, channel: ChannelKey) {
        self.due.remove(&channel);
    }

    /// What there is to tell about one channel.
    pub(crate) fn due(&self, channel: ChannelKey) -> Option<&Bytes> {
        self.due.get(&channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ChannelKey = ChannelKey(1);
    const B: ChannelKey = ChannelKey(2);

    fn frame(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_of_each_channel_is_told_once_a_second() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.next_moment(), None);
        cursors.note(A, frame("1"));
        cursors.note(B, frame("2"));
        cursors.note(A, frame("3"));
        let begun = Instant::now();
        assert_eq!(cursors.next_moment(), Some(begun), "the first one at once");
        assert_eq!((cursors.due(A), cursors.due(B)), (frame("3").as_ref(), frame("2").as_ref()));
        assert_eq!(cursors.take().len(), 2);
        assert_eq!((cursors.next_moment(), cursors.due(A)), (None, None));
        cursors.note(A, frame("4"));
        assert_eq!(cursors.next_moment(), Some(begun + EVERY));
    }

    #[test]
    fn what_was_delivered_to_nobody_tracked_makes_what_is_due_too_old() {
        let mut cursors = Cursors::default();
        cursors.note(A, frame("1"));
        cursors.note(B, None);
        assert!(cursors.due(A).is_some());
        cursors.note(A, None);
        assert!(cursors.due(A).is_none());
    }
}
