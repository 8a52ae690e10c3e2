//! The publisher: raw bytes over one connection, on the beat.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::feed::Feed;
use crate::histogram::Histogram;
use crate::machine::check_interrupt;
use crate::payload::{self, Kind, Stamp};
use crate::scenario::Traffic;
use crate::setup::Setup;

/// Payloads that differ are the same ones in each run.
const SEED: u64 = 4;

/// How events are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Events per second.
    pub rate: u32,
    /// How many of them go out together, in one write. 1 is an even pace.
    pub burst: u32,
}

impl Pace {
    /// From one write to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs(1) * self.burst / self.rate
    }
}

/// What to do at the next beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Publish probes.
    Probe,
    /// Publish numbered events.
    Event,
    /// Stop.
    End,
}

/// How long a server may take none of the events or answer none of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that publishes one burst at a time.
pub struct Publisher {
    feed: Feed,
    socket: TcpStream,
    pace: Pace,
    channels: u64,
    /// A command for each channel and each payload in turn, as they go over the wire.
    commands: Vec<u8>,
    /// Where in `commands` each one stands.
    ring: Vec<Command>,
    answers: Answers,
    /// How long after its time each write of numbered events began, ns.
    lateness: Histogram,
}

#[derive(Debug, Clone)]
struct Command {
    all: Range<usize>,
    payload: Range<usize>,
}

impl Publisher {
    /// Connects to Redis at `address` (`HOST:PORT`), to publish `traffic`.
    pub fn connect(address: &str, traffic: &Traffic) -> Result<Self> {
        Self::open(Feed::Redis { address: address.to_owned() }, traffic)
    }

    /// Connects to `feed`, to publish `traffic`.
    pub fn open(feed: Feed, traffic: &Traffic) -> Result<Self> {
        let address = feed.address();
        let mut socket = TcpStream::connect(address)
            .with_context(|| format!("nothing to publish to answers at {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.write_all(feed.opening())?;
        let (commands, ring) = commands(&feed, traffic)?;
        let (pace, channels) = (traffic.pace, traffic.channels as u64);
        let answers = Answers::new(feed.answer());
        let lateness = Histogram::default();
        Ok(Self { feed, socket, pace, channels, commands, ring, answers, lateness })
    }

    /// Publishes what `beat` says, told how many numbered events went out so far,
    /// until it says [`Beat::End`]. Returns that number once the server has
    /// taken them all.
    ///
    /// Events take turns in the channels, and are numbered in each from 0. A beat
    /// that comes late does not move the later ones: the rate holds.
    pub fn run(&mut self, mut beat: impl FnMut(u64) -> Beat) -> Result<u64> {
        let (interval, mut due) = (self.pace.interval(), Instant::now());
        let (mut probes, mut published) = (0, 0);
        loop {
            let (kind, count) = match beat(published) {
                Beat::Probe => (Kind::Probe, &mut probes),
                Beat::Event => {
                    let late = Instant::now().saturating_duration_since(due);
                    self.lateness.record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
                    (Kind::Event, &mut published)
                }
                Beat::End => break,
            };
            self.publish(kind, *count)?;
            *count += u64::from(self.pace.burst);
            due += interval;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.wait_for_answers().context("the publisher got no answer to its last event")?;
        Ok(published)
    }

    /// How long after its time each write of numbered events began, ns.
    pub fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// Publishes one burst, its events numbered from `first`.
    pub fn publish(&mut self, kind: Kind, first: u64) -> Result<()> {
        let (sent_ns, layout) = (payload::now_ns(), self.feed.layout());
        let position = (first % self.ring.len() as u64) as usize;
        let burst = &self.ring[position..position + self.pace.burst as usize];
        for (number, command) in (first..).zip(burst) {
            let stamp = Stamp { kind, sequence: number / self.channels, sent_ns };
            payload::write_at(&mut self.commands[command.payload.clone()], layout, stamp);
        }
        let bytes = burst[0].all.start..burst[burst.len() - 1].all.end;
        let sent = if self.feed.answers_each() {
            self.answers.awaited += burst.len() as u64;
            self.send_and_read(bytes)
        } else {
            self.socket.write_all(&self.commands[bytes]).map_err(Into::into)
        };
        sent.context("the publisher can't send any more")
    }

    /// Answers that nobody reads would fill the connection, and then both ends wait.
    fn send_and_read(&mut self, bytes: Range<usize>) -> Result<()> {
        let (mut rest, end) = (&self.commands[bytes], Instant::now() + PATIENCE);
        self.socket.set_nonblocking(true)?;
        while !rest.is_empty() {
            match unless_blocked(self.socket.write(rest))? {
                Some(sent) => rest = &rest[sent..],
                None => wait_for(&self.socket)?,
            }
            unless_blocked(self.answers.read(&mut self.socket))?;
            ensure!(Instant::now() < end, "the server takes nothing for {PATIENCE:?}");
        }
        Ok(self.socket.set_nonblocking(false)?)
    }

    /// Servers answer in order, so that the answer to this comes after every event.
    fn wait_for_answers(&mut self) -> Result<()> {
        self.socket.write_all(self.feed.closing())?;
        self.answers.awaited += u64::from(!self.feed.answers_each());
        let end = Instant::now() + PATIENCE;
        while self.answers.came < self.answers.awaited {
            check_interrupt()?;
            self.answers.read(&mut self.socket)?;
            // A server that answers, but is far behind, has had its time.
            if self.feed.answers_each() && Instant::now() > end {
                break;
            }
        }
        Ok(())
    }
}

fn unless_blocked<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// Waits until it can be written to or read from, at most a second.
fn wait_for(socket: &TcpStream) -> Result<()> {
    let mut ends = [PollFd::new(socket, PollFlags::IN | PollFlags::OUT)];
    let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
    match poll(&mut ends, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("poll"),
    }
}

/// What comes back, in which only the beginnings of the answers matter.
struct Answers {
    begin_with: &'static [u8],
    awaited: u64,
    came: u64,
    buffer: Box<[u8]>,
    /// How much of the buffer may be the start of an answer's beginning.
    kept: usize,
}

impl Answers {
    fn new(begin_with: &'static [u8]) -> Self {
        let buffer = vec![0; 64 * 1024].into_boxed_slice();
        Self { begin_with, awaited: 0, came: 0, buffer, kept: 0 }
    }

    fn read(&mut self, source: &mut impl Read) -> std::io::Result<()> {
        let read = source.read(&mut self.buffer[self.kept..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let length = self.begin_with.len();
        let end = self.kept + read;
        let found = self.buffer[..end].windows(length).filter(|&window| window == self.begin_with);
        self.came += found.count() as u64;
        self.kept = end.min(length - 1);
        self.buffer.copy_within(end - self.kept..end, 0);
        Ok(())
    }
}

fn commands(feed: &Feed, traffic: &Traffic) -> Result<(Vec<u8>, Vec<Command>)> {
    let Traffic { pace, channels, content } = *traffic;
    let burst = pace.burst as usize;
    let length = burst.max(channels).max(content.variety());
    ensure!(
        length.is_multiple_of(burst) && length.is_multiple_of(channels),
        "bursts of {burst} events don't divide {channels} channels"
    );
    let setup = Setup { channels, ..Setup::default() };
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut commands, mut ring) = (Vec::new(), Vec::with_capacity(length));
    for index in 0..length {
        let (channel, payload) = (setup.channel(index), content.make(&mut random));
        let start = commands.len();
        let payload = feed.write_command(&mut commands, &channel, &payload)?;
        ring.push(Command { all: start..commands.len(), payload });
    }
    Ok((commands, ring))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use std::net::TcpListener;

    /// A server that answers each request before it reads the next, and more than
    /// fits into the connection: whoever only writes waits for it, and it for them.
    #[test]
    fn answers_are_read_while_a_burst_goes_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (burst, size, answer_size) = (200, 60_000, 100_000);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answer = format!("HTTP/1.1 201 Created\r\n\r\n{}", "x".repeat(answer_size));
            let mut request = vec![0; command_length(size)];
            for _ in 0..burst {
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let feed = Feed::Http { address, path: "/".to_owned() };
        let (pace, content) = (Pace { rate: burst, burst }, Content::Filler(size));
        let traffic = Traffic { pace, channels: 1, content };
        let mut publisher = Publisher::open(feed, &traffic).unwrap();
        let published = publisher.run(|published| match published {
            0 => Beat::Event,
            _ => Beat::End,
        });
        assert_eq!(published.unwrap(), u64::from(burst));
        assert_eq!(publisher.answers.came, u64::from(burst));
        assert!(publisher.lateness().max().is_some());
        server.join().unwrap();
    }

    /// Every address of a port of five digits is as long.
    fn command_length(size: usize) -> usize {
        let feed = Feed::Http { address: "127.0.0.1:12345".to_owned(), path: "/".to_owned() };
        let mut command = Vec::new();
        feed.write_command(&mut command, "", &payload::blank(size)).unwrap();
        command.len()
    }

    #[test]
    fn an_answer_is_counted_once_wherever_reads_cut_it() {
        let text = b"HTTP/1.1 201 Created\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\nHTTP/1.1 500 No\r\n";
        for size in [1, 5, 10, 11, 12, text.len()] {
            let mut answers = Answers::new(b"HTTP/1.1 20");
            for mut part in text.chunks(size) {
                answers.read(&mut part).unwrap();
            }
            assert_eq!(answers.came, 2, "read {size} at a time");
        }
    }
}
