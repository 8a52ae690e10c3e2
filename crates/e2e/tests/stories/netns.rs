//! The network behind 500 clients breaks without a word: no FIN, no RST. They are
//! noticed, counted and cleaned up all the same.

use std::process::Stdio;
use std::time::{Duration, Instant};

use redcast_e2e::{Gateway, GatewayOptions, Namespace, RedisServer, within};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

const CLIENTS: f64 = 500.0;
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a closing connection may wait for its peer: flush what is in progress, then
/// read until the peer's end. Nobody answers here, so both are used up.
const FLUSH: Duration = Duration::from_secs(5);
const DISCARD: Duration = Duration::from_secs(2);
/// For a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(2);

struct Traffic {
    path: &'static str,
    payload: Vec<u8>,
    every: Duration,
}

async fn gateway(namespace: &Namespace, redis: &RedisServer) -> Gateway {
    let listen = format!("{}:0", namespace.address());
    let settings = [
        ("REDCAST_HTTP__LISTEN", listen.as_str()),
        ("REDCAST_KEEPALIVE__PING_EVERY", "1s"),
        ("REDCAST_KEEPALIVE__IDLE_TIMEOUT", "2s"),
    ];
    let env = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let redis_url = Some(redis.url());
    Gateway::ready(GatewayOptions { redis_url, env, ..Default::default() }).await
}

/// Starts the clients inside and waits until all are connected.
async fn clients(namespace: &Namespace, gateway: &Gateway, path: &str) -> Child {
    let mut clients = namespace
        .command(env!("CARGO_BIN_EXE_netns-clients"))
        .args([gateway.public(), path, &CLIENTS.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clients.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(20), said.next_line()).await;
    assert_eq!(line.expect("they connect").unwrap().as_deref(), Some("connected"));
    clients
}

/// Publishes until dropped.
async fn publish(redis: &RedisServer, traffic: Traffic) -> tokio::task::JoinHandle<()> {
    let mut producer = redis.connection().await;
    tokio::spawn(async move {
        loop {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg("analytics").arg(&traffic.payload);
            publish.query_async::<u64>(&mut producer).await.unwrap();
            sleep(traffic.every).await;
        }
    })
}

/// Answers how long after the cut the last connection was gone.
async fn cut_off(traffic: Traffic, limit: Duration) -> Duration {
    let namespace = Namespace::new();
    let redis = RedisServer::start();
    let gateway = gateway(&namespace, &redis).await;
    let descriptors = gateway.descriptors().await;
    let _clients = clients(&namespace, &gateway, traffic.path).await;
    gateway.until_metric("redcast_connections", CLIENTS).await;
    let publishing = publish(&redis, traffic).await;
    // Longer than the time-out: pings keep those alive who answer them.
    sleep(IDLE_TIMEOUT + IDLE_TIMEOUT / 2).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections"), CLIENTS);
    assert!(metrics.value("redcast_events_delivered_total") > CLIENTS);

    namespace.cut();
    let cut = Instant::now();
    within(limit, "every connection behind the cut link is gone", async || {
        gateway.metrics().await.value("redcast_connections") == 0.0
    })
    .await;
    let took = cut.elapsed();
    assert!(took >= IDLE_TIMEOUT / 4, "gone after {took:?}: not by the time-out");
    publishing.abort();
    let timed_out = r#"redcast_connections_closed_total{code="4408"}"#;
    gateway.until_metric(timed_out, CLIENTS).await;
    gateway.until_descriptors(descriptors).await;
    gateway.until_metric("redcast_subscriptions", 0.0).await;
    gateway.until_metric("redcast_outbox_bytes", 0.0).await;
    took
}

fn traffic(path: &'static str, bytes: usize) -> Traffic {
    Traffic { path, payload: vec![b'x'; bytes], every: Duration::from_millis(100) }
}

#[tokio::test]
async fn five_hundred_clients_behind_a_cut_link_are_given_up() {
    let traffic = traffic("/ws/analytics", 200);
    let took = cut_off(traffic, IDLE_TIMEOUT + DISCARD + SLACK).await;
    println!("500 quiet connections were gone {took:?} after the cut");
}

#[tokio::test]
async fn also_those_whose_outbox_is_stuck_in_the_middle_of_a_frame() {
    let traffic = traffic("/ws/analytics", 32 << 10);
    let took = cut_off(traffic, IDLE_TIMEOUT + FLUSH + DISCARD + SLACK).await;
    println!("500 stuck connections were gone {took:?} after the cut");
}

#[tokio::test]
async fn event_streams_behind_a_cut_link_are_given_up_although_they_never_speak() {
    let took = cut_off(traffic("/sse/analytics", 200), IDLE_TIMEOUT + DISCARD + SLACK).await;
    println!("500 event streams were gone {took:?} after the cut");
}
