//! Which reader follows which channel. A channel keeps its reader until that has let go of
//! it: two that follow the same one would tell its events twice.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use redcast_protocol::Channel;

/// The seats of all readers.
#[derive(Debug)]
pub(crate) struct Seats {
    each: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    seats: HashMap<Channel, Seat>,
    readers: Vec<Occupancy>,
}

#[derive(Debug, Clone, Copy)]
struct Seat {
    reader: usize,
    is_wanted: bool,
}

#[derive(Debug, Default)]
struct Occupancy {
    taken: usize,
    /// Channels that were left and taken again before the reader let go of them: they begin
    /// where they stand now, not where they stood for those who left.
    renewed: HashSet<Channel>,
}

impl Seats {
    /// So many readers, each with `each` seats; more share what there is.
    pub(crate) fn new(readers: usize, each: usize) -> Self {
        let readers = (0..readers.max(1)).map(|_| Occupancy::default()).collect();
        Self { each, inner: Mutex::new(Inner { seats: HashMap::new(), readers }) }
    }

    /// The reader of `channel`, which is wanted from now on, and whether it was left before
    /// and not let go of.
    pub(crate) fn take(&self, channel: &Channel) -> (usize, bool) {
        let mut inner = self.inner.lock();
        let Inner { seats, readers } = &mut *inner;
        if let Some(seat) = seats.get_mut(channel) {
            let is_renewed = !std::mem::replace(&mut seat.is_wanted, true);
            if is_renewed {
                readers[seat.reader].renewed.insert(channel.clone());
            }
            return (seat.reader, is_renewed);
        }
        // The first with a free seat, so that few connections serve few channels.
        let free = readers.iter().position(|reader| reader.taken < self.each);
        let emptiest = || (0..readers.len()).min_by_key(|&reader| readers[reader].taken);
        let reader = free.or_else(emptiest).unwrap_or(0);
        readers[reader].taken += 1;
        seats.insert(channel.clone(), Seat { reader, is_wanted: true });
        (reader, false)
    }

    /// The reader of `channel`, if it has one.
    pub(crate) fn reader(&self, channel: &Channel) -> Option<usize> {
        self.inner.lock().seats.get(channel).map(|seat| seat.reader)
    }

    /// `channel` is not wanted any more; answers its reader, which keeps it until it lets
    /// go of it.
    pub(crate) fn leave(&self, channel: &Channel) -> Option<usize> {
        let mut inner = self.inner.lock();
        let seat = inner.seats.get_mut(channel)?;
        seat.is_wanted = false;
        Some(seat.reader)
    }

    /// The reader has let go of `channel`: unless it was taken again, its seat is free.
    pub(crate) fn release(&self, channel: &Channel) {
        let mut inner = self.inner.lock();
        let Inner { seats, readers } = &mut *inner;
        if let Some(seat) = seats.get(channel).copied()
            && !seat.is_wanted
        {
            seats.remove(channel);
            readers[seat.reader].taken -= 1;
            readers[seat.reader].renewed.remove(channel);
        }
    }

    /// Frees the seats of `reader` that are neither wanted nor `known` to it, and answers
    /// whose they were: what was left while there was no link is let go of by nobody.
    pub(crate) fn sweep(&self, reader: usize, known: impl Fn(&Channel) -> bool) -> Vec<Channel> {
        let mut inner = self.inner.lock();
        let Inner { seats, readers } = &mut *inner;
        let is_free = |channel: &Channel, seat: &mut Seat| {
            seat.reader == reader && !seat.is_wanted && !known(channel)
        };
        let freed: Vec<Channel> = seats.extract_if(is_free).map(|(channel, _)| channel).collect();
        readers[reader].taken -= freed.len();
        freed
    }

    /// Whether `channel` was left and taken again since `reader` asked for such channels.
    pub(crate) fn is_renewed(&self, reader: usize, channel: &Channel) -> bool {
        self.inner.lock().readers[reader].renewed.contains(channel)
    }

    /// Takes the channels of `reader` that were left and taken again.
    pub(crate) fn renewed(&self, reader: usize) -> HashSet<Channel> {
        std::mem::take(&mut self.inner.lock().readers[reader].renewed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(number: usize) -> Channel {
        Channel::parse(&format!("channel:{number}")).unwrap()
    }

    #[test]
    fn readers_fill_one_after_the_other_and_share_what_is_more() {
        let seats = Seats::new(2, 3);
        let taken: Vec<usize> = (0..9).map(|number| seats.take(&channel(number)).0).collect();
        assert_eq!(taken, [0, 0, 0, 1, 1, 1, 0, 1, 0]);
        assert_eq!(seats.take(&channel(3)), (1, false), "it has one");
    }

    #[test]
    fn a_channel_keeps_its_reader_until_that_lets_go() {
        let seats = Seats::new(2, 1);
        assert_eq!((seats.take(&channel(0)).0, seats.take(&channel(1)).0), (0, 1));
        assert_eq!(seats.leave(&channel(1)), Some(1));
        assert_eq!(seats.take(&channel(1)), (1, true));
        assert_eq!(seats.renewed(1), HashSet::from([channel(1)]));
        seats.release(&channel(1));
        assert_eq!(seats.reader(&channel(1)), Some(1), "it was taken again");
        seats.leave(&channel(0));
        seats.release(&channel(0));
        assert_eq!((seats.reader(&channel(0)), seats.take(&channel(2)).0), (None, 0));
    }

    #[test]
    fn what_nobody_lets_go_of_is_swept() {
        let seats = Seats::new(1, 2);
        seats.take(&channel(0));
        seats.take(&channel(1));
        seats.leave(&channel(0));
        seats.leave(&channel(1));
        assert_eq!(seats.sweep(0, |known| *known == channel(1)), [channel(0)]);
        assert_eq!((seats.reader(&channel(0)), seats.reader(&channel(1))), (None, Some(0)));
    }
}
