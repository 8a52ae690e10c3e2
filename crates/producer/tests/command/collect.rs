//! The collector as a process: its listener, its limits and its end.

use std::time::Duration;

use redcast_e2e::{Listener, RedisServer, get, request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::log_file::total;
use crate::producer::{PATIENCE, Running, producer, terminate};

const BODY: &str = r#"{"url":"https://acme.example/a?q=1","referrer":""}"#;

struct CollectorProcess {
    running: Running,
    public: String,
    admin: String,
}

impl CollectorProcess {
    async fn start(redis: &RedisServer, more: &[&str]) -> Self {
        let url = redis.url();
        let flags = ["collect", "--redis-url", &url, "--site", "acme.example"];
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut running = Running::start(producer(&[&flags[..], &listen, more].concat()));
        let line = running.until_logged("collecting").await;
        let address = |key: &str| line[key].as_str().expect("an address").to_owned();
        Self { public: address("listen"), admin: address("admin"), running }
    }

    fn beacon(&self, body: &str, length: usize) -> String {
        format!(
            "POST /collect HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
             Origin: https://acme.example\r\n\r\n{body}",
            self.public
        )
    }
}

async fn answer(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_beacon_becomes_an_event_and_the_admin_listener_counts_it() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let collector = CollectorProcess::start(&redis, &[]).await;
    assert_eq!(get(&collector.public, "/r.js").await.status, 200);
    assert_eq!(get(&collector.public, "/metrics").await.status, 404);
    let beacon = collector.beacon(BODY, BODY.len());
    assert_eq!(request(&collector.public, beacon).await.status, 204);
    let event: Value = serde_json::from_slice(&listener.payload().await).unwrap();
    assert_eq!(event["data"]["path"], "/a");
    assert_eq!(get(&collector.admin, "/readyz").await.status, 200);
    let metrics = get(&collector.admin, "/metrics").await.body;
    assert!(
        metrics.contains("redcast_producer_views_total{outcome=\"recorded\"} 1\n"),
        "{metrics}"
    );
    assert_eq!(get(&collector.admin, "/r.js").await.status, 404);
}

#[tokio::test]
async fn a_beacon_in_progress_is_finished_before_the_end() {
    let redis = RedisServer::start();
    let collector = CollectorProcess::start(&redis, &[]).await;
    let mut slow = TcpStream::connect(&collector.public).await.unwrap();
    slow.write_all(collector.beacon(&BODY[..20], BODY.len()).as_bytes()).await.unwrap();
    // Another one behind it proves that the first has been accepted.
    let beacon = collector.beacon(BODY, BODY.len());
    assert_eq!(request(&collector.public, beacon).await.status, 204);
    let CollectorProcess { mut running, public, .. } = collector;
    terminate(&running.child);
    running.until_logged("stopping").await;
    slow.write_all(&BODY.as_bytes()[20..]).await.unwrap();
    assert!(answer(&mut slow).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(running.ended().await.0, Some(0));
    assert_eq!(total(&redis).await, 2);
    assert!(TcpStream::connect(public).await.is_err());
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let redis = RedisServer::start();
    let collector = CollectorProcess::start(&redis, &["--max-connections", "1"]).await;
    let first = TcpStream::connect(&collector.public).await.unwrap();
    let mut second = TcpStream::connect(&collector.public).await.unwrap();
    second.write_all(collector.beacon(BODY, BODY.len()).as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = timeout(Duration::from_millis(300), second.peek(&mut byte)).await;
    assert!(early.is_err(), "it was answered before the first one ended");
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn one_address_can_not_take_the_places_of_all_others() {
    let redis = RedisServer::start();
    let limits = ["--max-connections", "8", "--max-connections-per-address", "4"];
    let collector = CollectorProcess::start(&redis, &limits).await;
    let mut held = Vec::new();
    for _ in 0..12 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut greedy = socket.connect(collector.public.parse().unwrap()).await.unwrap();
        // It may be closed by then.
        let _ = greedy.write_all(b"POST /coll").await;
        held.push(greedy);
    }
    let mut more = held.split_off(4);
    for greedy in &mut more {
        let end = timeout(Duration::from_secs(5), greedy.read(&mut [0])).await;
        assert!(matches!(end.expect("it is closed at once"), Ok(0) | Err(_)));
    }
    // Sooner than those four are given up.
    let beacon = collector.beacon(BODY, BODY.len());
    let honest = timeout(Duration::from_secs(5), request(&collector.public, beacon)).await;
    assert_eq!(honest.expect("an honest one has a place").status, 204);
    for greedy in &mut held {
        let still = timeout(Duration::from_millis(1), greedy.read(&mut [0])).await;
        assert!(still.is_err(), "four are let in");
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let redis = RedisServer::start();
    let collector = CollectorProcess::start(&redis, &[]).await;
    let mut slow = TcpStream::connect(&collector.public).await.unwrap();
    slow.write_all(b"GET /r.js HTTP/1.1\r\nHost:").await.unwrap();
    // Closed without an answer, or with one that says 408.
    let answer = answer(&mut slow).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn with_demo_there_is_something_to_look_at() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let _collector = CollectorProcess::start(&redis, &["--demo"]).await;
    for _ in 0..3 {
        let event: Value = serde_json::from_slice(&listener.payload().await).unwrap();
        assert_eq!(event["type"], "page_view");
    }
}
