//! Any order of events, replies, pongs, pings, room and closes: the client reads whole
//! frames in order, and each event arrives or is counted.

use std::collections::BTreeMap;

use proptest::prelude::*;
use redcast_wire::{ping_frame, pong_frame, text_frame};

use super::*;
use crate::broadcast::Form;
use crate::testing::{Sent, split};

/// One thing that happens to a connection.
#[derive(Debug, Clone)]
enum Step {
    /// Of each event its channel, its item and its size.
    Deliver {
        events: Vec<(usize, Option<u64>, usize)>,
        join: bool,
    },
    Reply(usize),
    Pong,
    Ping,
    Room(usize),
    Flush,
    Close {
        flush: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let item = prop::option::weighted(0.8, 0..4_u64);
    let events = prop::collection::vec((0..3_usize, item, 0..300_usize), 1..6);
    prop_oneof![
        8 => (events, any::<bool>()).prop_map(|(events, join)| Step::Deliver { events, join }),
        2 => (0..200_usize).prop_map(Step::Reply),
        1 => Just(Step::Pong),
        1 => Just(Step::Ping),
        6 => (0..900_usize).prop_map(Step::Room),
        6 => Just(Step::Flush),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let close = prop::option::of((0..60_usize, any::<bool>()));
    (prop::collection::vec(step(), 1..60), close).prop_map(|(mut steps, close)| {
        if let Some((index, flush)) = close {
            steps.insert(index.min(steps.len()), Step::Close { flush });
        }
        steps
    })
}

/// A connection under test and everything it was handed, numbered.
struct Story {
    socket: TestSocket,
    connection: Arc<Connection<TestSocket>>,
    metrics: HubMetrics,
    policies: [SlowConsumer; 3],
    limit: usize,
    next: u32,
    handed: u64,
    replies: Vec<u32>,
    pongs: u32,
    told: u64,
    /// The last event that was handed over of each item.
    newest: BTreeMap<(usize, Option<u64>), u32>,
}

impl Story {
    fn new(policies: [SlowConsumer; 3], limit: usize) -> Self {
        let socket = TestSocket::with_room(500);
        let (connection, metrics) = connection(&socket, Form::Raw, limit);
        let (next, handed, replies, pongs, told) = (0, 0, Vec::new(), 0, 0);
        let newest = BTreeMap::new();
        Self {
            socket,
            connection,
            metrics,
            policies,
            limit,
            next,
            handed,
            replies,
            pongs,
            told,
            newest,
        }
    }

    fn text(&mut self, channel: &str, size: usize) -> String {
        self.next += 1;
        format!("{}|{channel}|{}", self.next, "x".repeat(size))
    }

    /// New work must wake a session that has gone to sleep.
    fn take_and_check_wake_up(&mut self, step: &Step) {
        let state =
            |story: &Self| (!story.connection.is_drained(), story.connection.closing().is_some());
        let (woken, waker) = CountingWaker::new();
        self.connection.register(&waker);
        let before = state(self);
        self.take(step);
        let after = state(self);
        let is_new = (after.0 && !before.0) || (after.1 && !before.1);
        assert_eq!(woken.take() > 0, is_new, "{step:?} from {before:?} to {after:?}");
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Deliver { events, join } => {
                let events: Vec<Broadcast> = events
                    .iter()
                    .map(|&(channel, item, size)| {
                        let name = item.map_or_else(String::new, |item| item.to_string());
                        let text = self.text(&format!("{channel}:{name}"), size);
                        self.newest.insert((channel, item), self.next);
                        Broadcast { item, ..event(channel as u64, &text, self.policies[channel]) }
                    })
                    .collect();
                self.handed += deliver(&self.connection, &events, *join).events;
            }
            Step::Reply(size) => {
                let text = self.text("reply", *size);
                self.connection.send(&text_frame(text.as_bytes()));
                if self.connection.closing().is_none() {
                    self.replies.push(self.next);
                }
            }
            Step::Pong => {
                self.pongs += 1;
                self.connection.pong(pong_frame(self.pongs.to_string().as_bytes()));
            }
            Step::Ping => self.connection.ping(&ping_frame(b"")),
            Step::Room(room) => self.socket.set_room(*room),
            Step::Flush => self.flush(),
            Step::Close { flush: true } => {
                self.connection.close_after_flush(CloseCode::Policy, "why");
            }
            Step::Close { flush: false } => self.connection.close(CloseCode::Policy, "why"),
        }
    }

    fn flush(&mut self) {
        if let Flush::Drained(losses) = self.connection.flush() {
            self.told += losses.iter().map(|loss| loss.dropped).sum::<u64>();
        }
    }

    /// The waiting bytes keep to the limit, unless a single large frame waits.
    fn check_bound(&self) {
        assert!(self.metrics.outbox_bytes.get() <= self.limit as i64);
    }

    fn finish(&mut self) {
        self.socket.set_room(usize::MAX);
        let mut tries = 0..1000;
        while !self.connection.is_drained() && tries.next().is_some() {
            self.flush();
        }
        assert!(self.connection.is_drained());
        assert_eq!(self.metrics.outbox_bytes.get(), 0);
    }

    fn check(&self) {
        let frames = self.socket.sent();
        let closed = self.connection.closing();
        let closes = frames.iter().filter(|frame| matches!(frame, Sent::Close(..))).count();
        assert_eq!(closes, usize::from(closed.is_some()));
        if closed.is_some() {
            assert!(matches!(frames.last(), Some(Sent::Close(..))), "nothing after a close");
        }
        self.check_pongs(&frames);
        self.check_texts(closed.map(|closing| closing.code));
    }

    fn check_pongs(&self, frames: &[Sent]) {
        let pongs: Vec<u32> = frames
            .iter()
            .filter_map(|frame| match frame {
                Sent::Pong(text) => text.parse().ok(),
                _ => None,
            })
            .collect();
        assert!(pongs.is_sorted_by(|a, b| a < b));
        if self.connection.closing().is_none() {
            assert_eq!(pongs.last().copied().unwrap_or(0), self.pongs, "the latest answers all");
        }
    }

    fn check_texts(&self, closed: Option<CloseCode>) {
        let (mut all, mut in_order) = (Vec::new(), Vec::new());
        let mut last: BTreeMap<(usize, Option<u64>), u32> = BTreeMap::new();
        for text in self.socket.texts() {
            let mut parts = text.split('|');
            let number: u32 = parts.next().unwrap().parse().unwrap();
            let event = parts.next().unwrap().split_once(':');
            if event.is_none() {
                let newer = all.iter().find(|(before, _)| *before > number);
                assert_eq!(newer, None, "it has overtaken reply {number}");
            }
            all.push((number, event.is_none()));
            let event = event.map(|(channel, item)| (channel.parse().unwrap(), item.parse().ok()));
            if let Some(event) = event {
                let before = last.insert(event, number).unwrap_or(0);
                assert!(before < number, "{event:?} out of order");
            }
            // Only conflation may move an event forward, into its elder's place.
            let conflates = |(channel, item): (usize, Option<u64>)| {
                self.policies[channel] == SlowConsumer::KeepLatest && item.is_some()
            };
            if event.is_none_or(|event| !conflates(event)) {
                in_order.push(number);
            }
        }
        if closed.is_none() && self.metrics.dropped_oldest.get() == 0 {
            assert_eq!(last, self.newest, "conflation never costs the newest");
        }
        assert!(in_order.is_sorted_by(|a, b| a < b));
        let events = all.iter().filter(|(_, is_reply)| !is_reply).count() as u64;
        let HubMetrics { dropped_oldest, conflated, dropped_slow, dropped_closed, .. } =
            &self.metrics;
        let dropped = [dropped_oldest, conflated, dropped_slow, dropped_closed];
        let dropped: u64 = dropped.map(|counter| counter.get()).iter().sum();
        assert_eq!(events + dropped, self.handed, "each event arrived or was counted");
        if closed.is_none() {
            let replies: Vec<u32> = all.iter().filter(|(_, is)| *is).map(|(n, _)| *n).collect();
            assert_eq!(replies, self.replies);
            assert_eq!(self.told, dropped_oldest.get());
        }
    }
}

fn policies() -> impl Strategy<Value = [SlowConsumer; 3]> {
    use SlowConsumer::{Disconnect, DropOldest, KeepLatest};
    prop_oneof![
        Just([Disconnect, DropOldest, KeepLatest]),
        Just([DropOldest, DropOldest, KeepLatest]),
        Just([KeepLatest, KeepLatest, KeepLatest]),
        Just([Disconnect, Disconnect, Disconnect]),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_client_reads_whole_frames_in_order(
        policies in policies(),
        // Small, and so large that only conflation ever gives anything up.
        limit in prop::sample::select(vec![1500, 100_000]),
        steps in steps(),
    ) {
        let mut story = Story::new(policies, limit);
        for step in steps {
            story.take_and_check_wake_up(&step);
            story.check_bound();
            // Whole frames and the beginning of one more: split panics otherwise.
            split(&story.socket.written());
        }
        story.finish();
        story.check();
    }
}
