//! Tests of one connection as its session and its shard see it.

use redcast_wire::{ping_frame, pong_frame, text_frame};

use super::*;
use crate::broadcast::Form;
use crate::broadcast::{Broadcast, SlowConsumer};
use crate::testing::{CountingWaker, TestSocket, connection, event};

#[path = "connection_properties.rs"]
mod properties;

impl<S: Socket + ?Sized> Connection<S> {
    /// Makes the last sign of life `silence` old.
    pub(crate) fn pretend_silence(&self, silence: Duration) {
        let then = self.clock_ms().wrapping_sub(silence.as_millis() as u32);
        self.last_seen.store(then, Ordering::Relaxed);
    }
}

fn deliver(connection: &Connection<TestSocket>, events: &[Broadcast], join: bool) -> Delivered {
    let picks: Vec<u32> = (0..events.len() as u32).collect();
    let frames = events.iter().filter_map(|event| event.frames.get(Form::Raw.into()));
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
fn silence_is_measured_on_the_hubs_own_clock() {
    let started = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    let (config, metrics) = (HubConfig::default(), crate::testing::metrics());
    let common = Arc::new(Common { config, metrics, started });
    let connection = Connection::new(common, 0, Form::Raw.into(), TestSocket::open());
    assert!(connection.idle_for() < Duration::from_secs(5), "being new is a sign of life");
    connection.last_seen.store(0, Ordering::Relaxed);
    assert!((100..105).contains(&connection.idle_for().as_secs()));
}

#[test]
fn a_slot_comes_and_goes() {
    let (connection, _) = connection(&TestSocket::open(), Form::Envelope, 0);
    assert_eq!((connection.slot(), connection.encoding()), (None, Form::Envelope.into()));
    connection.set_slot(Some(0));
    assert_eq!(connection.slot(), Some(0));
    connection.set_slot(None);
    assert_eq!(connection.slot(), None);
    assert!(!connection.has_departed());
    connection.mark_departed();
    assert!(connection.has_departed());
}

#[test]
fn a_client_that_does_not_catch_up_is_told_after_a_while_all_the_same() {
    let socket = TestSocket::with_room(1);
    let (connection, _) = connection(&socket, Form::Raw, 0);
    deliver(&connection, &one("begun"), false);
    assert!(connection.overdue_losses().is_empty());
    for text in ["a", "b", "c"] {
        deliver(&connection, &[event(9, text, SlowConsumer::DropOldest)], false);
    }
    assert!(connection.overdue_losses().is_empty(), "it may still catch up");
    connection.outbox.lock().age_losses(TELL_AFTER);
    assert_eq!(connection.overdue_losses()[0].dropped, 2);
    assert!(connection.overdue_losses().is_empty(), "each is told once");
    socket.set_room(1000);
    assert_eq!(connection.flush(), Flush::Drained(Vec::new()));
}
