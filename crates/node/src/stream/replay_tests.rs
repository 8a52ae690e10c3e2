//! Tests of what was read.

use bytes::Bytes;

use super::*;
use crate::testing::{channel, entry};

fn sized(number: u64, size: usize) -> Event {
    entry("s", number, &"x".repeat(size))
}

fn numbers(replay: &Replay) -> Vec<u64> {
    replay.events.iter().map(|kept| kept.cursor.millis).collect()
}

#[test]
fn of_the_last_events_only_the_first_are_kept() {
    let last = |sizes: &[usize], bytes| {
        let events = sizes.iter().zip(1..).map(|(size, number)| sized(number, *size)).collect();
        Replay::of_last(channel("s"), events, bytes)
    };
    let many = last(&[20_000; 10], 1 << 20);
    assert_eq!((numbers(&many), many.cursor.millis), (vec![1, 2, 3], 3));
    let few = last(&[20_000; 10], 50_000);
    assert_eq!((numbers(&few), few.cursor.millis), (vec![9, 10], 10), "the newest that may be");
    let large = last(&[300_000, 10], 1 << 20);
    assert_eq!(numbers(&large), [1], "one at least");
    let none = last(&[10, 300_000], 1000);
    assert_eq!((numbers(&none), none.cursor.millis), (vec![], 2), "behind what is too large");
    assert!(!none.is_nothing() && last(&[], 1000).is_nothing());
}

#[test]
fn frames_are_made_once_per_form() {
    let replay = Replay::of_last(channel("s"), vec![sized(1, 3), sized(2, 2)], 100);
    let raw = [event_frame(&Bytes::from("xxx")), event_frame(&Bytes::from("xx"))].concat();
    assert_eq!(replay.frames(Form::Quiet), raw);
    let pointer = |form| replay.frames(form).as_ptr();
    assert_eq!(pointer(Form::Raw), pointer(Form::Tracked));
    assert_eq!(pointer(Form::Envelope), pointer(Form::Envelope));
    assert_ne!(pointer(Form::Envelope), pointer(Form::Raw));
}
