//! Compressed events: whoever agreed gets them small and inflates them to the payload,
//! byte for byte; whoever did not gets them as before; and it is done once for all.

use std::collections::HashMap;
use std::time::Duration;

use redcast_e2e::{
    ClientFrame, Dial, Frame, Gateway, GatewayOptions, Message, Opcode, RawClient, RedisServer,
    deflated, inflated,
};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const SMALL: &str = "/ws/small";
const PLAIN: &str = "/ws/plain";
const WIDE: &str = "permessage-deflate; client_max_window_bits";
const NARROW: &str = "permessage-deflate; server_max_window_bits=9";
const OFFERS: [Option<&str>; 3] = [None, Some(WIDE), Some(NARROW)];
const PATIENCE: Duration = Duration::from_secs(60);
/// The bit that says that a message is compressed.
const RSV1: u8 = 0x40;

/// A gateway with an endpoint that compresses and one that does not, and its producer.
struct Feed {
    gateway: Gateway,
    producer: MultiplexedConnection,
    _redis: RedisServer,
}

impl Feed {
    async fn with(config: &str) -> Self {
        let endpoints = format!(
            r#"
            [[endpoints]]
            path = "{SMALL}"
            channels = ["feed"]
            subscribe = ["*"]
            deflate = true
            [[endpoints]]
            path = "{PLAIN}"
            channels = ["feed"]
            "#
        );
        let redis = RedisServer::start();
        let config = format!("{config}{endpoints}");
        let options = GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() };
        let gateway = Gateway::ready(options).await;
        let producer = redis.connection().await;
        Self { gateway, producer, _redis: redis }
    }

    async fn join(&self, path: &str, how: Dial) -> RawClient {
        let mut client = RawClient::dial(self.gateway.public(), path, how).await.unwrap();
        if how.envelope {
            let Message::Text(welcome) = client.message().await else { panic!("a welcome") };
            assert!(welcome.contains("welcome"), "{welcome}");
        }
        client.settled().await;
        client
    }

    async fn offering(&self, path: &str, extensions: Option<&'static str>) -> RawClient {
        self.join(path, Dial { extensions, ..Dial::default() }).await
    }

    async fn publish(&mut self, payload: &[u8]) {
        let publish = redis::cmd("PUBLISH").arg("feed").arg(payload).to_owned();
        publish.query_async::<()>(&mut self.producer).await.unwrap();
    }

    /// Bytes before and after compression.
    async fn counted(&self) -> [usize; 2] {
        let metrics = self.gateway.metrics().await;
        ["before", "after"].map(|side| {
            let name = format!(r#"redcast_deflate_bytes_total{{side="{side}"}}"#);
            metrics.value(&name) as usize
        })
    }
}

/// Lines of which each is like the hundredth before it: too far back for a small window.
fn far_apart(len: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|n: u64| {
        let mixed = (n % 100 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:016x}\n").into_bytes()
    });
    lines.take(len).collect()
}

fn payloads() -> Vec<Vec<u8>> {
    let json = format!(r#"{{"path":"/orders/1","tags":[{}0]}}"#, r#""one of many","#.repeat(60));
    let binary = [&b"\xff\x00\xfe"[..], &far_apart(3000)].concat();
    vec![json.into_bytes(), far_apart(20_000), binary, "größer ".repeat(20_000).into_bytes()]
}

/// Waits for the next frame that is no ping.
async fn frame(client: &mut RawClient) -> Frame {
    loop {
        let frame = timeout(PATIENCE, client.frame()).await.expect("a frame comes in time");
        let frame = frame.expect("whole frames").expect("a frame");
        if !matches!(frame.opcode, Opcode::Ping | Opcode::Pong) {
            return frame;
        }
    }
}

/// The payload as a client understands it.
fn payload_of(frame: &Frame, client: &RawClient) -> Vec<u8> {
    if !frame.compressed {
        return frame.payload.clone();
    }
    inflated(&frame.payload, client.window_bits()).expect("it fits into the agreed window")
}

fn frame_len(payload: usize) -> usize {
    payload
        + if payload < 126 {
            2
        } else if payload < 65_536 {
            4
        } else {
            10
        }
}

/// Whether an envelope holds this payload.
fn holds(envelope: &[u8], payload: &[u8]) -> bool {
    let envelope: Value = serde_json::from_slice(envelope).expect("JSON");
    assert_eq!((&envelope["type"], &envelope["channel"]), (&"event".into(), &"feed".into()));
    match (std::str::from_utf8(payload), &envelope["data"]) {
        (Ok(text), Value::String(data)) => text == data,
        (Ok(text), data) => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *data),
        (Err(_), _) => envelope["encoding"] == "base64",
    }
}

/// Checks what a client got of an event; answers its frame's payload.
async fn check(client: &mut RawClient, envelope: bool, payload: &[u8]) -> Vec<u8> {
    let frame = frame(client).await;
    assert_eq!(frame.compressed, client.agreed().is_some());
    let got = payload_of(&frame, client);
    if envelope {
        assert_eq!(frame.opcode, Opcode::Text);
        assert!(holds(&got, payload), "not the payload's envelope");
    } else {
        let is_text = std::str::from_utf8(payload).is_ok();
        assert_eq!(frame.opcode, if is_text { Opcode::Text } else { Opcode::Binary });
        assert!(got == payload, "{} bytes are not the payload", got.len());
    }
    frame.payload
}

#[tokio::test]
async fn each_client_gets_the_payload_compressed_in_its_window_or_plain() {
    const EACH: usize = 5;
    let mut feed = Feed::with("").await;
    let mut clients = Vec::new();
    for (path, extensions) in [SMALL, PLAIN].iter().flat_map(|path| OFFERS.map(|o| (path, o))) {
        for envelope in [false, true].repeat(EACH) {
            let how = Dial { envelope, extensions, ..Dial::default() };
            let client = feed.join(path, how).await;
            let agreed = extensions.is_some() && *path == SMALL;
            assert_eq!(client.agreed().is_some(), agreed, "{path} {extensions:?}");
            let bits = if agreed && extensions == Some(NARROW) { 9 } else { 15 };
            assert_eq!(client.window_bits(), bits);
            clients.push((client, envelope));
        }
    }
    let (mut before, mut after) = (0, 0);
    for payload in payloads() {
        feed.publish(&payload).await;
        let mut shared: HashMap<(bool, u8), Vec<u8>> = HashMap::new();
        for (client, envelope) in &mut clients {
            let data = check(client, *envelope, &payload).await;
            if client.agreed().is_some() {
                let way = (*envelope, client.window_bits());
                let first = shared.entry(way).or_insert_with(|| data.clone());
                assert!(*first == data, "one frame for all who agreed on the same");
            }
        }
        for ((_, bits), data) in &shared {
            before += frame_len(inflated(data, *bits).unwrap().len());
            after += frame_len(data.len());
        }
        assert_eq!(shared.len(), 4);
        assert!(shared[&(false, 15)].len() <= shared[&(false, 9)].len());
    }
    // Compressed once for each form and window, however many clients there are.
    assert_eq!(feed.counted().await, [before, after]);
    assert!(after < before / 2, "{after} bytes of {before}");
}

#[tokio::test]
async fn an_event_below_the_least_size_is_sent_as_it_is() {
    for (config, least) in [("", 256), ("deflate.min_size = \"2KiB\"\n", 2048)] {
        let mut feed = Feed::with(config).await;
        let mut client = feed.offering(SMALL, Some(WIDE)).await;
        for len in [1, least - 1, least] {
            feed.publish(&vec![b'x'; len]).await;
            let frame = frame(&mut client).await;
            assert_eq!(frame.compressed, len == least, "{len} of {least}");
            assert_eq!(payload_of(&frame, &client).len(), len);
        }
        assert_eq!(feed.counted().await[0], frame_len(least));
    }
}

#[tokio::test]
async fn what_redcast_itself_says_is_never_compressed() {
    let feed = Feed::with("deflate.min_size = \"0B\"\n").await;
    let mut client = feed.offering(SMALL, Some(WIDE)).await;
    let long = "x".repeat(60);
    client.say(&format!(r#"{{"type":"no_such_command","id":"{long}"}}"#)).await;
    let frame = frame(&mut client).await;
    assert!(frame.text().contains("error") && frame.text().contains(&long) && !frame.compressed);
}

#[tokio::test]
async fn commands_may_come_compressed_in_pieces_or_plain() {
    let mut feed = Feed::with("").await;
    let mut client = feed.offering(SMALL, Some(WIDE)).await;
    let pong = Message::Text(r#"{"type":"pong"}"#.to_owned());
    let ping = deflated(br#"{"type":"ping"}"#);
    let (first, second) = ping.split_at(ping.len() / 2);
    let pieces = [
        ClientFrame::new(Opcode::Text, first).reserved(RSV1).unfinished().bytes(),
        ClientFrame::new(Opcode::Ping, "between").bytes(),
        ClientFrame::continuation(second).bytes(),
    ];
    let whole = ClientFrame::new(Opcode::Text, &ping[..]).reserved(RSV1).bytes();
    for bytes in [whole, pieces.concat(), ClientFrame::text(r#"{"type":"ping"}"#).bytes()] {
        // At once, and byte by byte: where it is cut makes no difference.
        for piece in [bytes.len(), 1] {
            for piece in bytes.chunks(piece) {
                client.stream().write_all(piece).await.unwrap();
            }
            assert_eq!(client.message().await, pong);
        }
    }
    let unsubscribe = deflated(br#"{"type":"unsubscribe","channel":"feed"}"#);
    let unsubscribe = ClientFrame::new(Opcode::Text, unsubscribe).reserved(RSV1).bytes();
    client.stream().write_all(&unsubscribe).await.unwrap();
    client.settled().await;
    feed.publish(b"nobody hears it").await;
    client.settled().await;
}

/// Random digits, all of them twice, so that about half is left of it in either window.
fn event(number: usize) -> Vec<u8> {
    let mut mixed = number as u64 + 1;
    let halves = std::iter::repeat_with(|| {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        format!("{mixed:016x}").repeat(2)
    });
    let digits: String = halves.take(512).collect();
    format!("{number} {digits}").into_bytes()
}

#[tokio::test]
async fn a_slow_clients_backlog_holds_compressed_frames_and_loses_none_of_them() {
    const EVENTS: usize = 200;
    let config = "limits.outbox = \"16MiB\"\nhttp.unsent_limit = \"16KiB\"\n";
    let mut feed = Feed::with(config).await;
    let mut slow = Vec::new();
    for extensions in [WIDE, NARROW].map(Some) {
        let how = Dial {
            receive_buffer: Some(4 << 10),
            segment: Some(1 << 10),
            extensions,
            ..Dial::default()
        };
        slow.push(feed.join(SMALL, how).await);
    }
    let mut reader = feed.offering(SMALL, None).await;
    for number in 0..EVENTS {
        feed.publish(&event(number)).await;
        assert_eq!(frame(&mut reader).await.payload, event(number));
    }
    let plain = 2 * EVENTS * event(0).len();
    let waiting = feed.gateway.metrics().await.value("redcast_outbox_bytes") as usize;
    println!("{waiting} bytes wait in place of {plain}");
    assert!((plain / 5..plain / 2).contains(&waiting), "{waiting} bytes wait");
    for mut client in slow {
        for number in 0..EVENTS {
            let frame = frame(&mut client).await;
            assert!(frame.compressed);
            assert!(payload_of(&frame, &client) == event(number), "event {number}");
        }
        client.settled().await;
    }
    feed.gateway.until_metric("redcast_outbox_bytes", 0.0).await;
}
