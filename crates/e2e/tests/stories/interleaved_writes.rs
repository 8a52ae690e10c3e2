//! Everything that writes to a connection at once: events, pongs, pings, replies and
//! at the end a close, to clients of which a quarter reads in small pieces. Each
//! client's bytes are whole valid frames, nothing is lost, doubled or stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{
    Dial, Frame, FrameReader, Gateway, GatewayOptions, Opcode, RawClient, RedisServer, within,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

const CLIENTS: usize = 100;
const EVENTS: usize = 200;
const EVENTS_PER_ROUND: usize = 5;
const SIZES: [usize; 7] = [10, 64 << 10, 125, 126, 4 << 10, 20 << 10, 300];
/// What a slow client reads at once, and how often before it waits for more traffic.
const PIECE: usize = 700;
const PIECES_PER_ROUND: usize = 60;
/// Some clients end it themselves, in the middle of the traffic.
const OFFENDED_AFTER: usize = EVENTS / 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// How far the traffic is: events published, or slow clients read on to the end.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Traffic(usize),
    Closing,
}

#[derive(Clone, Copy)]
struct Habits {
    slow: bool,
    envelope: bool,
    /// Sends a binary frame, for which it is closed at once with 1003.
    offends: bool,
}

/// One client's ends, and what all clients share.
struct Writer {
    half: Arc<Mutex<OwnedWriteHalf>>,
    habits: Habits,
    phase: watch::Receiver<Phase>,
}

struct Reader {
    half: OwnedReadHalf,
    frames: FrameReader,
    /// To answer pings with.
    writer: Arc<Mutex<OwnedWriteHalf>>,
    habits: Habits,
    phase: watch::Receiver<Phase>,
    expected: Arc<Vec<String>>,
    fast: Arc<Fast>,
}

/// How far the fast clients are, all together.
#[derive(Default)]
struct Fast {
    events: AtomicUsize,
    closes: AtomicUsize,
}

/// What a client sent.
#[derive(Debug, PartialEq)]
struct Sent {
    commands: usize,
    last_ping: Vec<u8>,
}

/// What a client got.
#[derive(Debug, Default)]
struct Got {
    events: usize,
    answers: usize,
    acks: usize,
    pongs: Vec<Vec<u8>>,
    pings: usize,
    close: Option<u16>,
}

fn habits(number: usize) -> Habits {
    Habits {
        slow: number.is_multiple_of(4),
        envelope: number % 2 == 1 || number.is_multiple_of(8),
        offends: number.is_multiple_of(10),
    }
}

/// The event's number and a letter of its own, so that no part fits into another.
fn payload(number: usize) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    format!("{number:06}{}", letter.to_string().repeat(SIZES[number % SIZES.len()] - 6))
}

fn fast_clients() -> usize {
    (0..CLIENTS).map(habits).filter(|habits| habits.is_fast()).count()
}

impl Habits {
    fn is_fast(self) -> bool {
        !self.slow && !self.offends
    }
}

impl Writer {
    /// With each round of traffic a ping and a command.
    async fn run(mut self) -> Sent {
        let mut sent = Sent { commands: 0, last_ping: Vec::new() };
        loop {
            // Without a sender the story has failed already.
            let Ok(()) = self.phase.changed().await else { return sent };
            let Phase::Traffic(published) = *self.phase.borrow_and_update() else {
                panic!("the close came before the last round was seen");
            };
            sent.last_ping = published.to_be_bytes().to_vec();
            self.send(Opcode::Ping, &sent.last_ping).await;
            let id = if self.habits.envelope {
                format!(r#","id":{}"#, sent.commands)
            } else {
                String::new()
            };
            self.send(Opcode::Text, format!(r#"{{"type":"ping"{id}}}"#).as_bytes()).await;
            sent.commands += 1;
            if self.habits.offends && published >= OFFENDED_AFTER {
                self.send(Opcode::Binary, b"nobody wants this").await;
                return sent;
            }
            if published == EVENTS {
                return sent;
            }
        }
    }

    async fn send(&self, opcode: Opcode, payload: &[u8]) {
        let frame = RawClient::encode(opcode, payload);
        self.half.lock().await.write_all(&frame).await.unwrap();
    }
}

impl Reader {
    /// Reads to the end of the socket.
    async fn run(mut self) -> Got {
        let mut got = Got::default();
        let mut scratch = vec![0; if self.habits.slow { PIECE } else { 16 << 10 }];
        let mut pieces = 0_usize;
        loop {
            let count = self.half.read(&mut scratch).await.unwrap();
            if count == 0 {
                assert!(self.frames.is_between_frames(), "cut in the middle of a frame");
                return got;
            }
            self.frames.feed(&scratch[..count]);
            while let Some(frame) = self.frames.next_frame().expect("whole valid frames") {
                self.take(&mut got, &frame).await;
            }
            pieces += 1;
            if self.habits.slow && pieces.is_multiple_of(PIECES_PER_ROUND) {
                self.pause().await;
            }
        }
    }

    /// Reads no more until there was more traffic.
    async fn pause(&mut self) {
        let phase = *self.phase.borrow_and_update();
        let free = match phase {
            Phase::Closing => true,
            Phase::Traffic(published) => self.habits.offends && published >= OFFENDED_AFTER,
        };
        if !free {
            // Without a sender the story has failed already.
            let _ = self.phase.changed().await;
        }
    }

    async fn take(&self, got: &mut Got, frame: &Frame) {
        match frame.opcode {
            Opcode::Text if self.habits.envelope => self.take_envelope(got, frame.text()),
            Opcode::Text if frame.payload.starts_with(b"{") => {
                assert_eq!(frame.text(), r#"{"type":"pong"}"#);
                got.answers += 1;
            }
            Opcode::Text => self.take_event(got, frame.text()),
            Opcode::Pong => got.pongs.push(frame.payload.clone()),
            Opcode::Ping => {
                got.pings += 1;
                let pong = RawClient::encode(Opcode::Pong, &frame.payload);
                // A server that has said goodbye may not listen any more.
                let _ = self.writer.lock().await.write_all(&pong).await;
            }
            Opcode::Close => {
                got.close = Some(frame.close().0);
                self.fast.closes.fetch_add(usize::from(self.habits.is_fast()), Ordering::Relaxed);
                let answer = RawClient::encode(Opcode::Close, &frame.payload[..2]);
                let _ = self.writer.lock().await.write_all(&answer).await;
            }
            Opcode::Binary => panic!("a binary frame"),
        }
    }

    fn take_envelope(&self, got: &mut Got, text: &str) {
        let value: Value = serde_json::from_str(text).expect("an envelope is JSON");
        match value["type"].as_str() {
            Some("event") => self.take_event(got, value["data"].as_str().unwrap()),
            Some("pong") => got.answers += 1,
            Some("ack") => {
                assert_eq!(value["id"], got.acks, "acknowledged out of turn");
                got.acks += 1;
            }
            Some("welcome") => assert_eq!(got.events + got.acks, 0, "the welcome comes first"),
            _ => panic!("unexpected: {value}"),
        }
    }

    fn take_event(&self, got: &mut Got, text: &str) {
        let expected = self.expected.get(got.events).expect("no more events than published");
        assert!(text == expected, "event {} is {text:.20}…", got.events);
        got.events += 1;
        self.fast.events.fetch_add(usize::from(self.habits.is_fast()), Ordering::Relaxed);
    }
}

async fn gateway(redis: &RedisServer) -> Gateway {
    let settings = [
        ("REDCAST_LIMITS__OUTBOX", "64MiB"),
        ("REDCAST_KEEPALIVE__PING_EVERY", "200ms"),
        ("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s"),
        ("REDCAST_SHUTDOWN__WINDOW", "6s"),
    ];
    let env = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let redis_url = Some(redis.url());
    Gateway::ready(GatewayOptions { redis_url, env, ..Default::default() }).await
}

async fn connect(
    gateway: &Gateway,
    number: usize,
    phase: &watch::Receiver<Phase>,
    (expected, fast): (&Arc<Vec<String>>, &Arc<Fast>),
) -> (Writer, Reader) {
    let habits = habits(number);
    let mut how = Dial { envelope: habits.envelope, ..Dial::default() };
    if habits.slow {
        how = Dial { receive_buffer: Some(16 << 10), segment: Some(1 << 10), ..how };
    }
    let client = RawClient::dial(gateway.public(), "/ws/analytics", how).await.unwrap();
    let (stream, frames) = client.into_parts();
    let (half, writer) = stream.into_split();
    let (expected, fast) = (expected.clone(), fast.clone());
    let shared = Arc::new(Mutex::new(writer));
    let writer = Writer { half: shared.clone(), habits, phase: phase.clone() };
    let phase = phase.clone();
    (writer, Reader { half, frames, writer: shared, habits, phase, expected, fast })
}

/// Publishes round after round, each when the fast clients have got the one before.
async fn publish(
    redis: &RedisServer,
    payloads: &[String],
    phase: &watch::Sender<Phase>,
    fast: &Fast,
) {
    let mut producer = redis.connection().await;
    let mut published = 0;
    for round in payloads.chunks(EVENTS_PER_ROUND) {
        let mut batch = redis::pipe();
        for payload in round {
            batch.cmd("PUBLISH").arg("analytics").arg(payload).ignore();
        }
        published += round.len();
        // Pings and commands travel at the same time as the events.
        phase.send_replace(Phase::Traffic(published));
        batch.query_async::<()>(&mut producer).await.unwrap();
        within(PATIENCE, "the fast clients have the round", async || {
            fast.events.load(Ordering::Relaxed) == fast_clients() * published
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_writers_at_once_make_whole_frames_in_order() {
    let redis = RedisServer::start();
    let mut gateway = gateway(&redis).await;
    let payloads: Arc<Vec<String>> = Arc::new((0..EVENTS).map(payload).collect());
    let fast = Arc::new(Fast::default());
    let (phase, phases) = watch::channel(Phase::Traffic(0));
    let (mut writing, mut reading) = (Vec::new(), Vec::new());
    for number in 0..CLIENTS {
        let (writer, reader) = connect(&gateway, number, &phases, (&payloads, &fast)).await;
        writing.push(tokio::spawn(writer.run()));
        reading.push(tokio::spawn(reader.run()));
    }
    gateway.until_metric("redcast_subscriptions", CLIENTS as f64).await;
    publish(&redis, &payloads, &phase, &fast).await;
    let sent: Vec<Sent> = join_all(writing).await.into_iter().map(Result::unwrap).collect();
    // All was said and is under way; then the close comes.
    let commands: usize = sent.iter().map(|sent| sent.commands).sum();
    gateway.until_metric("redcast_commands_total", commands as f64).await;
    let waiting = gateway.metrics().await.value("redcast_outbox_bytes");
    println!("{waiting} bytes wait for slow clients when the close comes");
    assert!(waiting > (1 << 20) as f64, "only {waiting} bytes wait for the slow ones");
    gateway.terminate();
    // By then about half of the slow ones have a close behind all that waits.
    within(PATIENCE, "half of the closes are out", async || {
        fast.closes.load(Ordering::Relaxed) >= fast_clients() / 2
    })
    .await;
    phase.send_replace(Phase::Closing);
    let read = timeout(PATIENCE, join_all(reading)).await.expect("nobody is stuck");
    let read: Vec<Got> = read.into_iter().map(Result::unwrap).collect();
    for ((number, got), sent) in read.iter().enumerate().zip(&sent) {
        check(habits(number), got, sent);
    }
    let pings: usize = read.iter().map(|got| got.pings).sum();
    assert!(pings > CLIENTS, "only {pings} pings of the server were among it");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

fn check(habits: Habits, got: &Got, sent: &Sent) {
    let pongs_in_order = got.pongs.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(pongs_in_order, "pongs out of order: {:?}", got.pongs);
    assert!(got.acks <= got.answers && got.answers <= sent.commands);
    if habits.offends {
        // Closed at once: what waited was given up, in whole frames.
        assert_eq!(got.close, Some(1003));
        return;
    }
    assert_eq!(got.close, Some(1012));
    assert_eq!(got.events, EVENTS);
    assert_eq!(got.answers, sent.commands);
    assert_eq!(got.acks, if habits.envelope { sent.commands } else { 0 });
    // Each ping is answered by its own pong or by that of a later ping.
    assert_eq!(got.pongs.last(), Some(&sent.last_ping));
    assert!(habits.slow || got.pongs.len() > 1);
}
