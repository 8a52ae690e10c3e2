//! Publishing over HTTP, for services that can't speak Redis: batches that go out whole or
//! not at all, requests that may be repeated, and what is refused, with its reason.

use redcast_e2e::{
    Client, Gateway, GatewayOptions, Listener, RedisServer, Response, get, post_with,
};
use serde_json::{Value, json};

const PATH: &str = "/api/publish/analytics";
const KEY: (&str, &str) = ("Authorization", "Bearer k");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");
const ENV: [(&str, &str); 2] =
    [("REDCAST_API__KEY", "k"), ("REDCAST_LIMITS__MAX_EVENT_SIZE", "64KiB")];

async fn gateway(redis_url: Option<String>) -> Gateway {
    let env = ENV.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Gateway::ready(GatewayOptions { redis_url, env, ..Default::default() }).await
}

async fn send(gateway: &Gateway, headers: &[(&str, &str)], body: &str) -> Response {
    post_with(gateway.public(), PATH, &[&[KEY], headers].concat(), body).await
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("no JSON: {response:?}"))
}

fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("{{\"n\":{number}}}\n")).collect()
}

/// The next text frame must be the last that was published: so nothing came before it.
async fn nothing_but(client: &mut Client, gateway: &Gateway, last: &str) {
    assert_eq!(send(gateway, &[], last).await.status, 200);
    assert_eq!(client.text().await, last);
}

#[tokio::test]
async fn a_batch_reaches_clients_of_every_instance_whole_and_in_order() {
    let redis = RedisServer::start();
    let (one, two) = (gateway(Some(redis.url())).await, gateway(Some(redis.url())).await);
    let mut clients = [one.connect("/ws/analytics").await, two.connect("/ws/analytics").await];
    for client in &mut clients {
        client.settled().await;
    }
    let batch = lines(999) + "\r\n \n[1,\"\u{e9}\"]\r\n";
    let answer = send(&one, &[NDJSON], &batch).await;
    let bytes = lines(999).len() - 999 + "[1,\"\u{e9}\"]".len();
    let expected = json!({"channel": "analytics", "events": 1_000, "bytes": bytes});
    assert_eq!((answer.status, body(&answer)), (200, expected));
    for client in &mut clients {
        for number in 1..=999 {
            assert_eq!(client.text().await, format!("{{\"n\":{number}}}"));
        }
        assert_eq!(client.text().await, "[1,\"\u{e9}\"]");
    }
    let metrics = one.metrics().await;
    assert_eq!(metrics.value("redcast_http_publishes_total{outcome=\"published\"}"), 1.0);
    assert_eq!(metrics.value("redcast_http_events_published_total"), 1_000.0);
}

#[tokio::test]
async fn a_malformed_line_7_of_10_publishes_none_and_is_named() {
    let redis = RedisServer::start();
    for redis_url in [None, Some(redis.url())] {
        let gateway = gateway(redis_url).await;
        let mut client = gateway.connect("/ws/analytics").await;
        client.settled().await;
        let wrong = lines(10).replace("{\"n\":7}", "{\"n\":7");
        let key = ("Idempotency-Key", "batch-1");
        let answer = send(&gateway, &[NDJSON, key], &wrong).await;
        let told = body(&answer)["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400);
        assert!(told.starts_with("line 7 is not JSON") && told.contains("nothing"), "{told}");
        nothing_but(&mut client, &gateway, "after").await;
        // The key was not used up by what was not published.
        assert_eq!(send(&gateway, &[NDJSON, key], &lines(10)).await.status, 200);
        assert_eq!(client.text().await, "{\"n\":1}");
    }
}

#[tokio::test]
async fn the_same_key_twice_is_one_event_on_the_wire_and_other_content_is_422() {
    let redis = RedisServer::start();
    for redis_url in [None, Some(redis.url())] {
        let gateway = gateway(redis_url).await;
        let mut client = gateway.connect("/ws/analytics").await;
        client.settled().await;
        let key = ("Idempotency-Key", "order-7");
        let first = send(&gateway, &[key], "paid").await;
        assert_eq!(body(&first), json!({"channel": "analytics", "events": 1, "bytes": 4}));
        let again = send(&gateway, &[key], "paid").await;
        let expected = json!({"channel": "analytics", "events": 1, "bytes": 4, "repeated": true});
        assert_eq!((again.status, body(&again)), (200, expected));
        let other = send(&gateway, &[key], "refunded").await;
        assert_eq!(other.status, 422, "{other:?}");
        assert!(body(&other)["error"].as_str().unwrap().contains("key"), "{other:?}");
        let path = "/api/publish/analytics:eu";
        assert_eq!(post_with(gateway.public(), path, &[KEY, key], "paid").await.status, 422);
        assert_eq!(client.text().await, "paid");
        nothing_but(&mut client, &gateway, "after").await;
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.value("redcast_http_publishes_total{outcome=\"repeated\"}"), 1.0);
        assert_eq!(metrics.value("redcast_http_publishes_total{outcome=\"refused\"}"), 2.0);
        assert_eq!(metrics.value("redcast_http_events_published_total"), 2.0);
    }
}

/// Path, headers and body of a request, and what its answer says.
type Wrong<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

#[tokio::test]
async fn what_is_refused_says_why_and_publishes_nothing() {
    let redis = RedisServer::start();
    let gateway = gateway(Some(redis.url())).await;
    let mut arrived = Listener::subscribe(&redis, "analytics").await;
    let (large, long_key) = ("x".repeat((64 << 10) + 1), "k".repeat(256));
    let large_line = format!("1\n\"{large}\"\n");
    let large_body = "\"x\"\n".repeat((4 << 20) / 4 + 1);
    let auth = |key| ("Authorization", key);
    let once = |key| ("Idempotency-Key", key);
    let (key, many) = (KEY, lines(1_001));
    let cases: [Wrong<'_>; 15] = [
        (PATH, &[], b"1", 401, "Authorization: Bearer"),
        (PATH, &[auth("Bearer wrong")], b"1", 401, "not valid"),
        (PATH, &[auth("Bearer wrong"), NDJSON], b"nonsense", 401, "not valid"),
        ("/api/publish/a*b", &[key], b"1", 400, "'*'"),
        ("/api/publish/%FF", &[key], b"1", 400, "UTF-8"),
        (PATH, &[key], large.as_bytes(), 413, "65536 bytes"),
        (PATH, &[key, NDJSON], large_line.as_bytes(), 413, "line 2 has 65539 bytes"),
        (PATH, &[key, NDJSON], large_body.as_bytes(), 413, "4194304 bytes"),
        (PATH, &[key, NDJSON], many.as_bytes(), 413, "line 1001"),
        (PATH, &[key, NDJSON], b"", 400, "no event"),
        (PATH, &[key, NDJSON], b"\n \r\n", 400, "no event"),
        (PATH, &[key, NDJSON], b"1\n\"\xff\xfe\"\n2\n", 400, "line 2 is not UTF-8"),
        (PATH, &[key, once("a b")], b"1", 400, "idempotency key"),
        (PATH, &[key, once(&long_key)], b"1", 400, "idempotency key"),
        (PATH, &[key, once("a"), once("b")], b"1", 400, "one Idempotency-Key"),
    ];
    for (path, headers, sent, status, told) in cases {
        let answer = post_with(gateway.public(), path, headers, sent).await;
        let error = body(&answer)["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{path} {headers:?}: {error}");
        assert!(error.contains(told), "{path} {headers:?}: {error}");
    }
    assert_eq!(send(&gateway, &[], "after").await.status, 200);
    assert_eq!(arrived.payload().await, b"after");
    let refused = gateway.metrics().await;
    assert_eq!(refused.value("redcast_http_publishes_total{outcome=\"refused\"}"), 15.0);
}

#[tokio::test]
async fn a_request_that_redis_did_not_answer_can_be_repeated() {
    let redis = RedisServer::start();
    let gateway = gateway(Some(redis.url())).await;
    let mut client = gateway.connect("/ws/analytics").await;
    client.settled().await;
    // A connection for publishing is there, so that the call gets onto it.
    nothing_but(&mut client, &gateway, "first").await;
    let key = ("Idempotency-Key", "batch-1");
    redis.freeze();
    let answer = send(&gateway, &[NDJSON, key], &lines(3)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    redis.thaw();
    let again = async || send(&gateway, &[NDJSON, key], &lines(3)).await.status == 200;
    gateway.until("the repeated request is answered", again).await;
    gateway.until_ready().await;
    nothing_twice(&mut client, &gateway).await;
    let metrics = gateway.metrics().await;
    assert!(metrics.value("redcast_http_publishes_total{outcome=\"unavailable\"}") >= 1.0);
}

/// The events of the batch come once, whichever of the two calls published them, unless
/// the outage swallowed them: then a gap stands in their place.
async fn nothing_twice(client: &mut Client, gateway: &Gateway) {
    assert_eq!(send(gateway, &[], "last").await.status, 200);
    let mut seen = Vec::new();
    loop {
        let text = client.text().await;
        match text.as_str() {
            "last" => break,
            gap if gap.contains("\"gap\"") => {}
            _ => seen.push(text),
        }
    }
    let all: Vec<String> = lines(3).lines().map(str::to_owned).collect();
    assert!(seen == all || seen.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn operators_see_which_channels_an_instance_listens_to() {
    let config = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"a\"]\nsubscribe = [\"*\"]\n\
        [[channels]]\npattern = \"b\"\nslow_consumer = \"drop_oldest\"\n";
    let options = GatewayOptions { config: config.to_owned(), ..Default::default() };
    let gateway = Gateway::ready(options).await;
    let list = async |query: &str| body(&gateway.ask(&format!("/api/channels{query}")).await);
    assert_eq!(list("").await, json!({"total": 0, "channels": []}));
    let mut one = gateway.connect_envelope("/ws").await;
    let mut two = gateway.connect_envelope("/ws").await;
    for client in [&mut one, &mut two] {
        client.send(r#"{"type":"subscribe","channel":"b","id":1}"#).await;
        assert_eq!(client.json().await["type"], "ack");
    }
    two.send(r#"{"type":"unsubscribe","channel":"a","id":2}"#).await;
    assert_eq!(two.json().await["type"], "ack");
    let b = json!({"channel": "b", "members": 2, "state": "live", "policy": "drop_oldest"});
    let a = json!({"channel": "a", "members": 1, "state": "live", "policy": "disconnect"});
    assert_eq!(list("").await, json!({"total": 2, "channels": [&b, &a]}));
    assert_eq!(list("?limit=1").await, json!({"total": 2, "channels": [&b]}));
    assert_eq!(list("?limit=0").await, json!({"total": 2, "channels": []}));
    for wrong in ["?limit=-1", "?limit=many", "?limit="] {
        let answer = gateway.ask(&format!("/api/channels{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(body(&answer)["error"].as_str().unwrap().contains("limit"), "{answer:?}");
    }
    drop(one);
    let lingers = async || list("").await["channels"][1]["state"] == "lingering";
    gateway.until("the channel without members lingers", lingers).await;
    assert_eq!(get(gateway.public(), "/api/channels").await.status, 404);
}
