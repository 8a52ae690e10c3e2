//! More clients than there are descriptors: those that are in lose nothing, operators
//! and Redis are reached all along, and a moment after the flood everyone gets in again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use redcast_e2e::{
    Dial, Gateway, GatewayOptions, Message, RawClient, Siege, post, raise_descriptor_limit, turn,
    within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const DESCRIPTORS: u32 = 512;
const FLOOD: usize = 2_000;
const EXISTING: usize = 100;
/// How long the flood stands, once it is there. Shorter than the time after which
/// silent sockets are closed, so that it stands whole.
const STANDS: Duration = Duration::from_secs(3);
const RECOVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// One of the flood: a socket that says nothing, or a handshake. Answers the socket, if
/// the server keeps it, and the first line of its answer.
async fn intruder(address: String, number: usize) -> (Option<TcpStream>, String) {
    let mut socket = timeout(PATIENCE, TcpStream::connect(&address)).await.unwrap().unwrap();
    if number.is_multiple_of(2) {
        return (Some(socket), "silent".to_owned());
    }
    // Who is turned away may be so before it has spoken.
    let _ = socket.write_all(RawClient::handshake(&address, Siege::PATH).as_bytes()).await;
    let mut answer = [0; 64];
    let read = timeout(PATIENCE, socket.read(&mut answer)).await.expect("an answer or an end");
    let answer = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
    let line = answer.lines().next().unwrap_or_default().to_owned();
    (line.contains("101").then_some(socket), line)
}

/// Publishes over HTTP on a connection that was there before the flood.
async fn publish(producer: &mut TcpStream, payload: usize) {
    let payload = payload.to_string();
    let request = format!(
        "POST /api/publish/operator HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer k\r\n\
         Content-Length: {}\r\n\r\n{payload}",
        payload.len()
    );
    producer.write_all(request.as_bytes()).await.expect("the connection is kept");
    let mut answer = Vec::new();
    // Its body is one JSON object without another inside.
    while !answer.ends_with(b"}") {
        let read = timeout(PATIENCE, producer.read_buf(&mut answer)).await.expect("an answer");
        assert_ne!(read.expect("the connection is kept"), 0, "the connection is kept");
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Asks for the metrics and publishes over HTTP, which `subscriber` must hear, again and
/// again until told to stop; answers how often, and the longest wait.
async fn operator(
    gateway: &Gateway,
    (mut producer, mut subscriber): (TcpStream, RawClient),
    over: &AtomicBool,
) -> (usize, Duration) {
    let (mut asked, mut longest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.value("redcast_redis_up"), 1.0, "Redis is reached");
        assert_eq!(gateway.ask("/readyz").await.status, 200);
        publish(&mut producer, asked).await;
        assert_eq!(subscriber.message().await, Message::Text(asked.to_string()));
        longest = longest.max(began.elapsed());
        asked += 1;
        sleep(Duration::from_millis(50)).await;
    }
    (asked, longest)
}

async fn siege() -> Siege {
    Siege::with(GatewayOptions {
        descriptors: Some(DESCRIPTORS),
        env: vec![("REDCAST_API__KEY".to_owned(), "k".to_owned())],
        ..Default::default()
    })
    .await
}

#[tokio::test]
async fn two_thousand_connects_to_512_descriptors_harm_nobody() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let siege = siege().await;
    let gateway = &siege.gateway;
    assert_eq!(gateway.metrics().await.value("process_max_fds"), f64::from(DESCRIPTORS));
    let mut existing = join_all((0..EXISTING).map(|_| siege.attacker())).await;
    let producer = TcpStream::connect(gateway.public()).await.unwrap();
    let mut subscriber = siege.attacker().await;
    subscriber.say(r#"{"type":"subscribe","channel":"operator"}"#).await;
    subscriber.settled().await;
    let over = Arc::new(AtomicBool::new(false));
    let attack = async {
        let vitals = siege.watch();
        let address = gateway.public().to_owned();
        let flood = stream::iter(0..FLOOD).map(|number| intruder(address.clone(), number));
        let flood: Vec<_> = flood.buffer_unordered(FLOOD).collect().await;
        let coming = vitals.cpu_seconds();
        sleep(STANDS).await;
        let standing = vitals.cpu_seconds() - coming;
        over.store(true, Ordering::Relaxed);
        (flood, coming, standing)
    };
    let ((flood, coming, standing), (asked, longest)) =
        tokio::join!(attack, operator(gateway, (producer, subscriber), &over));
    let count = |what: &str| flood.iter().filter(|(_, line)| line.contains(what)).count();
    let (admitted, refused, cut) =
        (count("101"), count("503"), flood.iter().filter(|(_, line)| line.is_empty()).count());
    println!("{FLOOD} connects: {admitted} admitted, {refused} told 503, {cut} closed unheard");
    println!("CPU: {coming:.2} s while they came, {standing:.2} s of the {STANDS:?} after");
    println!("operators were answered {asked} times, at the longest after {longest:.1?}");
    assert_eq!(admitted + refused + cut, FLOOD / 2);
    assert!(refused > cut * 9, "nearly all are told when to come back");
    assert!(standing < STANDS.as_secs_f64() / 4.0, "a busy loop: {standing} s of CPU");
    // Who was there before is there still.
    for client in &mut existing {
        client.settled().await;
    }
    drop(flood);
    let recovered = within(RECOVERY, "an honest client gets in", async || {
        let dial = RawClient::dial(gateway.public(), Siege::PATH, Dial::default());
        matches!(timeout(RECOVERY, dial).await, Ok(Ok(_)))
    })
    .await;
    println!("recovered after {recovered:.1?}");
    assert!(recovered <= RECOVERY, "recovered after {recovered:?} only");
    let response = post(gateway.public(), "/api/publish/x", Some("k"), "1").await;
    assert_eq!(response.status, 200, "{response:?}");
    drop(existing);
    siege.end("more clients than descriptors").await;
}
