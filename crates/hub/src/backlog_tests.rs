//! Tests of what waits: its order, its bound, and what each policy gives up.

use super::*;
use crate::broadcast::WHOLE_CHANNEL;
use crate::testing::{Sent, frame_of, metrics, split};
use crate::waiting::{ENTRY_OVERHEAD, INDEX_OVERHEAD};
use redcast_protocol::CloseCode;
use redcast_wire::{close_frame, ping_frame, pong_frame, text_frame};

#[path = "backlog_latest_tests.rs"]
mod latest;

const A: ChannelKey = ChannelKey(1);
const B: ChannelKey = ChannelKey(2);
const NO_LIMIT: usize = usize::MAX;

fn event(channel: ChannelKey, policy: SlowConsumer) -> Kind {
    Kind::Event(channel, policy)
}

fn drop_oldest(channel: ChannelKey) -> Kind {
    event(channel, SlowConsumer::DropOldest)
}

fn keep_latest(channel: ChannelKey) -> Kind {
    latest(channel, WHOLE_CHANNEL)
}

fn latest(channel: ChannelKey, item: u64) -> Kind {
    Kind::Latest(channel, item)
}

fn without_item(channel: ChannelKey) -> Kind {
    event(channel, SlowConsumer::KeepLatest)
}

fn disconnect(channel: ChannelKey) -> Kind {
    event(channel, SlowConsumer::Disconnect)
}

fn text(text: &str) -> Bytes {
    text_frame(text.as_bytes())
}

/// Writes everything out, at most `step` bytes at a time.
fn drain(backlog: &mut Backlog, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..1_000_000 {
        if backlog.is_empty() {
            return all;
        }
        let part: Vec<u8> = backlog.offer(|slices| {
            slices.iter().flat_map(|slice| slice.iter().copied()).take(step).collect()
        });
        backlog.advance(part.len());
        all.extend(part);
    }
    panic!("it never becomes empty");
}

fn texts(backlog: &mut Backlog) -> Vec<String> {
    let all = drain(backlog, NO_LIMIT);
    let (frames, rest) = split(&all);
    assert!(rest.is_empty());
    let text = |frame| match frame {
        Sent::Text(text) => text,
        other => panic!("{other:?} is no text"),
    };
    frames.into_iter().map(text).collect()
}

fn full_house() -> Backlog {
    let mut backlog = Backlog::new(metrics());
    backlog.push(text("event"), disconnect(A), NO_LIMIT).unwrap();
    backlog.push_close(close_frame(CloseCode::Normal, "bye"));
    backlog.push(text("reply"), Kind::Reply, NO_LIMIT).unwrap();
    backlog.push(ping_frame(b""), Kind::Ping, 0).unwrap();
    backlog.push(pong_frame(b"old"), Kind::Pong, 0).unwrap();
    backlog.push(pong_frame(b"new"), Kind::Pong, 0).unwrap();
    backlog.push(ping_frame(b""), Kind::Ping, 0).unwrap();
    backlog.begin(text("begun"), 3);
    backlog
}

#[test]
fn the_order_is_begun_pong_ping_queue_close_at_any_split() {
    let rest_of_begun = &text("begun")[3..];
    let expected = [
        rest_of_begun,
        &pong_frame(b"new"),
        &ping_frame(b""),
        &text("event"),
        &text("reply"),
        &close_frame(CloseCode::Normal, "bye"),
    ]
    .concat();
    for step in 1..=expected.len() {
        assert_eq!(drain(&mut full_house(), step), expected, "{step} bytes at a time");
    }
}

#[test]
fn a_pong_in_progress_is_finished_before_a_newer_one() {
    let mut backlog = Backlog::new(metrics());
    backlog.push(pong_frame(b"first"), Kind::Pong, 0).unwrap();
    backlog.push(ping_frame(b""), Kind::Ping, 0).unwrap();
    backlog.advance(3);
    backlog.push(pong_frame(b"second"), Kind::Pong, 0).unwrap();
    let expected = [&pong_frame(b"first")[3..], &pong_frame(b"second"), &ping_frame(b"")].concat();
    assert_eq!(drain(&mut backlog, 1), expected);
}

#[test]
fn any_part_alone_makes_it_not_empty() {
    let parts: [fn(&mut Backlog); 5] = [
        |backlog| backlog.begin(text("x"), 1),
        |backlog| backlog.push(pong_frame(b""), Kind::Pong, 0).unwrap(),
        |backlog| backlog.push(ping_frame(b""), Kind::Ping, 0).unwrap(),
        |backlog| backlog.push(text("x"), Kind::Reply, 0).unwrap(),
        |backlog| backlog.push_close(close_frame(CloseCode::Normal, "")),
    ];
    for part in parts {
        let mut backlog = Backlog::new(metrics());
        assert!(backlog.is_empty());
        part(&mut backlog);
        assert!(!backlog.is_empty());
    }
}

#[test]
fn the_limit_counts_bytes_and_entries_exactly() {
    let limit = 100 + ENTRY_OVERHEAD + 50 + ENTRY_OVERHEAD;
    let mut backlog = Backlog::new(metrics());
    backlog.push(frame_of(100, 'a'), disconnect(A), limit).unwrap();
    assert_eq!(backlog.push(frame_of(51, 'b'), disconnect(A), limit), Err(Full));
    backlog.push(frame_of(50, 'b'), disconnect(A), limit).unwrap();
    assert_eq!(backlog.push(frame_of(2, 'c'), disconnect(A), limit), Err(Full));
    assert_eq!(backlog.waiting_bytes, limit);
    assert_eq!(backlog.metrics.outbox_bytes.get(), limit as i64);
}

#[test]
fn with_nothing_else_waiting_any_size_is_taken() {
    for kind in [Kind::Reply, disconnect(A), drop_oldest(A), keep_latest(A)] {
        let mut backlog = Backlog::new(metrics());
        backlog.begin(text("begun"), 1);
        backlog.push(frame_of(500, 'x'), kind, 10).unwrap();
        assert_eq!(backlog.queue.iter().count(), 1);
    }
}

#[test]
fn the_oldest_droppable_go_first_and_no_more_than_needed() {
    let mut backlog = Backlog::new(metrics());
    for (name, kind) in [
        ("reply", Kind::Reply),
        ("a1", drop_oldest(A)),
        ("must", disconnect(ChannelKey(3))),
        ("b1", without_item(B)),
        ("a2", drop_oldest(A)),
        ("a3", drop_oldest(A)),
    ] {
        backlog.push(text(name), kind, NO_LIMIT).unwrap();
    }
    // One entry makes room for another as small; the longer one needs two.
    let limit = backlog.waiting_bytes;
    backlog.push(text("a4"), drop_oldest(A), limit).unwrap();
    assert_eq!(backlog.metrics.dropped_oldest.get(), 1);
    backlog.push(text("a longer reply"), Kind::Reply, limit).unwrap();
    assert_eq!(backlog.metrics.dropped_oldest.get(), 3);
    assert_eq!(texts(&mut backlog), ["reply", "must", "a3", "a4", "a longer reply"]);
    let losses: Vec<_> =
        backlog.take_losses().into_iter().map(|loss| (loss.channel, loss.dropped)).collect();
    assert_eq!(losses, [(A, 2), (B, 1)]);
}

#[test]
fn a_new_event_that_alone_is_droppable_is_dropped_itself() {
    for kind in [drop_oldest(A), keep_latest(A)] {
        let mut backlog = Backlog::new(metrics());
        backlog.push(text("reply"), Kind::Reply, 100).unwrap();
        backlog.push(text("must"), disconnect(B), NO_LIMIT).unwrap();
        assert_eq!(backlog.push(text("new"), kind, 100), Ok(()));
        assert_eq!(texts(&mut backlog), ["reply", "must"]);
        assert_eq!(backlog.metrics.dropped_oldest.get(), 1);
        assert_eq!(backlog.take_losses()[0].dropped, 1);
    }
}

#[test]
fn what_may_not_be_dropped_fills_it_up_after_all_that_may() {
    for kind in [Kind::Reply, disconnect(B)] {
        let mut backlog = Backlog::new(metrics());
        backlog.push(text("reply"), Kind::Reply, NO_LIMIT).unwrap();
        backlog.push(text("a1"), drop_oldest(A), NO_LIMIT).unwrap();
        backlog.push(text("a2"), keep_latest(B), NO_LIMIT).unwrap();
        assert_eq!(backlog.push(frame_of(200, 'x'), kind, 150), Err(Full));
        assert_eq!(backlog.metrics.dropped_oldest.get(), 2);
        assert_eq!(texts(&mut backlog), ["reply"]);
    }
}

#[test]
fn what_was_found_undroppable_is_not_looked_at_again_but_what_comes_behind_is() {
    let limit = 3 * (ENTRY_OVERHEAD + 4);
    let mut backlog = Backlog::new(metrics());
    for name in ["r1", "r2", "r3"] {
        backlog.push(text(name), Kind::Reply, limit).unwrap();
    }
    assert_eq!(backlog.push(text("r4"), Kind::Reply, limit), Err(Full));
    assert_eq!(backlog.queue.passed_over(), 3);
    // The first leaves, an event takes its place, and must give way to a reply.
    backlog.advance(4);
    assert_eq!(backlog.queue.passed_over(), 2);
    backlog.push(text("a1"), drop_oldest(A), limit).unwrap();
    backlog.push(text("r4"), Kind::Reply, limit).unwrap();
    assert_eq!(backlog.metrics.dropped_oldest.get(), 1);
    assert_eq!(texts(&mut backlog), ["r2", "r3", "r4"]);
    backlog.push(text("a2"), drop_oldest(A), limit).unwrap();
    backlog.push(frame_of(limit, 'x'), Kind::Reply, limit).unwrap();
    assert_eq!(backlog.metrics.dropped_oldest.get(), 2);
}

#[test]
fn losses_have_a_count_and_two_times_for_each_channel_and_are_told_once() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now();
    let mut backlog = Backlog::new(metrics());
    backlog.push(text("reply"), Kind::Reply, NO_LIMIT).unwrap();
    for _ in 0..3 {
        backlog.push(text("a"), drop_oldest(A), 0).unwrap();
    }
    backlog.push(text("b"), drop_oldest(B), 0).unwrap();
    backlog.losses[0].to_ms = 0;
    let from_ms = backlog.losses[0].from_ms;
    backlog.push(text("a"), drop_oldest(A), 0).unwrap();
    let losses = backlog.take_losses();
    assert_eq!((losses[0].channel, losses[0].dropped), (A, 4));
    assert_eq!((losses[1].channel, losses[1].dropped), (B, 1));
    assert_eq!(losses[0].from_ms, from_ms);
    for loss in losses {
        assert!((before..=loss.to_ms).contains(&loss.from_ms) && loss.to_ms <= now());
    }
    assert!(backlog.take_losses().is_empty());
}

impl Backlog {
    /// Makes the losses so far `age` older.
    pub(crate) fn age_losses(&mut self, age: Duration) {
        self.losses.iter_mut().for_each(|loss| loss.from_ms -= age.as_millis() as u64);
    }
}

#[test]
fn losses_are_overdue_when_the_oldest_is() {
    let patience = Duration::from_secs(100);
    let mut backlog = Backlog::new(metrics());
    backlog.push(text("reply"), Kind::Reply, NO_LIMIT).unwrap();
    backlog.push(text("a"), drop_oldest(A), 0).unwrap();
    backlog.age_losses(patience - Duration::from_secs(50));
    assert!(backlog.take_overdue_losses(patience).is_empty());
    backlog.age_losses(Duration::from_secs(50));
    backlog.push(text("b"), drop_oldest(B), 0).unwrap();
    assert_eq!(backlog.take_overdue_losses(patience).len(), 2, "all are told together");
    assert!(backlog.take_losses().is_empty());
}

#[test]
fn discarding_leaves_what_was_begun_and_the_close_frame() {
    let mut backlog = full_house();
    backlog.push(text("a1"), drop_oldest(A), NO_LIMIT).unwrap();
    assert_eq!(backlog.push(text("x"), Kind::Reply, 0), Err(Full));
    backlog.push(text("a2"), drop_oldest(A), NO_LIMIT).unwrap();
    assert_eq!(backlog.discard_queue(), 2, "a reply is no event");
    assert_eq!(backlog.metrics.outbox_bytes.get(), 0);
    assert_eq!((backlog.waiting_bytes, backlog.queue.passed_over()), (0, 0));
    let expected = [&text("begun")[3..], &close_frame(CloseCode::Normal, "bye")].concat();
    assert_eq!(drain(&mut backlog, NO_LIMIT), expected);
}

#[test]
fn the_gauge_is_back_at_zero_after_the_drain_and_after_the_end() {
    let metrics = metrics();
    let fill = || {
        let mut backlog = Backlog::new(metrics.clone());
        for number in 0..10 {
            backlog.push(frame_of(100 + number, 'x'), drop_oldest(A), 1000).unwrap();
        }
        assert_eq!(metrics.outbox_bytes.get(), backlog.waiting_bytes as i64);
        assert!((800..=1000).contains(&metrics.outbox_bytes.get()));
        backlog
    };
    let mut drained = fill();
    drain(&mut drained, 7);
    assert_eq!(metrics.outbox_bytes.get(), 0);
    drop(drained);
    drop(fill());
    assert_eq!(metrics.outbox_bytes.get(), 0);
}

#[test]
fn one_offer_is_64_slices_or_64_kib() {
    let shape = |backlog: &Backlog| {
        backlog.offer(|slices| (slices.len(), slices.iter().map(|s| s.len()).sum::<usize>()))
    };
    let mut many = Backlog::new(metrics());
    (0..100).for_each(|_| many.push(frame_of(10, 'x'), Kind::Reply, NO_LIMIT).unwrap());
    assert_eq!(shape(&many), (64, 640));
    let mut wide = Backlog::new(metrics());
    (0..8).for_each(|_| wide.push(frame_of(20_000, 'x'), Kind::Reply, NO_LIMIT).unwrap());
    assert_eq!(shape(&wide), (4, 65_536));
    let mut huge = Backlog::new(metrics());
    huge.push(text(&"x".repeat(1 << 20)), Kind::Reply, NO_LIMIT).unwrap();
    assert_eq!(shape(&huge), (1, 65_536));
    huge.advance(65_536);
    assert_eq!(shape(&huge), (1, 65_536));
    let mut exact = Backlog::new(metrics());
    exact.begin(frame_of(32_769, 'x'), 1);
    (0..3).for_each(|_| exact.push(frame_of(32_768, 'x'), Kind::Reply, NO_LIMIT).unwrap());
    assert_eq!(shape(&exact), (2, 65_536));
}
