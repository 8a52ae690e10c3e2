//! The floor and the load generator, end to end over a real Redis.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use redcast_bench::checker::Verdict;
use redcast_bench::clients::Clients;
use redcast_bench::contender::{CHANNEL, Contender};
use redcast_bench::content::Content;
use redcast_bench::load::{self, Processes, Timing};
use redcast_bench::payload::{self, Kind, Stamp};
use redcast_bench::publisher::{Pace, Publisher};
use redcast_bench::scenario::Traffic;
use redcast_bench::server::Server;
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
    let redis = RedisServer::start();
    let address = format!("127.0.0.1:{}", redis.port());
    let program = env!("CARGO_BIN_EXE_redcast-bench");
    let command = format!("it={program} floor --redis {{redis}} --channel {{channel}}");
    let server = Server::start(&Contender::peer(&command).unwrap(), &address, None).unwrap();
    Floor { server, address, redis }
}

#[test]
fn every_event_of_a_burst_arrives_once_and_in_order() {
    let floor = floor();
    let mut clients = Clients::open(&floor.server.target, CLIENTS).unwrap();
    let pace = Pace { rate: 2_000, burst: 20 };
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

#[test]
fn a_loss_a_duplicate_and_a_reorder_on_the_way_are_noticed_at_each_client() {
    let floor = floor();
    let mut clients = Clients::open(&floor.server.target, CLIENTS).unwrap();
    let mut redis = TcpStream::connect(&floor.address).unwrap();
    let planted = [0, 1, 1, 3, 2, 5];
    for sequence in planted {
        let mut payload = payload::blank(200);
        let sent_ns = payload::now_ns();
        payload::write(&mut payload, Stamp { kind: Kind::Event, sequence, sent_ns });
        write!(redis, "PUBLISH {CHANNEL} ").unwrap();
        // The inline form of a command takes quotes where they are escaped.
        let quoted = String::from_utf8(payload).unwrap().replace('"', "\\\"");
        write!(redis, "\"{quoted}\"\r\n").unwrap();
    }
    let end = Instant::now() + Duration::from_secs(20);
    while clients.tally.delivered < (planted.len() * CLIENTS) as u64 && Instant::now() < end {
        clients.poll(Duration::from_millis(100)).unwrap();
    }
    let each = CLIENTS as u64;
    let verdict = Verdict { lost: each, duplicated: each, reordered: each };
    assert_eq!(clients.verdict(6), verdict);
}

#[test]
fn a_client_that_cannot_take_a_batch_is_a_short_send() {
    let floor = floor();
    let target = &floor.server.target;
    // It never reads: the kernel takes some MB for it, then no more.
    let mut silent = TcpStream::connect(target.address).unwrap();
    silent
        .write_all(
            b"GET /analytics HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut clients = Clients::open(target, 1).unwrap();
    let pace = Pace { rate: 50_000, burst: 500 };
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
    let target = redcast_bench::server::Target::parse(&url).unwrap();
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
