//! `redcast_connections` after storms: it equals what the kernel counts in the quiet
//! moments, is 0 at the end, and no descriptor stays behind.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use redcast_e2e::{
    Dial, Gateway, GatewayOptions, Opcode, RawClient, established, raise_descriptor_limit, turn,
    within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATH: &str = "/ws/analytics";
const ROUNDS: usize = 10;
const CYCLES_PER_ROUND: usize = 500;
/// Of each round so many stay connected to the end.
const STAY_PER_ROUND: usize = 7;
const HTTP_SOCKETS: usize = 5;
/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// Once nothing has happened for this long, the gauge is right.
const QUIET: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
const FAILING_UPGRADES: usize = 100;
const TOO_LONG: Option<&str> = Some("431");

/// How a connection ends.
#[derive(Clone, Copy)]
enum Ending {
    /// With close frames in both directions.
    Clean,
    /// With a TCP reset.
    Reset,
    /// The client closes its own direction alone.
    HalfClosed,
    /// In the middle of a frame.
    InAFrame,
}

const ENDINGS: [Ending; 4] = [Ending::Clean, Ending::Reset, Ending::HalfClosed, Ending::InAFrame];

async fn end(mut client: RawClient, ending: Ending) {
    match ending {
        Ending::Clean => assert_eq!(client.close().await, 1000),
        Ending::Reset => client.reset(),
        Ending::HalfClosed => {
            client.stream().shutdown().await.unwrap();
            read_to_the_end(client.stream()).await;
        }
        Ending::InAFrame => {
            let frame = RawClient::encode(Opcode::Text, b"never whole");
            client.stream().write_all(&frame[..9]).await.unwrap();
        }
    }
}

async fn read_to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut read)).await;
    // A reset is an end like another here.
    let _ = reading.expect("the server ends the connection");
    read
}

fn public_port(gateway: &Gateway) -> u16 {
    gateway.public().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The gauge says `expected`, and so does the kernel.
async fn assert_gauge(gateway: &Gateway, expected: usize) -> Duration {
    let port = public_port(gateway);
    let what = format!("redcast_connections is {expected} and the kernel agrees");
    within(QUIET, &what, async || {
        let metrics = gateway.metrics().await;
        let gauge = metrics.value("redcast_connections") as usize;
        let plain = metrics.value("redcast_http_connections") as usize;
        gauge == expected && established(port) == gauge + plain
    })
    .await
}

/// Opens sockets that speak plain HTTP and stay open.
async fn plain_sockets(gateway: &Gateway) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..HTTP_SOCKETS {
        let mut socket = TcpStream::connect(gateway.public()).await.unwrap();
        socket.write_all(b"GET /icon.svg HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        sockets.push(socket);
    }
    sockets
}

#[tokio::test]
async fn the_gauge_is_right_between_and_after_five_thousand_connections() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let gateway = Gateway::ready(GatewayOptions::default()).await;
    let descriptors = gateway.descriptors().await;
    let mut staying = Vec::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let cycles = stream::iter(0..CYCLES_PER_ROUND).map(async |cycle| {
            let client = RawClient::connect(gateway.public(), PATH).await;
            if cycle < STAY_PER_ROUND {
                return Some(client);
            }
            end(client, ENDINGS[cycle % ENDINGS.len()]).await;
            None
        });
        let kept: Vec<_> = cycles.buffer_unordered(AT_ONCE).collect().await;
        staying.extend(kept.into_iter().flatten());
        let plain = plain_sockets(&gateway).await;
        slowest = slowest.max(assert_gauge(&gateway, staying.len()).await);
        gateway.until_metric("redcast_http_connections", plain.len() as f64).await;
    }
    assert_eq!(staying.len(), ROUNDS * STAY_PER_ROUND);
    for (cycle, client) in staying.into_iter().enumerate() {
        end(client, ENDINGS[cycle % ENDINGS.len()]).await;
    }
    slowest = slowest.max(assert_gauge(&gateway, 0).await);
    println!("the gauge was right at most {slowest:?} after a storm");
    until_nothing_is_left(&gateway, descriptors).await;
    let metrics = gateway.metrics().await;
    let opened = metrics.value("redcast_connections_opened_total");
    assert_eq!(opened, (ROUNDS * CYCLES_PER_ROUND) as f64);
    let clean = metrics.value(r#"redcast_connections_closed_total{code="1000"}"#);
    let abrupt = metrics.value(r#"redcast_connections_closed_total{code="1006"}"#);
    assert_eq!(clean + abrupt, opened, "{clean} clean, {abrupt} abrupt");
    assert!(clean >= opened / 5.0 && abrupt >= opened / 2.0, "{clean} clean, {abrupt} abrupt");
}

async fn until_nothing_is_left(gateway: &Gateway, descriptors: f64) {
    gateway.until_metric("redcast_connections", 0.0).await;
    gateway.until_metric("redcast_http_connections", 0.0).await;
    gateway.until_metric("redcast_subscriptions", 0.0).await;
    gateway.until_descriptors(descriptors).await;
}

/// A handshake that goes wrong: what is sent, and the status that answers it; none
/// where the client does not wait for one.
fn failing_handshake(number: usize, address: &str) -> (String, Option<&'static str>) {
    let good = RawClient::handshake(address, PATH);
    let refused = |from: &str, to: &str, status| (good.replace(from, to), Some(status));
    match number % 10 {
        0 => refused("Upgrade: websocket\r\n", "", "426"),
        1 => refused("Version: 13", "Version: 8", "426"),
        2 => refused("ZSBub25jZQ==", "", "400"),
        3 => refused("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "400"),
        4 => refused(PATH, "/ws/nothing", "404"),
        5 => refused("GET", "POST", "405"),
        6 => refused("Host", &format!("Filler: {}\r\nHost", "x".repeat(20_000)), "431"),
        // Half a head, and a whole one that nobody waits for.
        7 => (good[..good.len() / 2].to_owned(), None),
        _ => (good, None),
    }
}

async fn fail_to_upgrade(gateway: &Gateway, number: usize) {
    let (text, status) = failing_handshake(number, gateway.public());
    let mut socket = TcpStream::connect(gateway.public()).await.unwrap();
    // A head over the limit is not read to its end, and the refusal may overtake us.
    let written = socket.write_all(text.as_bytes()).await;
    assert!(written.is_ok() || status == TOO_LONG);
    match status {
        Some(status) => {
            let answer = read_to_the_end(&mut socket).await;
            let answer = String::from_utf8_lossy(&answer);
            let found = answer.split(' ').nth(1);
            assert_eq!(found, Some(status), "to {text:.80}: {answer}");
        }
        // Each of these kinds once with a reset, once with an end of the client's side.
        None if (number / 10).is_multiple_of(2) => {
            socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        }
        None => socket.shutdown().await.unwrap(),
    }
}

#[tokio::test]
async fn failing_upgrades_leave_nothing_behind() {
    let gateway = Gateway::ready(GatewayOptions::default()).await;
    let descriptors = gateway.descriptors().await;
    let failing = stream::iter(0..FAILING_UPGRADES);
    failing.for_each_concurrent(AT_ONCE, |number| fail_to_upgrade(&gateway, number)).await;
    assert_gauge(&gateway, 0).await;
    until_nothing_is_left(&gateway, descriptors).await;
    let metrics = gateway.metrics().await;
    let refused = metrics.value(r#"redcast_connections_rejected_total{reason="bad_request"}"#);
    // Kinds 0 to 3; the others never reach the endpoint or are correct.
    assert_eq!(refused, FAILING_UPGRADES as f64 * 4.0 / 10.0);
    let opened = metrics.value("redcast_connections_opened_total");
    assert_eq!(metrics.value(r#"redcast_connections_closed_total{code="1006"}"#), opened);
    // It still takes a correct one.
    let client = RawClient::dial(gateway.public(), PATH, Dial::default()).await.unwrap();
    assert_gauge(&gateway, 1).await;
    drop(client);
}
