//! Tests of `keep_latest`: a newer event in the place of the older of its item.

use super::*;

#[test]
fn the_latest_takes_the_place_of_the_older_of_its_channel() {
    let mut backlog = Backlog::new(metrics());
    for (name, kind) in [
        ("a1", keep_latest(A)),
        ("b1", keep_latest(B)),
        ("c1", drop_oldest(ChannelKey(3))),
        ("c2", drop_oldest(ChannelKey(3))),
        ("a2 is longer", keep_latest(A)),
        ("a3", keep_latest(A)),
    ] {
        backlog.push(text(name), kind, NO_LIMIT).unwrap();
    }
    assert_eq!(backlog.metrics.conflated.get(), 2);
    assert_eq!(backlog.waiting_bytes, 4 * (ENTRY_OVERHEAD + 4) + 2 * INDEX_OVERHEAD);
    assert_eq!(backlog.metrics.outbox_bytes.get(), backlog.waiting_bytes as i64);
    assert_eq!(texts(&mut backlog), ["a3", "b1", "c1", "c2"]);
    assert!(backlog.take_losses().is_empty(), "conflation is counted, not told");
    assert_eq!(backlog.metrics.dropped_oldest.get(), 0);
}

#[test]
fn the_latest_takes_the_place_of_the_older_of_its_item_alone() {
    let mut backlog = Backlog::new(metrics());
    for (name, kind) in [
        ("x1", latest(A, 1)),
        ("none1", without_item(A)),
        ("y1", latest(A, 2)),
        ("other x", latest(B, 1)),
        ("x2", latest(A, 1)),
        ("none2", without_item(A)),
        ("y2", latest(A, 2)),
        ("y3", latest(A, 2)),
    ] {
        backlog.push(text(name), kind, NO_LIMIT).unwrap();
    }
    assert_eq!(backlog.metrics.conflated.get(), 3);
    // The one that is being written is no longer in anybody's place.
    backlog.advance(1);
    backlog.push(text("x3"), latest(A, 1), NO_LIMIT).unwrap();
    assert_eq!(backlog.metrics.conflated.get(), 3);
    let expected = [&text("x2")[1..], &text("none1"), &text("y3"), &text("other x")].concat();
    let all = drain(&mut backlog, NO_LIMIT);
    assert_eq!(all[..expected.len()], expected);
    assert!(all.ends_with(&[text("none2"), text("x3")].concat()));
    assert_eq!(backlog.waiting_bytes, 0);
}

#[test]
fn the_latest_does_not_overtake_a_reply() {
    let mut backlog = Backlog::new(metrics());
    let push = |backlog: &mut Backlog, all: &[(&str, Kind)]| {
        all.iter().for_each(|(name, kind)| backlog.push(text(name), *kind, NO_LIMIT).unwrap());
    };
    let (x, y) = (latest(A, 1), latest(A, 2));
    push(&mut backlog, &[("x1", x), ("reply", Kind::Reply), ("x2", x)]);
    assert_eq!(backlog.metrics.conflated.get(), 0);
    // The first of the item leaves, and the place of the second is still known.
    backlog.advance(text("x1").len());
    push(&mut backlog, &[("y1", y), ("x3", x), ("gap", Kind::Reply), ("y2", y), ("y3", y)]);
    assert_eq!(backlog.metrics.conflated.get(), 2);
    assert_eq!(texts(&mut backlog), ["reply", "x3", "y1", "gap", "y3"]);
    assert_eq!(backlog.waiting_bytes, 0);
}

#[test]
fn versions_on_both_sides_of_a_reply_make_room_like_any_other() {
    let limit = 4 * (ENTRY_OVERHEAD + INDEX_OVERHEAD + 4);
    let mut backlog = Backlog::new(metrics());
    for number in 0..100 {
        backlog.push(text(&format!("{number:02}")), keep_latest(A), limit).unwrap();
        if number < 3 {
            backlog.push(text("r"), Kind::Reply, limit).unwrap();
        }
        assert!(backlog.waiting_bytes <= limit);
    }
    assert_eq!(texts(&mut backlog), ["r", "r", "02", "r", "99"]);
    assert_eq!(backlog.take_losses()[0].dropped, 2);
}

#[test]
fn one_without_an_item_is_given_up_like_any_other() {
    let mut backlog = Backlog::new(metrics());
    for (name, kind) in [("n1", without_item(A)), ("x1", latest(A, 1)), ("n2", without_item(A))] {
        backlog.push(text(name), kind, NO_LIMIT).unwrap();
    }
    let limit = backlog.waiting_bytes;
    backlog.push(text("n3"), without_item(A), limit).unwrap();
    assert_eq!(texts(&mut backlog), ["x1", "n2", "n3"]);
    assert_eq!((backlog.metrics.dropped_oldest.get(), backlog.metrics.conflated.get()), (1, 0));
    assert_eq!(backlog.take_losses()[0].dropped, 1);
}

#[test]
fn the_latest_of_an_item_that_was_given_up_waits_at_the_end() {
    let mut backlog = Backlog::new(metrics());
    backlog.push(text("x1"), latest(A, 1), NO_LIMIT).unwrap();
    backlog.push(text("y1"), latest(A, 2), NO_LIMIT).unwrap();
    let limit = backlog.waiting_bytes;
    backlog.push(text("z1"), latest(A, 3), limit).unwrap();
    backlog.push(text("x2"), latest(A, 1), limit).unwrap();
    assert_eq!(texts(&mut backlog), ["z1", "x2"]);
    assert_eq!((backlog.metrics.dropped_oldest.get(), backlog.metrics.conflated.get()), (2, 0));
}

#[test]
fn ten_thousand_items_are_kept_without_a_search() {
    const ITEMS: u64 = 10_000;
    let mut backlog = Backlog::new(metrics());
    let start = std::time::Instant::now();
    for round in 0..50 {
        for item in 0..ITEMS {
            let frame = text(&format!("{item} {round}"));
            backlog.push(frame, latest(A, item * 0x9e37_79b9), NO_LIMIT).unwrap();
        }
    }
    let taken = start.elapsed();
    let expected: Vec<_> = (0..ITEMS).map(|item| format!("{item} 49")).collect();
    assert_eq!(texts(&mut backlog), expected);
    assert_eq!(backlog.metrics.conflated.get(), 49 * ITEMS);
    // A fraction of a second; 2,450 million looks at an entry would take many.
    assert!(taken < Duration::from_secs(3), "{taken:?}");
}

#[test]
fn a_latest_that_grew_keeps_its_place_up_to_the_limit_and_no_further() {
    let limit = 3 * ENTRY_OVERHEAD + INDEX_OVERHEAD + 200 + 8;
    let build = |len| {
        let mut backlog = Backlog::new(metrics());
        backlog.push(frame_of(20, 'a'), keep_latest(A), limit).unwrap();
        backlog.push(text("c1"), disconnect(ChannelKey(3)), limit).unwrap();
        backlog.push(text("b1"), drop_oldest(B), limit).unwrap();
        backlog.push(frame_of(len, 'A'), keep_latest(A), limit).unwrap();
        backlog
    };
    let exact = build(200);
    assert_eq!(exact.waiting_bytes, limit);
    assert_eq!(exact.queue.iter().next().unwrap().0.len(), 200);
    let mut beyond = build(201);
    assert!(beyond.waiting_bytes <= limit);
    assert_eq!(beyond.metrics.conflated.get(), 1);
    assert_eq!(texts(&mut beyond), ["c1", &"A".repeat(197)]);
    assert_eq!(beyond.take_losses()[0].channel, B);
    let mut hopeless = build(500);
    assert_eq!(texts(&mut hopeless), ["c1"]);
    assert_eq!(hopeless.take_losses().len(), 2);
}

#[test]
fn the_newest_beat_waits_alone_and_its_loss_is_none() {
    let mut backlog = Backlog::new(metrics());
    for number in 0..50 {
        backlog.push(text(&format!("s{number:02}")), Kind::Beat(A), NO_LIMIT).unwrap();
        backlog.push(text(&format!("t{number:02}")), Kind::Beat(B), NO_LIMIT).unwrap();
    }
    assert_eq!(backlog.metrics.conflated.get(), 2 * 49);
    let limit = backlog.waiting_bytes;
    // What can't wait as well takes the place of a beat, and nobody is told of that.
    backlog.push(text("event"), disconnect(ChannelKey(3)), limit).unwrap();
    assert_eq!(backlog.queue.iter().map(|(_, kind)| kind.events()).sum::<u64>(), 1);
    assert_eq!(texts(&mut backlog), ["t49", "event"]);
    backlog.push(text("another"), disconnect(A), NO_LIMIT).unwrap();
    backlog.push(text("too much"), Kind::Beat(A), 0).unwrap();
    assert_eq!(texts(&mut backlog), ["another"]);
    assert!(backlog.take_losses().is_empty());
    assert_eq!(backlog.metrics.dropped_oldest.get(), 0);
}
