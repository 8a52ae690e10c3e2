//! Tests of the way out: direct writes, short writes, closing, overflow.

use super::*;
use crate::broadcast::Form;
use crate::broadcast::SlowConsumer::{Disconnect, DropOldest, KeepLatest};
use crate::testing::{Call, Sent, TestSocket, beat, event, frame_of, metrics, notice};
use redcast_wire::{ping_frame, pong_frame, text_frame};

const LIMIT: usize = 1000;

struct Rig {
    socket: TestSocket,
    outbox: Outbox,
    metrics: HubMetrics,
}

impl Rig {
    fn new(room: usize) -> Self {
        let socket = TestSocket::with_room(room);
        Self { socket, outbox: Outbox::default(), metrics: metrics() }
    }

    /// A rig whose socket took one byte of the frame `begun`.
    fn begun() -> Self {
        let mut rig = Self::new(1);
        assert!(rig.deliver(&[event(1, "begun", Disconnect)]).wake);
        rig
    }

    fn deliver(&mut self, events: &[Broadcast]) -> Delivered {
        self.deliver_joined(events, None)
    }

    fn deliver_joined(&mut self, events: &[Broadcast], joined: Option<&[u8]>) -> Delivered {
        let picks: Vec<u32> = (0..events.len() as u32).collect();
        let share = Share { events, picks: &picks, joined };
        self.outbox.deliver(&self.socket, &share, Form::Raw.into(), (LIMIT, &self.metrics))
    }

    fn send(&mut self, text: &str) -> Delivered {
        let frame = text_frame(text.as_bytes());
        self.outbox.send(&self.socket, &frame, Kind::Reply, (LIMIT, &self.metrics))
    }

    fn pong(&mut self, text: &str) -> Delivered {
        let frame = pong_frame(text.as_bytes());
        self.outbox.send(&self.socket, &frame, Kind::Pong, (LIMIT, &self.metrics))
    }

    fn ping(&mut self) -> Delivered {
        let frame = ping_frame(b"");
        self.outbox.send(&self.socket, &frame, Kind::Ping, (LIMIT, &self.metrics))
    }

    fn close(&mut self, code: CloseCode, flush: bool) -> bool {
        self.outbox.close(code, "why", flush, &self.metrics)
    }

    /// Gives the socket room for everything; answers what was told as lost.
    fn drain(&mut self) -> Vec<Loss> {
        self.socket.set_room(usize::MAX);
        for _ in 0..10_000 {
            if let (true, losses) = self.outbox.flush(&self.socket, &self.metrics).unwrap() {
                return losses;
            }
        }
        panic!("it never becomes empty");
    }

    fn texts(&mut self) -> Vec<String> {
        self.drain();
        self.socket.texts()
    }
}

impl Outbox {
    /// Makes the losses so far `age` older.
    pub(crate) fn age_losses(&mut self, age: Duration) {
        self.backlog.as_mut().unwrap().age_losses(age);
    }
}

fn numbered(count: usize) -> Vec<Broadcast> {
    (0..count).map(|number| event(1, &format!("event {number}"), Disconnect)).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("event {number}")).collect()
}

fn joined(events: &[Broadcast]) -> Vec<u8> {
    events.iter().flat_map(|event| event.frames.get(Form::Raw.into()).unwrap().to_vec()).collect()
}

#[test]
fn an_idle_connection_is_written_to_at_once() {
    let mut rig = Rig::new(usize::MAX);
    let done = rig.deliver(&[event(1, "one", Disconnect)]);
    assert_eq!(done, Delivered { events: 1, bytes: 5, wake: false });
    let done = rig.send("two");
    assert_eq!(done, Delivered { events: 0, bytes: 5, wake: false });
    rig.pong("three");
    assert_eq!(rig.ping(), Delivered { events: 0, bytes: 2, wake: false });
    assert!(rig.outbox.is_idle());
    assert_eq!(rig.socket.calls(), [Call::One; 4]);
    let text = |text: &str| Sent::Text(text.to_owned());
    let sent = [text("one"), text("two"), Sent::Pong("three".to_owned()), Sent::Ping];
    assert_eq!(rig.socket.sent(), sent);
}

#[test]
fn a_share_is_one_call_joined_or_not() {
    let events = numbered(64);
    let mut rig = Rig::new(usize::MAX);
    let done = rig.deliver(&events);
    assert_eq!(done, Delivered { events: 64, bytes: joined(&events).len() as u64, wake: false });
    assert_eq!(rig.socket.calls(), [Call::Vectored(64)]);
    let mut rig = Rig::new(usize::MAX);
    rig.deliver_joined(&events, Some(&joined(&events)));
    assert_eq!(rig.socket.calls(), [Call::One]);
    assert_eq!(rig.texts(), names(64));
}

#[test]
fn more_frames_than_one_call_takes_need_another_unless_the_first_was_short() {
    for (count, calls) in [
        (65, vec![Call::Vectored(64), Call::One]),
        (66, vec![Call::Vectored(64), Call::Vectored(2)]),
        (129, vec![Call::Vectored(64), Call::Vectored(64), Call::One]),
    ] {
        let events = numbered(count);
        let mut rig = Rig::new(usize::MAX);
        assert_eq!(rig.deliver(&events).bytes, joined(&events).len() as u64);
        assert_eq!(rig.socket.calls(), calls);
        assert_eq!(rig.texts(), names(count));
    }
    let mut rig = Rig::new(100);
    assert!(rig.deliver(&numbered(66)).wake);
    assert_eq!(rig.socket.calls(), [Call::Vectored(64)]);
    // The second call finds no room at all, which takes nothing from the first.
    let mut rig = Rig::new(joined(&numbered(64)).len());
    assert_eq!(rig.deliver(&numbered(65)).bytes, joined(&numbered(64)).len() as u64);
    assert_eq!(rig.socket.calls(), [Call::Vectored(64), Call::One]);
    assert_eq!(rig.texts(), names(65));
}

#[test]
fn at_any_split_the_rest_follows_exactly() {
    let events = numbered(4);
    let all = joined(&events);
    for room in 0..all.len() {
        for joined in [None, Some(all.as_slice())] {
            let mut rig = Rig::new(room);
            let done = rig.deliver_joined(&events, joined);
            assert_eq!(done, Delivered { events: 4, bytes: room as u64, wake: true });
            assert!(!rig.outbox.is_idle());
            assert!(rig.drain().is_empty());
            assert!(rig.outbox.is_idle());
            assert_eq!(rig.socket.written(), all, "{room} bytes at first");
            assert_eq!(rig.metrics.bytes_out.get(), (all.len() - room) as u64);
        }
    }
}

#[test]
fn while_something_waits_nothing_is_written_past_it() {
    let mut rig = Rig::begun();
    rig.socket.set_room(usize::MAX);
    let before = rig.socket.calls();
    assert_eq!(rig.deliver(&numbered(2)), Delivered { events: 2, bytes: 0, wake: false });
    for done in [rig.send("reply"), rig.pong("p"), rig.ping()] {
        assert_eq!(done, Delivered::default(), "the session is awake already");
    }
    assert_eq!(rig.socket.calls(), before);
    assert_eq!(rig.texts(), ["begun", "event 0", "event 1", "reply"]);
    rig.deliver(&numbered(1));
    assert!(rig.outbox.is_idle(), "it goes straight to the socket again");
}

#[test]
fn a_pong_that_finds_no_room_is_replaced_by_a_later_one_all_the_same() {
    let mut rig = Rig::new(0);
    assert!(rig.pong("first").wake);
    rig.ping();
    rig.send("reply");
    rig.pong("second");
    rig.ping();
    rig.drain();
    let sent = [Sent::Pong("second".to_owned()), Sent::Ping, Sent::Text("reply".to_owned())];
    assert_eq!(rig.socket.sent(), sent);
}

#[test]
fn a_member_gets_its_own_picks_in_its_own_form() {
    let mut rig = Rig::new(usize::MAX);
    let mut events = numbered(4);
    events.push(notice(1, "notice"));
    let share = Share { events: &events, picks: &[0, 2, 4], joined: None };
    let settings = (LIMIT, &rig.metrics);
    let done = rig.outbox.deliver(&rig.socket, &share, Form::Raw.into(), settings);
    assert_eq!(done.events, 2, "a notice is no event");
    let done = rig.outbox.deliver(&rig.socket, &share, Form::Quiet.into(), settings);
    assert_eq!(done.events, 2);
    let done = rig.outbox.deliver(&rig.socket, &share, Form::Envelope.into(), settings);
    assert_eq!(done.events, 0);
    let expected = ["event 0", "event 2", "notice", "event 0", "event 2", "notice"];
    assert_eq!(rig.texts(), expected);
}

#[test]
fn a_share_without_frames_of_the_form_is_no_call() {
    let mut rig = Rig::new(usize::MAX);
    let picks = [0, 1];
    let share = Share { events: &numbered(2), picks: &picks, joined: Some(&[]) };
    let settings = (LIMIT, &rig.metrics);
    let done = rig.outbox.deliver(&rig.socket, &share, Form::Envelope.into(), settings);
    assert_eq!(done, Delivered::default());
    assert!(rig.socket.calls().is_empty());
}

#[test]
fn an_interrupted_write_took_nothing() {
    let mut rig = Rig::new(usize::MAX);
    rig.socket.fail(io::ErrorKind::Interrupted);
    assert_eq!(rig.deliver(&numbered(1)), Delivered { events: 1, bytes: 0, wake: true });
    assert_eq!(rig.outbox.closing(), None);
}

#[test]
fn a_write_error_ends_the_connection_without_a_close_frame() {
    let deliver = |rig: &mut Rig| rig.deliver(&[event(1, "a", Disconnect), notice(1, "b")]);
    let send = |rig: &mut Rig| rig.send("reply");
    for (send, events) in [(deliver as fn(&mut Rig) -> Delivered, 1), (send, 0)] {
        let mut rig = Rig::new(usize::MAX);
        rig.socket.fail(io::ErrorKind::BrokenPipe);
        assert_eq!(send(&mut rig), Delivered { events, bytes: 0, wake: true });
        assert_eq!(rig.metrics.dropped_closed.get(), events);
        assert_eq!(rig.outbox.closing(), Some(Closing { code: CloseCode::Abnormal }));
        assert!(rig.outbox.is_idle());
        assert_eq!(send(&mut rig), Delivered::default());
        assert_eq!(rig.socket.calls().len(), 1);
    }
}

#[test]
fn what_waited_for_a_dead_socket_is_counted_and_the_first_code_stays() {
    let mut rig = Rig::begun();
    rig.deliver(&numbered(3));
    rig.close(CloseCode::ServiceRestart, true);
    assert!(rig.outbox.broken(&rig.metrics).wake);
    assert_eq!(rig.outbox.closing(), Some(Closing { code: CloseCode::ServiceRestart }));
    assert_eq!(rig.metrics.dropped_closed.get(), 3);
    assert_eq!(rig.metrics.outbox_bytes.get(), 0);
    assert!(rig.outbox.is_idle());
}

#[test]
fn a_close_goes_right_behind_the_frame_in_progress_and_counts_the_rest() {
    for (code, number) in [(CloseCode::Policy, 1008), (CloseCode::SlowConsumer, 4409)] {
        let mut rig = Rig::begun();
        rig.deliver(&numbered(2));
        rig.send("reply");
        rig.pong("p");
        assert!(rig.close(code, false));
        let slow = if code == CloseCode::SlowConsumer { 2 } else { 0 };
        assert_eq!(rig.metrics.dropped_slow.get(), slow);
        assert_eq!(rig.metrics.dropped_closed.get(), 2 - slow);
        rig.drain();
        let close = Sent::Close(number, "why".to_owned());
        assert_eq!(rig.socket.sent(), [Sent::Text("begun".to_owned()), close]);
        assert_eq!(rig.metrics.outbox_bytes.get(), 0);
    }
}

#[test]
fn a_close_after_the_flush_comes_last() {
    let mut rig = Rig::begun();
    rig.deliver(&numbered(2));
    rig.send("reply");
    rig.ping();
    assert!(rig.close(CloseCode::ServiceRestart, true));
    assert_eq!(rig.texts(), ["begun", "event 0", "event 1", "reply"]);
    assert_eq!(rig.socket.sent()[1], Sent::Ping);
    assert_eq!(rig.socket.sent().last(), Some(&Sent::Close(1012, "why".to_owned())));
    assert_eq!((rig.metrics.dropped_closed.get(), rig.metrics.dropped_slow.get()), (0, 0));
}

#[test]
fn after_a_close_nothing_is_accepted_and_a_second_one_changes_nothing() {
    for flush in [false, true] {
        let mut rig = Rig::new(usize::MAX);
        assert!(rig.close(CloseCode::Policy, flush));
        assert!(!rig.close(CloseCode::Normal, !flush));
        for sent_before in [false, true] {
            if sent_before {
                rig.drain();
            }
            let calls = [rig.deliver(&numbered(1)), rig.send("r"), rig.pong("p"), rig.ping()];
            assert_eq!(calls, [Delivered::default(); 4]);
            assert!(!rig.close(CloseCode::Normal, false));
        }
        assert_eq!(rig.socket.sent(), [Sent::Close(1008, "why".to_owned())]);
        assert_eq!(rig.outbox.closing(), Some(Closing { code: CloseCode::Policy }));
        assert!(rig.outbox.is_idle());
    }
}

#[test]
fn events_over_the_limit_close_a_disconnect_channel_and_the_rest_of_the_share_is_counted() {
    let mut rig = Rig::begun();
    let mut events: Vec<_> = (0..20).map(|n| event(1, &format!("{n:>50}"), Disconnect)).collect();
    events.insert(15, notice(1, "notice"));
    let done = rig.deliver(&events);
    // 116 bytes each with their overhead: eight fit into 1,000.
    assert_eq!(done, Delivered { events: 20, bytes: 0, wake: true });
    assert_eq!(rig.metrics.dropped_slow.get(), 20);
    assert_eq!(rig.outbox.closing(), Some(Closing { code: CloseCode::SlowConsumer }));
    rig.drain();
    let reason = CloseCode::SlowConsumer.reason().to_owned();
    assert_eq!(rig.socket.sent()[1..], [Sent::Close(4409, reason)]);
}

#[test]
fn replies_over_the_limit_close_too_but_are_no_dropped_events() {
    let mut rig = Rig::begun();
    rig.deliver(&[event(1, "waits", Disconnect)]);
    let mut woken = 0;
    for _ in 0..20 {
        woken += u32::from(rig.send(&"r".repeat(50)).wake);
    }
    assert_eq!(woken, 1);
    assert_eq!(rig.metrics.dropped_slow.get(), 1);
    assert_eq!(rig.outbox.closing(), Some(Closing { code: CloseCode::SlowConsumer }));
}

#[test]
fn drop_oldest_costs_a_slow_client_its_oldest_and_says_so_once() {
    let mut rig = Rig::begun();
    let events: Vec<_> = (0..20).map(|n| event(7, &format!("{n:>50}"), DropOldest)).collect();
    rig.deliver(&events);
    assert_eq!(rig.metrics.dropped_oldest.get(), 12);
    assert!(rig.metrics.outbox_bytes.get() <= LIMIT as i64);
    let losses = rig.drain();
    assert_eq!((losses.len(), losses[0].channel.0, losses[0].dropped), (1, 7, 12));
    let kept: Vec<_> = (12..20).map(|n| format!("{n:>50}")).collect();
    assert_eq!(rig.texts()[1..], kept);
    assert!(rig.drain().is_empty());
    assert_eq!(rig.outbox.closing(), None);
}

#[test]
fn keep_latest_costs_a_slow_client_all_but_the_newest() {
    let mut rig = Rig::begun();
    let events: Vec<_> = (0..20).map(|n| event(n % 2, &n.to_string(), KeepLatest)).collect();
    rig.deliver(&events);
    assert_eq!(rig.metrics.conflated.get(), 18);
    assert_eq!(rig.texts(), ["begun", "18", "19"]);
}

#[test]
fn an_event_larger_than_the_limit_reaches_a_client_that_keeps_up() {
    let mut rig = Rig::new(100);
    let large = frame_of(5000, 'x');
    rig.deliver(&[event(1, &"x".repeat(4996), Disconnect)]);
    assert_eq!(rig.outbox.closing(), None);
    rig.drain();
    assert_eq!(rig.socket.written(), large);
    let mut rig = Rig::new(0);
    rig.deliver(&[event(1, &"x".repeat(4996), Disconnect)]);
    rig.drain();
    assert_eq!(rig.socket.written(), large);
}

#[test]
fn a_flush_that_fails_keeps_what_waits() {
    let mut rig = Rig::begun();
    rig.socket.fail(io::ErrorKind::ConnectionReset);
    let error = rig.outbox.flush(&rig.socket, &rig.metrics).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(!rig.outbox.is_idle());
    let mut idle = Rig::new(0);
    assert_eq!(idle.outbox.flush(&idle.socket, &idle.metrics).unwrap(), (true, Vec::new()));
    assert!(idle.socket.calls().is_empty());
}

#[test]
fn a_beat_is_no_event_and_only_the_newest_waits() {
    let mut rig = Rig::new(usize::MAX);
    assert_eq!(rig.deliver(&[beat(1, "at once")]).events, 0);
    rig.socket.set_room(1);
    for text in ["begun", "old", "new"] {
        assert_eq!(rig.deliver(&[beat(1, text)]).events, 0);
    }
    rig.send("pong");
    rig.deliver(&[beat(1, "newer"), beat(1, "newest")]);
    assert_eq!(rig.texts(), ["at once", "begun", "new", "pong", "newest"]);
    assert_eq!(rig.metrics.conflated.get(), 2);
    assert_eq!(rig.metrics.delivered.get() + rig.metrics.dropped_oldest.get(), 0);
}
