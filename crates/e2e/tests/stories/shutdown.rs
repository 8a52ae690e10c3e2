//! SIGTERM under traffic: not ready at once, clients still taken for a while, then
//! every one given back with 1012, spread over the window, and exit code 0 inside it.

use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{
    Gateway, GatewayOptions, Message, Opcode, RawClient, RedisServer, raise_descriptor_limit,
    within,
};
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const PATH: &str = "/ws/analytics";
const CLIENTS: usize = 1000;
const ACCEPT_FOR: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(6);
/// Closes are paced over the window less three seconds for the last answers.
const PACED_OVER: Duration = Duration::from_secs(3);
/// A second signal ends the process within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a client saw from its first event to its end.
struct Seen {
    events: usize,
    closed_at: Instant,
    reconnect_after_ms: u64,
}

fn options(redis: &RedisServer, accept_for: Duration, window: Duration) -> GatewayOptions {
    let settings =
        [("REDCAST_SHUTDOWN__ACCEPT_FOR", accept_for), ("REDCAST_SHUTDOWN__WINDOW", window)];
    let env = settings.map(|(name, value)| (name.to_owned(), format!("{}s", value.as_secs())));
    GatewayOptions { redis_url: Some(redis.url()), env: env.to_vec(), ..Default::default() }
}

/// Publishes numbers until dropped.
async fn publish(redis: &RedisServer) -> JoinHandle<()> {
    let mut producer = redis.connection().await;
    tokio::spawn(async move {
        for number in 0_u64.. {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg("analytics").arg(number);
            publish.query_async::<u64>(&mut producer).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
    })
}

/// Reads to the end: events without a hole, the close frame, nothing behind it.
async fn read_to_the_end(mut client: RawClient) -> Seen {
    let mut next = None;
    let mut events = 0;
    let (code, reason) = loop {
        match client.message().await {
            Message::Text(text) => {
                let number: u64 = text.parse().unwrap();
                assert_eq!(*next.get_or_insert(number), number, "a hole in front of {number}");
                next = Some(number + 1);
                events += 1;
            }
            Message::Closed(code, reason) => break (code, reason),
            other => panic!("cut without a close frame: {other:?}"),
        }
    };
    let closed_at = Instant::now();
    assert_eq!(code, 1012, "{reason}");
    let advice: Value = serde_json::from_str(&reason).expect("the reason is JSON");
    let reconnect_after_ms = advice["reconnect_after_ms"].as_u64().expect("milliseconds");
    client.send(Opcode::Close, &1012_u16.to_be_bytes()).await.unwrap();
    assert_eq!(client.message().await, Message::End);
    Seen { events, closed_at, reconnect_after_ms }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_under_traffic_are_given_back() {
    raise_descriptor_limit();
    let redis = RedisServer::start();
    let mut gateway = Gateway::ready(options(&redis, ACCEPT_FOR, WINDOW)).await;
    let clients = join_all((0..CLIENTS).map(|_| RawClient::connect(gateway.public(), PATH))).await;
    let mut reading: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(read_to_the_end(client))).collect();
    let publishing = publish(&redis).await;
    gateway.until_metric("redcast_subscriptions", CLIENTS as f64).await;

    let signalled = Instant::now();
    gateway.terminate();
    within(ACCEPT_FOR / 2, "/readyz is 503 while clients are still accepted", async || {
        gateway.ask("/readyz").await.status == 503
    })
    .await;
    let late = RawClient::connect(gateway.public(), PATH).await;
    assert!(signalled.elapsed() < ACCEPT_FOR, "the test was too late to try");
    assert_eq!(gateway.metrics().await.value("redcast_draining"), 1.0);
    assert_eq!(gateway.ask("/livez").await.status, 200);
    reading.push(tokio::spawn(read_to_the_end(late)));

    let status = gateway.exit().await;
    let took = signalled.elapsed();
    println!("the process ended {took:?} after SIGTERM");
    assert_eq!(status.code(), Some(0));
    assert!(took <= ACCEPT_FOR + WINDOW, "the process ended {took:?} after SIGTERM");
    publishing.abort();
    let seen: Vec<Seen> = join_all(reading).await.into_iter().map(Result::unwrap).collect();
    assert_spread(&seen, signalled);
    assert!(TcpStream::connect(gateway.public()).await.is_err(), "nobody listens any more");
}

/// The closes are spread over their time, and so is the advice when to come back.
fn assert_spread(seen: &[Seen], signalled: Instant) {
    assert_eq!(seen.len(), CLIENTS + 1);
    assert!(seen.iter().all(|client| client.events > 0), "a client without traffic");
    let mut closes: Vec<Duration> =
        seen.iter().map(|client| client.closed_at - signalled).collect();
    closes.sort_unstable();
    let (first, last) = (closes[0], closes[CLIENTS]);
    println!("closes from {first:?} to {last:?} after SIGTERM");
    assert!(first >= ACCEPT_FOR, "the first close came {first:?} after SIGTERM");
    assert!(last - first >= PACED_OVER * 3 / 4, "closes came from {first:?} to {last:?}");
    // Evenly paced, any fifth of the time sees a fifth of the closes; a machine that
    // is busy for a moment catches up in a burst.
    let within_a_fifth = |start: &Duration| {
        closes.iter().filter(|close| (*start..*start + PACED_OVER / 5).contains(close)).count()
    };
    let most = closes.iter().map(within_a_fifth).max().unwrap();
    assert!(most <= CLIENTS / 2, "{most} of {CLIENTS} closes within a fifth of the time");
    let mut advice: Vec<u64> = seen.iter().map(|client| client.reconnect_after_ms).collect();
    advice.sort_unstable();
    assert!(advice[CLIENTS] < WINDOW.as_millis() as u64, "advice: {} ms", advice[CLIENTS]);
    advice.dedup();
    assert!(advice.len() > CLIENTS / 2, "only {} different pieces of advice", advice.len());
}

#[tokio::test]
async fn clients_that_never_answer_do_not_hold_the_process() {
    let redis = RedisServer::start();
    let window = Duration::from_secs(1);
    let mut gateway = Gateway::ready(options(&redis, Duration::ZERO, window)).await;
    let mut silent = RawClient::connect(gateway.public(), PATH).await;
    silent.settled().await;
    // Nor one that has not said yet what it wants.
    let _mute = TcpStream::connect(gateway.public()).await.unwrap();
    gateway.until_metric("redcast_http_connections", 1.0).await;
    let signalled = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    let took = signalled.elapsed();
    assert!(took <= window + AT_ONCE / 2, "the process ended {took:?} after SIGTERM");
    let Message::Closed(1012, _) = silent.message().await else { panic!("no close frame") };
    assert_eq!(silent.message_whenever().await, Message::End);
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let redis = RedisServer::start();
    for second in [Signal::TERM, Signal::INT] {
        let mut gateway = Gateway::ready(options(&redis, ACCEPT_FOR, WINDOW)).await;
        let _client = RawClient::connect(gateway.public(), PATH).await;
        gateway.terminate();
        gateway.until_metric("redcast_draining", 1.0).await;
        let signalled = Instant::now();
        gateway.signal(second);
        assert_eq!(gateway.exit().await.code(), Some(130));
        let took = signalled.elapsed();
        assert!(took <= AT_ONCE, "the process ended {took:?} after the second signal");
    }
}
