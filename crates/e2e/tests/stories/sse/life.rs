//! A stream's life: counted once and with its socket, ended by either side, and seen to
//! its last byte when the process ends.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use redcast_e2e::{
    Dial, GatewayOptions, Opcode, RawClient, SseClient, established, raise_descriptor_limit, turn,
    within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::stage::{PATH, Stage};

const STREAMS: usize = 600;
const STAY: usize = 60;
const PLAIN: usize = 5;
const AT_ONCE: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);
/// Once nothing has happened for this long, the gauge is right.
const QUIET: Duration = Duration::from_secs(1);

/// The gauge says `expected`, and so does the kernel.
async fn assert_gauge(stage: &Stage, expected: usize) -> Duration {
    let port = stage.gateway.public().rsplit_once(':').unwrap().1.parse().unwrap();
    let what = format!("redcast_connections is {expected} and the kernel agrees");
    within(QUIET, &what, async || {
        let metrics = stage.gateway.metrics().await;
        let gauge = metrics.value("redcast_connections") as usize;
        let plain = metrics.value("redcast_http_connections") as usize;
        gauge == expected && established(port) == gauge + plain
    })
    .await
}

/// Ends a stream in one of the ways a client has.
async fn end(mut client: SseClient, number: usize) {
    match number % 3 {
        0 => client.reset(),
        // It stays open for reading, and the server ends it all the same.
        1 => {
            client.stream().shutdown().await.unwrap();
            client.end().await;
        }
        _ => drop(client),
    }
}

#[tokio::test]
async fn a_stream_is_counted_once_and_goes_with_its_socket() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let stage = Stage::new("").await;
    let address = stage.gateway.public().to_owned();
    let descriptors = stage.gateway.descriptors().await;
    let coming = stream::iter(0..STREAMS).map(async |number| {
        let client = SseClient::connect(&address, PATH).await;
        if number < STAY {
            return Some(client);
        }
        end(client, number).await;
        None
    });
    let staying: Vec<_> = coming.buffer_unordered(AT_ONCE).collect().await;
    let staying: Vec<SseClient> = staying.into_iter().flatten().collect();
    let mut plain = Vec::new();
    for _ in 0..PLAIN {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        socket.write_all(b"GET /icon.svg HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        plain.push(socket);
    }
    let socket = RawClient::connect(&address, "/ws/analytics").await;
    assert_gauge(&stage, STAY + 1).await;
    stage.gateway.until_metric("redcast_http_connections", PLAIN as f64).await;
    drop((plain, socket));
    for (number, client) in staying.into_iter().enumerate() {
        end(client, number).await;
    }
    // Nothing is published meanwhile: that they are gone is seen by itself.
    let noticed = assert_gauge(&stage, 0).await;
    println!("the last streams were noticed to be gone after {noticed:?}");
    stage.gateway.until_metric("redcast_http_connections", 0.0).await;
    stage.gateway.until_metric("redcast_subscriptions", 0.0).await;
    stage.gateway.until_descriptors(descriptors).await;
    let opened = stage.gateway.metrics().await.value("redcast_connections_opened_total");
    assert_eq!(opened, STREAMS as f64 + 1.0);
    // That a stream's client goes is no fault of anybody.
    stage.until_closed(1001, STREAMS as f64).await;
}

#[tokio::test]
async fn a_second_request_on_a_stream_s_socket_changes_nothing() {
    let mut stage = Stage::new("").await;
    let mut client = stage.joined(PATH, 1).await;
    let again = format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream().write_all(again.as_bytes()).await.unwrap();
    stage.publish("analytics", b"still the first").await;
    assert_eq!(client.message().await, "still the first");
    assert_gauge(&stage, 1).await;
    drop(client);
    let dropped = Instant::now();
    // Behind bytes that nobody reads, the end is seen by a write that fails.
    while stage.gateway.metrics().await.value("redcast_connections") > 0.0 {
        assert!(dropped.elapsed() < PATIENCE, "the end is never seen");
        stage.publish("analytics", b"x").await;
    }
}

fn shutdown(accept_for: &str, window: &str) -> GatewayOptions {
    let config = format!("[shutdown]\naccept_for = \"{accept_for}\"\nwindow = \"{window}\"\n");
    GatewayOptions { config, ..Default::default() }
}

#[tokio::test]
async fn a_drain_gives_every_stream_back_with_its_last_event() {
    const CLIENTS: usize = 50;
    let mut stage = Stage::with(shutdown("0s", "4s")).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(SseClient::connect(stage.gateway.public(), PATH).await);
    }
    stage.gateway.until_metric("redcast_subscriptions", CLIENTS as f64).await;
    stage.publish("analytics", b"last").await;
    stage.gateway.until_metric("redcast_events_delivered_total", CLIENTS as f64).await;
    stage.gateway.terminate();
    let mut advice = Vec::new();
    for client in &mut clients {
        assert_eq!(client.message().await, "last");
        let block = client.event().await;
        assert_eq!(block.event.as_deref(), Some("close"));
        let closed: Value = serde_json::from_str(&block.data.unwrap()).unwrap();
        let after = closed["reconnect_after_ms"].as_u64().unwrap();
        let expected =
            json!({"code": 1012, "reason": "service restart", "reconnect_after_ms": after});
        // A browser obeys the field and never looks at the data.
        assert_eq!((&closed, block.retry), (&expected, Some(after)));
        assert!(client.end().await, "the body ends as a whole");
        advice.push(after);
    }
    assert_eq!(stage.gateway.exit().await.code(), Some(0));
    advice.sort_unstable();
    advice.dedup();
    assert!(advice.len() > CLIENTS / 2, "only {} different pieces of advice", advice.len());
}

#[tokio::test]
async fn streams_that_never_read_do_not_hold_the_process() {
    let mut stage = Stage::with(shutdown("0s", "1s")).await;
    let silent = SseClient::dial(stage.gateway.public(), PATH, &[], Dial::silent()).await;
    let _silent = silent.ok().unwrap();
    stage.gateway.until_metric("redcast_subscriptions", 1.0).await;
    // More than pipe and kernel take, and less than the outbox.
    for _ in 0..10 {
        stage.publish("analytics", &[b'x'; 64 << 10]).await;
    }
    stage.gateway.until_metric("redcast_events_delivered_total", 10.0).await;
    let signalled = Instant::now();
    stage.gateway.terminate();
    assert_eq!(stage.gateway.exit().await.code(), Some(0));
    let took = signalled.elapsed();
    assert!(took <= Duration::from_secs(3), "the process ended {took:?} after SIGTERM");
}

#[tokio::test]
async fn a_panic_ends_one_stream_and_is_counted() {
    let mut stage = Stage::with(GatewayOptions { faults: true, ..Default::default() }).await;
    let mut other = stage.joined(PATH, 1).await;
    let descriptors = stage.gateway.descriptors().await;
    for (count, task) in [(1.0, "session"), (2.0, "body")] {
        let path = format!("{PATH}?fault={task}");
        if let Ok(mut broken) = SseClient::with(stage.gateway.public(), &path, &[]).await {
            broken.end().await;
        }
        stage.gateway.until_metric("redcast_connections_opened_total", count + 1.0).await;
        stage.gateway.until_metric("redcast_connections", 1.0).await;
        stage.gateway.until_metric("redcast_subscriptions", 1.0).await;
    }
    stage.gateway.until_metric("redcast_connection_panics_total", 1.0).await;
    stage.until_closed(1011, 1.0).await;
    stage.publish("analytics", b"still here").await;
    assert_eq!(other.message().await, "still here");
    stage.gateway.until_descriptors(descriptors).await;
    // It is no WebSocket that could say something; the others are as before.
    let mut socket = RawClient::connect(stage.gateway.public(), "/ws/analytics").await;
    socket.send(Opcode::Ping, b"").await.unwrap();
    socket.settled().await;
}
