//! What the producer knows of its own events, by channel and number.

use std::sync::{Mutex, MutexGuard};

/// What became of an event, as far as its producer can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// On its way.
    Pending,
    /// Redis said that it has it, at this Unix time in milliseconds.
    Acknowledged(u64),
    /// The answer was lost: it may be there or not, and nobody may call it lost.
    Unknown,
    /// Redis said no: it must not be there.
    Refused,
}

/// One event of the producer's.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// When it was sent, Unix milliseconds.
    pub sent: u64,
    /// What became of it.
    pub fate: Fate,
}

/// All events of all channels. Numbers begin at 1.
#[derive(Debug)]
pub struct Ledger {
    channels: Vec<Mutex<Vec<Entry>>>,
}

impl Ledger {
    /// An empty one for so many channels.
    pub fn new(channels: usize) -> Self {
        Self { channels: (0..channels).map(|_| Mutex::default()).collect() }
    }

    /// Notes that the next event of a channel goes out, and answers its number.
    pub fn begin(&self, channel: usize, sent: u64) -> u64 {
        let mut entries = self.entries(channel);
        entries.push(Entry { sent, fate: Fate::Pending });
        entries.len() as u64
    }

    /// Notes what became of it.
    pub fn settle(&self, channel: usize, number: u64, fate: Fate) {
        let index = usize::try_from(number - 1).expect("a small number");
        self.entries(channel)[index].fate = fate;
    }

    /// The event with this number.
    pub fn get(&self, channel: usize, number: u64) -> Option<Entry> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.entries(channel).get(index).copied()
    }

    /// All events of a channel with their numbers.
    pub fn all(&self, channel: usize) -> Vec<(u64, Entry)> {
        (1..).zip(self.entries(channel).iter().copied()).collect()
    }

    /// How many events of all channels have met a fate like this.
    pub fn count(&self, is_it: impl Fn(Fate) -> bool) -> usize {
        let channels = 0..self.channels.len();
        channels
            .map(|channel| self.entries(channel).iter().filter(|entry| is_it(entry.fate)).count())
            .sum()
    }

    fn entries(&self, channel: usize) -> MutexGuard<'_, Vec<Entry>> {
        self.channels[channel].lock().expect("no panic under the lock")
    }
}
