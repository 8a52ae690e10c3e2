//! Sockets that are opened and never finish a handshake: each is closed at its deadline,
//! and among two thousand of them an honest client gets in as fast as ever.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use redcast_e2e::{ClientFrame, Message, Opcode, RawClient, Siege, raise_descriptor_limit, turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, sleep, timeout};

const STRANGERS: usize = 2_000;
/// `http.handshake_timeout`, by default.
const DEADLINE: Duration = Duration::from_secs(5);
/// How much earlier or later a busy machine may close.
const EARLY: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_millis(1_500);
const HONEST: usize = 101;
/// How soon 95 of 100 honest clients are in and answered; for the others the machine may
/// have been busy with another test.
const PROMPT: Duration = Duration::from_millis(100);
/// What a socket under the HTTP server may cost while it is there, its task and read
/// buffer of 8 KiB included, and what the allocator may keep of that for the next one.
const SOCKET_BYTES: u64 = 32 << 10;
const KEPT_BYTES: u64 = 16 << 10;
/// Crowds one after the other. What the allocator keeps of each is less than of the one
/// before, until it has enough; what is lost would be lost with each.
const CROWDS: usize = 12;
const LAST_CROWDS: usize = 4;
const LOST_BYTES: u64 = 512;
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects, says at most the beginning of a handshake, and waits for the end; answers
/// how long that took. Nothing is answered: there was no request.
async fn stranger(address: String, number: usize) -> Duration {
    let head = RawClient::handshake(&address, Siege::PATH);
    let said = match number % 4 {
        0 | 1 => "",
        2 => &head[..head.len() / 2],
        _ => &head[..head.len() - 1],
    };
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let began = Instant::now();
    socket.write_all(said.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("it is closed");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    began.elapsed()
}

/// How long honest clients take from connecting to the first answer to a command.
async fn honest(siege: &Siege) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..HONEST {
        let began = Instant::now();
        let mut client = siege.attacker().await;
        client.settled().await;
        took.push(began.elapsed());
        client.close().await;
    }
    took.sort_unstable();
    took
}

#[tokio::test]
async fn among_two_thousand_strangers_an_honest_client_gets_in_at_once() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let siege = Siege::begin("").await;
    let alone = honest(&siege).await[HONEST / 2];
    println!("an honest client takes {alone:.1?} alone");
    let address = siege.gateway.public().to_owned();
    let strangers: Vec<_> =
        (0..STRANGERS).map(|number| tokio::spawn(stranger(address.clone(), number))).collect();
    siege.gateway.until_metric("redcast_http_connections", STRANGERS as f64).await;
    let took = honest(&siege).await;
    let [median, most, worst] = [50, 95, 100].map(|percent| took[(HONEST - 1) * percent / 100]);
    println!("among {STRANGERS} {median:.1?}, 95 % at most {most:.1?}, worst {worst:.1?}");
    assert!(most < PROMPT, "honest clients took {most:?}, the worst {worst:?}");
    let lives: Vec<Duration> = join_all(strangers).await.into_iter().map(Result::unwrap).collect();
    let (first, last) = (lives.iter().min().unwrap(), lives.iter().max().unwrap());
    println!("strangers were closed after {first:.2?} to {last:.2?}");
    assert!(*first >= DEADLINE - EARLY && *last <= DEADLINE + LATE, "{first:?} to {last:?}");
    let crowd = STRANGERS as u64;
    siege.end_within("strangers", crowd * SOCKET_BYTES, crowd * KEPT_BYTES).await;
}

#[tokio::test]
async fn crowd_after_crowd_of_strangers_leaves_nothing_behind() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let siege = Siege::begin("[http]\nhandshake_timeout = \"500ms\"\n").await;
    let mut grown = Vec::new();
    for _ in 0..CROWDS {
        let vitals = siege.watch();
        let address = siege.gateway.public().to_owned();
        let crowd = (0..STRANGERS).map(|number| tokio::spawn(stranger(address.clone(), number)));
        for stranger in join_all(crowd).await {
            stranger.unwrap();
        }
        siege.gateway.until_metric("redcast_http_connections", 0.0).await;
        grown.push(vitals.growth());
    }
    println!("bytes kept of each crowd of {STRANGERS}: {grown:?}");
    let least = grown[CROWDS - LAST_CROWDS..].iter().min().unwrap();
    assert!(*least <= STRANGERS as u64 * LOST_BYTES, "{grown:?}");
    let once = STRANGERS as u64 * SOCKET_BYTES;
    siege.end_within("crowd after crowd", once, 2 * once).await;
}

/// Sends single bytes of a frame, or empty fragments, until the server has had enough.
async fn dripping(siege: &Siege, opening: Vec<u8>, drop: Vec<u8>) -> Duration {
    let mut client = siege.attacker().await;
    client.settled().await;
    let began = Instant::now();
    client.stream().write_all(&opening).await.unwrap();
    let mut pace = interval(Duration::from_millis(200));
    let closed = loop {
        tokio::select! {
            closed = client.message() => break closed,
            _ = pace.tick() => client.stream().write_all(&drop).await.unwrap(),
        }
    };
    let took = began.elapsed();
    let reason = "a message must be whole within 10 s".to_owned();
    assert_eq!(closed, Message::Closed(1008, reason), "after {took:?}");
    assert_eq!(client.message().await, Message::End);
    took
}

#[tokio::test]
async fn a_message_that_drips_is_cut_after_ten_seconds() {
    let siege = Siege::begin("").await;
    let header = ClientFrame::text("").declaring(1000).bytes();
    let header = [&header[..1], &[0x80 | 126], &1000_u16.to_be_bytes(), &header[10..]].concat();
    let fragment = ClientFrame::text("").unfinished().bytes();
    let more = ClientFrame::continuation("").unfinished().bytes();
    let (bytes, fragments) =
        tokio::join!(dripping(&siege, header, vec![0]), dripping(&siege, fragment, more));
    println!("dripping bytes were cut after {bytes:.1?}, dripping fragments after {fragments:.1?}");
    for took in [bytes, fragments] {
        assert!((10.0..13.0).contains(&took.as_secs_f64()), "{took:?}");
    }
    siege.until_closed(1008, 2).await;
    siege.end("dripping messages").await;
}

#[tokio::test]
async fn pings_between_the_fragments_buy_no_time_and_cost_none() {
    let siege = Siege::begin("").await;
    let mut client = siege.attacker().await;
    // A whole message in fragments with pings between them is a message like another.
    let command = r#"{"type":"ping"}"#.as_bytes();
    for (index, byte) in command.iter().enumerate() {
        let frame = match index {
            0 => ClientFrame::new(Opcode::Text, [*byte]).unfinished(),
            last if last == command.len() - 1 => ClientFrame::continuation([*byte]),
            _ => ClientFrame::continuation([*byte]).unfinished(),
        };
        client.stream().write_all(&frame.bytes()).await.unwrap();
        client.send(Opcode::Ping, b"?").await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(client.message().await, Message::Text(r#"{"type":"pong"}"#.to_owned()));
    assert_eq!(client.close().await, 1000);
    siege.end("pings between fragments").await;
}
