//! Tests of what is held: until when, in which order, and within which bounds.

use bytes::Bytes;

use super::*;
use crate::broadcast::Frames;
use crate::broadcast::SlowConsumer::{Disconnect, KeepLatest};
use crate::testing::{event, notice};
use crate::waiting::{ENTRY_OVERHEAD, INDEX_OVERHEAD};

const TENTH: Duration = Duration::from_millis(100);

fn held() -> Held {
    Held::new(&HubConfig::default())
}

fn key(channel: u64) -> ChannelKey {
    ChannelKey(channel)
}

/// The frames that are released, as texts of a channel each.
fn released(held: &mut Held, which: Release) -> Vec<(u64, String)> {
    let mut turn = Turn::default();
    held.release(which, &mut turn);
    let text = |broadcast: &Broadcast| {
        let frame = broadcast.frames.get(crate::broadcast::Form::Raw.into()).unwrap();
        (broadcast.channel.0, String::from_utf8(frame[2..].to_vec()).unwrap())
    };
    turn.added().iter().map(text).collect()
}

fn texts<const N: usize>(all: [(u64, &str); N]) -> Vec<(u64, String)> {
    all.map(|(channel, text)| (channel, text.to_owned())).to_vec()
}

impl Held {
    fn check(&self) {
        let memory = self.channels.len() * CHANNEL_OVERHEAD;
        let mut cost = Cost { memory, outbox: 0 };
        for message in self.channels.values().flat_map(|channel| &channel.messages) {
            cost += Cost::of(message);
        }
        assert_eq!(self.cost, cost);
        let moments: BTreeSet<_> =
            self.channels.iter().map(|(key, channel)| (channel.moment, *key)).collect();
        assert_eq!(self.moments, moments);
        assert!(self.channels.values().all(|channel| !channel.messages.is_empty()));
    }
}

#[test]
fn a_moment_is_the_next_multiple() {
    let made = Instant::now();
    let after = |millis| made + Duration::from_micros(millis);
    for (now, moment) in [(0, 100_000), (1, 100_000), (99_999, 100_000), (100_000, 200_000)] {
        assert_eq!(moment_after(made, after(now), TENTH), after(moment), "{now}");
    }
    let minute = Duration::from_secs(60);
    assert_eq!(moment_after(made, after(90_000_000), minute), made + 2 * minute);
}

#[tokio::test(start_paused = true)]
async fn channels_of_one_interval_and_of_its_parts_are_due_together() {
    let mut held = held();
    let start = held.made;
    tokio::time::advance(Duration::from_millis(120)).await;
    assert_eq!(held.next_moment(), None, "nothing is held: nothing to wake for");
    held.hold(event(3, "c1", Disconnect), 3 * TENTH);
    held.hold(event(1, "a1", Disconnect), TENTH);
    assert_eq!(held.next_moment(), Some(start + 2 * TENTH));
    tokio::time::advance(Duration::from_millis(60)).await;
    held.hold(event(2, "b1", Disconnect), TENTH);
    held.hold(notice(1, "a2"), TENTH);
    held.check();
    let before = start + 2 * TENTH - Duration::from_nanos(1);
    assert!(!held.has(Release::Due(before)));
    assert_eq!(released(&mut held, Release::Due(before)), []);
    assert!(held.has(Release::Due(start + 2 * TENTH)));
    let due = released(&mut held, Release::Due(start + 2 * TENTH));
    assert_eq!(due, texts([(1, "a1"), (1, "a2"), (2, "b1")]));
    held.check();
    assert_eq!(held.next_moment(), Some(start + 3 * TENTH));
    tokio::time::advance(Duration::from_millis(60)).await;
    held.hold(event(1, "a3", Disconnect), TENTH);
    let due = released(&mut held, Release::Due(start + 3 * TENTH));
    assert_eq!(due, texts([(1, "a3"), (3, "c1")]));
    assert_eq!((held.next_moment(), held.cost), (None, Cost::default()));
    held.check();
}

#[test]
fn a_channel_is_released_alone_and_begins_anew() {
    let mut held = held();
    for (channel, text) in [(1, "a1"), (2, "b1"), (1, "a2")] {
        assert_eq!(held.hold(event(channel, text, Disconnect), 600 * TENTH), None);
    }
    assert!(held.has(Release::Channel(key(1))) && !held.has(Release::Channel(key(3))));
    assert_eq!(released(&mut held, Release::Channel(key(3))), []);
    assert_eq!(released(&mut held, Release::Channel(key(1))), texts([(1, "a1"), (1, "a2")]));
    held.check();
    assert!(!held.has(Release::Channel(key(1))));
    held.hold(event(1, "a3", Disconnect), 600 * TENTH);
    held.check();
    assert_eq!(released(&mut held, Release::All), texts([(1, "a3"), (2, "b1")]));
    assert!(!held.has(Release::All));
    assert_eq!((held.next_moment(), held.cost), (None, Cost::default()));
}

/// Holds events of 1,004 bytes until a bound is reached; answers how many and which.
fn fill(held: &mut Held, channel: impl Fn(usize) -> u64) -> (usize, Release) {
    let large = "x".repeat(1000);
    for number in 1..10_000 {
        if let Some(full) = held.hold(event(channel(number), &large, Disconnect), TENTH) {
            held.check();
            return (number, full);
        }
    }
    panic!("there is no bound");
}

#[test]
fn a_channel_holds_no_more_than_a_turn() {
    let mut held = held();
    let (count, full) = fill(&mut held, |_| 1);
    assert_eq!(full, Release::Channel(key(1)));
    assert_eq!(count, (TURN_BYTES - CHANNEL_OVERHEAD).div_ceil(1004 + MESSAGE_OVERHEAD));
    assert_eq!(held.hold(event(2, "b", Disconnect), TENTH), None);
    held.release(full, &mut Turn::default());
    held.check();
}

/// What a channel of so many messages without a byte has taken of the allocator, but
/// for the map and the tree that all channels share.
fn list_bytes(held: &Held, channel: u64) -> usize {
    held.channels[&key(channel)].messages.capacity() * size_of::<Broadcast>()
}

#[test]
fn what_a_channel_is_charged_covers_what_it_costs() {
    let mut held = held();
    let map = (size_of::<(ChannelKey, HeldChannel)>() + 1) * 16 / 7;
    // A node has room for eleven and holds five at least; the nodes above are a sixth.
    let node = 11 * size_of::<(Instant, ChannelKey)>() + 2 * size_of::<usize>();
    let shared = map + node.div_ceil(5) + node.div_ceil(30);
    for _ in 0..300 {
        assert_eq!(held.hold(event(1, "", Disconnect), TENTH), None);
        let list = list_bytes(&held, 1);
        assert!(held.cost.memory >= list + shared, "{list} bytes");
    }
}

#[test]
fn small_messages_count_for_more_than_their_frames() {
    let mut held = held();
    let fits = TURN_BYTES / MESSAGE_OVERHEAD;
    let holds = (0..fits).take_while(|_| held.hold(event(1, "", Disconnect), TENTH).is_none());
    assert!(holds.count() < fits);
}

#[test]
fn all_together_hold_no_more_than_their_share_of_the_queue() {
    let mut held = Held::new(&HubConfig { queue_bytes: 400_000, ..HubConfig::default() });
    let (count, full) = fill(&mut held, |number| number as u64);
    assert_eq!(full, Release::All);
    assert_eq!(count, 100_000_usize.div_ceil(1004 + MESSAGE_OVERHEAD + CHANNEL_OVERHEAD));
    held.release(full, &mut Turn::default());
    held.check();
    assert_eq!(held.cost, Cost::default());
}

#[test]
fn all_together_hold_no_more_than_half_an_outbox() {
    let mut held = Held::new(&HubConfig { outbox_limit: 128 << 10, ..HubConfig::default() });
    let (count, full) = fill(&mut held, |number| number as u64 % 50);
    assert_eq!(full, Release::All);
    assert_eq!(count, (64_usize << 10).div_ceil(1004 + ENTRY_OVERHEAD));
    held.release(full, &mut Turn::default());
    assert_eq!(held.cost, Cost::default());
}

#[test]
fn of_an_outbox_is_charged_what_would_wait_there() {
    let bytes = |len| Some(Bytes::from(vec![0; len]));
    let frames = Frames::event(bytes(100), bytes(300));
    let envelope = Broadcast { frames, ..event(1, "", Disconnect) };
    assert_eq!(Cost::of(&envelope).outbox, 300 + ENTRY_OVERHEAD);
    let latest = Broadcast { policy: KeepLatest, ..envelope };
    assert_eq!(Cost::of(&latest).outbox, 300 + ENTRY_OVERHEAD + INDEX_OVERHEAD);
    assert_eq!(Cost::of(&latest).memory, 400 + MESSAGE_OVERHEAD);
}

#[test]
fn after_the_end_nothing_is_held() {
    let mut held = held();
    let calm = Broadcast { flush_every: Some(TENTH), ..event(1, "a", Disconnect) };
    assert_eq!(held.interval(&calm), Some(TENTH));
    assert_eq!(held.interval(&event(1, "a", Disconnect)), None);
    held.end();
    assert_eq!(held.interval(&calm), None);
}
