//! The publisher: raw RESP over one connection, on the beat.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

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

/// A connection to Redis that publishes one burst at a time.
pub struct Publisher {
    redis: TcpStream,
    pace: Pace,
    channels: u64,
    /// A PUBLISH for each channel and each payload in turn, as they go over the wire.
    commands: Vec<u8>,
    /// Where in `commands` each one stands.
    ring: Vec<Command>,
}

#[derive(Debug, Clone)]
struct Command {
    all: Range<usize>,
    payload: Range<usize>,
}

impl Publisher {
    /// Connects to Redis at `address` (`HOST:PORT`), to publish `traffic`.
    pub fn connect(address: &str, traffic: &Traffic) -> Result<Self> {
        let mut redis = TcpStream::connect(address)
            .with_context(|| format!("Redis does not answer at {address}"))?;
        redis.set_nodelay(true)?;
        redis.set_read_timeout(Some(Duration::from_secs(10)))?;
        // A reply to each PUBLISH would cost Redis and the load generator's CPU a
        // write and a read that no measurement needs.
        redis.write_all(b"CLIENT REPLY OFF\r\n")?;
        let (commands, ring) = commands(traffic)?;
        let channels = traffic.channels as u64;
        Ok(Self { redis, pace: traffic.pace, channels, commands, ring })
    }

    /// Publishes what `beat` says, told how many numbered events went out so far,
    /// until it says [`Beat::End`]. Returns that number once Redis has taken
    /// them all.
    ///
    /// Events take turns in the channels, and are numbered in each from 0. A beat
    /// that comes late does not move the later ones: the rate holds.
    pub fn run(&mut self, mut beat: impl FnMut(u64) -> Beat) -> Result<u64> {
        let (interval, mut due) = (self.pace.interval(), Instant::now());
        let (mut probes, mut published) = (0, 0);
        loop {
            let (kind, count) = match beat(published) {
                Beat::Probe => (Kind::Probe, &mut probes),
                Beat::Event => (Kind::Event, &mut published),
                Beat::End => break,
            };
            self.publish(kind, *count)?;
            *count += u64::from(self.pace.burst);
            due += interval;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.wait_for_redis().context("Redis stopped answering")?;
        Ok(published)
    }

    /// Publishes one burst, its events numbered from `first`.
    pub fn publish(&mut self, kind: Kind, first: u64) -> Result<()> {
        let sent_ns = payload::now_ns();
        let position = (first % self.ring.len() as u64) as usize;
        let burst = &self.ring[position..position + self.pace.burst as usize];
        for (number, command) in (first..).zip(burst) {
            let stamp = Stamp { kind, sequence: number / self.channels, sent_ns };
            payload::write(&mut self.commands[command.payload.clone()], stamp);
        }
        let bytes = burst[0].all.start..burst[burst.len() - 1].all.end;
        let sent = self.redis.write_all(&self.commands[bytes]);
        sent.context("Redis closed the publisher's connection")
    }

    /// Redis answers in order, so that the answer to this comes after every PUBLISH.
    fn wait_for_redis(&mut self) -> Result<()> {
        self.redis.write_all(b"CLIENT REPLY ON\r\n")?;
        let mut ok = [0; 5];
        self.redis.read_exact(&mut ok)?;
        ensure!(&ok == b"+OK\r\n", "Redis answered {:?}", String::from_utf8_lossy(&ok));
        Ok(())
    }
}

fn commands(traffic: &Traffic) -> Result<(Vec<u8>, Vec<Command>)> {
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
        let (start, name_length, payload_length) = (commands.len(), channel.len(), payload.len());
        write!(commands, "*3\r\n$7\r\nPUBLISH\r\n${name_length}\r\n{channel}\r\n")?;
        write!(commands, "${payload_length}\r\n")?;
        let payload_start = commands.len();
        commands.extend_from_slice(&payload);
        commands.extend_from_slice(b"\r\n");
        let payload = payload_start..payload_start + payload_length;
        ring.push(Command { all: start..commands.len(), payload });
    }
    Ok((commands, ring))
}
