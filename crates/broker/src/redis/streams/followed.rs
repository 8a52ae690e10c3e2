//! The streams that one reader follows.

use std::collections::HashMap;

use redcast_protocol::{Channel, Cursor};

use super::entry::Entry;
use super::link::{Broken, Lineage, Lineages, NoAnswer};
use super::tail::{Census, EntryId, Tail, Verdict};

/// The streams by their Redis keys.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    streams: HashMap<String, Stream>,
    /// Those that can't be read at this moment.
    lost: Vec<Channel>,
    /// Grows with each stream, so that not all of them are looked at closely at once.
    turns: u32,
}

/// One stream and how far it was told.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its channel.
    pub(crate) channel: Channel,
    /// How far it was read.
    pub(crate) tail: Tail,
    /// Whether it is read over the present connection.
    pub(crate) is_live: bool,
    /// The server and its history before the tail was opened or judged by a census last.
    lineage: Option<Lineage>,
    /// Up to where entries were added while there was no connection.
    repair_until: EntryId,
}

impl Followed {
    /// The stream of this key, which is new if it was not followed.
    pub(crate) fn follow(&mut self, key: &str, channel: &Channel) -> &mut Stream {
        let turns = &mut self.turns;
        self.streams.entry(key.to_owned()).or_insert_with(|| {
            *turns = turns.wrapping_add(1);
            let (channel, tail) = (channel.clone(), Tail::new(*turns));
            Stream { channel, tail, is_live: false, lineage: None, repair_until: (0, 0) }
        })
    }

    /// The stream of this key.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Stream> {
        self.streams.get_mut(key)
    }

    /// What was asked about the stream of this key; nothing, and then it is lost, if nobody
    /// can answer that at this moment.
    pub(crate) fn unless_lost<T>(
        &mut self,
        key: &str,
        answer: Result<T, NoAnswer>,
    ) -> Result<Option<T>, Broken> {
        match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(NoAnswer::Link(broken)) => return Err(broken),
            Err(NoAnswer::Stream) => {}
        }
        if let Some(stream) = self.streams.get_mut(key)
            && std::mem::replace(&mut stream.is_live, false)
        {
            self.lost.push(stream.channel.clone());
        }
        Ok(None)
    }

    /// The streams that were lost since this was asked last.
    pub(crate) fn take_lost(&mut self) -> Vec<Channel> {
        std::mem::take(&mut self.lost)
    }

    /// The streams that were lost and not asked for since.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> impl Iterator<Item = &Channel> {
        self.lost.iter()
    }

    /// Whether the stream of this key is read.
    pub(crate) fn is_live(&self, key: &str) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.is_live)
    }

    /// Follows it no more.
    pub(crate) fn remove(&mut self, key: &str) {
        self.streams.remove(key);
    }

    /// Follows no more what is not `wanted`.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Channel) -> bool) {
        self.streams.retain(|_, stream| wanted(&stream.channel));
    }

    /// No stream is read yet over the connection that was just made.
    pub(crate) fn connection_is_new(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.is_live = false);
    }

    /// The streams that are read, with the places after which they are.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&str, Cursor)> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.is_live)
            .filter_map(|(key, stream)| Some((key.as_str(), stream.tail.cursor()?)))
    }
}

impl Stream {
    /// Begins at the end of the stream.
    pub(crate) fn open(&mut self, census: &Census, lineage: &Lineages) -> Cursor {
        self.lineage = Some(lineage.earlier.clone());
        self.tail.open(census)
    }

    /// Judges what was read, see [`Tail::judge`].
    pub(crate) fn judge(
        &mut self,
        read: &[EntryId],
        before: Option<Cursor>,
        census: Option<(&Census, &Lineages)>,
    ) -> Verdict {
        let Some((census, lineages)) = census else {
            return self.tail.judge(read, before, None, false);
        };
        let is_same = self.lineage.as_ref().is_some_and(|known| lineages.go_on(known));
        let verdict = self.tail.judge(read, before, Some(census), is_same);
        self.lineage = Some(lineages.earlier.clone());
        verdict
    }

    /// It is read from now on, over a connection that was made after what it was read over
    /// before had been lost.
    pub(crate) fn goes_on(&mut self, census: &Census) {
        if let Census::Present(state) = census {
            self.repair_until = state.last_id;
        }
        self.is_live = true;
    }

    /// How many of these entries were added while there was no connection.
    pub(crate) fn repaired(&self, entries: &[Entry]) -> u64 {
        entries.iter().filter(|entry| entry.id <= self.repair_until).count() as u64
    }
}
