//! What the two listeners answer over plain HTTP: refused handshakes, slow strangers,
//! the publish API, the page, and the operators' side.

use std::io::Write;
use std::time::{Duration, Instant};

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, Response, free_port, get, post, request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HANDSHAKE: [(&str, &str); 5] = [
    ("Host", "gateway"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn memory(config: &str, env: &[(&str, &str)], flags: &[&str]) -> Gateway {
    Gateway::ready(GatewayOptions {
        config: config.to_owned(),
        env: env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        ..Default::default()
    })
    .await
}

/// A handshake in which one header is another one, or not there.
async fn handshake(gateway: &Gateway, line: &str, change: (&str, Option<&str>)) -> Response {
    let mut head = format!("{line}\r\n");
    let kept = HANDSHAKE.into_iter().filter(|(name, _)| *name != change.0);
    for (name, value) in kept.chain(change.1.map(|value| (change.0, value))) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    request(gateway.public(), &format!("{head}\r\n")).await
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("no JSON: {response:?}"))
}

#[tokio::test]
async fn a_wrong_handshake_is_refused_by_the_right_status() {
    const GET: &str = "GET /ws HTTP/1.1";
    let config = "[[endpoints]]\npath = \"/ws\"\nallowed_origins = [\"https://good.example\"]";
    let gateway = memory(config, &[], &[]).await;
    let long = "x".repeat(17 << 10);
    for (line, change, status) in [
        (GET, ("Upgrade", None), 426),
        (GET, ("Upgrade", Some("h2c")), 426),
        (GET, ("Sec-WebSocket-Version", Some("8")), 426),
        (GET, ("Sec-WebSocket-Version", None), 426),
        (GET, ("Connection", Some("close")), 400),
        (GET, ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZQ==")), 400),
        (GET, ("Sec-WebSocket-Key", None), 400),
        (GET, ("Sec-WebSocket-Protocol", Some("mqtt")), 400),
        (GET, ("Content-Length", Some("1")), 400),
        ("GET /ws HTTP/1.0", ("X", None), 400),
        ("GET /wss HTTP/1.1", ("X", None), 404),
        ("GET /ws/ HTTP/1.1", ("X", None), 404),
        ("POST /ws HTTP/1.1", ("X", None), 405),
        ("HEAD /ws HTTP/1.1", ("X", None), 405),
        (GET, ("Origin", Some("https://evil.example")), 403),
        (GET, ("Origin", Some("null")), 403),
        (GET, ("X-Long", Some(long.as_str())), 431),
    ] {
        let response = handshake(&gateway, line, change).await;
        assert_eq!(response.status, status, "{line} {change:?}: {}", response.head);
        let version = response.header("sec-websocket-version");
        assert_eq!(version, (status == 426).then_some("13"), "{line} {change:?}");
        if status != 431 && !line.starts_with("HEAD") {
            assert!(body(&response)["error"].is_string(), "{line} {change:?}");
        }
    }
    let metrics = gateway.metrics().await;
    let rejected = |reason: &str| {
        metrics.value(&format!("redcast_connections_rejected_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!(rejected("origin"), 2.0);
    assert_eq!(metrics.value("redcast_connections_opened_total"), 0.0);
    // A program sends no origin, and is let in.
    let mut client = gateway.connect("/ws").await;
    client.settled().await;
}

#[tokio::test]
async fn a_full_instance_says_when_to_come_back() {
    let gateway = memory("", &[("REDCAST_LIMITS__MAX_CONNECTIONS", "2")], &[]).await;
    let first = gateway.connect("/ws/analytics").await;
    let _second = gateway.connect("/ws/analytics").await;
    let response = handshake(&gateway, "GET /ws/analytics HTTP/1.1", ("X", None)).await;
    assert_eq!(response.status, 503);
    let retry_after: Option<u32> = response.header("retry-after").and_then(|s| s.parse().ok());
    assert!(retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)), "{response:?}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections"), 2.0);
    assert_eq!(metrics.value("redcast_connections_rejected_total{reason=\"limit\"}"), 1.0);
    drop(first);
    gateway.until_metric("redcast_connections", 1.0).await;
    gateway.connect("/ws/analytics").await.settled().await;
}

#[tokio::test]
async fn who_does_not_finish_a_request_is_cut_off() {
    let env = [("REDCAST_HTTP__HANDSHAKE_TIMEOUT", "1s"), ("REDCAST_API__KEY", "k")];
    let gateway = memory("", &env, &[]).await;
    let mut honest = gateway.connect("/ws/analytics").await;
    let started = Instant::now();
    let strangers = ["", "GET /ws/analytics HTTP/1.1\r\nHost: gateway\r\nUpgr"].map(|start| {
        let address = gateway.public().to_owned();
        tokio::spawn(async move {
            let socket = TcpStream::connect(address).await.unwrap();
            let (mut reading, mut writing) = socket.into_split();
            writing.write_all(start.as_bytes()).await.unwrap();
            // Who has begun a request keeps it alive, byte by byte.
            let dripping = tokio::spawn(async move {
                while !start.is_empty() && writing.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                writing
            });
            let mut answer = vec![];
            let _ = reading.read_to_end(&mut answer).await;
            drop(dripping.await);
            started.elapsed()
        })
    });
    gateway.until_metric("redcast_http_connections", 2.0).await;
    for stranger in strangers {
        let waited = stranger.await.unwrap();
        assert!(waited >= Duration::from_millis(900), "{waited:?}");
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    }
    let half = "POST /api/publish/a HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer k\r\n\
                Content-Length: 10\r\n\r\nhalf";
    assert_eq!(request(gateway.public(), half).await.status, 408);
    gateway.until_metric("redcast_http_connections", 0.0).await;
    honest.settled().await;
    gateway.connect("/ws/analytics").await.settled().await;
}

#[tokio::test]
async fn publishing_over_http_takes_a_key() {
    let closed = memory("", &[], &[]).await;
    let response = post(closed.public(), "/api/publish/analytics", Some("k"), "1").await;
    assert_eq!(response.status, 403, "{response:?}");
    assert!(body(&response)["error"].as_str().unwrap().contains("api.key"), "{response:?}");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"00123\n").unwrap();
    let path = file.path().to_str().unwrap();
    // Digits alone are a key like any other, wherever they stand.
    for env in [("REDCAST_API__KEY", "00123"), ("REDCAST_API__KEY_FILE", path)] {
        let gateway = memory("", &[env], &[]).await;
        for (key, status) in [(Some("00123"), 200), (Some("123"), 401), (None, 401)] {
            let response = post(gateway.public(), "/api/publish/analytics", key, "1").await;
            assert_eq!(response.status, status, "{env:?} {key:?}: {response:?}");
        }
        // Nobody without the key makes us wait for a body, or keep it.
        let unfinished = "POST /api/publish/a HTTP/1.1\r\nHost: g\r\nContent-Length: 1000\r\n\r\n";
        assert_eq!(request(gateway.public(), unfinished).await.status, 401);
    }
}

#[tokio::test]
async fn what_is_published_over_http_goes_through_redis() {
    let redis = RedisServer::start();
    let gateways = [keyed(&redis.url()).await, keyed(&redis.url()).await];
    for gateway in &gateways {
        gateway.until_ready().await;
    }
    let mut clients = vec![];
    for gateway in &gateways {
        let mut client = gateway.connect("/ws/analytics").await;
        client.settled().await;
        clients.push(client);
    }
    let publish = async |channel: &str, event: &str| {
        let path = format!("/api/publish/{channel}");
        post(gateways[0].public(), &path, Some("k"), event).await
    };
    let fits = format!(" {{\"text\":\"é\\n\"}}{}", " ".repeat(1024 - 16));
    assert_eq!(fits.len(), 1024);
    let response = publish("analytics", &fits).await;
    assert_eq!(response.status, 200);
    assert_eq!(body(&response), json!({"channel": "analytics", "bytes": 1024, "events": 1}));
    for client in &mut clients {
        assert_eq!(client.text().await, fits);
    }
    assert_eq!(publish("analytics", &format!("{fits} ")).await.status, 413);
    assert_eq!(publish("analytics", &"x".repeat(1 << 20)).await.status, 413);
    for channel in ["a%20b", "a*", "%ff", &"a".repeat(256)] {
        assert_eq!(publish(channel, "1").await.status, 400, "{channel}");
    }
    assert_eq!(publish("", "1").await.status, 404);
    assert_eq!(get(gateways[0].public(), "/api/publish/analytics").await.status, 405);
    assert_eq!(publish("analytics", "").await.status, 200);
    for client in &mut clients {
        assert_eq!(client.text().await, "");
        client.settled().await;
    }
}

/// A gateway over a Redis that takes events of at most 1 KiB from who has the key.
async fn keyed(redis_url: &str) -> Gateway {
    let env = [("REDCAST_API__KEY", "k"), ("REDCAST_LIMITS__MAX_EVENT_SIZE", "1KiB")];
    Gateway::start(GatewayOptions {
        redis_url: Some(redis_url.to_owned()),
        env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    })
    .await
}

#[tokio::test]
async fn without_its_redis_a_gateway_lives_and_is_not_ready() {
    let gateway = keyed(&format!("redis://127.0.0.1:{}", free_port())).await;
    assert_eq!(gateway.ask("/livez").await.status, 200);
    let response = gateway.ask("/readyz?verbose").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(body(&response)["checks"]["broker_connected"], false);
    let response = post(gateway.public(), "/api/publish/analytics", Some("k"), "1").await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    gateway.connect("/ws/analytics").await.settled().await;
}

#[tokio::test]
async fn the_page_is_served_with_all_it_asks_for_and_nothing_else_may_run_in_it() {
    let gateway = memory("", &[], &[]).await;
    let page = get(gateway.public(), "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let attributes = page.body.split(['"', '\'']).zip(page.body.split(['"', '\'']).skip(1));
    let files: Vec<&str> = attributes
        .filter(|(before, _)| before.ends_with("src=") || before.ends_with("href="))
        .map(|(_, file)| file)
        .filter(|file| !file.contains("://") && !file.starts_with('#'))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files.iter().chain(&["/"]) {
        let path = format!("/{}", file.trim_start_matches(['.', '/']));
        let response = get(gateway.public(), &path).await;
        assert_eq!(response.status, 200, "{path}");
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    // The policy forbids scripts and styles in the page itself: they would not run.
    assert!(!page.body.contains("<script>") && !page.body.contains("<style"));
    assert!(!page.body.contains("style=") && !page.body.contains("onclick="));
}

#[tokio::test]
async fn operators_ask_the_admin_listener_and_nobody_else_can() {
    let gateway = memory("", &[], &[]).await;
    assert_eq!(body(&gateway.ask("/livez").await)["alive"], true);
    assert_eq!(body(&gateway.ask("/readyz").await), json!({"ready": true}));
    let verbose = body(&gateway.ask("/readyz?verbose").await);
    assert_eq!(verbose["checks"]["broker"], "memory");
    assert!(verbose["checks"]["memory_broker"].as_str().unwrap().contains("redis.url"));
    let version = body(&gateway.ask("/version").await);
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let metrics = gateway.ask("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.body.contains("\n# TYPE redcast_connections gauge\nredcast_connections 0\n"));
    for path in ["/metrics", "/livez", "/readyz", "/version"] {
        assert_eq!(get(gateway.public(), path).await.status, 404, "{path}");
    }
    for path in ["/", "/ws/analytics", "/api/info", "/api/publish/a"] {
        assert_eq!(gateway.ask(path).await.status, 404, "{path}");
    }
    assert_eq!(post(gateway.admin(), "/metrics", None, "").await.status, 405);
    let info = body(&get(gateway.public(), "/api/info").await);
    assert_eq!((&info["version"], &info["instance"]), (&version["version"], &version["instance"]));
    assert_eq!(
        (&info["broker"], &info["endpoints"]),
        (&json!("memory"), &json!(["/ws/analytics"]))
    );
}
