//! Tests of the decision what a client that comes back needs next.

use bytes::Bytes;

use super::*;

const MOST: ReplayConfig = ReplayConfig { events: 1000, bytes: 1 << 20 };

fn kept(number: u64) -> Kept {
    sized(number, 0)
}

fn sized(number: u64, size: usize) -> Kept {
    let payload = Bytes::from(format!("{number}{}", "x".repeat(size)));
    Kept { cursor: Cursor::of(number, 0, &payload), payload }
}

fn at(number: u64) -> Cursor {
    kept(number).cursor
}

/// A ring that begins after `base` and has these events.
fn ring(base: Cursor, events: impl IntoIterator<Item = u64>) -> Ring {
    let mut ring = Ring::default();
    ring.begin(base);
    events.into_iter().for_each(|number| assert!(ring.push(kept(number))));
    ring
}

fn resume(since: Cursor) -> Resume {
    Resume::new(since, Rules::new(MOST, 1))
}

fn read(since: Cursor) -> Next {
    Next::Read(since, PAGE)
}

#[test]
fn what_the_ring_has_goes_along_with_the_join() {
    let ring = ring(at(10), 11..=13);
    assert_eq!(resume(at(10)).next(&ring), Next::Join(vec![kept(11), kept(12), kept(13)]));
    assert_eq!(resume(at(12)).next(&ring), Next::Join(vec![kept(13)]));
    assert_eq!(resume(at(13)).next(&ring), Next::Join(vec![]));
    assert_eq!(resume(at(9)).next(&ring), read(at(9)));
    assert_eq!(
        resume(Cursor { hash: 1, ..at(12) }).next(&ring),
        read(Cursor { hash: 1, ..at(12) })
    );
    assert_eq!(resume(at(13)).next(&Ring::default()), Next::Wait, "where the channel is not known");
}

#[test]
fn pages_are_read_until_one_ends_in_the_ring() {
    let ring = ring(at(10), 11..=13);
    let mut client = resume(at(5));
    assert_eq!(client.next(&ring), read(at(5)));
    client.sent(&[kept(6), kept(7)]);
    client.read_to(at(8), false);
    // The entry 8 is no event, and Redis is read on from it all the same.
    assert!(matches!(client.next(&ring), Next::Read(place, _) if place == at(8)));
    client.sent(&[kept(9), kept(10)]);
    client.read_to(at(10), false);
    assert_eq!(client.next(&ring), Next::Join(vec![kept(11), kept(12), kept(13)]));
}

#[test]
fn an_entry_that_is_no_event_is_a_place_to_meet_at() {
    let nothing = Cursor { millis: 10, sequence: 0, hash: 0 };
    // The channel began at it, and was told nothing of it since.
    let mut client = resume(at(9));
    let early = ring(nothing, [11]);
    assert_eq!(client.next(&early), read(at(9)));
    client.read_to(nothing, true);
    assert_eq!(client.next(&early), Next::Join(vec![kept(11)]));
    // Or it went past it without a word, and stands at the event before.
    let mut client = resume(at(8));
    let late = ring(at(7), [8, 9]);
    client.next(&ring(at(20), []));
    client.sent(&[kept(9)]);
    client.read_to(nothing, true);
    assert_eq!(client.next(&late), Next::Join(vec![]));
    // Or it began at one and went past another, while Redis has a third.
    let (second, third) = (at(21), at(22));
    let mut poisoned = ring(at(20), []);
    poisoned.pass(second);
    let mut client = resume(at(8));
    assert_eq!(client.next(&poisoned), read(at(8)));
    client.sent(&[kept(9)]);
    client.read_to(third, true);
    assert_eq!(client.next(&poisoned), Next::Wait);
    poisoned.pass(third);
    assert_eq!(client.next(&poisoned), Next::Join(vec![]));
}

#[test]
fn a_place_ahead_of_the_channel_is_asked_for_and_then_waited_for() {
    let mut client = resume(at(12));
    let before = ring(at(10), [11]);
    assert_eq!(client.next(&before), read(at(12)), "Redis may not have it any more");
    client.sent(&[kept(13)]);
    client.read_to(at(13), false);
    assert_eq!(client.next(&before), Next::Wait);
    assert_eq!(client.next(&ring(at(10), 11..=12)), Next::Wait);
    client.ask_again();
    assert!(matches!(client.next(&before), Next::Read(place, _) if place == at(13)));
    client.read_to(at(13), true);
    assert_eq!(client.next(&ring(at(10), 11..=14)), Next::Join(vec![kept(14)]));
}

#[test]
fn redis_is_not_asked_twice_while_the_channel_stands_still() {
    // Redis has nothing after 12, and yet the channel is at 15.
    let mut client = resume(at(12));
    let elsewhere = ring(at(15), []);
    assert_eq!(client.next(&elsewhere), read(at(12)));
    client.read_to(at(12), true);
    assert_eq!(client.next(&elsewhere), Next::Wait);
    assert_eq!(client.given_up(&elsewhere), ResetReason::Unknown);
    assert_eq!(client.given_up(&ring(at(11), [15])), ResetReason::Forked);
    assert_eq!(client.next(&ring(at(15), [16])), read(at(12)), "it has moved");
    client.read_to(at(12), true);
    client.ask_again();
    assert_eq!(client.next(&elsewhere), read(at(12)));
}

#[test]
fn too_much_for_one_step_is_sent_first() {
    let mut ring = Ring::default();
    ring.begin(at(10));
    let large: Vec<Kept> = (11..=14).map(|number| sized(number, 20_000)).collect();
    large.iter().for_each(|kept| assert!(ring.push(kept.clone())));
    let mut small = Ring::default();
    small.begin(large[1].cursor);
    large[2..].iter().for_each(|kept| assert!(small.push(kept.clone())));
    let mut client = resume(at(10));
    assert_eq!(client.next(&ring), Next::Send(large[..3].to_vec()), "no more than a page");
    client.sent(&large[..3]);
    assert_eq!(client.next(&ring), Next::Join(large[3..].to_vec()));
    client.sent(&large);
    assert_eq!(client.next(&ring), Next::Join(vec![]));
    let huge = sized(15, 200_000);
    assert!(ring.push(huge.clone()));
    let mut client = resume(large[3].cursor);
    assert_eq!(client.next(&ring), Next::Send(vec![huge]), "one at least");
    // With others in the same step there is less room for each.
    let mut client = Resume::new(large[1].cursor, Rules::new(MOST, 4));
    assert_eq!(client.next(&small), Next::Send(large[2..].to_vec()));
}

#[test]
fn a_channel_comes_nearer_only_towards_the_client() {
    let mut client = resume(at(12));
    assert!(!client.is_approached(&ring(at(10), [])), "nobody knows that Redis has it");
    client.sent(&[kept(20)]);
    assert!(client.is_approached(&ring(at(10), [])));
    assert!(!client.is_approached(&ring(at(10), [])), "it stands still");
    assert!(client.is_approached(&ring(at(10), [19])));
    assert!(!client.is_approached(&ring(at(10), [15])), "it went back");
    assert!(!client.is_approached(&ring(at(10), [21])), "it went past");
}

#[test]
fn who_missed_more_than_may_be_replayed_is_reset_after_it() {
    let far = ring(at(1000), []);
    let most = ReplayConfig { events: 3, bytes: 1 << 20 };
    let mut client = Resume::new(at(5), Rules::new(most, 1));
    assert_eq!(client.next(&far), Next::Read(at(5), ReadLimit { events: 3, bytes: PAGE.bytes }));
    client.sent(&[kept(6), kept(7), kept(8)]);
    client.read_to(at(8), false);
    assert_eq!(client.next(&far), Next::Reset(ResetReason::Trimmed));
    assert_eq!(client.next(&ring(at(8), [9])), Next::Join(vec![kept(9)]), "it has arrived");
    let most = ReplayConfig { events: 100, bytes: 2 };
    let mut client = Resume::new(at(5), Rules::new(most, 1));
    client.sent(&[kept(6), kept(7)]);
    client.read_to(at(7), true);
    assert_eq!(client.next(&far), Next::Reset(ResetReason::Trimmed));
}
