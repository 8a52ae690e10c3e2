//! Event streams: what a client that only speaks HTTP gets of the same channels, and how
//! soon; and what is refused before a stream begins.

mod life;
mod limits;
mod resume;
mod slow;
mod stage;

use std::time::Duration;

use redcast_e2e::chaos::HaProxy;
use redcast_e2e::{SseBlock, SseClient, request, within};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::stage::{PATH, Stage};

/// The bar is 100 ms; a busy machine has three times that.
const FIRST_BYTE: Duration = Duration::from_millis(300);

fn data(text: &str) -> SseBlock {
    SseBlock { data: Some(text.to_owned()), ..SseBlock::default() }
}

#[tokio::test]
async fn each_payload_arrives_as_it_was_published() {
    let mut stage = Stage::new("").await;
    // The same endpoint under both of its names.
    let mut long = stage.joined("/sse/ws/analytics", 1).await;
    let mut short = stage.joined(PATH, 1).await;
    let json = "{\"n\": 1.0,\n \"n\": 2}";
    let payloads: [&[u8]; 6] =
        [json.as_bytes(), b"plain", b"two\r\nlines\n", b"", "gr\u{fc}n".as_bytes(), b"\xff\0"];
    for payload in payloads {
        stage.publish("analytics", payload).await;
    }
    for client in [&mut long, &mut short] {
        assert_eq!(client.header("content-type"), Some("text/event-stream"));
        assert_eq!(client.header("cache-control"), Some("no-store"));
        assert_eq!(client.header("x-accel-buffering"), Some("no"));
        let opening = client.block().await.unwrap();
        assert_eq!((opening.comments, opening.data), (vec!["open".to_owned()], None));
        assert!((500..2500).contains(&opening.retry.unwrap()));
        let welcome = client.event().await;
        assert_eq!(welcome.event.as_deref(), Some("welcome"));
        for text in [json, "plain", "two\nlines\n", "", "gr\u{fc}n"] {
            assert_eq!(client.event().await, data(text));
        }
        let binary = SseBlock { event: Some("binary".to_owned()), ..data("/wA=") };
        assert_eq!(client.event().await, binary);
    }
}

#[tokio::test]
async fn envelopes_and_more_channels_come_where_they_are_asked_for() {
    let mut stage = Stage::new("").await;
    let path = "/sse/analytics?envelope=1&channel=analytics%3Aeu&channel=analytics:us";
    let mut client = stage.joined(path, 3).await;
    for (channel, payload) in
        [("analytics", &b"{\"a\":1}"[..]), ("analytics:eu", b"text"), ("analytics:us", b"\xff")]
    {
        stage.publish(channel, payload).await;
    }
    for expected in [
        json!({"type": "event", "channel": "analytics", "data": {"a": 1}}),
        json!({"type": "event", "channel": "analytics:eu", "data": "text"}),
        json!({"type": "event", "channel": "analytics:us", "data": "/w==", "encoding": "base64"}),
    ] {
        let envelope: Value = serde_json::from_str(&client.message().await).unwrap();
        assert_eq!(envelope, expected);
    }
}

#[tokio::test]
async fn snapshots_greet_and_beat() {
    let mut stage = Stage::new(
        r#"
        [[snapshots]]
        name = "stats"
        key = "stats"
        every = "100ms"
        [[endpoints]]
        path = "/ws/live"
        channels = ["live"]
        snapshot = "stats"
        "#,
    )
    .await;
    let mut set = redis::cmd("SET");
    set.arg("stats").arg(r#"{"visitors":7}"#);
    let () = set.query_async(&mut stage.producer).await.unwrap();
    let mut client = SseClient::connect(stage.gateway.public(), "/sse/live").await;
    for kind in ["initial_stats", "heartbeat", "heartbeat"] {
        let stats: Value = serde_json::from_str(&client.of_type(kind).await).unwrap();
        assert_eq!(stats, json!({"type": kind, "data": {"visitors": 7}}));
    }
}

#[tokio::test]
async fn the_first_byte_and_every_event_come_at_once_also_through_a_proxy() {
    let mut stage = Stage::new("").await;
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse().unwrap();
    let ports = (port(stage.gateway.public()), port(stage.gateway.admin()));
    let proxy = HaProxy::before(&[ports]).await;
    let address = proxy.address();
    let begun = Instant::now();
    let mut client = SseClient::connect(&address, PATH).await;
    client.block().await.unwrap();
    let took = begun.elapsed();
    println!("the first block came {took:?} after the connect");
    assert!(took <= FIRST_BYTE, "the first block came after {took:?}");
    stage.gateway.until_metric("redcast_subscriptions", 1.0).await;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let begun = Instant::now();
        stage.publish("analytics", number.to_string().as_bytes()).await;
        assert_eq!(client.message().await, number.to_string());
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest of 20 events took {slowest:?}");
    assert!(slowest <= FIRST_BYTE, "an event took {slowest:?}");
}

#[tokio::test]
async fn what_can_not_begin_is_refused_with_a_reason() {
    let stage = Stage::new("[limits]\nmax_subscriptions = 3\n").await;
    for (path, status) in [
        ("/sse/nothing", 404),
        ("/sse", 404),
        ("/sse/analytics?channel=a%20b", 400),
        ("/sse/analytics?channel=other", 403),
        ("/sse/analytics?last_event_id=nonsense", 400),
        ("/sse/analytics?channel=analytics:1&channel=analytics:2&channel=analytics:3", 400),
    ] {
        assert_eq!(stage.refused(path, &[]).await, status, "{path}");
    }
    assert_eq!(stage.refused(PATH, &[("Last-Event-ID", "1-1.00000000")]).await, 400);
    assert_eq!(stage.refused(PATH, &[("Content-Length", "0")]).await, 400);
    for (method, status) in [("HEAD", 405), ("POST", 405)] {
        let text = format!("{method} {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(request(stage.gateway.public(), &text).await.status, status, "{method}");
    }
    let rejected = stage.gateway.rejected("bad_request").await;
    assert_eq!((rejected, stage.gateway.rejected("forbidden").await), (6.0, 1.0));
    within(FIRST_BYTE * 10, "nothing is left of them", async || {
        let metrics = stage.gateway.metrics().await;
        metrics.value("redcast_connections") + metrics.value("redcast_http_connections") == 0.0
    })
    .await;
    assert_eq!(stage.gateway.metrics().await.value("redcast_connections_opened_total"), 0.0);
}

#[tokio::test]
async fn an_id_that_would_not_come_back_in_a_head_is_never_begun() {
    let stage = Stage::new(
        "[limits]\nmax_subscriptions = 500\n[[channels]]\npattern = \"analytics:*\"\n\
         source = \"stream\"\n[[endpoints]]\npath = \"/ws/analytics\"\nsubscribe = [\"*\"]\n",
    )
    .await;
    let path = |kind: &str, count| {
        let channels: Vec<_> =
            (0..count).map(|number| format!("channel={kind}:{number:030}")).collect();
        format!("{PATH}?{}", channels.join("&"))
    };
    assert_eq!(stage.refused(&path("analytics", 100), &[]).await, 400);
    // Pub/sub channels have no place in it.
    for path in [path("analytics", 80), path("pubsub", 100)] {
        assert!(SseClient::with(stage.gateway.public(), &path, &[]).await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_read_what_they_may_connect_to() {
    let stage = Stage::new(
        r#"
        [[endpoints]]
        path = "/ws/open"
        [[endpoints]]
        path = "/ws/closed"
        allowed_origins = ["https://good.example"]
        "#,
    )
    .await;
    let from = async |path: &str, origin: &str| {
        SseClient::with(stage.gateway.public(), path, &[("Origin", origin)]).await
    };
    let open = from("/sse/open", "https://any.example").await.ok().unwrap();
    assert_eq!(open.header("access-control-allow-origin"), Some("*"));
    assert_eq!(open.header("access-control-allow-credentials"), None);
    let closed = from("/sse/closed", "https://good.example").await.ok().unwrap();
    assert_eq!(closed.header("access-control-allow-origin"), Some("https://good.example"));
    assert_eq!(closed.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(closed.header("vary"), Some("origin"));
    let own = SseClient::connect(stage.gateway.public(), "/sse/closed").await;
    assert_eq!(own.header("access-control-allow-origin"), None);
    let evil = from("/sse/closed", "https://evil.example").await.err().unwrap();
    assert_eq!((evil.status, evil.header("access-control-allow-origin")), (403, None));
    assert_eq!(stage.gateway.rejected("origin").await, 1.0);
}
