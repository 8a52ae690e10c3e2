//! A socket for unit tests whose room is set by the test, and a reader of what it
//! took.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::Registry;
use redcast_wire::text_frame;

use crate::broadcast::{Broadcast, ChannelKey, Form, Frames, SlowConsumer, WHOLE_CHANNEL};
use crate::config::HubConfig;
use crate::connection::{Common, Connection};
use crate::metrics::HubMetrics;
use crate::socket::Socket;

/// A socket that takes as many bytes as the test gives it room for. Clones are one.
#[derive(Clone)]
pub(crate) struct TestSocket(Arc<Mutex<Script>>);

struct Script {
    room: usize,
    fails_with: Option<io::ErrorKind>,
    written: Vec<u8>,
    calls: Vec<Call>,
}

/// One attempt to write, successful or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `try_write`.
    One,
    /// `try_write_vectored` with so many slices.
    Vectored(usize),
}

/// One frame as a client would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Text(String),
    Ping,
    Pong(String),
    Close(u16, String),
}

/// Counts how often a session was woken.
#[derive(Default)]
pub(crate) struct CountingWaker(AtomicUsize);

impl TestSocket {
    pub(crate) fn with_room(room: usize) -> Self {
        let script = Script { room, fails_with: None, written: Vec::new(), calls: Vec::new() };
        Self(Arc::new(Mutex::new(script)))
    }

    pub(crate) fn open() -> Self {
        Self::with_room(usize::MAX)
    }

    pub(crate) fn set_room(&self, room: usize) {
        self.0.lock().room = room;
    }

    pub(crate) fn fail(&self, kind: io::ErrorKind) {
        self.0.lock().fails_with = Some(kind);
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.0.lock().written.clone()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().calls.clone()
    }

    /// The frames written so far, which must be whole.
    #[track_caller]
    pub(crate) fn sent(&self) -> Vec<Sent> {
        let written = self.written();
        let (frames, rest) = split(&written);
        assert!(rest.is_empty(), "{} bytes of a frame without its end", rest.len());
        frames
    }

    /// The texts among them.
    #[track_caller]
    pub(crate) fn texts(&self) -> Vec<String> {
        let texts = self.sent().into_iter().filter_map(|frame| match frame {
            Sent::Text(text) => Some(text),
            Sent::Ping | Sent::Pong(_) | Sent::Close(..) => None,
        });
        texts.collect()
    }
}

impl Script {
    fn take(&mut self, call: Call, slices: &[&[u8]]) -> io::Result<usize> {
        self.calls.push(call);
        if let Some(kind) = self.fails_with {
            return Err(kind.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "an empty write says nothing");
        let mut taken = offered.min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let total = taken;
        self.room -= taken;
        for slice in slices {
            let part = slice.len().min(taken);
            self.written.extend_from_slice(&slice[..part]);
            taken -= part;
        }
        Ok(total)
    }
}

impl Socket for TestSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().take(Call::One, &[bytes])
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &slice[..]).collect();
        self.0.lock().take(Call::Vectored(slices.len()), &slices)
    }
}

/// Splits what a server sent into whole frames and the beginning of one more.
pub(crate) fn split(mut bytes: &[u8]) -> (Vec<Sent>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = split_one(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    (frames, bytes)
}

fn split_one(bytes: &[u8]) -> Option<(Sent, &[u8])> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "a final frame without extensions");
    assert_eq!(second & 0x80, 0, "a server masks nothing");
    let (len, header) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(header..header + len)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let frame = match first & 0x0f {
        0x1 => Sent::Text(text(payload)),
        0x8 => {
            Sent::Close(u16::from_be_bytes(payload[..2].try_into().unwrap()), text(&payload[2..]))
        }
        0x9 => Sent::Ping,
        0xa => Sent::Pong(text(payload)),
        opcode => panic!("opcode {opcode}"),
    };
    Some((frame, &bytes[header + len..]))
}

impl CountingWaker {
    /// A waker and its count.
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), count.into())
    }

    /// How often it was woken since the last call.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets the shards work until `condition` holds.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if condition().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came true");
}

pub(crate) fn metrics() -> HubMetrics {
    HubMetrics::register(&Registry::new()).unwrap()
}

/// A connection outside any hub.
pub(crate) fn connection(
    socket: &TestSocket,
    form: Form,
    outbox_limit: usize,
) -> (Arc<Connection<TestSocket>>, HubMetrics) {
    let metrics = metrics();
    let config = HubConfig { outbox_limit, ..HubConfig::default() };
    let common = Common { config, metrics: metrics.clone(), started: Instant::now() };
    let connection = Connection::new(Arc::new(common), 0, form.into(), socket.clone());
    (Arc::new(connection), metrics)
}

/// An event in raw and in quiet form.
pub(crate) fn event(channel: u64, text: &str, policy: SlowConsumer) -> Broadcast {
    Broadcast {
        channel: ChannelKey(channel),
        frames: Frames::event(Some(text_frame(text.as_bytes())), None),
        policy,
        item: Some(WHOLE_CHANNEL),
        flush_every: None,
        received: Some(Instant::now()),
        cursor: None,
    }
}

/// Something Redcast says to a channel's members.
pub(crate) fn notice(channel: u64, text: &str) -> Broadcast {
    Broadcast {
        channel: ChannelKey(channel),
        frames: Frames::notice(text_frame(text.as_bytes())),
        policy: SlowConsumer::DropOldest,
        item: None,
        flush_every: None,
        received: None,
        cursor: None,
    }
}

/// The state of something, of which the newest is all that counts.
pub(crate) fn beat(channel: u64, text: &str) -> Broadcast {
    Broadcast {
        frames: Frames::same(text_frame(text.as_bytes())),
        received: None,
        ..event(channel, "", SlowConsumer::KeepLatest)
    }
}

/// A text frame of exactly `len` bytes, header included.
pub(crate) fn frame_of(len: usize, letter: char) -> Bytes {
    let header = if len < 128 { 2 } else { 4 };
    let frame = text_frame(letter.to_string().repeat(len - header).as_bytes());
    assert_eq!(frame.len(), len);
    frame
}
