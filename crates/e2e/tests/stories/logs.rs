//! What is logged, at the most talkative level, while clients put secrets and what could
//! forge a line into everything they can send: nothing of it.

use redcast_e2e::{
    ClientFrame, Gateway, GatewayOptions, Listener, Message, Opcode, RawClient, RedisServer,
    canary, post, request,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

const PATH: &str = "/ws/analytics";
const KEY_TAIL: &str = "-api-key";

/// The secret, and around it what ends lines, steers terminals and hides text.
fn nasty() -> String {
    format!("x\r\nINFO forged\u{1b}[2J\u{2028}{}\u{202e}\u{9b}\0\n", canary())
}

fn key() -> String {
    format!("{}{KEY_TAIL}", canary())
}

async fn start(redis: &RedisServer, format: &str) -> Gateway {
    let env = [
        ("REDCAST_LOG__LEVEL", "trace".to_owned()),
        ("REDCAST_LOG__FORMAT", format.to_owned()),
        ("REDCAST_API__KEY", key()),
        ("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s".to_owned()),
        ("REDCAST_SHUTDOWN__WINDOW", "1s".to_owned()),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Gateway::ready(GatewayOptions { redis_url: Some(redis.url()), env, ..Default::default() }).await
}

/// Requests that come to nothing.
async fn knock(gateway: &Gateway) {
    let (address, secret) = (gateway.public(), canary());
    let whole = RawClient::handshake(address, PATH);
    let with = |line: &str| whole.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    for (text, status) in [
        (
            format!(
                "GET /{secret}%0d%0a%1b?token={secret} HTTP/1.1\r\nHost: {secret}\r\nConnection: close\r\n\r\n"
            ),
            404,
        ),
        (with(&format!("Sec-WebSocket-Protocol: {secret}")), 400),
        (with(&format!("Origin: not an origin {secret}")), 101),
        (with(&format!("{secret}: \u{1b}[2J")), 400),
        (with(&format!("User-Agent: {secret}\0")), 400),
        (whole.replace("dGhl", secret), 400),
        (format!("{}\r\n\r\n", nasty()), 400),
    ] {
        let answer = request(address, &text).await;
        assert_eq!(answer.status, status, "{text:?}: {answer:?}");
    }
    let path = format!("/api/publish/{secret}%0d%0a%1b");
    assert_eq!(post(address, &path, Some(&key()), "x").await.status, 400);
    assert_eq!(post(address, "/api/publish/a", Some(secret), &nasty()).await.status, 401);
    assert_eq!(post(address, "/api/publish/analytics", Some(&key()), &nasty()).await.status, 200);
}

async fn send(client: &mut RawClient, frame: &ClientFrame) {
    client.stream().write_all(&frame.clone().bytes()).await.unwrap();
}

/// A connection whose every word is a secret; answers how it was closed.
async fn talk(gateway: &Gateway, last: ClientFrame) -> u16 {
    let secret = canary();
    let path = format!("{PATH}?token={secret}&channel={secret}");
    let mut client = RawClient::connect(gateway.public(), &path).await;
    for command in [
        json!({"type": "subscribe", "channel": format!("analytics:{secret}"), "id": nasty()}),
        json!({"type": "subscribe", "channel": nasty()}),
        json!({"type": "subscribe", "channel": secret, "since": nasty()}),
        json!({"type": nasty(), secret: nasty()}),
        json!({"type": "publish", "channel": secret, "data": nasty()}),
        json!([nasty()]),
    ] {
        send(&mut client, &ClientFrame::text(&command.to_string())).await;
    }
    send(&mut client, &ClientFrame::text(&nasty())).await;
    send(&mut client, &ClientFrame::new(Opcode::Ping, secret)).await;
    client.settled_after_all().await;
    send(&mut client, &last).await;
    loop {
        match client.message().await {
            Message::Closed(code, _) => return code,
            Message::End => panic!("cut without a close frame"),
            Message::Text(_) | Message::Binary(_) => {}
        }
    }
}

/// Everything that clients can do wrong and right; answers how many were connected.
async fn all_of_it(gateway: &Gateway, redis: &mut RedisServer) -> usize {
    let mut member = RawClient::connect(gateway.public(), PATH).await;
    member.settled().await;
    knock(gateway).await;
    assert_eq!(member.message().await, Message::Text(nasty()));
    let mut producer = redis.connection().await;
    let mut publish = redis::cmd("PUBLISH");
    publish.arg("analytics").arg(nasty()).query_async::<u64>(&mut producer).await.unwrap();
    assert_eq!(member.message().await, Message::Text(nasty()));
    let reason = nasty();
    for (last, code) in [
        (ClientFrame::close(1000, &reason), 1000),
        (ClientFrame::close(4999, &reason), 1000),
        (ClientFrame::close(1000, b"\xff\x1b[2J"), 1007),
        (ClientFrame::new(Opcode::Binary, reason.as_bytes()), 1003),
        (ClientFrame::text(&reason.repeat(200)), 1009),
        (ClientFrame::text(&reason).reserved(0x40), 1002),
    ] {
        assert_eq!(talk(gateway, last).await, code);
    }
    let cut = RawClient::connect(gateway.public(), PATH).await;
    cut.reset();
    // One request above was a handshake, too.
    1 + 1 + 6 + 1
}

/// The log of a whole life: clients, an outage, a drain.
async fn life(format: &str) -> (Vec<String>, usize) {
    let mut redis = RedisServer::start();
    let mut gateway = start(&redis, format).await;
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let connected = all_of_it(&gateway, &mut redis).await;
    assert_eq!(listener.payload().await, nasty().as_bytes(), "a key in use is a key that is held");
    redis.kill();
    gateway.until("not ready", async || gateway.ask("/readyz").await.status == 503).await;
    redis.restart();
    gateway.until_ready().await;
    gateway.until_metric("redcast_connections", 0.0).await;
    let opened = gateway.metrics().await.value("redcast_connections_opened_total");
    assert_eq!(opened, connected as f64);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    (gateway.log(), connected)
}

/// What both formats promise.
fn check(log: &[String], connected: usize) {
    let holding = |what: &str| log.iter().filter(|line| line.contains(what)).count();
    for secret in [canary(), "forged"] {
        assert_eq!(holding(secret), 0, "{log:#?}");
    }
    assert_eq!(holding("connection closed"), connected, "{log:#?}");
    assert_eq!(holding("lost the connection to Redis"), 1, "{log:#?}");
    // The level was in force.
    assert!(holding("an HTTP connection ended early") > 0, "{log:#?}");
    for line in log {
        let unsafe_character = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!line.contains(unsafe_character), "{line:?}");
    }
}

#[tokio::test]
async fn json_is_one_object_per_line_and_no_secret_is_in_it() {
    let (log, connected) = life("json").await;
    check(&log, connected);
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    for line in lines.iter().filter(|line| line["message"] == "connection closed") {
        assert_eq!((&line["endpoint"], &line["address"]), (&json!(PATH), &json!("127.0.0.1")));
        assert!(line["code"].is_string() && line["seconds"].is_number(), "{line}");
    }
}

#[tokio::test]
async fn a_line_for_people_is_one_line_and_no_secret_is_in_it() {
    let (log, connected) = life("pretty").await;
    check(&log, connected);
    for line in &log {
        let mut words = line.split_whitespace();
        assert!(
            words.next().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
            "{line}"
        );
        let level = words.next();
        assert!(
            level.is_some_and(|level| ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_one_line_with_its_place_and_the_connection_another() {
    for format in ["json", "pretty"] {
        let env = vec![("REDCAST_LOG__FORMAT".to_owned(), format.to_owned())];
        let gateway =
            Gateway::start(GatewayOptions { env, faults: true, ..Default::default() }).await;
        let mut client = RawClient::connect(gateway.public(), PATH).await;
        client.settled().await;
        client.say(r#"{"type":"fault","kind":"panic"}"#).await;
        assert_eq!(client.message_whenever().await, Message::End);
        gateway.until_metric("redcast_connections", 0.0).await;
        let closed = |log: &[String]| log.iter().any(|line| line.contains("connection closed"));
        gateway.until("it is logged", async || closed(&gateway.log())).await;
        let log = gateway.log();
        let panics: Vec<&String> = log.iter().filter(|line| line.contains("panic")).collect();
        let [panic] = panics[..] else { panic!("one line, not {panics:#?}") };
        assert!(panic.contains("ERROR") && panic.contains("faults.rs:"), "{panic}");
        assert!(!panic.contains("a client asked"), "the message is not for logs: {panic}");
        let end = log.iter().find(|line| line.contains("connection closed")).unwrap();
        assert!(end.contains("1011"), "{end}");
        assert_eq!(log.len(), 3, "serving, the panic, the end: {log:#?}");
    }
}
