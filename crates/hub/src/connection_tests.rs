//! Tests of one connection as its session and its shard see it.

use proptest::prelude::*;
use redcast_wire::{ping_frame, pong_frame, text_frame};

use super::*;
use crate::broadcast::{Broadcast, SlowConsumer};
use crate::testing::{CountingWaker, Sent, TestSocket, connection, event, split};

impl<S: Socket + ?Sized> Connection<S> {
    /// Makes the last sign of life `silence` old.
    pub(crate) fn pretend_silence(&self, silence: Duration) {
        let then = self.clock_ms().wrapping_sub(silence.as_millis() as u32);
        self.last_seen.store(then, Ordering::Relaxed);
    }
}

fn deliver(connection: &Connection<TestSocket>, events: &[Broadcast], join: bool) -> Delivered {
    let picks: Vec<u32> = (0..events.len() as u32).collect();
    let frames = events.iter().filter_map(|event| event.frames.get(Form::Raw));
    let joined: Vec<u8> = frames.flat_map(|frame| frame.to_vec()).collect();
    let joined = (join && events.len() > 1).then_some(joined.as_slice());
    connection.deliver(&Share { events, picks: &picks, joined })
}

fn one(text: &str) -> [Broadcast; 1] {
    [event(1, text, SlowConsumer::Disconnect)]
}

#[test]
fn a_short_write_wakes_the_session_once() {
    let socket = TestSocket::with_room(3);
    let (connection, metrics) = connection(&socket, Form::Raw, 1000);
    let (woken, waker) = CountingWaker::new();
    connection.register(&waker);
    deliver(&connection, &one("first"), false);
    assert_eq!(woken.take(), 1);
    connection.register(&waker);
    deliver(&connection, &one("second"), false);
    connection.send(&text_frame(b"third"));
    connection.pong(pong_frame(b""));
    assert_eq!(woken.take(), 0, "it is awake, and waits for the socket");
    assert_eq!(connection.flush(), Flush::Blocked);
    socket.set_room(100);
    assert!(!connection.is_drained());
    assert_eq!(connection.flush(), Flush::Drained(Vec::new()));
    assert!(connection.is_drained());
    socket.set_room(0);
    connection.send(&text_frame(b"fourth"));
    assert_eq!(woken.take(), 1, "a new backlog is new work");
    assert_eq!(metrics.bytes_out.get(), socket.written().len() as u64 - 3);
}

#[test]
fn what_the_connection_itself_writes_is_counted_as_bytes() {
    let socket = TestSocket::open();
    let (connection, metrics) = connection(&socket, Form::Raw, 1000);
    connection.send(&text_frame(b"abc"));
    connection.pong(pong_frame(b"de"));
    connection.ping(&ping_frame(b""));
    assert_eq!(socket.written().len(), 11);
    assert_eq!(metrics.bytes_out.get(), 11);
}

#[test]
fn the_end_wakes_the_session_and_later_ends_do_not() {
    let ends: [fn(&Connection<TestSocket>); 3] = [
        |connection| connection.close(CloseCode::Policy, "why"),
        |connection| connection.close_after_flush(CloseCode::Policy, "why"),
        |connection| {
            connection.socket().fail(io::ErrorKind::BrokenPipe);
            connection.send(&text_frame(b"x"));
        },
    ];
    for end in ends {
        let socket = TestSocket::open();
        let (connection, _) = connection(&socket, Form::Raw, 1000);
        let (woken, waker) = CountingWaker::new();
        connection.register(&waker);
        assert_eq!(connection.closing(), None);
        end(&connection);
        assert_eq!(woken.take(), 1);
        assert!(connection.closing().is_some());
        connection.register(&waker);
        connection.close(CloseCode::Normal, "");
        connection.close_after_flush(CloseCode::Normal, "");
        assert_eq!(woken.take(), 0);
    }
}

#[test]
fn close_cuts_and_close_after_flush_does_not() {
    for (flush, texts) in [(false, vec!["first"]), (true, vec!["first", "second"])] {
        let socket = TestSocket::with_room(1);
        let (connection, _) = connection(&socket, Form::Raw, 1000);
        deliver(&connection, &one("first"), false);
        deliver(&connection, &one("second"), false);
        if flush {
            connection.close_after_flush(CloseCode::Policy, "why");
        } else {
            connection.close(CloseCode::Policy, "why");
        }
        socket.set_room(1000);
        assert_eq!(connection.flush(), Flush::Drained(Vec::new()));
        assert_eq!(socket.texts(), texts);
    }
}

#[test]
fn an_abandoned_connection_is_abnormal_and_silent() {
    let socket = TestSocket::with_room(1);
    let (connection, metrics) = connection(&socket, Form::Raw, 1000);
    let (woken, waker) = CountingWaker::new();
    deliver(&connection, &one("first"), false);
    deliver(&connection, &one("second"), false);
    connection.register(&waker);
    connection.abandon();
    assert_eq!(woken.take(), 1);
    assert_eq!(connection.closing().map(|closing| closing.code), Some(CloseCode::Abnormal));
    assert_eq!(connection.flush(), Flush::Drained(Vec::new()));
    assert_eq!((socket.written().len(), metrics.dropped_closed.get()), (1, 1));
}

#[test]
fn a_flush_tells_how_the_socket_stands() {
    let socket = TestSocket::with_room(1);
    let (connection, _) = connection(&socket, Form::Raw, 1 << 20);
    deliver(&connection, &one(&"x".repeat(100_000)), false);
    assert_eq!(connection.flush(), Flush::Blocked);
    socket.set_room(usize::MAX);
    assert_eq!(connection.flush(), Flush::More);
    socket.fail(io::ErrorKind::Interrupted);
    assert_eq!(connection.flush(), Flush::More);
    socket.fail(io::ErrorKind::ConnectionReset);
    assert_eq!(connection.flush(), Flush::Broken);
}

#[test]
fn losses_are_told_when_all_is_written() {
    let socket = TestSocket::with_room(1);
    let (connection, _) = connection(&socket, Form::Raw, 0);
    deliver(&connection, &one("begun"), false);
    for text in ["a", "b", "c"] {
        deliver(&connection, &[event(9, text, SlowConsumer::DropOldest)], false);
    }
    socket.set_room(1000);
    let Flush::Drained(losses) = connection.flush() else { panic!("all fits") };
    assert_eq!((losses.len(), losses[0].dropped), (1, 2));
    assert_eq!(socket.texts(), ["begun", "c"]);
}

#[test]
fn a_sign_of_life_ends_the_silence() {
    let (connection, _) = connection(&TestSocket::open(), Form::Raw, 0);
    assert!(connection.idle_for() < Duration::from_secs(5));
    connection.pretend_silence(Duration::from_secs(60));
    assert!(connection.idle_for() >= Duration::from_secs(60));
    assert!(connection.idle_for() < Duration::from_secs(65));
    connection.mark_alive();
    assert!(connection.idle_for() < Duration::from_secs(5));
}

#[test]
fn a_slot_comes_and_goes() {
    let (connection, _) = connection(&TestSocket::open(), Form::Envelope, 0);
    assert_eq!((connection.slot(), connection.form()), (None, Form::Envelope));
    connection.set_slot(Some(0));
    assert_eq!(connection.slot(), Some(0));
    connection.set_slot(None);
    assert_eq!(connection.slot(), None);
    assert!(!connection.has_departed());
    connection.mark_departed();
    assert!(connection.has_departed());
}

/// One thing that happens to a connection.
#[derive(Debug, Clone)]
enum Step {
    Deliver { events: Vec<(usize, usize)>, join: bool },
    Reply(usize),
    Pong,
    Ping,
    Room(usize),
    Flush,
    Close { flush: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let events = prop::collection::vec((0..3_usize, 0..300_usize), 1..6);
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
    next: u32,
    handed: u64,
    replies: Vec<u32>,
    pongs: u32,
    told: u64,
}

impl Story {
    fn new(policies: [SlowConsumer; 3]) -> Self {
        let socket = TestSocket::with_room(500);
        let (connection, metrics) = connection(&socket, Form::Raw, 1500);
        let (next, handed, replies, pongs, told) = (0, 0, Vec::new(), 0, 0);
        Self { socket, connection, metrics, policies, next, handed, replies, pongs, told }
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
                    .map(|&(channel, size)| {
                        let text = self.text(&channel.to_string(), size);
                        event(channel as u64, &text, self.policies[channel])
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
        assert!(self.metrics.outbox_bytes.get() <= 1500);
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
        let (mut all, mut in_order, mut per_channel) = (Vec::new(), Vec::new(), [0; 3]);
        for text in self.socket.texts() {
            let mut parts = text.split('|');
            let number: u32 = parts.next().unwrap().parse().unwrap();
            let channel = parts.next().unwrap();
            all.push((number, channel == "reply"));
            let channel: Option<usize> = channel.parse().ok();
            if let Some(channel) = channel {
                assert!(per_channel[channel] < number, "channel {channel} out of order");
                per_channel[channel] = number;
            }
            // Only conflation may move an event forward, into its elder's place.
            if channel.is_none_or(|c| self.policies[c] != SlowConsumer::KeepLatest) {
                in_order.push(number);
            }
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
        steps in steps(),
    ) {
        let mut story = Story::new(policies);
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
