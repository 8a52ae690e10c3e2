//! The floor and the load generator, end to end over a real Redis.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use redcast_bench::checker::Verdict;
use redcast_bench::clients::Clients;
use redcast_bench::contender::{CHANNEL, Contender, Joining};
use redcast_bench::content::Content;
use redcast_bench::load::{self, Processes, Timing};
use redcast_bench::payload::{self, Kind, Stamp};
use redcast_bench::publisher::{Pace, Publisher};
use redcast_bench::scenario::Traffic;
use redcast_bench::server::{Server, Target};
use redcast_bench::setup::Setup;
use redcast_bench::silent::SilentClient;
use redcast_e2e::RedisServer;

const CLIENTS: usize = 50;

struct Floor {
    server: Server,
    address: String,
    redis: RedisServer,
}

impl Floor {
    fn processes(&self) -> Processes {
        Processes { server: self.server.pid(), redis: self.redis.pid() }
    }
}

/// The floor of the program under test, as a peer, because this test is not that
/// program.
fn floor() -> Floor {
    floor_at("{channel}")
}

/// The same, whose URL ends in `channel`.
fn floor_at(channel: &str) -> Floor {
    let redis = RedisServer::start();
    let address = format!("127.0.0.1:{}", redis.port());
    let program = env!("CARGO_BIN_EXE_redcast-bench");
    let command = format!("it={program} floor --redis {{redis}} --channel={channel}");
    let server = Server::start(&Contender::peer(&command).unwrap(), &address, None).unwrap();
    Floor { server, address, redis }
}

#[test]
fn every_event_of_a_burst_arrives_once_and_in_order() {
    let floor = floor();
    let mut clients = Clients::open(&floor.server.target, CLIENTS).unwrap();
    let pace = Pace { rate: 500, burst: 20 };
    let traffic = Traffic { pace, channels: 1, content: Content::Filler(200) };
    let mut publisher = Publisher::connect(&floor.address, &traffic).unwrap();
    let (lead_in, window) = (Duration::from_millis(100), Duration::from_millis(700));
    let timing = Timing { lead_in, window };
    let outcome = load::run(&mut clients, &mut publisher, floor.processes(), timing).unwrap();

    assert_eq!(outcome.verdict, Verdict::default());
    assert!(outcome.published > 0 && outcome.delivered > 0, "{outcome:?}");
    assert!(outcome.window >= window && outcome.cpu > Duration::ZERO, "{outcome:?}");
    let tally = &clients.tally;
    assert_eq!((tally.upgraded, tally.probed, tally.closed), (CLIENTS, CLIENTS, 0));
    // 20 at a time to 50 clients, before, in and after the window.
    assert_eq!(tally.delivered % (20 * CLIENTS as u64), 0);
    assert!(tally.delivered > outcome.published * CLIENTS as u64);
    assert!(tally.latency.max().unwrap() > 0);
    assert_eq!(floor.server.stop().unwrap(), 0, "short sends");
}

/// Waits until the floor's subscription to `channel` is live: a client has its 101
/// before that.
fn subscribed(floor: &Floor, channel: &str) {
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    let mut answers = BufReader::new(redis.try_clone().unwrap()).lines();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        write!(redis, "PUBSUB NUMSUB {channel}\r\n").unwrap();
        // The name, then the number of its subscribers.
        let number = answers.by_ref().map_while(Result::ok).find(|line| line.starts_with(':'));
        if number.as_deref() == Some(":1") {
            return;
        }
        assert!(Instant::now() < end, "nobody subscribed to {channel}");
    }
}

fn publish(redis: &mut TcpStream, channel: &str, sequence: u64) {
    let mut payload = payload::blank(200);
    payload::write(&mut payload, Stamp { kind: Kind::Event, sequence, sent_ns: payload::now_ns() });
    // The inline form of a command takes quotes where they are escaped.
    let quoted = String::from_utf8(payload).unwrap().replace('"', "\\\"");
    write!(redis, "PUBLISH {channel} \"{quoted}\"\r\n").unwrap();
}

#[test]
fn a_loss_a_duplicate_and_a_reorder_on_the_way_are_noticed_at_each_client() {
    let floor = floor();
    let mut clients = Clients::open(&floor.server.target, CLIENTS).unwrap();
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    subscribed(&floor, CHANNEL);
    let planted = [0, 1, 1, 3, 2, 5];
    for sequence in planted {
        publish(&mut redis, CHANNEL, sequence);
    }
    let end = Instant::now() + Duration::from_secs(20);
    while clients.tally.delivered < (planted.len() * CLIENTS) as u64 && Instant::now() < end {
        clients.poll(Duration::from_millis(100)).unwrap();
    }
    let each = CLIENTS as u64;
    let verdict = Verdict { lost: each, duplicated: each, reordered: each };
    assert_eq!(clients.verdict(6), verdict);
}

const MANY: Setup = Setup { channels: 10, deflate: false, silent: false, snapshot: None };

fn floor_of_many() -> Floor {
    let mut floor = floor_at("");
    floor.server.target.joining = Joining::Path;
    floor
}

#[test]
fn each_client_gets_every_event_of_its_channel_and_no_other() {
    let floor = floor_of_many();
    let mut clients = Clients::open_as(&floor.server.target, CLIENTS, MANY).unwrap();
    let pace = Pace { rate: 500, burst: 5 };
    let traffic = Traffic { pace, channels: MANY.channels, content: Content::Filler(200) };
    let mut publisher = Publisher::connect(&floor.address, &traffic).unwrap();
    let window = Duration::from_millis(700);
    let timing = Timing { lead_in: Duration::ZERO, window };
    let outcome = load::run(&mut clients, &mut publisher, floor.processes(), timing).unwrap();

    assert_eq!(outcome.verdict, Verdict::default());
    let tally = &clients.tally;
    assert_eq!((tally.probed, tally.closed, tally.compressed), (CLIENTS, 0, 0));
    // Half of a channel's turn at a time, to five clients of each channel.
    assert_eq!(tally.delivered % 25, 0);
    assert!(tally.delivered > 0 && outcome.published > 0, "{outcome:?}");
    // Each frame has four bytes before its payload.
    assert_eq!(tally.wire_bytes % 204, 0);
    assert!(outcome.wire_bytes >= outcome.delivered * 200, "{outcome:?}");
    assert_eq!(floor.server.stop().unwrap(), 0, "short sends");
}

#[test]
fn what_goes_wrong_in_one_channel_is_noticed_by_its_clients_alone() {
    let floor = floor_of_many();
    let mut clients = Clients::open_as(&floor.server.target, CLIENTS, MANY).unwrap();
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    let mut deliveries = 0;
    for channel in 0..MANY.channels {
        // Published are 0 and 1 to each; here 0 is lost, there 1 comes twice.
        let planted: &[u64] = match channel {
            3 => &[1],
            7 => &[0, 1, 1],
            _ => &[0, 1],
        };
        subscribed(&floor, &MANY.channel(channel));
        for &sequence in planted {
            publish(&mut redis, &MANY.channel(channel), sequence);
        }
        deliveries += planted.len() * CLIENTS / MANY.channels;
    }
    let end = Instant::now() + Duration::from_secs(20);
    while clients.tally.delivered < deliveries as u64 && Instant::now() < end {
        clients.poll(Duration::from_millis(100)).unwrap();
    }
    let each = (CLIENTS / MANY.channels) as u64;
    let verdict = Verdict { lost: each, duplicated: each, reordered: 0 };
    assert_eq!(clients.verdict(2 * MANY.channels as u64), verdict);
}

#[test]
fn frames_of_each_length_form_arrive() {
    let floor = floor();
    let mut clients = Clients::open(&floor.server.target, 1).unwrap();
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    subscribed(&floor, CHANNEL);
    // What is no event of the benchmark counts as other.
    for size in [0, 125, 126, 65_535, 65_536, 200_000] {
        let payload = "x".repeat(size);
        write!(redis, "*3\r\n$7\r\nPUBLISH\r\n$9\r\n{CHANNEL}\r\n${size}\r\n{payload}\r\n")
            .unwrap();
    }
    let end = Instant::now() + Duration::from_secs(20);
    while clients.tally.other < 6 && Instant::now() < end {
        clients.poll(Duration::from_millis(100)).unwrap();
    }
    let heads = [2, 2, 4, 4, 10, 10].iter().sum::<u64>();
    let payloads = 125 + 126 + 65_535 + 65_536 + 200_000;
    assert_eq!((clients.tally.other, clients.tally.wire_bytes), (6, heads + payloads));
}

/// Accepts one client, agrees to compress and sends `frames`.
fn compressing_server(frames: Vec<u8>) -> (Target, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let answer = "HTTP/1.1 101 Upgraded\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        stream.write_all(&frames).unwrap();
        // Held until the client is gone.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    (Target::parse(&url).unwrap(), server)
}

const DEFLATE: Setup = Setup { channels: 1, deflate: true, silent: false, snapshot: None };

/// Event number 0, compressed as RFC 7692 section 7.2.1 says.
fn compressed_event() -> Vec<u8> {
    let mut payload = Content::PageViews.make(&mut fastrand::Rng::with_seed(1));
    let stamp = Stamp { kind: Kind::Event, sequence: 0, sent_ns: payload::now_ns() };
    payload::write(&mut payload, stamp);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&payload).unwrap();
    deflate.flush().unwrap();
    let mut compressed = deflate.get_ref().clone();
    compressed.truncate(compressed.len() - 4);
    assert!(compressed.len() < payload.len() / 2);
    compressed
}

fn frame(compressed: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(compressed.len()).unwrap().to_be_bytes();
    [&[0xC1, 126, high, low], compressed].concat()
}

#[test]
fn compressed_events_are_inflated_each_on_its_own_and_counted_as_they_came() {
    let frame = frame(&compressed_event());
    let (target, server) = compressing_server([&frame[..], &frame[..]].concat());
    let mut clients = Clients::open_as(&target, 1, DEFLATE).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while clients.tally.delivered < 2 && Instant::now() < end {
        clients.poll(Duration::from_millis(100)).unwrap();
    }
    let tally = &clients.tally;
    assert_eq!((tally.delivered, tally.compressed, tally.other), (2, 2, 0));
    assert_eq!(tally.wire_bytes, 2 * frame.len() as u64);
    assert_eq!(clients.verdict(1), Verdict { lost: 0, duplicated: 1, reordered: 0 });
    drop(clients);
    server.join().unwrap();
}

#[test]
fn a_server_that_does_not_agree_to_compress_is_named() {
    let floor = floor();
    let error = Clients::open_as(&floor.server.target, 1, DEFLATE).err().unwrap().to_string();
    assert!(error.contains("101 without permessage-deflate"), "{error}");
}

#[test]
fn a_client_that_cannot_take_a_batch_is_a_short_send() {
    let floor = floor();
    // Redis would end the subscription of a floor that a busy machine lets fall behind.
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    redis.write_all(b"CONFIG SET client-output-buffer-limit \"pubsub 0 0 0\"\r\n").unwrap();
    let mut ok = [0; 5];
    redis.read_exact(&mut ok).unwrap();
    assert_eq!(&ok, b"+OK\r\n");
    let target = &floor.server.target;
    // The kernel takes some MB for it, then no more.
    let _silent = SilentClient::connect(target).unwrap();
    let mut clients = Clients::open(target, 1).unwrap();
    let pace = Pace { rate: 5_000, burst: 500 };
    let traffic = Traffic { pace, channels: 1, content: Content::Filler(16 * 1024) };
    let mut publisher = Publisher::connect(&floor.address, &traffic).unwrap();
    let timing = Timing { lead_in: Duration::ZERO, window: Duration::from_secs(1) };
    load::run(&mut clients, &mut publisher, floor.processes(), timing).unwrap();
    assert!(floor.server.stop().unwrap() > 0);
}

#[track_caller]
fn check_refused(answer: &'static str, expected: &str) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        // Held until the client is gone, or a reset could overtake the answer.
        std::io::copy(&mut stream, &mut std::io::sink())
    });
    let target = Target::parse(&url).unwrap();
    let error = Clients::open(&target, 1).err().unwrap().to_string();
    assert!(error.contains(expected), "{error}");
    let _ = server.join().unwrap();
}

#[test]
fn a_server_that_refuses_the_upgrade_is_named_with_its_answer() {
    check_refused("HTTP/1.1 503 Service Unavailable\r\n\r\n", "503 Service Unavailable");
    let wrong_key =
        "HTTP/1.1 101 Upgraded\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    check_refused(wrong_key, "101 Upgraded");
}
