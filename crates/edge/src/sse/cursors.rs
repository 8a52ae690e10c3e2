//! The one cursor of an event stream: where its client is in every stream channel, as
//! `CHANNEL:CURSOR,CHANNEL:CURSOR`.
//!
//! A browser keeps one id for each stream and gives it back in `Last-Event-ID` when it
//! connects again. A channel's name holds no comma and a cursor no colon.

use std::fmt;

use redcast_protocol::{Channel, Cursor};

/// How long an id may be, bytes. It comes back in a request's head, for which proxies and
/// we ourselves have no more than some 8 and 16 KiB.
pub(crate) const MAX_ID_BYTES: usize = 6 << 10;
/// What a cursor adds to its channel's name, with its separators: 13 digits of
/// milliseconds, a sequence of up to 5, 8 of hash.
const CURSOR_BYTES: usize = 31;

/// Places in channels, in the order in which they became known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursors(Vec<(Channel, Cursor)>);

/// A text that is no id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event id of this gateway; give back the last `id` unchanged")]
pub(crate) struct CursorsError;

/// Whether the cursors of these channels fit into an id.
pub(crate) fn fit_into_an_id<'a>(channels: impl Iterator<Item = &'a Channel>) -> bool {
    channels.map(|channel| channel.as_str().len() + CURSOR_BYTES).sum::<usize>() <= MAX_ID_BYTES
}

impl Cursors {
    /// Reads an id; an empty one is one that nobody has set.
    pub(crate) fn parse(id: &str) -> Result<Self, CursorsError> {
        let mut cursors = Self::default();
        for part in id.split(',').filter(|_| !id.is_empty()) {
            let (channel, cursor) = part.rsplit_once(':').ok_or(CursorsError)?;
            let channel = Channel::parse(channel).map_err(|_| CursorsError)?;
            cursors.set(channel, cursor.parse().map_err(|_| CursorsError)?);
        }
        Ok(cursors)
    }

    /// Notes the place in a channel.
    pub(crate) fn set(&mut self, channel: Channel, cursor: Cursor) {
        match self.0.iter_mut().find(|(known, _)| *known == channel) {
            Some((_, place)) => *place = cursor,
            None => self.0.push((channel, cursor)),
        }
    }

    /// Forgets the place in a channel.
    pub(crate) fn forget(&mut self, channel: &Channel) {
        self.0.retain(|(known, _)| known != channel);
    }

    /// Forgets the places in channels for which this does not hold.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Channel) -> bool) {
        self.0.retain(|(channel, _)| keep(channel));
    }

    /// The places, as what a join wants.
    pub(crate) fn since(&self) -> Vec<(Channel, Cursor)> {
        self.0.clone()
    }
}

impl fmt::Display for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (channel, cursor)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}:{cursor}", channel.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    #[test]
    fn reads_what_it_prints() {
        let id = "a:1-2.0000000a,orders:eu@x:3-0.ffffffff";
        let mut cursors = Cursors::parse(id).unwrap();
        assert_eq!(cursors.to_string(), id);
        cursors.set(channel("a"), "9-9.00000001".parse().unwrap());
        assert_eq!(cursors.to_string(), "a:9-9.00000001,orders:eu@x:3-0.ffffffff");
        cursors.forget(&channel("a"));
        assert_eq!(cursors.to_string(), "orders:eu@x:3-0.ffffffff");
        cursors.retain(|known| *known == channel("a"));
        assert_eq!(cursors, Cursors::parse("").unwrap());
        assert_eq!(cursors.to_string(), "");
    }

    #[test]
    fn other_texts_are_refused() {
        for id in [",", "a", "a:", ":1-2.0000000a", "a:1-2.0000000a,", "a b:1-2.0000000a", "0"] {
            assert_eq!(Cursors::parse(id), Err(CursorsError), "{id:?}");
        }
    }

    #[test]
    fn an_id_that_fits_comes_back_in_a_head() {
        let names: Vec<_> = (0..1000).map(|n| channel(&format!("channel:{n:04}"))).collect();
        let most = (0..=1000).rev().find(|n| fit_into_an_id(names[..*n].iter())).unwrap();
        let mut cursors = Cursors::default();
        for name in &names[..most] {
            cursors
                .set(name.clone(), Cursor { millis: 1_733_683_200_123, sequence: 99_999, hash: 1 });
        }
        assert!((100..1000).contains(&most), "{most}");
        assert!(cursors.to_string().len() <= MAX_ID_BYTES);
    }

    proptest! {
        #[test]
        fn any_places_come_back(
            places in prop::collection::hash_map("[A-Za-z0-9_.:@-]{1,20}", any::<(u64, u64, u32)>(), 0..8)
        ) {
            let mut cursors = Cursors::default();
            for (name, (millis, sequence, hash)) in places {
                cursors.set(channel(&name), Cursor { millis, sequence, hash });
            }
            prop_assert_eq!(Cursors::parse(&cursors.to_string()), Ok(cursors));
        }
    }
}
