//! Commands that are none, names that are none, and more of both than anybody needs:
//! each is answered by its error, the connection goes on where it may, and neither
//! memory nor Redis nor the metrics keep a trace of it.

use std::time::{Duration, Instant};

use redcast_e2e::{
    Client, ClientFrame, GatewayOptions, Incoming, Message, RawClient, Siege, request, turn,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

/// What memory may grow by for what a single client says.
const MEMORY: u64 = 2 << 20;
/// What is kept of ten thousand channels that all linger at once.
const KEPT: u64 = 10 << 20;
const LINGER: Duration = Duration::from_secs(1);
const CHURN: usize = 1_000_000;
const CHURNED_CHANNELS: usize = 100;
const NAMES: usize = 10_000;
/// How many commands are sent before the client waits for the server.
const AT_ONCE: usize = 1_000;

/// No limit on the rate, so that what is behind it is met; messages up to 64 KiB.
fn unlimited() -> GatewayOptions {
    let config = "[limits]\ncommands_per_second = 0\n\
        [[endpoints]]\npath = \"/large\"\nsubscribe = [\"*\"]\nmax_message_size = \"64KiB\"\n\
        [[endpoints]]\npath = \"/few\"\nsubscribe = [\"public:*\", \"a\"]\n\
        [[endpoints]]\npath = \"/listed\"\nallowed_origins = [\"https://good.example\"]\n";
    let linger = ("REDCAST_INTEREST__LINGER".to_owned(), format!("{}ms", LINGER.as_millis()));
    GatewayOptions { config: config.to_owned(), env: vec![linger], ..Default::default() }
}

/// Sends a text and answers the error's code; the connection must go on.
async fn refused(client: &mut Client, text: &str) -> String {
    client.send(text).await;
    let error = client.json().await;
    assert_eq!(error["type"], "error", "{text:.100}");
    let message = error["message"].as_str().expect("one sentence");
    assert!(message.len() < 400, "an error is no echo: {message:.500}");
    assert!(!message.contains(char::is_control), "unescaped: {message:?}");
    error["code"].as_str().expect("a code").to_owned()
}

/// What is no JSON, no object, no command, or a command with something wrong in it.
const TEXTS: [&str; 49] = [
    "",
    " ",
    "{",
    "}",
    "[]",
    "null",
    "1",
    "\"subscribe\"",
    "subscribe a",
    "{}",
    "{}{}",
    "{'type':1}",
    "\u{feff}{\"type\":\"ping\"}",
    "{\"type\":\"ping\"}x",
    "{\"type\":\"ping\",}",
    r#"{"type":null}"#,
    r#"{"type":1}"#,
    r#"{"type":["ping"]}"#,
    r#"{"type":"PING"}"#,
    r#"{"type":"subscribe"}"#,
    r#"{"type":"subscribe","channel":null}"#,
    r#"{"type":"subscribe","channel":1}"#,
    r#"{"type":"subscribe","channel":["a"]}"#,
    r#"{"type":"subscribe","channel":{}}"#,
    r#"{"type":"subscribe","channels":"a"}"#,
    r#"{"type":"subscribe","channels":[]}"#,
    r#"{"type":"subscribe","channels":[1]}"#,
    r#"{"type":"subscribe","channels":["a",null]}"#,
    r#"{"type":"subscribe","channel":"a","channels":["b"]}"#,
    r#"{"type":"subscribe","channel":"a","since":"0"}"#,
    r#"{"type":"subscribe","channel":"a","since":18446744073709551616}"#,
    r#"{"type":"subscribe","channels":["a"],"since":{"b":"1-1.00000000"}}"#,
    r#"{"type":"unsubscribe"}"#,
    r#"{"type":"eval","script":"x"}"#,
    r#"{"type":"psubscribe","channel":"a"}"#,
    r#"{"type":"ping","id":{}}"#,
    r#"{"type":"ping","id":[1]}"#,
    r#"{"type":"ping","id":true}"#,
    r#"{"type":"ping","id":1e999}"#,
    r#"{"type":"ping","x":1e400}"#,
    r#"{"type":"ping","x":01}"#,
    r#"{"type":"ping","x":+1}"#,
    r#"{"type":"ping","x":NaN}"#,
    r#"{"type":"ping","x":"\ud800"}"#,
    "{\"type\":\"ping\",\"x\":\"\n\"}",
    "{\"type\":\"pi\u{0}ng\"}",
    r#"{"type":"pi\u0000ng"}"#,
    r#"{"__proto__":{"type":"ping"}}"#,
    r#"{"type":"ping","type":"x"}"#,
];

fn texts() -> Vec<String> {
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
    let mut texts: Vec<String> = TEXTS.map(str::to_owned).into();
    texts.push(format!("{{\"type\":\"{}\"}}", "x".repeat(4_000)));
    texts.push(format!("{{\"type\":\"\\u001b[31m{}\"}}", "\\r\\n".repeat(50)));
    texts.push(format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65)));
    texts.push(format!(r#"{{"type":"ping","id":{}}}"#, "9".repeat(4_000)));
    texts.push(format!(r#"{{"type":"ping","x":{}}}"#, nested("[", "]")));
    texts.push(nested("{\"a\":", "}"));
    texts.push("[".repeat(60_000));
    texts
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        "*",
        "a*",
        "public:*",
        "a?",
        "[ab]",
        "a\\",
        "{a}",
        "a b",
        " a",
        "a ",
        "a\t",
        "a\r\nb",
        "a\n",
        "\r\nPUBLISH x y\r\n",
        "a\0",
        "\0",
        "a/b",
        "../a",
        "a,b",
        "a'b",
        "a\"b",
        "a$b",
        "a;b",
        "a|b",
        "a#b",
        "a%00b",
        "\u{430}",
        "\u{ff41}",
        "a\u{301}",
        "a\u{200b}",
        "\u{202e}a",
        "a\u{2028}b",
        "a\u{7f}",
        "\u{1f600}",
    ]
    .map(str::to_owned)
    .into();
    names.push("a".repeat(256));
    names.push("a".repeat(300));
    names.push("\u{e4}".repeat(200));
    names
}

#[tokio::test]
async fn what_is_no_command_is_answered_by_an_error_and_nothing_else() {
    let _turn = turn().await;
    let siege = Siege::with(unlimited()).await;
    let vitals = siege.watch();
    let mut client = siege.gateway.connect("/large").await;
    let mut wrong = Vec::new();
    for text in texts() {
        let code = refused(&mut client, &text).await;
        if code != "bad_request" {
            wrong.push(format!("{text:.80}: {code}"));
        }
    }
    for name in names() {
        for kind in ["subscribe", "unsubscribe"] {
            let code =
                refused(&mut client, &json!({"type": kind, "channel": name}).to_string()).await;
            if code != "bad_request" {
                wrong.push(format!("{kind} {name:?}: {code}"));
            }
        }
        let many = json!({"type": "subscribe", "channels": ["a", name]});
        assert_eq!(refused(&mut client, &many.to_string()).await, "bad_request", "{name:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    client.settled().await;
    // Deeper than a message may be long: that is no longer a matter of JSON.
    let mut deep = siege.client().await;
    deep.send(&"[".repeat(10_000)).await;
    assert!(matches!(deep.next().await, Incoming::Closed(1009, _)));
    // The last of two keys counts, as in every JSON parser that browsers have.
    client.send(r#"{"type":"x","type":"ping"}"#).await;
    assert_eq!(client.json().await["type"], "pong");
    drop((client, deep));
    assert_eq!(channels(&siege).await, ["feed"], "nothing of it reached Redis");
    vitals.assert_flat("commands that are none", MEMORY, MEMORY).await;
    siege.end("commands that are none").await;
}

#[tokio::test]
async fn a_channel_that_is_not_offered_is_forbidden_whatever_it_looks_like() {
    let siege = Siege::with(unlimited()).await;
    let mut client = siege.gateway.connect("/few").await;
    for name in [
        "b",
        "A",
        "aa",
        "a:",
        "private:1",
        "publi",
        "public",
        "Public:1",
        "xpublic:1",
        "feed",
        "redcast:canary:x",
    ] {
        let one = json!({"type": "subscribe", "channel": name});
        assert_eq!(refused(&mut client, &one.to_string()).await, "forbidden", "{name}");
        // One stranger among many, and none of them is joined.
        let many = json!({"type": "subscribe", "channels": ["public:1", name, "a"]});
        assert_eq!(refused(&mut client, &many.to_string()).await, "forbidden", "{name}");
    }
    let leave = r#"{"type":"unsubscribe","channel":"public:1"}"#;
    assert_eq!(refused(&mut client, leave).await, "unknown_channel");
    drop(client);
    assert_eq!(channels(&siege).await, ["feed"]);
    let refused = r#"redcast_commands_refused_total{code="forbidden"}"#;
    assert_eq!(siege.gateway.metrics().await.value(refused), 22.0);
    siege.end("forbidden channels").await;
}

/// Sends so many subscribe commands for different channels, and counts the errors' codes
/// until the server closes or has answered a ping behind them.
async fn subscribe_to_many(siege: &Siege, count: usize) -> (Vec<Value>, Option<u16>) {
    let mut client = siege.attacker().await;
    let mut all: Vec<u8> =
        (0..count).flat_map(|number| subscribe(&format!("many:{number}"))).collect();
    all.extend(ClientFrame::text(r#"{"type":"ping"}"#).bytes());
    client.stream().write_all(&all).await.expect("all is read or discarded");
    let mut errors = Vec::new();
    loop {
        match client.message().await {
            Message::Text(text) if text.contains("pong") => return (errors, None),
            Message::Text(text) => errors.push(serde_json::from_str(&text).unwrap()),
            Message::Closed(code, _) => return (errors, Some(code)),
            other => panic!("{other:?}"),
        }
    }
}

fn subscribe(channel: &str) -> Vec<u8> {
    ClientFrame::text(&format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#)).bytes()
}

fn unsubscribe(channel: &str) -> Vec<u8> {
    ClientFrame::text(&format!(r#"{{"type":"unsubscribe","channel":"{channel}"}}"#)).bytes()
}

#[tokio::test]
async fn ten_thousand_subscribes_are_128_and_then_errors() {
    let siege = Siege::with(unlimited()).await;
    let (errors, closed) = subscribe_to_many(&siege, 10_000).await;
    assert_eq!((errors.len(), closed), (10_000 - 128, None));
    assert!(errors.iter().all(|error| error["code"] == "rate_limited"), "{:?}", errors[0]);
    siege.end("10,000 subscribes without a rate").await;
    // At the default rate it is a flood long before that.
    let siege = Siege::begin("").await;
    let (errors, closed) = subscribe_to_many(&siege, 10_000).await;
    assert_eq!(closed, Some(4429));
    println!("4429 after {} refused commands", errors.len());
    assert!(errors.iter().all(|error| error["code"] == "rate_limited"), "{:?}", errors[0]);
    // 128 get in of the burst of 200, 72 are over that limit, and then come at least as
    // many refusals as the burst holds; more where one in between was in time.
    assert!(errors.len() >= 72 + 200, "{}", errors.len());
    siege.until_closed(4429, 1).await;
    siege.end("10,000 subscribes").await;
}

/// What instances are subscribed to.
async fn channels(siege: &Siege) -> Vec<String> {
    let mut asker = siege.redis.connection().await;
    let mut names: Vec<String> =
        redis::cmd("PUBSUB").arg("CHANNELS").query_async(&mut asker).await.unwrap();
    names.retain(|name| !name.starts_with("redcast:"));
    names.sort();
    names
}

/// Waits until Redis has nothing of ours but the bystander's channel.
async fn until_no_orphan(siege: &Siege) {
    siege
        .gateway
        .until("no channel is left in Redis", async || channels(siege).await == ["feed"])
        .await;
    siege.gateway.until_metric("redcast_channels", 1.0).await;
    siege.gateway.until_metric("redcast_subscriptions", 1.0).await;
}

/// How often a command was called in Redis.
async fn calls(siege: &Siege, command: &str) -> usize {
    let mut asker = siege.redis.connection().await;
    let info: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut asker).await.unwrap();
    let start = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

/// Joins and leaves channels so many times, waiting for the server now and then.
async fn churn(client: &mut RawClient, rounds: usize) {
    for batch in 0..rounds / AT_ONCE {
        let mut commands = Vec::new();
        for number in 0..AT_ONCE {
            let channel = format!("churn:{}", (batch * AT_ONCE + number) % CHURNED_CHANNELS);
            commands.extend(subscribe(&channel));
            commands.extend(unsubscribe(&channel));
        }
        client.stream().write_all(&commands).await.unwrap();
        client.settled().await;
    }
}

#[tokio::test]
async fn a_million_joins_and_leaves_leave_nothing_behind() {
    let _turn = turn().await;
    let siege = Siege::with(unlimited()).await;
    let mut client = siege.attacker().await;
    // What is allocated once is allocated before the count.
    churn(&mut client, AT_ONCE * 10).await;
    until_no_orphan(&siege).await;
    let before = calls(&siege, "subscribe").await;
    let (vitals, began) = (siege.watch(), Instant::now());
    churn(&mut client, CHURN).await;
    let took = began.elapsed();
    until_no_orphan(&siege).await;
    let subscribes = calls(&siege, "subscribe").await - before;
    println!("{CHURN} joins and leaves in {took:.1?}: {subscribes} SUBSCRIBE");
    // Each channel is kept for the linger after it was left, so it is asked for anew at
    // most once in that time.
    let lingers = took.as_millis() / LINGER.as_millis() + 2;
    assert!(subscribes <= CHURNED_CHANNELS * lingers as usize, "{subscribes} SUBSCRIBE");
    let five_percent = vitals.resident_before() / 20;
    vitals.assert_flat("a million joins and leaves", MEMORY, five_percent).await;
    assert_eq!(client.close().await, 1000);
    siege.end("a million joins and leaves").await;
}

/// Joins and leaves channels of so many names, and says as many commands that are none.
async fn say_names(client: &mut RawClient) {
    for batch in 0..NAMES / 100 {
        let mut commands = Vec::new();
        for number in batch * 100..(batch + 1) * 100 {
            let name = format!("name:{number}:{}", number * 7919);
            commands.extend(subscribe(&name));
            commands.extend(unsubscribe(&name));
            commands.extend(ClientFrame::text(&format!(r#"{{"type":"t{number}"}}"#)).bytes());
        }
        client.stream().write_all(&commands).await.unwrap();
        for _ in 0..100 {
            let Message::Text(error) = client.message().await else { panic!("no error") };
            assert!(error.contains("bad_request"), "{error}");
        }
    }
}

/// Comes as so many pages that are not on the endpoint's list.
async fn say_origins(siege: &Siege) {
    let plain = RawClient::handshake(siege.gateway.public(), "/listed");
    for number in 0..NAMES {
        let line = format!("\r\nOrigin: https://o{number}.example\r\nUser-Agent: {number}\r\n");
        let head = plain.replacen("\r\n", &line, 1);
        assert_eq!(request(siege.gateway.public(), head).await.status, 403);
    }
}

#[tokio::test]
async fn ten_thousand_names_are_no_series() {
    let _turn = turn().await;
    let siege = Siege::with(unlimited()).await;
    let mut client = siege.attacker().await;
    client.stream().write_all(&subscribe("first")).await.unwrap();
    client.stream().write_all(&unsubscribe("first")).await.unwrap();
    client.settled().await;
    let before = siege.gateway.metrics().await.names();
    // What the first round leaves is there to be used again by the second.
    for most in [KEPT, MEMORY] {
        let vitals = siege.watch();
        say_names(&mut client).await;
        until_no_orphan(&siege).await;
        vitals.assert_flat("10,000 names", most, most).await;
        let vitals = siege.watch();
        say_origins(&siege).await;
        vitals.assert_flat("10,000 origins", most, most).await;
    }
    let refused = r#"redcast_connections_rejected_total{reason="origin"}"#;
    assert_eq!(siege.gateway.metrics().await.value(refused), 2.0 * NAMES as f64);
    let text = siege.gateway.ask("/metrics").await.body;
    println!("/metrics has {} bytes, {} series", text.len(), before.len());
    assert_eq!(siege.gateway.metrics().await.names(), before);
    assert!(text.len() < 200_000, "/metrics has {} bytes", text.len());
    drop(client);
    siege.end_within("10,000 names", KEPT, KEPT).await;
}
