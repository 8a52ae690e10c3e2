//! How large entries are in the channels whose history is read: each has its own, and a page
//! that was too much for one is no sign for another.

use std::collections::HashMap;

use parking_lot::Mutex;
use redcast_protocol::Channel;

use super::appetite::Appetite;

/// Channels that are remembered; with more, all are forgotten, which costs a short page each.
const MOST_CHANNELS: usize = 4_096;

/// What is known of channels whose history was read.
#[derive(Debug, Default)]
pub(crate) struct Appetites(Mutex<HashMap<Channel, Appetite>>);

impl Appetites {
    /// What is known of `channel`.
    pub(crate) fn of(&self, channel: &Channel) -> Appetite {
        self.0.lock().get(channel).cloned().unwrap_or_else(Appetite::new)
    }

    /// Learns about `channel`.
    pub(crate) fn change(&self, channel: &Channel, change: impl FnOnce(&mut Appetite)) {
        let mut known = self.0.lock();
        if known.len() >= MOST_CHANNELS && !known.contains_key(channel) {
            known.clear();
        }
        change(known.entry(channel.clone()).or_insert_with(Appetite::new));
    }
}
