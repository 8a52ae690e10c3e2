//! A subscriber of the channel: it counts what comes out of the collector as events.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::beacons::page_of;
use super::ledger::Received;
use crate::resp::split_push;
use crate::setup::CHANNEL;

/// How long it waits for an event before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A thread that reads the channel until it is told to stop.
pub struct Subscriber {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Received>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    received: AtomicU64,
}

impl Subscriber {
    /// Subscribes at Redis, `HOST:PORT`; from its return on no event is missed.
    pub fn start(redis: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(redis).context("Redis does not answer")?;
        stream.write_all(format!("SUBSCRIBE {CHANNEL}\r\n").as_bytes())?;
        let mut inbox = Inbox::default();
        // The confirmation is a push, too.
        while inbox.take(|_, _| {}) == 0 {
            inbox.fill(&mut stream)?;
        }
        stream.set_read_timeout(Some(LOOK))?;
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("subscriber".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || read(&mut stream, inbox, &shared)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many events have come so far.
    pub fn count(&self) -> u64 {
        self.shared.received.load(Relaxed)
    }

    /// Stops and tells what has come.
    pub fn stop(mut self) -> Result<Received> {
        self.shared.stop.store(true, Relaxed);
        let thread = self.thread.take().context("a subscriber is stopped once")?;
        thread.join().map_err(|_| anyhow!("the subscriber panicked"))?
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

fn read(stream: &mut TcpStream, mut inbox: Inbox, shared: &Shared) -> Result<Received> {
    let mut received = Received::default();
    while !shared.stop.load(Relaxed) {
        inbox.fill(stream)?;
        inbox.take(|kind, payload| {
            if kind == b"message" {
                match page_of(payload) {
                    Some(page) => received.pages.add(page),
                    None => received.strays += 1,
                }
            }
        });
        shared.received.store(received.pages.sum() + received.strays, Relaxed);
    }
    Ok(received)
}

/// What was read and not yet taken.
struct Inbox {
    buffer: Box<[u8]>,
    filled: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { buffer: vec![0; 256 * 1024].into_boxed_slice(), filled: 0 }
    }
}

impl Inbox {
    /// Reads once; nothing is no error.
    fn fill(&mut self, stream: &mut TcpStream) -> Result<()> {
        match stream.read(&mut self.buffer[self.filled..]) {
            Ok(read) => {
                ensure!(read > 0, "Redis closed the subscriber's connection");
                self.filled += read;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("the subscriber can't read"),
        }
        Ok(())
    }

    /// Gives each whole push to `each`, and tells how many there were.
    fn take(&mut self, mut each: impl FnMut(&[u8], &[u8])) -> usize {
        let (mut rest, mut count) = (&self.buffer[..self.filled], 0);
        while let Some(([kind, _, payload], after)) = split_push(rest) {
            each(kind, payload);
            (rest, count) = (after, count + 1);
        }
        let left = rest.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        count
    }
}
