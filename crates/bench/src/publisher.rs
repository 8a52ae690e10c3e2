//! The publisher: raw RESP over one connection, on the beat.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::payload::{self, Kind, Stamp};

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
    /// The commands of one burst, as they go over the wire.
    commands: Vec<u8>,
    /// Where in `commands` the payloads stand.
    payloads: Vec<Range<usize>>,
}

impl Publisher {
    /// Connects to Redis at `address` (`HOST:PORT`), to publish payloads of
    /// `payload_size` bytes to `channel`.
    pub fn connect(address: &str, channel: &str, payload_size: usize, pace: Pace) -> Result<Self> {
        let mut redis = TcpStream::connect(address)
            .with_context(|| format!("Redis does not answer at {address}"))?;
        redis.set_nodelay(true)?;
        redis.set_read_timeout(Some(Duration::from_secs(10)))?;
        // A reply to each PUBLISH would cost Redis and the load generator's CPU a
        // write and a read that no measurement needs.
        redis.write_all(b"CLIENT REPLY OFF\r\n")?;
        let (mut commands, mut payloads) = (Vec::new(), Vec::new());
        let payload = payload::blank(payload_size);
        let (name_length, payload_length) = (channel.len(), payload.len());
        for _ in 0..pace.burst {
            write!(commands, "*3\r\n$7\r\nPUBLISH\r\n${name_length}\r\n{channel}\r\n")?;
            write!(commands, "${payload_length}\r\n")?;
            payloads.push(commands.len()..commands.len() + payload_length);
            commands.extend_from_slice(&payload);
            commands.extend_from_slice(b"\r\n");
        }
        Ok(Self { redis, pace, commands, payloads })
    }

    /// Publishes what `beat` says, told how many numbered events went out so far,
    /// until it says [`Beat::End`]. Returns that number once Redis has taken
    /// them all.
    ///
    /// A beat that comes late does not move the later ones: the rate holds.
    pub fn run(&mut self, mut beat: impl FnMut(u64) -> Beat) -> Result<u64> {
        let (interval, mut due, mut published) = (self.pace.interval(), Instant::now(), 0);
        loop {
            match beat(published) {
                Beat::Probe => self.publish(Kind::Probe, 0)?,
                Beat::Event => {
                    self.publish(Kind::Event, published)?;
                    published += u64::from(self.pace.burst);
                }
                Beat::End => break,
            }
            due += interval;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        self.wait_for_redis().context("Redis stopped answering")?;
        Ok(published)
    }

    /// Publishes one burst, its events numbered from `first`.
    pub fn publish(&mut self, kind: Kind, first: u64) -> Result<()> {
        let sent_ns = payload::now_ns();
        for (sequence, range) in (first..).zip(&self.payloads) {
            payload::write(&mut self.commands[range.clone()], Stamp { kind, sequence, sent_ns });
        }
        self.redis.write_all(&self.commands).context("Redis closed the publisher's connection")
    }

    /// Redis answers in order, so that the answer to this comes after every PUBLISH.
    fn wait_for_redis(&mut self) -> Result<()> {
        self.redis.write_all(b"CLIENT REPLY ON\r\n")?;
        let mut ok = [0; 5];
        self.redis.read_exact(&mut ok)?;
        anyhow::ensure!(&ok == b"+OK\r\n", "Redis answered {:?}", String::from_utf8_lossy(&ok));
        Ok(())
    }
}
