//! Clients that don't read their answers, or don't leave after the last one: each is cut
//! off at its deadline, and gives back its place and its descriptor.

use std::time::{Duration, Instant};

use redcast_e2e::{Gateway, GatewayOptions, get, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// How long an answer may stand still, less what a clock may differ.
const STALL: Duration = Duration::from_millis(9_500);
/// Far more than what the kernels of both sides keep of the answers.
const QUESTIONS: usize = 4_000;
const STRANGERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_asks_and_never_reads_keeps_no_place() {
    let gateway = Gateway::ready(GatewayOptions::default()).await;
    let before = gateway.descriptors().await;
    let began = Instant::now();
    let mut strangers = JoinSet::new();
    for _ in 0..STRANGERS {
        let address = gateway.public().to_owned();
        strangers.spawn(async move {
            let mut socket = TcpStream::connect(&address).await.unwrap();
            let question = format!("GET /app.js HTTP/1.1\r\nHost: {address}\r\n\r\n");
            // Nobody reads on while nobody reads the answers, so this ends with a reset.
            let _ = socket.write_all(question.repeat(QUESTIONS).as_bytes()).await;
            socket
        });
    }
    gateway.until_metric("redcast_http_connections", STRANGERS as f64).await;
    assert_eq!(get(gateway.public(), "/").await.status, 200);
    gateway.until_metric("redcast_http_connections", 0.0).await;
    let took = began.elapsed();
    println!("who never reads was cut off after {took:.1?}");
    assert!(took >= STALL, "{took:?}");
    gateway.until_descriptors(before).await;
    // They are held until here: it was not they who left.
    assert_eq!(strangers.join_all().await.len(), STRANGERS);
}

/// Sends `said`, reads the head of the answer, and stays.
async fn answered(address: &str, said: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(said.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = timeout(PATIENCE, socket.read_buf(&mut head)).await.expect("an answer");
        assert_ne!(read.unwrap(), 0, "an answer has an end");
    }
    (socket, String::from_utf8_lossy(&head).into_owned())
}

/// Sends a byte now and then until that fails.
async fn go_on(mut socket: TcpStream) {
    let mut pace = interval(Duration::from_millis(50));
    while socket.write_all(b"x").await.is_ok() {
        pace.tick().await;
    }
}

#[tokio::test]
async fn who_does_not_leave_after_a_refusal_is_left() {
    let env = vec![("REDCAST_LIMITS__MAX_HTTP_CONNECTIONS".to_owned(), "4".to_owned())];
    let gateway = Gateway::ready(GatewayOptions { env, ..Default::default() }).await;
    let before = gateway.descriptors().await;
    let address = gateway.public();
    let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20 << 10));
    let (mut silent, mut talking) = (Vec::new(), JoinSet::new());
    for (said, status) in [
        (&large[..], "HTTP/1.1 431 "),
        ("no such thing\r\n\r\n", "HTTP/1.1 400 "),
        // These four keep their places for a while, so here is no room for more.
        ("", "HTTP/1.1 503 "),
    ] {
        for talks in [false, true] {
            let (socket, head) = answered(address, said).await;
            assert!(head.starts_with(status), "{head}");
            if talks {
                talking.spawn(go_on(socket));
            } else {
                silent.push(socket);
            }
        }
    }
    gateway.until_metric("redcast_http_connections", 0.0).await;
    gateway.until_descriptors(before).await;
    // Whoever goes on is told by a reset, and whoever says nothing is still there.
    timeout(PATIENCE, talking.join_all()).await.expect("the sockets are closed");
    assert_eq!(silent.len(), 3);
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn who_asks_how_the_gateway_fares_keeps_no_place() {
    let gateway = Gateway::ready(GatewayOptions::default()).await;
    let address = gateway.public();
    let question = format!("GET /api/info HTTP/1.1\r\nHost: {address}\r\n\r\n");
    // Reads to the end, which comes at once and not when keep-alive ends.
    let response = request(address, &question).await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
}
